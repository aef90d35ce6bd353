"""The page of a world in a test: its folder, and its functions run by node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from homerange.map import site

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
PARITY = Path(__file__).with_name("parity.mjs")


def answers_of_page(folder, questions, scratch):
    """Ask the page in ``folder`` about places; each question has place, include and exclude."""
    modules = scratch / "modules"
    shutil.copytree(site.STATIC / "js", modules, dirs_exist_ok=True)
    (modules / "package.json").write_text('{"type": "module"}')
    run = subprocess.run(
        [NODE, PARITY, folder, modules],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
