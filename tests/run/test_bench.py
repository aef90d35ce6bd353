"""The verb bench: what a package costs, measured in a process that does nothing else."""

import json

import pytest
from click.testing import CliRunner

from homerange.cli import main
from homerange.errors import ConfigError, RunError
from homerange.run import bench as bench_module
from homerange.run.bench import bench
from homerange.run.session import Session
from homerange.world.place_package import read_package


def test_a_package_is_measured_on_the_photos_that_are_given(package, photos, tmp_path):
    output = tmp_path / "bench.json"
    measured = bench(package, source=photos, runs=20, device="a desk", output=output)
    place = read_package(package)
    assert (measured.package, measured.package_sha256) == ("testland", place.sha256)
    assert measured.model_bytes == len(place.model)
    assert measured.package_bytes == package.stat().st_size > measured.model_bytes
    assert 0 < measured.latency_ms <= measured.latency_p90_ms <= measured.latency_p99_ms
    assert (measured.photos, measured.photos_are, measured.device) == (21, "given", "a desk")
    assert measured.photos_per_s > 0
    assert measured.load_ms > 0
    assert 40 < measured.rss_mb < 400  # numpy and onnxruntime alone take 60
    found = json.loads(output.read_text())
    assert found == measured.to_json()
    assert (found["format"], found["version"]) == ("homerange-bench", 1)


def test_the_percentiles_are_those_of_the_calls_after_the_warm_up(package, photos, monkeypatch):
    times = iter([*[7.0] * bench_module.LOADS, *[float(i) for i in range(1, 101)]])
    monkeypatch.setattr(bench_module, "_ms", lambda action: next(times))
    measured = bench(package, source=photos, runs=100)
    # Between 1 and 100 the median is 50.5; a share p of the 99 steps gives 1 + 99 p.
    assert (measured.latency_ms, measured.load_ms) == (50.5, 7.0)
    assert (measured.latency_p90_ms, measured.latency_p99_ms) == (90.1, 99.01)


def test_without_photos_some_are_drawn_and_said_to_be(package, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_module, "DRAWN_PHOTOS", 2)
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["bench", str(package), "--runs", "3", "--threads", "2"])
    assert ran.exit_code == 0, ran.output
    assert "2 photos, drawn, JPEG of 2304 x 1296 px" in ran.output
    assert "median of 3, 2 threads" in ran.output
    assert "MB" in ran.output
    assert list(tmp_path.glob("*")) == [package]  # nothing is left behind


def test_one_thread_is_what_the_model_is_given(package, photos, monkeypatch):
    given = []
    open_ = Session.open
    monkeypatch.setattr(
        Session, "open", lambda path, *, threads: given.append(threads) or open_(path)
    )
    bench(package, source=photos, runs=1)
    assert set(given) == {1}


def test_what_cannot_be_measured_is_refused_before_anything_runs(package, photos, tmp_path):
    with pytest.raises(ConfigError, match="runs is 0; expected at least 1"):
        bench(package, runs=0)
    with pytest.raises(ConfigError, match="threads is -1"):
        bench(package, threads=-1)
    with pytest.raises(RunError, match="no such file or folder"):
        bench(package, source=tmp_path / "none")
    with pytest.raises(RunError, match="folder"):
        bench(package, source=photos, output=tmp_path)


def test_a_run_over_photos_that_stops_says_why(package, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(RunError, match=r"the run over photos stopped: .*holds no photos"):
        bench(package, source=tmp_path / "nothing", runs=1)
