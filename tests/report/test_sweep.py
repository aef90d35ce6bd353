"""Every method at every percentile: as many experts, the right ones, and right numbers."""

import dataclasses
import shutil

import numpy as np
import pytest
from fakes import build_world, reseal

from homerange.report.curves import curves_table, draw_curves
from homerange.report.methods import draw_methods, methods_table
from homerange.report.sweep import GRID, SEEDS, Right, sweep
from homerange.specialize.choose import Choice, choose
from homerange.specialize.figures import score
from homerange.world.description import ExpertLayer
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.world import open_world

LAYERS, EXPERTS = (1, 3, 5), 6
HERE = np.array([0, 5])


def layer(number):
    return ExpertLayer(
        layer=number, prefix=f"l{number}", input="x", output="y", residual="r", channels=4,
        experts=EXPERTS, hidden=2, low_rank=True, top_k=1, shared=0,
    )  # fmt: skip


def columns(rows, names):
    found = {
        name: np.array(part) for name, part in zip(names, zip(*rows, strict=True), strict=True)
    }
    return found | {"split": np.array(["val"] * len(rows))}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two classes whose tokens take random ways through three layers of six experts."""
    folder = build_world(tmp_path_factory.mktemp("sweep") / "world")
    rng = np.random.default_rng(3)
    routing, edges = [], []
    for c in HERE.tolist():
        for number in LAYERS:
            tokens_E = rng.integers(0, 30, EXPERTS)
            rises = rng.normal(size=EXPERTS)
            routing += [(c, number, e, int(tokens_E[e]), rises[e], 1.0) for e in range(EXPERTS)]
        for number in LAYERS[:-1]:
            count_EE = rng.integers(0, 9, (EXPERTS, EXPERTS))
            used = np.argwhere(count_EE).tolist()
            edges += [(c, number, u, v, int(count_EE[u, v])) for u, v in used]
    names = ("class_index", "layer", "expert", "tokens", "loss_rise", "answer_norm")
    Routing.of(columns(routing, names)).write(folder)
    names = ("class_index", "layer", "expert", "next_expert", "tokens")
    Edges.of(columns(edges, names)).write(folder)
    graph = open_world(folder).description.to_json()["graph"]
    layers = [dataclasses.asdict(layer(number)) for number in LAYERS]
    reseal(folder, graph=graph | {"experts": layers})
    return open_world(folder)


class Judge:
    """Of forty photos as many are right as experts stay; one more among the place's classes."""

    def __init__(self):
        self.asked = []

    def __call__(self, kept):
        stays = sum(map(len, kept.values()))
        self.asked.append({number: tuple(experts.tolist()) for number, experts in kept.items()})
        right_N = np.arange(40) < stays
        listed_N = np.arange(40) < stays + 1
        true_N = np.ones(40, int)
        return Right(every_class=score(true_N, right_N * 1), on_list=score(true_N, listed_N * 1))


@pytest.fixture(scope="module")
def judge():
    return Judge()


@pytest.fixture(scope="module")
def found(world, judge):
    return sweep(world, HERE, judge)


def test_all_methods_drop_as_many_experts_as_the_threshold(world, found):
    table = methods_table(found)
    dropped = {}
    for percentile, number in zip(table["percentile"], table["dropped"], strict=True):
        dropped.setdefault(percentile, set()).add(number)
    threshold = [
        18 - sum(map(len, choose(world, HERE, Choice(method="threshold", percentile=q)).values()))
        for q in GRID
    ]
    assert dropped == {q: {number} for q, number in zip(GRID, threshold, strict=True)}
    assert len(set(threshold)) > 4  # the grid does not drop the same everywhere
    assert len(table["method"]) == len(GRID) * (3 + len(SEEDS))


def test_what_is_measured_is_what_the_method_chose(world, found, judge):
    whole = {number: tuple(range(EXPERTS)) for number in LAYERS}
    assert judge.asked[0] == whole
    for one in found.of("first-order"):
        kept = choose(world, HERE, Choice(method="first-order", number=one.dropped))
        assert {number: tuple(experts.tolist()) for number, experts in kept.items()} in judge.asked
        assert one.right.every_class.correct == 18 - one.dropped


def test_the_same_experts_are_not_run_twice(found, judge):
    unlike = {tuple(sorted(kept.items())) for kept in judge.asked}
    assert len(judge.asked) == len(unlike) < len(found.drops)


def test_exact_importance_is_measured_only_where_the_world_has_it(world, found, tmp_path):
    assert found.methods == (
        "threshold", "first-order", "frequency", "random",
    )  # fmt: skip
    whole = [(0, -1, -1, 9, 9, 1.0)]
    alone = [(0, number, e, 9, e, 2.0) for number in LAYERS for e in range(EXPERTS)]
    names = ("class_index", "layer", "expert", "photos", "correct", "loss_sum")
    shutil.copytree(world.path, tmp_path / "exact")
    Drops.of(columns(whole + alone, names)).write(tmp_path / "exact")
    again = sweep(open_world(tmp_path / "exact"), HERE, Judge())
    assert again.methods == ("threshold", "exact", "first-order", "frequency", "random")
    assert [one.dropped for one in again.of("exact")] == [
        one.dropped for one in found.of("threshold")
    ]


def test_the_curves_begin_with_all_experts_and_count_what_is_right(found):
    table = curves_table(found)
    assert table["percentile"] == ["", *GRID]
    assert table["dropped"][0] == 0
    assert set(table["experts"]) == {18}
    assert set(table["photos"]) == {40}
    for i, dropped in enumerate(table["dropped"]):
        assert table["correct"][i] == 18 - dropped
        assert table["top1"][i] == (18 - dropped) / 40
        assert table["list_top1"][i] == (19 - dropped) / 40
        assert table["top1_low"][i] < table["top1"][i] < table["top1_high"][i]


def test_curves_show_accuracy_and_dropped_experts(found):
    figure = draw_curves(found, subtitle="here; 40 test photos", commonest=0.5)
    top, bottom = figure.axes
    wide, thin, commonest = (line.get_ydata() for line in top.lines)
    assert list(wide) == curves_table(found)["list_top1"]
    assert list(thin) == curves_table(found)["top1"]
    assert list(commonest) == [0.5, 0.5]
    assert [bar.get_height() for bar in bottom.patches] == curves_table(found)["dropped"]
    assert [text.get_text() for text in figure.texts] == [
        "What the threshold drops, and what it costs",
        "here; 40 test photos",
    ]


def test_random_choices_are_drawn_as_their_mean(world):
    class Uneven(Judge):
        """Right for as many photos as the numbers of the kept experts of layer 1 add up to."""

        def __call__(self, kept):
            right_N = np.arange(40) < kept[1].sum()
            own = score(np.ones(40, int), right_N * 1)
            return Right(every_class=own, on_list=own)

    found = sweep(world, HERE, Uneven())
    figure = draw_methods(found, subtitle="here")
    line = next(one for one in figure.axes[0].lines if one.get_label().startswith("random"))
    alone = [[one.right.every_class.correct / 40 for one in found.of("random", s)] for s in SEEDS]
    assert len({tuple(one) for one in alone}) > 1
    np.testing.assert_allclose(line.get_ydata(), np.mean(alone, axis=0))
