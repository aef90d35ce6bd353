"""What OpenAPI promises is kept: schemathesis asks every route with what fits and what does not.

Orders cannot be made where the place has no records, a name is none of the world's or the queue is
full: the promise allows these answers (422, 503) to questions that fit the schema.
"""

import pytest
import schemathesis
from fakes import build_world
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from starlette.testclient import TestClient

from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.builds import Builds
from homerange.world.world import open_world

ROUTES = {
    "GET /api/health",
    "GET /api/world",
    "POST /api/species",
    "POST /api/builds",
    "GET /api/builds/{id}",
    "GET /api/builds/{id}/package",
    "GET /api/builds/{id}/card",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    world = open_world(build_world(folder / "world"))
    builds = Builds.open(folder / "builds", Builder.origin(world))
    with Builder(world, builds) as builder:
        yield create_app(builder, token="swordfish")
    builds.close()


KEY = {"Authorization": "Bearer swordfish"}


@pytest.fixture
def promise(app):
    return schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=KEY)


lazy = schemathesis.pytest.from_fixture("promise")


@lazy.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_its_promise(case):
    case.call_and_validate(headers=KEY, excluded_checks=[checks.positive_data_acceptance])


def test_the_promise_names_every_route_and_one_shape_for_errors(app):
    found = TestClient(app).get("/api/openapi.json", headers=KEY).json()
    named = {f"{m.upper()} {path}" for path, one in found["paths"].items() for m in one}
    assert named == ROUTES
    for path in found["paths"].values():
        for route in path.values():
            assert route["security"] == [{"HTTPBearer": []}]
            for status in ("4XX", "5XX"):
                content = route["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
