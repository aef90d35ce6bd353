"""A server of a small world, asked within the process of the test."""

import pytest
from fakes import build_world
from starlette.testclient import TestClient

from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.builds import Builds
from homerange.world.world import open_world


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
