"""The routes: what they answer is what the verbs answer, and what goes wrong has a reason."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import CHICAGO, EMPTY_OCEAN, SERENGETI, build_world
from map_client import HERE, made, order, problem
from starlette.testclient import TestClient

import homerange
from homerange.cli import main
from homerange.geo.cells import cell_ids
from homerange.geo.place import Cell, Country, Polygon, SpeciesList, combine
from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.builds import Builds
from homerange.specialize.species import species_at
from homerange.world.place_package import read_package
from homerange.world.world import open_world

SAVANNA = Cell(int(cell_ids(np.array([[-2.33, 34.83]]), 4)[0]))
TRIANGLE = Polygon("three corners", ((((-3.5, 33.5), (-3.5, 36.0), (-1.0, 34.5)),),))


def test_health_says_the_version(client):
    answer = client.get("/api/health")
    assert answer.json() == {"status": "ok", "homerange": homerange.__version__}


def test_health_is_bad_where_no_package_is_made(idle):
    problem(idle.get("/api/health"), 503, "stopped")


def test_the_world_is_described(client, world):
    assert client.get("/api/world").json() == {
        "name": "world",
        "sha256": world.sha256,
        "classes": 10,
        "input_px": 16,
        "licence": "CC0-1.0",
    }


PLACES = {
    "circle": (SERENGETI, ["--at", "-2.33,34.83"]),
    "cell": (SAVANNA, ["--s2", SAVANNA.to_json()["token"]]),
    "country": (Country("TZA"), ["--country", "Tanzania"]),
    "union": (combine([SERENGETI, CHICAGO]), ["--at", "-2.33,34.83", "--at", "41.88,-87.63"]),
}


@pytest.mark.parametrize("kind", PLACES)
def test_the_list_is_to_the_letter_that_of_the_verb_species(idle, world, kind):
    place, options = PLACES[kind]
    named = {"include": ["procyon lotor"], "exclude": ["Acinonyx jubatus"]}
    answer = idle.post("/api/species", json={"place": place.to_json(), **named})
    command = ["species", "--world", str(world.path), "--format", "json", *options]
    named = ["--include", "procyon lotor", "--exclude", "Acinonyx jubatus"]
    printed = CliRunner().invoke(main, [*command, *named])
    assert answer.text == printed.stdout
    assert len(answer.json()["species"]) > 1


@pytest.mark.parametrize("place", [SpeciesList(("Panthera leo",)), TRIANGLE])
def test_a_list_and_a_polygon_are_places_too(idle, world, place):
    answer = idle.post("/api/species", json={"place": place.to_json()}).json()
    assert answer["place"] == place.to_json()
    found = [one.to_json() for one in species_at(world, place).species]
    assert answer["species"] == json.loads(json.dumps(found))
    assert "Panthera leo" in {one["species"] for one in answer["species"]}


def at(place):
    return ["--at", f"{place.latitude_deg},{place.longitude_deg}"]


def test_a_package_has_the_bytes_of_the_verb_get(client, world, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1750000000")
    build = made(client, include=["Procyon lotor"])
    assert (build["state"], build["progress"], build["error"]) == ("done", 1.0, None)
    answer = client.get(f"/api/builds/{build['id']}/package")
    assert answer.headers["content-type"] == "application/octet-stream"
    name = answer.headers["content-disposition"].partition("filename=")[2].strip('"')
    assert name == f"2.33S-34.83E-100km-{build['id'][:8]}.homerange"
    command = ["get", "--world", str(world.path), *at(SERENGETI), "--include", "Procyon lotor"]
    assert CliRunner().invoke(main, [*command, "-o", str(tmp_path / name)]).exit_code == 0
    assert answer.content == (tmp_path / name).read_bytes()
    assert read_package(tmp_path / name).place["created"] == "2025-06-15T15:06:40+00:00"


def test_the_card_is_that_of_the_package(client):
    answer = client.get(f"/api/builds/{made(client)['id']}/card")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert "Panthera leo" in answer.text
    assert "accuracy" in answer.text


def test_the_same_order_is_one_build_however_it_is_typed(idle):
    first = order(idle, include=["Procyon lotor", "Ursus maritimus"])
    again = order(idle, include=["ursus maritimus ", "Procyon lotor"], bits=32, experts=None)
    other = order(idle, exclude=["Panthera leo"])
    assert again["id"] == first["id"] != other["id"]
    assert (first["position"], again["position"], other["position"]) == (1, 1, 2)


def test_a_finished_build_is_not_made_again(client, builds):
    first = made(client)
    with builds.open_package(first["id"]) as file:
        before = (file.read(), Path(file.name).stat().st_mtime_ns)
    assert order(client) == first
    with builds.open_package(first["id"]) as file:
        assert (file.read(), Path(file.name).stat().st_mtime_ns) == before


def test_a_full_queue_says_when_to_come_back(idle):
    for name in ("Panthera leo", "Procyon lotor", "Ursus maritimus"):
        order(idle, include=[name])
    answer = idle.post("/api/builds", json=HERE | {"exclude": ["Panthera leo"]})
    assert "ordered already" in problem(answer, 503, "queue_full")
    assert answer.headers["retry-after"] == "10"
    assert order(idle, include=["Panthera leo"])["position"] == 1  # waits already: no new one


def test_a_build_that_failed_keeps_its_reason_and_may_be_tried_again(client, world):
    nowhere = {"place": EMPTY_OCEAN.to_json()}
    build = made(client, **nowhere)
    assert (build["state"], build["error"]["code"]) == ("failed", "place")
    assert "no record counts for within 100 km of -45.0000" in build["error"]["message"]
    answer = client.get(f"/api/builds/{build['id']}/package")
    assert problem(answer, 409, "place") == build["error"]["message"]
    assert order(client, **nowhere)["state"] == "queued"


def test_a_mistake_of_ours_fails_one_build_and_no_place_is_logged(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("of -2.33, 34.83")

    monkeypatch.setattr("homerange.map.builder.specialize", broken)
    build = made(client)
    assert build["error"]["code"] == "internal"
    assert "failed: RuntimeError" in caplog.text
    assert "in broken" in caplog.text
    assert "34.83" not in caplog.text.replace('RuntimeError("of -2.33, 34.83")', "")
    monkeypatch.undo()
    assert made(client, place=CHICAGO.to_json())["state"] == "done"


def test_a_package_is_not_sent_before_it_is_made(idle):
    id = order(idle)["id"]
    for what in ("package", "card"):
        assert "queued" in problem(idle.get(f"/api/builds/{id}/{what}"), 409, "not_done")


def test_a_package_that_had_to_make_room_can_be_ordered_again(client, builds):
    id = made(client)["id"]
    with builds.open_package(id) as file:
        Path(file.name).unlink()
    assert "make room" in problem(client.get(f"/api/builds/{id}/package"), 404, "unknown_build")
    assert made(client)["state"] == "done"


def test_a_damaged_world_is_told_without_its_path(tmp_path):
    world = open_world(build_world(tmp_path / "secret" / "world"))
    (world.path / "occurrence.parquet").write_bytes(b"PAR1")
    builds = Builds.open(tmp_path / "builds", "origin")
    client = TestClient(create_app(Builder(world, builds)))
    message = problem(client.post("/api/species", json=HERE), 503, "world")
    assert "world/occurrence.parquet" in message
    assert "secret" not in message
    builds.close()
