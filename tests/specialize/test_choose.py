"""Choosing experts: each method by hand, what always holds, and messages."""

import dataclasses

import numpy as np
import pytest
from fakes import build_world, reseal
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.errors import ConfigError, WorldError
from homerange.specialize.choose import (
    Choice,
    Use,
    choose,
    keep_by_threshold,
    keep_without_lowest,
    use_of,
)
from homerange.world.description import ExpertLayer
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.world import open_world


def use(edges, tokens=None, rise=None):
    """A Use of layers 1, 3, ... with these edges between them."""
    edges = {2 * i + 1: np.array(count) for i, count in enumerate(edges)}
    layers = [*edges, max(edges) + 2]
    experts = len(next(iter(edges.values())))
    if tokens is None:
        tokens = {layer: count.sum(axis=1) for layer, count in edges.items()}
        tokens[layers[-1]] = edges[layers[-2]].sum(axis=0)
    nothing = {layer: np.zeros(experts) for layer in layers}
    return Use(tokens=tokens, loss_rise=rise or nothing, answer_norm=nothing, edges=edges)


def plain(kept):
    return {layer: experts.tolist() for layer, experts in kept.items()}


def pick(world, classes, method, **amount):
    return choose(world, np.array(classes), Choice(method=method, **amount))


# The threshold


def test_a_node_stays_iff_one_of_its_edges_reaches_the_percentile():
    # Shares: 0->0 0.6, 0->1 0.1, 1->1 0.3. The median is 0.3: 0->0 and 1->1 reach it, so all
    # four nodes stay. The 75th percentile is 0.45: only 0->0 is left.
    found = use([[[60, 10], [0, 30]]])
    assert plain(keep_by_threshold(found, 50)) == {1: [0, 1], 3: [0, 1]}
    assert plain(keep_by_threshold(found, 75)) == {1: [0], 3: [0]}


def test_edges_are_shares_of_their_own_pair_of_layers_and_pooled():
    # Layers of 100 and of 4 tokens. Shares 0.9, 0.1 | 0.5, 0.5; the median is 0.5.
    found = use([[[90, 0], [0, 10]], [[2, 0], [2, 0]]])
    # In layer 3 expert 1 has edges 0.1 (in) and 0.5 (out): it stays by the second.
    assert plain(keep_by_threshold(found, 50)) == {1: [0], 3: [0, 1], 5: [0]}


def test_a_percentile_of_zero_removes_only_what_no_token_visits():
    found = use([[[5, 0, 1], [0, 0, 0], [3, 0, 0]]])
    assert plain(keep_by_threshold(found, 0)) == {1: [0, 2], 3: [0, 2]}


def test_a_layer_keeps_its_busiest_expert_where_all_its_edges_are_weak():
    # Pair one: 1.0. Pair two: four edges of 0.25. At the 100th percentile, theta = 1.
    found = use([[[8, 0], [0, 0]], [[2, 2], [2, 2]]], tokens={
        1: np.array([8, 0]), 3: np.array([8, 0]), 5: np.array([3, 5]),
    })  # fmt: skip
    assert plain(keep_by_threshold(found, 100)) == {1: [0], 3: [0], 5: [1]}
    assert plain(keep_by_threshold(found, 100, at_least=0)) == {1: [0], 3: [0], 5: []}


counts = st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=4, max_size=4)


@given(edges=st.lists(counts, min_size=1, max_size=3))
@settings(max_examples=40)
def test_a_higher_percentile_never_keeps_more(edges):
    if not all(np.sum(count) for count in edges):
        return
    found = use(edges)
    sizes = []
    for percentile in (0, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 100):
        kept = keep_by_threshold(found, percentile)
        assert all(len(experts) >= 1 for experts in kept.values())
        sizes.append(sum(map(len, kept.values())))
    assert sizes == sorted(sizes, reverse=True)


def test_a_percentile_that_is_none_is_refused():
    with pytest.raises(ValueError, match="percentile 101: expected 0 to 100"):
        keep_by_threshold(use([[[1]]]), 101)


# One by one


def test_the_lowest_go_first_and_ties_fall_to_the_second_number_and_to_fewer_tokens():
    importance = {
        1: np.array([[0.0, 2.0], [0.0, 1.0], [5.0, 0.0]]),
        3: np.array([[0.0, 1.0], [1, 0]]),
    }
    tokens = {1: np.array([1, 9, 1]), 3: np.array([3, 3])}
    # In order: (0, 1, 3 tokens) of layer 3, (0, 1, 9) of layer 1, (0, 2) of layer 1 ...
    for number, expected in enumerate(
        [
            {1: [0, 1, 2], 3: [0, 1]},
            {1: [0, 1, 2], 3: [1]},
            {1: [0, 2], 3: [1]},
            {1: [2], 3: [1]},
            {1: [2], 3: [1]},  # nothing is left that may go
        ]
    ):
        assert plain(keep_without_lowest(importance, tokens, number=number)) == expected
    # Where none need stay, the next in order is expert 1 of layer 3, of importance 1.
    left = keep_without_lowest(importance, tokens, number=4, at_least=0)
    assert plain(left) == {1: [2], 3: []}


def test_bytes_are_saved_until_it_is_enough():
    importance = {1: np.array([1.0, 3.0, 9.0]), 3: np.array([2.0, 9.0])}
    tokens = {1: np.ones(3, int), 3: np.ones(2, int)}
    size = {1: 10, 3: 100}

    def kept(save):
        return plain(keep_without_lowest(importance, tokens, size_bytes=size, save_bytes=save))

    assert kept(0) == {1: [0, 1, 2], 3: [0, 1]}
    assert kept(10) == {1: [1, 2], 3: [0, 1]}
    assert kept(11) == {1: [1, 2], 3: [1]}
    assert kept(111) == {1: [2], 3: [1]}


# From the tables of a world


def layer(number):
    return ExpertLayer(
        layer=number, prefix=f"l{number}", input="x", output="y", residual="r", channels=4,
        experts=3, hidden=2, low_rank=True, top_k=1, shared=0,
    )  # fmt: skip


@pytest.fixture
def world(tmp_path):
    """Two classes in val, one of them in test too, through layers 1 and 3 of three experts."""
    folder = build_world(tmp_path / "world")
    rows = [
        # class, split, layer, expert, tokens, loss_rise, answer_norm
        (0, "val", 1, 0, 10, 1.0, 5.0), (0, "val", 1, 2, 2, 0.5, 4.0),
        (0, "val", 3, 1, 12, -1.0, 1.0),
        (5, "val", 1, 1, 7, 9.0, 7.0), (5, "val", 3, 0, 7, 3.0, 7.0),
        (0, "test", 1, 1, 99, -99.0, 99.0),
    ]  # fmt: skip
    columns = ["class_index", "split", "layer", "expert", "tokens", "loss_rise", "answer_norm"]
    values = {n: np.array([r[i] for r in rows]) for i, n in enumerate(columns)}
    Routing.of(values).write(folder)
    edges = [(0, "val", 1, 0, 1, 10), (0, "val", 1, 2, 1, 2), (5, "val", 1, 1, 0, 7)]
    columns = ["class_index", "split", "layer", "expert", "next_expert", "tokens"]
    values = {n: np.array([r[i] for r in edges]) for i, n in enumerate(columns)}
    Edges.of(values).write(folder)
    graph = open_world(folder).description.to_json()["graph"]
    experts = [dataclasses.asdict(layer(number)) for number in (1, 3)]
    reseal(folder, graph=graph | {"experts": experts})
    return open_world(folder)


def test_a_place_adds_up_the_validation_photos_of_its_species(world):
    found = use_of(world, np.array([0]))
    assert {n: v.tolist() for n, v in found.tokens.items()} == {1: [10, 0, 2], 3: [0, 12, 0]}
    assert found.loss_rise[1].tolist() == [1.0, 0.0, 0.5]
    assert found.edges[1].tolist() == [[0, 10, 0], [0, 0, 0], [0, 2, 0]]
    assert list(found.edges) == [1]  # nothing follows the last layer
    both = use_of(world, np.array([0, 5]))
    assert both.tokens[1].tolist() == [10, 7, 2]
    assert use_of(world).tokens[1].tolist() == [10, 7, 2]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Removed one by one, three of six: the least first.
        ("frequency", {1: [0, 2], 3: [1]}),  # 0 tokens: 1 of layer 1, 0 and 2 of layer 3
        ("first-order", {1: [0, 2], 3: [2]}),  # -1: 1 of layer 3; then 0s, by layer
        ("reap", {1: [0, 2], 3: [1]}),  # 0.5, 0, 2 | 0, 1 / 12, 0
        ("global", {1: [0, 1], 3: [0]}),  # 1, 9, 0.5 | 3, -1, 0
    ],
)
def test_each_score_orders_the_experts_in_its_own_way(world, method, expected):
    assert plain(pick(world, [0], method, number=3)) == expected


def test_the_threshold_reads_the_edges_of_the_place(world):
    # Edges of species 0: 10 / 12 and 2 / 12; the 60th percentile is 0.567.
    kept = pick(world, [0], "threshold", percentile=60)
    assert plain(kept) == {1: [0], 3: [1]}
    assert plain(pick(world, [5], "threshold", percentile=60)) == {1: [1], 3: [0]}


def test_random_depends_on_its_seed_alone(world):
    first, again = (pick(world, [0], "random", number=3, seed=4) for _ in range(2))
    assert plain(first) == plain(again)
    others = [plain(pick(world, [0], "random", number=3, seed=s)) for s in range(9)]
    assert any(other != plain(first) for other in others)


def test_bytes_count_weights_and_biases_of_an_expert(world):
    # 4 bytes x (2 x 4 channels x 2 hidden + 2 + 4) = 88.
    assert sum(map(len, pick(world, [0], "frequency", save_bytes=88).values())) == 5
    assert sum(map(len, pick(world, [0], "frequency", save_bytes=89).values())) == 4


def with_rule(world, rule):
    graph = dataclasses.replace(world.graph, drop_rule=rule)
    description = dataclasses.replace(world.description, graph=graph)
    return dataclasses.replace(world, description=description)


def test_a_mean_answer_takes_the_place_of_a_bias_so_that_it_saves_less(world):
    # 88 bytes less a bias of 4 channels x 4 bytes = 72.
    assert sum(map(len, pick(with_rule(world, "mean"), [0], "reap", save_bytes=72).values())) == 5
    assert sum(map(len, pick(with_rule(world, "mean"), [0], "reap", save_bytes=73).values())) == 4


@pytest.mark.parametrize("rule", ["zero", "literal", "skip", "mean"])
def test_only_where_tokens_are_rerouted_a_layer_keeps_an_expert(world, rule):
    assert plain(pick(with_rule(world, rule), [0], "frequency", number=6)) == {1: [], 3: []}
    assert plain(pick(world, [0], "frequency", number=6)) == {1: [0], 3: [1]}
    # Class 7 has no photos, so no expert of it has a token.
    weak = pick(with_rule(world, rule), [7], "threshold", percentile=50)
    assert plain(weak) == {1: [], 3: []}
    assert plain(pick(world, [7], "threshold", percentile=50)) == {1: [0], 3: [0]}


def test_exact_importance_is_lost_answers_then_the_rise_of_the_loss(world):
    # The whole: 5 of 6 right, loss 2. Without: expert 0 of layer 1 three right; 1 five, loss 1.5;
    # 2 five, loss 4; of layer 3: all five, losses 2, 3, 2.5.
    rows = [(-1, -1, 5, 2.0), (1, 0, 3, 9.0), (1, 1, 5, 1.5), (1, 2, 5, 4.0),
            (3, 0, 5, 2.0), (3, 1, 5, 3.0), (3, 2, 5, 2.5)]  # fmt: skip
    Drops.of(
        {
            "class_index": np.zeros(7), "split": np.array(["val"] * 7),
            "layer": [r[0] for r in rows], "expert": [r[1] for r in rows],
            "photos": np.full(7, 6), "correct": [r[2] for r in rows],
            "loss_sum": [r[3] for r in rows],
        }
    ).write(world.path)  # fmt: skip
    assert plain(pick(world, [0], "exact", number=1)) == {1: [0, 2], 3: [0, 1, 2]}
    assert plain(pick(world, [0], "exact", number=3)) == {1: [0, 2], 3: [1]}
    assert plain(pick(world, [0], "exact", number=4)) == {1: [0], 3: [1]}


def test_exact_needs_a_world_that_measured_drops(world):
    with pytest.raises(WorldError, match=r"has no exact drops. .* homerange profile --exact K"):
        pick(world, [0], "exact", number=1)


def test_a_dense_world_has_nothing_to_choose_from(tmp_path):
    with pytest.raises(WorldError, match="a world without experts; there are none to choose from"):
        use_of(open_world(build_world(tmp_path)))


@pytest.mark.parametrize(
    ("method", "amount"),
    [("threshold", {"number": 3}), ("random", {"percentile": 50}), ("reap", {}),
     ("reap", {"number": 1, "save_bytes": 1})],
)  # fmt: skip
def test_an_amount_that_does_not_go_with_the_method_is_refused(method, amount):
    with pytest.raises(ConfigError, match="threshold takes a percentile, every other method a nu"):
        Choice(method=method, **amount)


# As people type it


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("threshold:97.5", {"method": "threshold", "percentile": 97.5}),
        ("first-order:40", {"method": "first-order", "number": 40}),
        ("reap:20kB", {"method": "reap", "save_bytes": 20_000}),
        ("random:0.1MB", {"method": "random", "save_bytes": 100_000}),
    ],
)
def test_a_choice_is_read_as_people_type_it(text, expected):
    assert Choice.parse(text) == Choice(**expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first-order", "experts 'first-order': expected METHOD:AMOUNT, for example threshold:95"),
        ("reap:many", "experts 'reap:many': expected METHOD:AMOUNT"),
        ("reap:nan", "experts 'reap:nan': expected METHOD:AMOUNT"),
        ("best:3", "method 'best' is unknown; use threshold, exact, first-order"),
        ("threshold:101", "percentile 101: expected 0 to 100"),
        ("threshold:20kB", "threshold takes a percentile"),
        ("reap:-1", "cannot be below 0"),
    ],
)
def test_what_is_no_choice_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Choice.parse(text)
