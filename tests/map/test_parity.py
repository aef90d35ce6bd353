"""Law 6 in the browser: the page's functions give the very list and figures of Python."""

import json

import numpy as np
import pytest
from fakes import reseal
from map_page import answers_of_page, kenya_world, needs_node
from tiny_world import expert_world

from homerange.errors import PlaceError
from homerange.geo.cells import cell_ids
from homerange.geo.countries import Country
from homerange.geo.place import Cell, Circle, SpeciesList, combine, place_from_json
from homerange.geo.polygon import Polygon
from homerange.map.site import write_site
from homerange.specialize.choose import Choice, choose
from homerange.specialize.cut import cut_world
from homerange.specialize.figures import measure
from homerange.specialize.species import species_at
from homerange.world.expert_tables import Edges, Routing
from homerange.world.world import open_world

pytestmark = needs_node
SPOTS = ((-1.4, 36.8), (-2.3, 34.8), (-17.0, 180.0), (-1.4, -78.3), (41.9, -87.7), (89.0, 0.0))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(kenya_world(tmp_path_factory.mktemp("parity") / "world"))


@pytest.fixture(scope="module")
def page(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity-page")
    write_site(world, folder / "site")
    return folder


def asked(page, places, **more):
    questions = [{"place": p.to_json(), "include": [], "exclude": []} | more for p in places]
    return answers_of_page(page / "site", questions, page)


def draw_routing(world):
    """Some tokens and a rise of the loss for every expert of every class."""
    rng = np.random.default_rng(3)
    keys = [
        (c, layer.layer, e)
        for c in range(len(world.labels))
        for layer in world.graph.experts
        for e in range(layer.experts)
    ]
    class_index, layer, expert = np.array(keys).T
    rise = rng.normal(0, 1, len(keys)).astype(np.float32).astype(np.float64)
    return Routing.of(
        {
            "class_index": class_index,
            "split": np.array(["val"] * len(keys), object),
            "layer": layer,
            "expert": expert,
            "tokens": rng.integers(1, 9, len(keys)),
            "loss_rise": rise,
            "answer_norm": np.ones(len(keys)),
        }
    )


def random_places(count):
    """Circles, cells, polygons, countries and several of them, near records and far from them."""
    rng = np.random.default_rng(7)
    countries = [Country(code) for code in ("KEN", "TZA", "ECU", "FJI", "USA", "RUS", "CAN")]
    for k in range(count):
        lat, lon = SPOTS[k % len(SPOTS)] + rng.normal(0, 1.5, 2)
        lat, lon = float(np.clip(lat, -89, 89)), float((lon + 180) % 360 - 180)
        circle = Circle(lat, lon, float(rng.choice([1, 20, 100, 500, 3000])))
        cell = Cell(int(cell_ids(np.array([[lat, lon]]), int(rng.integers(1, 16)))[0]))
        turn = np.sort(rng.uniform(0, 2 * np.pi, 7))
        far = rng.uniform(0.5, 8, 7)
        ring = zip(
            np.clip(lat + far * np.sin(turn), -89, 89), lon + far * np.cos(turn), strict=True
        )
        polygon = Polygon("drawn", ((tuple((float(a), float(b)) for a, b in ring),),))
        country = countries[k % len(countries)]
        yield from (circle, cell, polygon, country, combine([circle, country, polygon]))


def test_the_page_lists_what_species_at_lists_at_many_places(world, page):
    places = list(random_places(24))
    filled = 0
    for place, found in zip(places, asked(page, places), strict=True):
        try:
            table = species_at(world, place)
        except PlaceError:
            assert found["species"] == []
            continue
        filled += 1
        assert found["description"] == place.describe()
        assert found["species"] == json.loads(json.dumps([row.to_json() for row in table.species]))
        assert found["missing"] == [row.to_json() for row in table.missing]
    assert filled > 40


def test_what_is_added_and_struck_by_hand_is_so_on_the_page(world, page):
    place, lion, bear = Circle(-1.4, 36.8), "Panthera leo", "Ursus maritimus"
    (found,) = asked(
        page,
        [place],
        include=[world.labels.index(bear)],
        exclude=[world.labels.index(lion)],
    )
    table = species_at(world, place, include=[bear], exclude=[lion])
    assert found["species"] == json.loads(json.dumps([row.to_json() for row in table.species]))


def test_a_list_of_the_users_own_is_the_list_of_the_page(world, page):
    place = SpeciesList(("panthera LEO", "Ursus maritimus"))
    (found,) = asked(page, [place])
    table = species_at(world, place)
    assert found["species"] == json.loads(json.dumps([row.to_json() for row in table.species]))


def test_the_page_counts_right_answers_as_the_card_does(world, page):
    places = [Circle(-1.4, 36.8), Circle(-17.0, 180.0, 300), Country("ECU"), Country("USA")]
    for place, found in zip(places, asked(page, places), strict=True):
        table = species_at(world, place)
        figures = measure(world, table, cut_world(world, table.class_index_K))
        judged = found["judged"]
        assert judged["photos"] == figures.rows[0].on_species.photos > 0
        assert judged["world"] == figures.rows[0].on_species.correct
        assert judged["package"] == figures.rows[2].on_species.correct
        assert judged["offList"] == figures.photos_off_list
        assert judged["unsure"] == 0


def test_the_page_says_what_a_package_weighs_to_a_few_bytes(world, page):
    place = Circle(-1.4, 36.8)
    (found,) = asked(page, [place])
    exact = len(cut_world(world, species_at(world, place).class_index_K))
    assert abs(found["bytes"] - exact) < 32


def test_the_page_drops_the_experts_that_get_drops(tmp_path):
    folder, _ = expert_world(tmp_path / "world", classes=6)
    draw_routing(open_world(folder)).write(folder)
    Edges.of({}).write(folder)
    reseal(folder)
    world = open_world(folder)
    write_site(world, tmp_path / "site")
    place = SpeciesList(world.labels[:1])
    (found,) = asked(tmp_path, [place], drop=5)
    table = species_at(world, place)
    kept = choose(world, table.class_index_K, Choice.parse("first-order:5"))
    experts = {str(layer.layer): layer.experts for layer in world.graph.experts}
    gone = {n: experts[str(n)] - len(k) for n, k in kept.items() if len(k) < experts[str(n)]}
    assert found["dropped"]["byLayer"] == {str(n): count for n, count in gone.items()}


def borders():
    """Borders that cross themselves and others that do not, drawn from a seed and by hand."""
    rng = np.random.default_rng(5)
    square, hole = ((0, 0), (0, 4), (4, 4), (4, 0)), ((1, 1), (1, 2), (2, 2), (2, 1))
    yield from ([square, hole], [square, hole, hole], [square + square])
    yield from (
        [((-9, -180), (-9, 180), (9, 180), (9, -180))],
        [((-60, -120), (-60, 0), (-60, 99))],
    )
    yield [((0, 0), (0, 4), (4, 4), (6, 6), (4, 4), (4, 0))]
    for k in range(60):
        ring = rng.integers(0, 6, (6, 2)) if k % 2 else rng.uniform(0, 6, (4 + k % 5, 2))
        yield [tuple((lat, lon + 177 * (k % 3 == 0)) for lat, lon in ring.tolist())]


def test_the_page_refuses_the_borders_that_the_command_line_refuses(page):
    questions, refused = [], []
    for rings in borders():
        coordinates = [[[lon, lat] for lat, lon in (*ring, ring[0])] for ring in rings]
        geometry = {"type": "MultiPolygon", "coordinates": [coordinates]}
        place = {"kind": "polygon", "name": "drawn", "geometry": geometry}
        questions.append({"place": place, "include": [], "exclude": []})
        try:
            place_from_json(place)
            refused.append(None)
        except PlaceError as error:
            refused.append(str(error))
    found = [one["problem"] for one in answers_of_page(page / "site", questions, page)]
    for said, problem in zip(refused, found, strict=True):
        kind = problem and problem["kind"]
        expected = said and ("crosses" if "crosses itself" in said else "empty")
        if said is None or "different corners" not in said:
            assert kind == expected, (said, problem)
    assert (
        len([said for said in refused if said]) > 20 < len([said for said in refused if not said])
    )
