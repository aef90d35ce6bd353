"""What strangers send: for every mistake a 4xx in the one shape, and never a mistake of ours."""

import json

import pytest
from fakes import EMPTY_OCEAN, SERENGETI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from map_client import HERE, JSON, post, problem
from starlette.testclient import TestClient

from homerange.map.guard import MAX_BODY_BYTES, MOST_REQUESTS


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
        (polygon([[0, 0], [2, 2], [2, 0], [0, 2]]), "place"),
        (polygon([[179, 0], [181, 2], [181, 0], [179, 2]]), "place"),
        (polygon([[-1, 0], [1, 1], [0, 2], [-1, 1], [1, 0]]), "place"),
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


def test_a_border_that_crosses_itself_is_told_where_and_what_to_do(idle):
    message = problem(
        post(idle, "/api/species", polygon([[0, 0], [2, 2], [2, 0], [0, 2]])), 422, "place"
    )
    assert "crosses itself at latitude 1.0000 and longitude 1.0000" in message
    assert "Fix geometries in QGIS" in message
