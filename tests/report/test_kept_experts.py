"""The experts of several packages, compared layer by layer."""

import numpy as np
import pytest
from fakes import CHICAGO, SERENGETI, build_world
from tiny_world import expert_world

from homerange.errors import PackageError
from homerange.report.kept_experts import KeptInLayer, kept_experts, main
from homerange.specialize.specialize import specialize
from homerange.world.expert_tables import Edges, Routing
from homerange.world.parquet import strings
from homerange.world.world import open_world, seal_world

TOKENS = {0: [3, 5, 0, 9], 1: [2, 0, 7, 1]}
"""Of experts 0 to 3 in both layers, by class: 0 is the lion, 2 the raccoon (1 is blank)."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Experts of which lion and raccoon use other ones most; each layer is alike."""
    folder, _ = expert_world(tmp_path_factory.mktemp("w") / "world", layers=(1, 5), experts=4)
    rows = [
        (c, layer, e, TOKENS[of][e]) for c, of in ((0, 0), (2, 1)) for layer in (1, 5)
        for e in range(4) if TOKENS[of][e]
    ]  # fmt: skip
    classes, layers, experts, tokens = (np.array(column) for column in zip(*rows, strict=True))
    keys = {
        "class_index": classes.astype(np.int32),
        "split": strings(["val"] * len(rows)),
        "layer": layers.astype(np.int32),
        "expert": experts.astype(np.int32),
    }
    tokens = tokens.astype(np.int64)
    zero = np.zeros(len(rows))
    Routing(**keys, tokens=tokens, loss_rise=zero, answer_norm=zero).write(folder)
    Edges(**keys, next_expert=keys["expert"], tokens=tokens).write(folder)
    seal_world(folder, open_world(folder).description)
    return folder


def package(world, place, path, **how):
    return specialize(world, place, path, **how).path


@pytest.fixture(scope="module")
def packages(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    how = {"experts": "frequency:4"}
    return [
        package(world, SERENGETI, folder / "serengeti.homerange", **how),
        package(world, CHICAGO, folder / "chicago.homerange", **how),
    ]


def test_each_layer_says_what_is_kept_and_shared(packages):
    # Four of eight go, the least used first: the lion keeps 1 and 3, the raccoon 0 and 2.
    assert kept_experts(packages) == [
        KeptInLayer(layer, kept=(2, 2), by_all=0, by_any=4) for layer in (1, 5)
    ]


def test_it_is_printed_line_by_line(packages, capsys):
    assert main([str(path) for path in packages]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "layer 1: serengeti 2, chicago 2; kept by all 0, by any 4"
    assert [line.split(":")[0] for line in lines] == ["layer 1", "layer 5"]


def test_a_package_that_keeps_all_experts_says_what_to_do(world, packages, tmp_path, capsys):
    whole = package(world, CHICAGO, tmp_path / "whole.homerange")
    assert main([str(packages[0]), str(whole)]) == 1
    assert "whole.homerange: no experts were dropped. Make it with" in capsys.readouterr().err


def test_packages_of_two_worlds_are_not_compared(world, packages, tmp_path):
    other, _ = expert_world(tmp_path / "other", layers=(1, 5), experts=4, seed=1)
    build_world(tmp_path / "dense")
    for name in ("routing.parquet", "edges.parquet"):
        (other / name).write_bytes((world / name).read_bytes())
    seal_world(other, open_world(other).description)
    there = package(other, CHICAGO, tmp_path / "there.homerange", experts="frequency:4")
    with pytest.raises(PackageError, match="come from 2 worlds, whose experts are not the same"):
        kept_experts([packages[0], there])
