"""What OpenAPI promises is kept: schemathesis asks every route with what fits and what does not.

One of its checks is left out: that what fits the schema is accepted. A place without records and a
name that is none of the world's fit every schema, and are refused.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes import build_world
from map_server import running
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


KEY = {"Authorization": "Bearer swordfish"}
LONGEST_S = 240


@pytest.mark.slow
def test_every_route_keeps_its_promise(tmp_path):
    world = build_world(tmp_path / "world")
    log = tmp_path / "log"
    with running(world, "--queue-max", "100000", log=log) as (_, address):
        judge = Path(sys.executable).with_name("schemathesis")
        options = ["--max-examples", "4", "--generation-deterministic", "--no-color"]
        left_out = ["--exclude-checks", "positive_data_acceptance"]
        done = subprocess.run(
            [judge, "run", f"{address}api/openapi.json", *options, *left_out],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(ROUTES)}" in done.stdout
    assert "Traceback" not in log.read_text()


def test_the_promise_names_every_route_and_one_shape_for_errors(tmp_path):
    world = open_world(build_world(tmp_path / "world"))
    builds = Builds.open(tmp_path / "builds", Builder.origin(world))
    app = create_app(Builder(world, builds), token="swordfish")
    found = TestClient(app).get("/api/openapi.json", headers=KEY).json()
    builds.close()
    named = {f"{m.upper()} {path}" for path, one in found["paths"].items() for m in one}
    assert named == ROUTES
    for path in found["paths"].values():
        for route in path.values():
            assert route["security"] == [{"HTTPBearer": []}]
            for status in ("4XX", "5XX"):
                content = route["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
