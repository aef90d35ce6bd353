"""How long until the map of a world of 5,089 species is seen, and the list of a clicked place?

Chromium draws the map by software here, where a computer with a graphics card has it easy. Times
are those of the page's own marks: from the start of loading to the first complete map, and from a
choice to the rows of the list. Beside them stand the processor seconds of all Chromium's processes
up to the map, which depend less on what else the machine does.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cut_places import land_points
from drawn_world import CLASSES, make_worlds
from record import spread, write_record

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from map_page import opened

from homerange.map.site import write_site

LAST_MS = "name => performance.getEntriesByName(name).at(-1).startTime"


def main() -> None:
    """Write the page of a drawn world, open it again and again, click, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=20, help="places on land in each round")
    parser.add_argument("--world", type=Path, help="one that cut_places.py has drawn before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = arguments.world or make_worlds(Path(folder), seed=0)[1]
        start = time.perf_counter()
        site = write_site(world, Path(folder) / "site")
        writing_s = time.perf_counter() - start
        load = os.getloadavg()[0]
        rounds = [measure(site.path.as_uri(), arguments.clicks, k) for k in range(arguments.rounds)]
    first, later = (
        [one["list_ms"][0] for one in rounds],
        [ms for r in rounds for ms in r["list_ms"][1:]],
    )
    path = write_record(
        "map_page",
        "How long until the map of a world of 5,089 species is seen, and the list of a place?",
        {
            "map_ms": spread([one["map_ms"] for one in rounds], digits=0),
            "processor_s_up_to_map": spread([one["processor_s"] for one in rounds], digits=2),
            "list_of_first_click_ms": spread(first, digits=0),
            "list_ms": spread(later, digits=0) | {"p95": round(float(np.percentile(later, 95)))},
            "write_site_s": round(writing_s, 1),
            "site_bytes": site.bytes,
        },
        classes=CLASSES,
        rounds=arguments.rounds,
        clicks=arguments.clicks,
        radius_km=100,
        browser="Chromium, headless, WebGL by software (SwiftShader), page opened from disk",
        load_average_before=round(load, 1),
    )
    print(path.read_text())


def measure(address: str, clicks: int, seed: int) -> dict:
    """Open the page once; choose places on land."""
    before_s = chromium_s()
    with opened(address, viewport={"width": 1280, "height": 800}) as page:
        found = {"processor_s": chromium_s() - before_s, "map_ms": page.evaluate(LAST_MS, "map")}
        page.wait_for_timeout(3000)  # somebody looks at the map first
        lists = []
        for lat, lon in land_points(np.random.default_rng(seed), clicks, antarctica=False).tolist():
            page.fill("#point", f"{lat:.4f}, {lon:.4f}")
            page.press("#point", "Enter")
            page.wait_for_selector(f"h2.place:has-text('{lat:.4f}, {lon:.4f}')")
            page.wait_for_selector("html[data-judged]")
            page.wait_for_timeout(400)
            lists.append(page.evaluate(LAST_MS, "list") - page.evaluate(LAST_MS, "chosen"))
    return found | {"list_ms": lists}


def chromium_s() -> float:
    """Processor seconds that Chromium's processes have used; 0 where /proc does not tell."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"chromium" in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                ticks += sum(
                    map(int, (folder / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
                )
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
