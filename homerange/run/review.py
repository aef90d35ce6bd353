"""One page of the photos that a run is least sure of, for a person to check.

The page is a single HTML file that loads nothing: thumbnails are inside, made of pixels alone, so
no EXIF and no place of a rare animal gets into it. It shows at most one photo of a burst, because
ten times the same tail teach nothing, and no photo answered as a person. Its button saves what was
corrected as a CSV with the columns `CORRECTIONS`, a list that `homerange predict` reads too
(``file`` and ``species``). Names of files and labels are data of strangers: they are escaped.
"""

import base64
import heapq
import html
import io
import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from homerange.data.images import read_rgb
from homerange.errors import ImageError
from homerange.output import atomic_file
from homerange.run.answers import Answer
from homerange.run.looks import shows_person
from homerange.run.results.naming import best_name
from homerange.run.results.stamp import stamp_cells
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["CORRECTIONS", "is_review", "review_path", "write_review"]

CORRECTIONS = ("file", "species", "prediction", "confidence", "package_sha256")
"""Columns of the CSV that the page saves; ``species`` is what the person says."""

THUMB_PX = 320
_MARK = "<!-- homerange review -->"
_Candidate = tuple[float, int, Photo, Answer]


def review_path(output: Path) -> Path:
    """Return where the page of the results ``output`` is.

    Example:
        >>> review_path(Path("a/results.json")).name
        'results.json.review.html'
    """
    return output.with_name(f"{output.name}.review.html")


def is_review(path: Path) -> bool:
    """Whether a file is a page that we wrote, and so may be written again."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _MARK in file.read(200)
    except OSError:
        return False


def write_review(
    path: Path, answers: Iterable[tuple[Photo, Answer]], package: PlacePackage, *, count: int
) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        answers: Every photo with its answer, taken one by one.
        package: The package that gave the answers.
        count: How many photos to show; fewer where there are fewer bursts.

    Raises:
        OSError: If the file cannot be written.
    """
    chosen = least_sure(answers, package, count=count)
    stamped = stamp_cells(package)
    facts = {"columns": CORRECTIONS, "package_sha256": package.sha256, "name": path.stem}
    options = "".join(f"<option value={_attribute(label)}>" for label in package.labels)
    with atomic_file(path) as file:
        file.write(_HEAD.replace("TITLE", html.escape(package.name)).encode())
        file.write(
            f"<header><h1>{html.escape(package.name)}: {len(chosen):,} photos to check</h1>"
            f"<p>{html.escape(stamped['place'])}. The least sure first, one of each burst. Say "
            "what each shows where the answer is wrong or right; leave open what you cannot tell."
            "</p><button id=save>Save corrections (CSV)</button> <span id=done></span></header>\n"
            f"<datalist id=labels>{options}</datalist><main>\n".encode()
        )
        for _, _, photo, answer in chosen:
            file.write(_card(photo, answer, package).encode("utf-8", "backslashreplace"))
        script = _SCRIPT.replace("FACTS", _script_safe(facts))
        file.write(f"</main>\n<script>{script}</script>\n".encode())


def least_sure(
    answers: Iterable[tuple[Photo, Answer]], package: PlacePackage, *, count: int
) -> list[_Candidate]:
    """Choose the photos, the least sure first, holding no more than ``count``.

    Returns:
        Confidence, position, photo and answer of each.
    """
    kept: dict[str, _Candidate] = {}
    heap: list[tuple[float, int, str]] = []  # the surest first: who has to go
    for number, (photo, answer) in enumerate(answers):
        name = best_name(answer, package)
        if name is None or name.outcome == "person" or photo.truth == "person":
            continue
        if shows_person(answer.looks):
            continue
        if answer.video is not None:
            continue
        group = answer.burst.key if answer.burst else photo.file
        _, confidence = answer.best(package.labels)
        if group in kept and kept[group][0] <= confidence:
            continue
        kept[group] = (confidence, number, photo, answer)
        heapq.heappush(heap, (-confidence, -number, group))
        while len(kept) > count:
            negative, position, surest = heapq.heappop(heap)
            if kept.get(surest, (0.0, 0))[:2] == (-negative, -position):  # else it was replaced
                del kept[surest]
        if len(heap) > 2 * count + 8:  # replaced ones have piled up
            heap = [(-c, -n, key) for key, (c, n, _, _) in kept.items()]
            heapq.heapify(heap)
    return sorted(kept.values(), key=lambda one: one[:2])


def _card(photo: Photo, answer: Answer, package: PlacePackage) -> str:
    best, confidence = answer.best(package.labels)
    said = " ".join(
        f"<li>{html.escape(package.labels[index])} <b>{probability:.0%}</b></li>"
        for index, probability in answer.top[:3]
    )
    return (
        f"<figure data-file={_attribute(photo.file)} data-said={_attribute(best)} "
        f'data-sure="{confidence:.4f}">{_thumbnail(photo.path)}'
        f"<figcaption>{html.escape(photo.file)}</figcaption><ol>{said}</ol>"
        f"<input list=labels placeholder={_attribute(best)} aria-label=species>"
        "<button class=right>It is right</button></figure>\n"
    )


def _thumbnail(path: Path) -> str:
    try:
        photo = Image.fromarray(read_rgb(path, at_least_px=THUMB_PX))
    except ImageError:  # it could be read during the run, so it was taken away since
        return "<p class=gone>photo is gone</p>"
    photo.thumbnail((THUMB_PX, THUMB_PX))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _attribute(text: str) -> str:
    return f'"{html.escape(text, quote=True)}"'


def _script_safe(facts: object) -> str:
    """JSON that may stand in a script: no ``</script>`` inside a name ends it."""
    return json.dumps(facts).replace("<", "\\u003c")


_HEAD = f"""<!doctype html>{_MARK}
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>TITLE: photos to check</title>
<style>
body{{font:16px/1.4 system-ui,sans-serif;margin:0;background:#faf9f5;color:#23271f}}
header{{padding:1rem 2rem;position:sticky;top:0;background:#faf9f5;border-bottom:2px solid #dedcd2}}
h1{{margin:0;font-size:1.4rem}}p{{margin:.3rem 0}}
main{{display:grid;grid-template-columns:repeat(auto-fill,minmax(18rem,1fr));gap:1.5rem;padding:2rem}}
figure{{margin:0;padding:.6rem;border-radius:8px;background:#fff;border:2px solid #e9e7df}}
figure.said{{border-color:#3f8a4d}}
img{{width:100%;height:13rem;object-fit:contain;background:#e9e7df;border-radius:5px}}
figcaption{{font-size:.8rem;color:#6d7268;overflow-wrap:anywhere}}
ol{{margin:.3rem 0;padding-left:1.3rem}}
input{{width:95%;font:inherit;padding:.2rem}}button{{font:inherit;margin-top:.4rem}}
</style>
"""

_SCRIPT = """
const facts = FACTS, key = "homerange " + facts.name + facts.package_sha256;
const cards = [...document.querySelectorAll("figure")];
const saved = JSON.parse(localStorage.getItem(key) || "{}");
function remember() {
  const said = {};
  for (const card of cards) {
    const text = card.querySelector("input").value.trim();
    card.classList.toggle("said", text !== "");
    if (text) said[card.dataset.file] = text;
  }
  localStorage.setItem(key, JSON.stringify(said));
  document.getElementById("done").textContent =
    Object.keys(said).length + " of " + cards.length + " checked";
}
for (const card of cards) {
  const input = card.querySelector("input");
  input.value = saved[card.dataset.file] || "";
  input.addEventListener("input", remember);
  card.querySelector("button").addEventListener("click", () => {
    input.value = card.dataset.said;
    remember();
  });
}
remember();
const cell = (text) => '"' + String(text).replaceAll('"', '""') + '"';
document.getElementById("save").addEventListener("click", () => {
  const rows = [facts.columns.join(",")];
  for (const card of cards) {
    const text = card.querySelector("input").value.trim(), d = card.dataset;
    if (text) rows.push([d.file, text, d.said, d.sure, facts.package_sha256].map(cell).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], {type: "text/csv"}));
  link.download = "corrections.csv";
  link.click();
});
"""
