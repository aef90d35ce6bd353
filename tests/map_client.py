"""What tests of the map ask for, and the one shape in which they hear that it was wrong."""

import json

from fakes import SERENGETI
from map_server import wait_until_made

HERE = {"place": SERENGETI.to_json()}
JSON = {"Content-Type": "application/json"}


def order(client, **question):
    """Order a package at the Serengeti; return what was answered."""
    answer = client.post("/api/builds", json=HERE | question)
    assert answer.status_code == 202, answer.text
    return answer.json()


def made(client, **question):
    """Order a package and wait until it is made, or is known to fail."""
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


def post(client, path, question):
    """Send what a strict writer of JSON would refuse to write."""
    return client.post(path, content=json.dumps(question), headers=JSON)
