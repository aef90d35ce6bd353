"""The public sample: what is chosen, what is kept, and how it gives up. Loopback only."""

import csv
import json
import socket
import time
import zipfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from http_files import FileServer, jpeg
from PIL import Image

from homerange.data import sample_photos
from homerange.data.sample_photos import download_sample, main
from homerange.data.snapshot_safari import RESERVES, species_of
from homerange.errors import DownloadError

LISTS = {reserve.code: f"/{reserve.code}/{reserve.metadata}" for reserve in RESERVES}


def zipped(content):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("list.json", content)
    return buffer.getvalue()


def coco(code, labels):
    """A list with one photo for each entry of ``labels``; an entry is one label or several."""
    names = sorted({name for entry in labels for name in entry.split("+")})
    images, annotations = [], []
    for number, entry in enumerate(labels):
        image = f"{code}_S1/B0{number % 3}/P{number:04d}"
        images.append(
            {
                "id": image,
                "file_name": f"{image}.JPG",
                "location": f"B0{number % 3}",
                "seq_id": f"{code}#{number // 2}",
                "frame_num": number % 2 + 1,
                "datetime": "2018-07-01 06:30:00",
            }
        )
        for name in entry.split("+"):
            annotations.append({"image_id": image, "category_id": names.index(name)})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}


class Server(FileServer):
    """A local copy of the public bucket."""

    def __init__(self, eno, mtz):
        super().__init__()
        self.patience = None  # answer so many requests at once, then each after a pause
        self.pause_s = 1.0
        self.drips = False  # send photos byte by byte
        self.promises_more = set()  # paths whose announced length is never reached
        for code, labels in (("ENO", eno), ("MTZ", mtz)):
            content = coco(code, labels)
            self.files[LISTS[code]] = zipped(json.dumps(content))
            for image in content["images"]:
                self.files[f"/{code}/{code}_public/{image['file_name']}"] = jpeg()

    def answer(self, handler):
        path = unquote(handler.path)
        self.requests.append(path)
        if self.patience is not None and len(self.requests) > self.patience:
            time.sleep(self.pause_s)
        data = self.files.get(path)
        length = len(data or b"") + 10 * (path in self.promises_more)
        size = 1 if self.drips and "_public/" in path else 1 << 20
        try:
            handler.send_response(200 if data is not None else 404)
            handler.send_header("Content-Length", str(length))
            handler.end_headers()
            for at in range(0, len(data or b""), size):
                handler.wfile.write(data[at : at + size])
                time.sleep(0.05 if size == 1 else 0)
        except OSError:
            handler.close_connection = True  # the client has hung up

    def photos(self):
        return [path for path in self.requests if "_public/" in path]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def serve():
    servers = []

    def start(eno, mtz):
        servers.append(Server(eno, mtz))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def rows(table: Path):
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fetch(server, folder, **options):
    return download_sample(folder, base_url=server.url, connect_timeout_s=2, **options)


def test_the_table_holds_species_places_and_cameras(serve, tmp_path):
    server = serve(["impala", "baboon", "empty"], ["zebramountain", "baboon"])
    found = rows(fetch(server, tmp_path))
    assert {row["species"] for row in found} == {
        "Aepyceros melampus", "Papio anubis", "blank", "Equus zebra", "Papio ursinus",
    }  # fmt: skip
    (zebra,) = [row for row in found if row["species"] == "Equus zebra"]
    assert zebra == {
        "path": "photos/MTZ/MTZ_S1_B00_P0000_JPG.jpg",
        "species": "Equus zebra",
        "common_name": "mountain zebra",
        "latitude": "-32.2",
        "longitude": "25.5",
        "coordinate_uncertainty_m": "10000",
        "datetime": "2018-07-01 06:30:00",
        "region_id": "Mountain Zebra",
        "location_id": "MTZ-B00",
        "sequence_id": "MTZ#0",
        "licence": "CDLA-Permissive-1.0",
        "source": "Snapshot Safari, Mountain Zebra (LILA BC)",
    }
    for row in found:
        assert (tmp_path / row["path"]).is_file()


def test_photos_are_shrunk_and_carry_no_exif(serve, tmp_path):
    server = serve(["impala"], ["kudu"])
    server.files["/ENO/ENO_public/ENO_S1/B00/P0000.JPG"] = jpeg(2048, 1536)
    for row in rows(fetch(server, tmp_path)):
        with Image.open(tmp_path / row["path"]) as image:
            assert not image.getexif()
            assert image.size == ((640, 480) if "ENO" in row["path"] else (80, 60))


def test_at_most_so_many_of_each_species_and_first_frames_first(serve, tmp_path):
    server = serve(["impala"] * 12 + ["giraffe"] * 2, ["kudu"] * 5)
    found = rows(fetch(server, tmp_path, photos_per_species=4))
    counts = {
        name: sum(row["species"] == name for row in found)
        for name in ("Aepyceros melampus", "Giraffa camelopardalis", "Tragelaphus strepsiceros")
    }
    assert list(counts.values()) == [4, 2, 4]
    # 12 impala photos are 6 bursts of 2: four first frames are four bursts.
    impala = [row["sequence_id"] for row in found if row["species"] == "Aepyceros melampus"]
    assert len(set(impala)) == 4


def test_the_choice_is_the_same_every_time(serve, tmp_path):
    server = serve(["impala"] * 30, ["kudu"] * 30)
    one = fetch(server, tmp_path / "one", photos_per_species=6)
    two = fetch(server, tmp_path / "two", photos_per_species=6)
    assert one.read_text() == two.read_text()


def test_every_species_comes_once_before_any_comes_twice(serve, tmp_path):
    server = serve(["impala"] * 20 + ["giraffe"] * 20, ["kudu"] * 20)
    found = rows(fetch(server, tmp_path, photos_per_species=5))
    assert [len({row["species"] for row in found[i : i + 3]}) for i in range(0, 15, 3)] == [3] * 5


def test_what_is_no_species_or_has_two_is_skipped_and_counted(serve, tmp_path):
    server = serve(["impala", "human", "birdother", "impala+zebraplains", "birdother"], ["kudu"])
    assert len(rows(fetch(server, tmp_path))) == 2
    skipped = {
        (row["reserve"], row["reason"]): row["photos"] for row in rows(tmp_path / "skipped.csv")
    }
    assert skipped == {
        ("ENO", "category birdother is no species of our table"): "2",
        ("ENO", "category human is no species of our table"): "1",
        ("ENO", "2 labels, expected one"): "1",
    }
    assert len(server.photos()) == 2


def test_a_second_call_fetches_only_what_is_missing_and_writes_the_same_table(serve, tmp_path):
    server = serve(["impala"] * 4, ["kudu"] * 4)
    table = fetch(server, tmp_path)
    before = table.read_text()
    lost = tmp_path / rows(table)[3]["path"]
    lost.unlink()
    server.requests.clear()
    assert fetch(server, tmp_path).read_text() == before
    assert len(server.photos()) == 1
    assert lost.exists()


def test_a_few_missing_and_broken_photos_are_counted_and_leave_nothing_behind(serve, tmp_path):
    server = serve(["impala"] * 5, ["kudu"] * 5)
    del server.files["/ENO/ENO_public/ENO_S1/B00/P0000.JPG"]
    server.files["/MTZ/MTZ_public/MTZ_S1/B01/P0001.JPG"] = jpeg()[:200]
    assert len(rows(fetch(server, tmp_path))) == 8
    reasons = sorted(row["reason"] for row in rows(tmp_path / "skipped.csv"))
    assert reasons[0] == "HTTP Error 404: Not Found"
    assert reasons[1].startswith("not a readable photo: photo of 200 bytes: the image is damaged")
    assert not list(tmp_path.rglob("*.part"))
    assert len(list(tmp_path.rglob("*.jpg"))) == 8


def test_a_photo_that_ends_early_is_not_kept(serve, tmp_path):
    server = serve(["impala"] * 3, ["kudu"])
    server.promises_more.add("/ENO/ENO_public/ENO_S1/B01/P0001.JPG")
    assert len(rows(fetch(server, tmp_path))) == 3
    (skipped,) = rows(tmp_path / "skipped.csv")
    assert skipped["reason"] == "the connection broke 10 bytes before the end"


def test_a_photo_that_does_not_come_is_given_up_after_the_timeout(serve, tmp_path):
    server = serve(["impala"] * 3, ["kudu"] * 3)
    server.patience = 3 + 5  # the probe, two lists and five photos come at once
    server.pause_s = 4
    table = download_sample(tmp_path, base_url=server.url, connect_timeout_s=1.5)
    assert len(rows(table)) == 5
    assert [row["reason"] for row in rows(tmp_path / "skipped.csv")] == ["timed out"]


def test_a_full_disk_is_a_reason_and_leaves_no_half_photo(serve, tmp_path, monkeypatch):
    def save(self, path, *_, **__):
        Path(path).write_bytes(b"half a photo")
        raise OSError("No space left on device")

    server = serve(["impala"], ["kudu"])
    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(DownloadError, match=r"only 0 of 2 .*No space left on device"):
        fetch(server, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_interrupt_does_not_wait_for_what_is_still_queued(serve, tmp_path, monkeypatch):
    @contextmanager
    def interrupting(*_, **__):
        def step():
            raise KeyboardInterrupt

        yield step

    server = serve(["impala"] * 30, ["kudu"] * 30)
    server.patience = 10
    monkeypatch.setattr(sample_photos, "progress", interrupting)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path)
    assert time.monotonic() - start < 4  # 50 photos of a second each by 8 threads take 6


def test_names_from_the_server_cannot_leave_the_folder(serve, tmp_path):
    server = serve(["impala"], ["kudu"])
    content = coco("ENO", ["impala"])
    content["images"][0]["file_name"] = "../../../evil.JPG"
    server.files[LISTS["ENO"]] = zipped(json.dumps(content))
    server.files["/ENO/ENO_public/../../../evil.JPG"] = jpeg()
    folder = tmp_path / "a" / "b"
    assert "photos/ENO/_evil_JPG.jpg" in {row["path"] for row in rows(fetch(server, folder))}
    assert not [path for path in tmp_path.rglob("*.jpg") if folder not in path.parents]


def test_if_most_photos_are_missing_it_says_so(serve, tmp_path):
    server = serve(["impala"] * 4, ["kudu"] * 4)
    for path in [path for path in server.files if "_public" in path][:5]:
        del server.files[path]
    with pytest.raises(DownloadError, match=r"only 3 of 8 sample photos came .*404: Not Found"):
        fetch(server, tmp_path)
    assert not (tmp_path / "manifest.csv").exists()


def test_a_list_without_usable_photos_is_an_error(serve, tmp_path):
    server = serve(["human"], ["human"])
    with pytest.raises(DownloadError, match="only 0 of 0 sample photos came"):
        fetch(server, tmp_path)


# --- giving up ----------------------------------------------------------------------------------


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_offline_it_gives_up_at_once_with_the_next_step(tmp_path):
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*refused.*photos of your own"):
        download_sample(tmp_path, base_url=f"http://127.0.0.1:{closed_port()}")
    assert time.monotonic() - start < 2


def test_a_server_that_never_answers_is_given_up_within_seconds(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(DownloadError, match=r"cannot be reached \((no answer|.*timed out)"):
            download_sample(tmp_path, base_url=url, connect_timeout_s=0.3)
        assert time.monotonic() - start < 2


def test_an_address_that_is_none_is_an_error(tmp_path):
    with pytest.raises(DownloadError, match=r"cannot be reached \(unknown url type"):
        download_sample(tmp_path, base_url="lila")


def test_a_slow_server_uses_up_the_budget_and_no_more(serve, tmp_path):
    server = serve(["impala"] * 40, ["kudu"] * 40)
    server.patience = 10
    start = time.monotonic()
    with pytest.raises(
        DownloadError, match=r"of 60 sample photos came .* within 2 s .*the same com"
    ):
        fetch(server, tmp_path, budget_s=2)
    assert time.monotonic() - start < 6
    kept = len(list(tmp_path.rglob("*.jpg")))
    assert 1 <= kept < 30
    assert not list(tmp_path.rglob("*.part"))


def test_a_server_that_drips_cannot_outlast_the_budget(serve, tmp_path):
    server = serve(["impala"], ["kudu"])
    server.drips = True  # 20 bytes a second: a photo would take half a minute
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"only 0 of 2 .*most often: the time was over"):
        fetch(server, tmp_path, budget_s=0.7)
    assert time.monotonic() - start < 4


def test_what_came_within_the_budget_counts_when_it_is_enough(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_photos, "ENOUGH_PHOTOS", 15)
    server = serve(["impala"] * 40, ["kudu"] * 40)
    server.patience = 3 + 16
    server.pause_s = 3
    found = rows(fetch(server, tmp_path, budget_s=3, photos_per_species=40))
    assert 15 <= len(found) < 40  # less than half, but enough
    skipped = rows(tmp_path / "skipped.csv")
    assert {row["reason"] for row in skipped} <= {"the time was over", "timed out"}
    assert len(found) + sum(int(row["photos"]) for row in skipped) == 80


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>moved</html>", r"is damaged \(BadZipFile: .*expected COCO Camera Traps JSON"),
        (zipped("{'not': json}"), r"is damaged \(JSONDecodeError"),
        (zipped('{"images": []}'), r"is damaged \(KeyError: 'categories'\)"),
        (zipped("[]"), r"is damaged \(TypeError"),
        (zipped("x" * 500)[:200], r"is damaged \(BadZipFile"),
    ],
)
def test_a_damaged_list_is_an_error(serve, tmp_path, content, message):
    server = serve(["impala"], ["kudu"])
    server.files[LISTS["MTZ"]] = content
    with pytest.raises(DownloadError, match=f"MTZ/SnapshotMountainZebra.*{message}"):
        fetch(server, tmp_path)


def test_a_missing_list_is_an_error(serve, tmp_path):
    server = serve(["impala"], ["kudu"])
    del server.files[LISTS["MTZ"]]
    with pytest.raises(
        DownloadError, match=r"did not come \(HTTP Error 404: Not Found\); try again"
    ):
        fetch(server, tmp_path)


# --- command line and table ---------------------------------------------------------------------


def test_the_command_prints_the_table_or_one_line_and_exits_with_1(serve, tmp_path, capsys):
    server = serve(["impala"], ["kudu"])
    assert main([str(tmp_path), "--base-url", server.url]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "manifest.csv")
    assert main([str(tmp_path), "--base-url", f"http://127.0.0.1:{closed_port()}"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: the sample photos at http://127")
    assert err.count("\n") == 1


def test_people_and_groups_of_species_are_nobody_in_the_table():
    for category in ("human", "domesticanimal", "birdother", "mongoose", "nothinghere"):
        assert species_of(RESERVES[0], category) is None
