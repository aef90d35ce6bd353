"""The routing graph: shares, colours and hollow points, on graphs small enough to count."""

from collections import Counter

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from homerange.report.canvas import BLUE, GREY, INK, PAPER, RED, new_figure, write_figures
from homerange.report.routing import draw_routing, graph_of, routing_table, token_share
from homerange.report.tokens import draw_tokens, tokens_table
from homerange.specialize.choose import Use


def use(edges):
    """A Use of layers 1, 3, ... with these edges between them, of square matrices."""
    edges = {2 * i + 1: np.array(count) for i, count in enumerate(edges)}
    tokens = {layer: count.sum(axis=1) for layer, count in edges.items()}
    last = max(edges)
    tokens[last + 2] = edges[last].sum(axis=0)
    nothing = {layer: np.zeros(len(values)) for layer, values in tokens.items()}
    return Use(tokens=tokens, loss_rise=nothing, answer_norm=nothing, edges=edges)


SMALL = use([[[60, 10], [0, 30]]])
ELEVEN = use([np.array([*range(1, 12), *[0] * 5]).reshape(4, 4)])
"""Edges of 1 to 11 tokens. Of eleven numbers the 90th percentile is the tenth, 10 / 66; the 99.9th
lies just below the largest."""
NO_MORE = (graph_of(use([[[0]]])), None)
"""For a table of one graph: a world without edges, and no choice of experts."""


def edges_of(columns):
    """The rows of a table by their graph and edge."""
    names = ("graph", "layer", "expert", "next_layer", "next_expert")
    keys = zip(*(columns[name] for name in names), strict=True)
    others = [name for name in columns if name not in names]
    values = zip(*(columns[name] for name in others), strict=True)
    return {
        key: dict(zip(others, value, strict=True)) for key, value in zip(keys, values, strict=True)
    }


def test_an_edge_is_a_share_of_the_tokens_between_its_two_layers():
    # 100 tokens between layers 1 and 3, four between 3 and 5.
    found = edges_of(routing_table(graph_of(use([[[90, 0], [0, 10]], [[2, 0], [2, 0]]])), *NO_MORE))
    shares = {key[1:]: row["share"] for key, row in found.items()}
    assert shares == {(1, 0, 3, 0): 0.9, (1, 1, 3, 1): 0.1, (3, 0, 5, 0): 0.5, (3, 1, 5, 0): 0.5}


def test_an_edge_at_the_90th_percentile_is_blue_and_only_one_above_the_99_9th_is_red():
    found = routing_table(graph_of(ELEVEN), *NO_MORE)
    band_of = dict(zip(found["tokens"], found["percentile"], strict=True))
    assert band_of == dict.fromkeys(range(1, 10), "below 90") | {
        10: "90 to 99.9",
        11: "above 99.9",
    }


def test_of_a_thousand_edges_a_hundred_are_blue_and_one_is_red():
    # 1 to 1,001 tokens: the 90th percentile is the 901st number, the 99.9th the 1,000th.
    many = use([np.array([*range(1, 1002), *[0] * 23]).reshape(32, 32)])
    found = routing_table(graph_of(many), *NO_MORE)
    assert Counter(found["percentile"]) == {"below 90": 900, "90 to 99.9": 100, "above 99.9": 1}


def test_percentiles_are_of_the_edges_of_all_pairs_of_layers_together():
    # Shares k / 66 as above, then two of 1/2: thirteen in all, the 90th percentile is the 11.8th
    # number of them. Those of 10 and 11 tokens, blue and red alone, are grey now.
    pair = np.zeros((4, 4), int)
    pair[0, :2] = 5
    found = routing_table(graph_of(use([ELEVEN.edges[1], pair])), *NO_MORE)
    by_layer = {
        layer: {
            band
            for band, own in zip(found["percentile"], found["layer"], strict=True)
            if own == layer
        }
        for layer in (1, 3)
    }
    assert by_layer == {1: {"below 90"}, 3: {"90 to 99.9"}}


def test_the_table_holds_both_graphs_and_says_which_edges_stay():
    kept = {1: np.array([0, 1]), 3: np.array([1])}
    found = edges_of(routing_table(graph_of(SMALL), graph_of(ELEVEN), kept))
    assert {key[1:]: row["kept"] for key, row in found.items() if key[0] == "place"} == {
        (1, 0, 3, 0): 0,
        (1, 0, 3, 1): 1,
        (1, 1, 3, 1): 1,
    }
    of_world = {key: row for key, row in found.items() if key[0] == "world"}
    assert len(of_world) == 11
    assert {row["kept"] for row in of_world.values()} == {""}


@pytest.fixture
def drawn():
    kept = {1: np.array([1]), 3: np.array([0, 1])}
    return draw_routing(SMALL, ELEVEN, kept, subtitle="here", panels=("the place", "the world"))


def lines(axes):
    """How many lines there are of each colour."""
    found = {}
    for one in axes.collections:
        if isinstance(one, LineCollection) and len(one.get_segments()):
            found[to_hex(one.get_color()[0])] = len(one.get_segments())
    return found


def points(axes):
    """How many points there are of each colour."""
    found = {}
    for one in axes.collections:
        if isinstance(one, PathCollection) and len(one.get_offsets()):
            colour = to_hex(one.get_facecolor()[0])
            found[colour] = found.get(colour, 0) + len(one.get_offsets())
    return found


def test_lines_have_the_colours_of_the_paper(drawn):
    _, world = drawn.axes
    assert lines(world) == {GREY: 9, BLUE: 1, RED: 1}


def test_experts_that_a_place_drops_are_hollow_there_and_only_there(drawn):
    place, world = drawn.axes
    assert points(place) == {INK: 3, PAPER: 1}
    assert points(world) == {INK: 8}


def test_a_place_without_photos_is_drawn_empty():
    nobody = use([[[0, 0], [0, 0]]])
    figure = draw_routing(nobody, SMALL, None, subtitle="", panels=("", ""))
    assert lines(figure.axes[0]) == {}
    panels = draw_tokens(nobody, SMALL, None, subtitle="").axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "layer 1: no patches",
        "layer 3: no patches",
    ]


def test_an_expert_gets_its_share_of_the_tokens_of_its_layer():
    found = token_share(use([[[60, 10], [0, 30]], [[1, 1], [0, 2]]]))
    assert found[1].tolist() == [0.7, 0.3]
    assert found[3].tolist() == [0.5, 0.5]  # the outgoing side: two and two
    assert found[5].tolist() == [0.25, 0.75]


def test_the_table_of_tokens_has_a_row_for_each_expert_even_if_no_token_comes():
    silent = use([[[4, 0], [0, 0]]])
    found = tokens_table(silent, SMALL, {1: np.array([0]), 3: np.array([0])})
    assert list(zip(*found.values(), strict=True)) == [
        # layer, expert, tokens, share, world_tokens, world_share, kept
        (1, 0, 4, 1.0, 70, 0.7, 1),
        (1, 1, 0, 0.0, 30, 0.3, 0),
        (3, 0, 4, 1.0, 60, 0.6, 1),
        (3, 1, 0, 0.0, 40, 0.4, 0),
    ]
    assert set(tokens_table(silent, SMALL, None)["kept"]) == {""}


def test_a_panel_says_how_few_experts_get_half_of_the_patches():
    # Layer 1 gets 10, 26, 30 and 0 of 66 tokens: 30 is less than half, 56 is more.
    figure = draw_tokens(ELEVEN, ELEVEN, None, subtitle="")
    assert figure.axes[0].get_title(loc="left") == "layer 1: 2 of 4 experts get half of the patches"


def test_a_figure_is_written_with_the_numbers_behind_it(tmp_path):
    figure = new_figure("title", "place", height_in=2)
    columns = {"layer": [1, 3], "kept": ["", 0.5]}
    (picture,) = write_figures({"one": (figure, columns)}, tmp_path)
    table = tmp_path / "one.csv"
    assert table.read_bytes() == b"layer,kept\r\n1,\r\n3,0.5\r\n"
    width, height = np.frombuffer(picture.read_bytes()[16:24], ">u4")
    assert (width, height) == (2400, 400)
