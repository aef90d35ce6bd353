"""Who sees the page of the map, under which address, and what a browser may load for it."""

import pytest
from map_client import problem
from starlette.testclient import TestClient

from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.guard import HEADERS


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
