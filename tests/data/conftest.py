"""What tests of downloads share. Loopback only."""

import pytest
from http_files import file_server

from homerange.data import download, fetch_photos


@pytest.fixture
def no_waiting(monkeypatch):
    """No proxy stands before the server on this machine, and nothing waits to try again."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(fetch_photos, "PAUSE_S", 0.0)


@pytest.fixture
def server():
    """A server without files."""
    with file_server() as server:
        yield server
