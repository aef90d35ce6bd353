"""Videos: frames are looked at, and their answers become one."""

import json
import sys

import numpy as np
import pytest

from homerange.data.images import fit
from homerange.run.folder import predict
from homerange.run.pooling import Pool
from homerange.run.session import Session
from homerange.world.place_package import read_package


def film(path, colours, *, frames_each=10, rate=10):
    """One colour a second, without loss, so that a colour comes back as it was."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for colour in colours:
            pixels = np.full((32, 32, 3), colour, np.uint8)
            for _ in range(frames_each):
                for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                    container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


COLOURS = [(10, 10, 10), (250, 10, 10), (10, 10, 250), (9, 200, 9)]


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card").mkdir()
    film(tmp_path / "card/a.mkv", COLOURS)
    return tmp_path / "card"


def entry(out):
    return json.loads(out.read_text())["images"][0]


def test_a_video_is_looked_at_once_a_second_and_answered_once(card, package, out):
    assert predict(card, model=package, output=out, batch_size=3).failures == 0
    place = read_package(package)
    pool = Pool(place.labels)
    frames = [fit(np.full((32, 32, 3), c, np.uint8), place.preprocessing) for c in COLOURS]
    answers = Session.open(place).probabilities(np.stack(frames))
    for number, share_C in zip((0, 10, 20, 30), answers, strict=True):
        pool.add(share_C, number)
    share_C = pool.probabilities()
    found = entry(out)
    assert (found["frame_rate"], found["frames_processed"]) == (10.0, [0, 10, 20, 30])
    (box,) = found["detections"]
    index, share = box["classifications"][0]
    assert int(index) == share_C.argmax()
    assert share == pytest.approx(share_C.max(), abs=1e-3)
    assert box["frame_number"] == pool.best_look(int(index))
    from megadetector.postprocessing.validate_batch_results import validate_batch_results

    verdict = validate_batch_results(json.loads(out.read_text()))["validation_results"]
    assert verdict["errors"] == verdict["warnings"] == []


def test_more_frames_a_second_are_looked_at_on_request(card, package, out):
    predict(card, model=package, output=out, fps=2.5)
    assert entry(out)["frames_processed"] == list(range(0, 40, 4))
    predict(card, model=package, output=out, fps=100, fresh=True)
    assert entry(out)["frames_processed"] == list(range(40))


def test_a_video_that_cannot_be_read_is_a_failure_with_its_reason(card, package, out):
    (card / "b.mp4").write_bytes(b"no video at all")
    (card / "c.avi").touch()
    (card / "d.mp4").symlink_to(card / "nowhere.mp4")
    summary = predict(card, model=package, output=out)
    reasons = {i["file"]: i.get("failure") for i in json.loads(out.read_text())["images"]}
    assert (summary.failures, reasons["a.mkv"]) == (3, None)
    assert reasons["b.mp4"].startswith("the video cannot be read (")
    assert reasons["c.avi"].startswith("the video cannot be read (")
    assert reasons["d.mp4"] == "there is no such file"
    assert not any(str(card) in (reason or "") for reason in reasons.values())


def test_without_the_extra_a_video_is_a_failure_that_says_what_to_install(
    card, package, out, monkeypatch
):
    monkeypatch.setitem(sys.modules, "av", None)
    assert predict(card, model=package, output=out).failures == 1
    assert entry(out)["failure"] == (
        "this needs av, which is not installed. Run in homerange's folder: pip install '.[video]'"
    )
