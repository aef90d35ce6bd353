"""Law: one process and two processes learn the same from the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from one_training_step import gradient_of_one_step
from tiny_training import manifest_of, tiny_manifest

from homerange.data.manifest import Manifest
from homerange.train import loop
from homerange.train.evaluate import evaluate

SCRIPT = Path(__file__).parent.parent / "one_training_step.py"
TOLERANCE = 1e-6
"""Of the largest number of the gradient: sums of 32-bit numbers in another order differ so much."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes on this machine left behind; they talk by gloo, over loopback."""
    folder = tmp_path_factory.mktemp("two")
    remove_two_places(tiny_manifest(folder, train=8, val=4, test=4))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    threads = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *launch, str(SCRIPT), str(folder)],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def remove_two_places(path):
    """Leave the processes with unequal numbers of photos that have a place."""
    whole = Manifest.read(path)
    rows = whole.table.to_pylist()
    for row in (2, 5):
        rows[row] |= {"latitude_deg": None, "longitude_deg": None}
    manifest_of(rows, whole.root).write(path)


@pytest.mark.slow
@pytest.mark.parametrize("places", [False, True])
def test_two_processes_make_the_gradient_of_one(folder, tmp_path, places):
    assert torch.load(folder / "processes.pt") == 2
    two = torch.load(folder / ("places.pt" if places else "gradient.pt"))
    one = gradient_of_one_step(folder / "manifest.parquet", tmp_path, places=places)
    assert one.keys() == two.keys()
    largest = max(gradient.abs().max().item() for gradient in one.values())
    assert largest > 1e-2  # a law about zeros would always hold
    for name, gradient in one.items():
        assert (two[name] - gradient).abs().max() <= TOLERANCE * largest, name
    if places:
        assert one["location.project.2.weight"].abs().max() > 1e-3


@pytest.mark.slow
def test_two_processes_see_different_photos(folder, tmp_path, monkeypatch):
    # The law above would also hold if both processes took the same half twice; then half a batch
    # in one process would give their gradient.
    half = torch.load(folder / "gradient.pt")
    original = loop.GlobalBatches

    def first_half(*arguments, rank, processes, **more):
        return original(*arguments, rank=0, processes=2, **more)

    monkeypatch.setattr(loop, "GlobalBatches", first_half)
    gradient = gradient_of_one_step(folder / "manifest.parquet", tmp_path)
    name = "network.head.classes.weight"
    assert (gradient[name] - half[name]).abs().max() > 1e-3


@pytest.mark.slow
def test_a_training_by_two_processes_leaves_a_checkpoint_like_any_other(folder):
    found = evaluate(folder / "checkpoint", folder / "manifest.parquet")
    assert found.overall.photos == 4
    assert len((folder / "checkpoint" / "log.csv").read_text().splitlines()) == 3
