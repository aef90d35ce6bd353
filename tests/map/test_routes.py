"""The routes: the answers of the verbs, and for every mistake a 4xx in the one shape."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import CHICAGO, EMPTY_OCEAN, SERENGETI, build_world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from map_server import wait_until_made
from starlette.testclient import TestClient

import homerange
from homerange.cli import main
from homerange.geo.cells import cell_ids
from homerange.geo.place import Cell, Country, Polygon, SpeciesList, combine
from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.builds import Builds
from homerange.map.guard import HEADERS, MAX_BODY_BYTES, MOST_REQUESTS
from homerange.specialize.species import species_at
from homerange.world.place_package import read_package
from homerange.world.world import open_world

HERE = {"place": SERENGETI.to_json()}
SAVANNA = Cell(int(cell_ids(np.array([[-2.33, 34.83]]), 4)[0]))
TRIANGLE = Polygon("three corners", ((((-3.5, 33.5), (-3.5, 36.0), (-1.0, 34.5)),),))
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(build_world(tmp_path_factory.mktemp("map") / "world"))


@pytest.fixture
def builds(world, tmp_path):
    builds = Builds.open(tmp_path / "builds", Builder.origin(world), queue_max=3)
    yield builds
    builds.close()


@pytest.fixture
def client(world, builds):
    with Builder(world, builds) as builder:
        yield TestClient(create_app(builder))


@pytest.fixture
def idle(world, builds):
    """A server whose builder never begins."""
    return TestClient(create_app(Builder(world, builds)))


def order(client, **question):
    answer = client.post("/api/builds", json=HERE | question)
    assert answer.status_code == 202, answer.text
    return answer.json()


def made(client, **question):
    id = order(client, **question)["id"]
    return wait_until_made(lambda: client.get(f"/api/builds/{id}").json())


def problem(answer, status, code):
    """Check that an answer is an error of the one shape; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "next"}
    assert error["code"] == code
    assert all(isinstance(text, str) and text for text in error.values())
    return error["message"]


# --- answers ----------------------------------------------------------------------------------


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


# --- the page ---------------------------------------------------------------------------------


def test_a_folder_of_static_files_is_shown_at_the_root(world, builds, tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<title>map</title>")
    (tmp_path / "secret.txt").write_text("secret")
    client = TestClient(create_app(Builder(world, builds), page=tmp_path / "page"))
    assert client.get("/").text == "<title>map</title>"
    assert client.get("/api/world").json()["name"] == "world"
    for path in ("/nothing.js", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"):
        problem(client.get(path), 404, "not_found")
    problem(client.post("/index.html"), 405, "method_not_allowed")


def test_without_a_page_there_is_a_line_that_names_the_api(idle):
    assert "api/openapi.json" in idle.get("/").text


def test_every_answer_forbids_the_browser_to_load_from_elsewhere(idle):
    for answer in (idle.get("/"), idle.get("/api/world"), idle.get("/nothing")):
        assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'")
        assert "http" not in policy
        assert "*" not in policy
    assert idle.get("/api/world").headers["cache-control"] == "no-store"


# --- token and proxy --------------------------------------------------------------------------


@pytest.fixture
def locked(world, builds):
    app = create_app(
        Builder(world, builds), token="swordfish+é", base_url="https://example.org/homerange/"
    )
    return TestClient(app, base_url="https://example.org", follow_redirects=False)


def test_without_the_token_only_health_answers(locked):
    for path in ("/", "/api/world", "/api/openapi.json", "/api/builds/x", "/nothing"):
        answer = locked.get(path)
        assert "wants a token" in problem(answer, 401, "token")
        assert answer.headers["www-authenticate"] == "Bearer"
    problem(locked.get("/api/health"), 503, "stopped")  # answered: the builder of this test rests


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong-word"},
        {"Authorization": "Basic swordfish"},
        {"Authorization": "Bearer"},
        {"Cookie": "homerange_token=swordfish"},
        {"Cookie": "homerange_token=; ;;=,"},
        {"Cookie": b"homerange_token=\xff\xfe"},
    ],
)
def test_a_wrong_token_is_none(locked, headers):
    problem(locked.get("/api/world", headers=headers), 401, "token")


def test_the_token_opens_as_a_header(locked):
    key = {"Authorization": "bearer swordfish+é".encode()}
    assert locked.get("/api/world", headers=key).status_code in (200, 401)
    builder = locked.app.state.builder
    plain = TestClient(create_app(builder, token="swordfish"))
    assert plain.get("/api/world", headers={"Authorization": "Bearer swordfish"}).is_success


def test_the_token_in_the_address_becomes_a_cookie_that_only_this_page_sends(locked):
    problem(locked.get("/?token=wrong"), 401, "token")
    welcome = locked.get("/homerange/", params={"token": "swordfish+é"})
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/homerange/")
    cookie = welcome.headers["set-cookie"]
    assert cookie.endswith("; Path=/homerange; HttpOnly; SameSite=Strict; Secure")
    assert "swordfish" not in cookie
    assert locked.get("/homerange/api/world").is_success  # the client sends the cookie
    problem(TestClient(locked.app).get("/api/world"), 401, "token")


def test_behind_a_proxy_the_path_may_be_stripped_or_not(world, builds):
    app = create_app(Builder(world, builds), base_url="https://example.org/homerange")
    client = TestClient(app)
    assert client.get("/api/world").json() == client.get("/homerange/api/world").json()
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/homerange"}]


# --- what strangers send ----------------------------------------------------------------------


def polygon(ring, *, name="drawn", type="Polygon"):
    geometry = {"type": type, "coordinates": [ring]}
    return {"place": {"kind": "polygon", "name": name, "geometry": geometry}}


def circle(**changes):
    return {"place": SERENGETI.to_json() | changes}


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({}, "invalid"),
        ([], "invalid"),
        ({"place": None}, "invalid"),
        ({"place": []}, "invalid"),
        ({"place": {}}, "place"),
        (HERE | {"polygon": []}, "invalid"),
        (circle(latitude_deg=91), "place"),
        (circle(latitude_deg="-2.33"), "place"),
        (circle(latitude_deg=None), "place"),
        (circle(latitude_deg=True), "place"),
        (circle(latitude_deg=10**400), "place"),
        (circle(latitude_deg=float("nan")), "place"),
        (circle(longitude_deg=float("inf")), "place"),
        (circle(radius_km=0), "place"),
        (circle(radius_km=-1), "place"),
        (circle(radius_km=1e308), "place"),
        (circle(kind="../../etc/passwd"), "place"),
        (circle(kind=["circle"]), "place"),
        ({"place": EMPTY_OCEAN.to_json()}, "place"),
        ({"place": {"kind": "cell", "cell": "../..", "token": "../.."}}, "place"),
        ({"place": {"kind": "cell", "cell": "2/" + "1" * 10**5, "token": "4c"}}, "place"),
        ({"place": {"kind": "cell", "cell": "2/\u0661", "token": "4c"}}, "place"),
        ({"place": {"kind": "list", "species": []}}, "place"),
        ({"place": {"kind": "list", "species": ["\0"] * 9}}, "place"),
        ({"place": {"kind": "list", "species": ["../../etc/passwd"]}}, "species"),
        ({"place": {"kind": "list", "species": ["\ud800"]}}, "invalid"),
        ({"place": {"kind": "country", "country": "../KEN", "name": ""}}, "place"),
        ({"place": {"kind": "union", "places": [HERE["place"]]}}, "place"),
        ({"place": {"kind": "union", "places": [{"kind": "union", "places": []}] * 2}}, "place"),
        (polygon([[0, 0], [1, 1]]), "place"),
        (polygon([[0, 0], [1, 1], [2, 2]]), "place"),
        (polygon([[0, 0], [0, float("nan")], [1, 1]]), "place"),
        (polygon([[0, 0], [0, float("inf")], [1, 1]]), "place"),
        (polygon([[0, 0], [0, 10**400], [1, 1]]), "place"),
        (polygon([[0, 0], [0, 91], [1, 1]]), "place"),
        (polygon([[0, 0], [True, 1], [1, 1]]), "place"),
        (polygon([[0, 0], ["0", 1], [1, 1]]), "place"),
        (polygon([[0, 0], [0, 1], {}]), "place"),
        (polygon([[0, 0], [0, 1], [1, 1]], name="\ud800"), "invalid"),
        (polygon([[0, 0], [0, 1], [1, 1]], type="Point"), "place"),
        (HERE | {"include": "Panthera leo"}, "invalid"),
        (HERE | {"include": [7]}, "invalid"),
        (HERE | {"include": ["x" * 201]}, "invalid"),
        (HERE | {"include": [""]}, "invalid"),
        (HERE | {"include": ["\ud800"]}, "invalid"),
        (HERE | {"include": ["'; DROP TABLE build; --"]}, "species"),
        (HERE | {"include": ["x"] * 10_001}, "invalid"),
        (HERE | {"include": ["Panthera leo"], "exclude": ["Panthera leo"]}, "species"),
        (HERE | {"exclude": ["blank"]}, "species"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_the_one_shape(idle, question, code):
    status = 422
    message = problem(post(idle, "/api/species", question), status, code)
    assert len(message) <= 2000
    if question != {"place": EMPTY_OCEAN.to_json()}:  # what no record counts for, a build finds
        problem(post(idle, "/api/builds", question), status, code)


def post(client, path, question):
    """Send what a strict writer of JSON would refuse to write."""
    return client.post(path, content=json.dumps(question), headers=JSON)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"bits": 4}, "invalid", "body.bits: Input should be 32"),
        ({"bits": "32"}, "invalid", "body.bits"),
        ({"experts": 7}, "invalid", "body.experts"),
        ({"experts": "first-order"}, "setting", "expected METHOD:AMOUNT"),
        ({"experts": "first-order:nan"}, "setting", "expected METHOD:AMOUNT"),
        ({"experts": "first-order:4"}, "setting", "has no experts, so none can be dropped"),
        ({"name": "../../etc/passwd"}, "invalid", "body.name: Extra inputs are not permitted"),
    ],
)
def test_an_order_that_cannot_be_made_is_refused_before_it_waits(idle, changes, code, words):
    assert words in problem(idle.post("/api/builds", json=HERE | changes), 422, code)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"\xff\xfe", None),
        (b"[" * 5000, 400),
        (b'{"place":' * 5000, 400),
        (b'{"place":{"kind":' + b"[" * 900 + b"]" * 900 + b"}}", None),
        (b'{"place":{"kind":"circle","latitude_deg":' + b"1" * 5000 + b"}}", 400),
    ],
)
def test_a_body_that_is_no_question_is_refused(idle, body, status):
    answer = idle.post("/api/species", content=body, headers=JSON)
    assert answer.status_code in ([status] if status else [400, 422])
    problem(answer, answer.status_code, answer.json()["error"]["code"])


def test_a_body_that_is_not_called_json_is_not_read(idle):
    answer = idle.post(
        "/api/species", content=json.dumps(HERE), headers={"Content-Type": "text/plain"}
    )
    problem(answer, 422, "invalid")


def test_a_body_is_bounded_before_it_is_read(idle):
    place = {"kind": "polygon", "outline": [[0.0, 0.0]] * 10**6}
    answer = post(idle, "/api/species", {"place": place})
    assert f"{MAX_BODY_BYTES:,} bytes" in problem(answer, 413, "too_large")
    # Nor does it help to say no length, and to send piece by piece.
    pieces = (b"x" * 10_000 for _ in range(200))
    answer = idle.post("/api/species", content=pieces, headers=JSON)
    assert f"{MAX_BODY_BYTES:,} bytes" in problem(answer, 413, "too_large")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_refused(idle, method):
    problem(idle.request(method, "/api/species"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "id", ["x", "..", "%2e%2e%2fbuilds.sqlite", "%00", "a" * 5000, "' OR 1=1 --", "%ff%fe"]
)
def test_a_build_that_was_never_ordered_is_unknown(idle, id):
    for path in (f"/api/builds/{id}", f"/api/builds/{id}/package", f"/api/builds/{id}/card"):
        answer = idle.get(path)
        assert answer.status_code == 404
        problem(answer, 404, answer.json()["error"]["code"])


def test_too_many_requests_at_a_time_are_told_to_wait(idle):
    guard = idle.app.build_middleware_stack()
    while type(guard).__name__ != "Guard":
        guard = guard.app
    guard._requests = MOST_REQUESTS
    answer = TestClient(guard).get("/api/world")
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "2"


def test_a_mistake_of_ours_is_told_in_the_one_shape_and_logged_without_what_was_sent(
    idle, monkeypatch, caplog
):
    def broken(*_, **__):
        raise RuntimeError("of " + "-2.33")

    monkeypatch.setattr("homerange.map.routes.species_at", broken)
    problem(idle.post("/api/species", json=HERE), 500, "internal")
    assert "a request failed: RuntimeError" in caplog.text
    assert "in broken" in caplog.text
    assert "of -2.33" not in caplog.text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.fixed_dictionaries(
        {"kind": st.sampled_from(["circle", "cell", "list", "polygon", "country", "union"])},
        optional={
            key: JSON_VALUES
            for key in (
                *("latitude_deg", "longitude_deg", "radius_km", "cell", "token", "species"),
                *("name", "geometry", "country", "places"),
            )
        },
    )
    | JSON_VALUES,
    include=JSON_VALUES,
)
def test_whatever_is_sent_the_server_makes_no_mistake(idle, place, include):
    for question in ({"place": place}, HERE | {"include": include}):
        answer = post(idle, "/api/species", question)
        assert answer.status_code in (200, 400, 422)
        if answer.status_code != 200:
            problem(answer, answer.status_code, answer.json()["error"]["code"])
