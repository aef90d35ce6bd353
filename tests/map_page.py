"""The page of a world in a test: its functions run by node, and the page itself in Chromium."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import SPECIES, build_world, draw_occurrence
from playwright.sync_api import sync_playwright

from homerange.map import site

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
PARITY = Path(__file__).with_name("map_page.mjs")


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


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
LOCAL = ("file:", "blob:", "data:", "http://127.0.0.1:")
SLOW_MS = 90_000
"""A map drawn by software on a busy machine takes its time."""

SEEN = {
    "Panthera leo": [(-2.33, 34.83), (-1.4, 36.8)],
    "Acinonyx jubatus": [(-1.1, 37.2)],
    "Loxodonta africana": [(-2.1, 34.6), (-1.9, 36.5)],
    "Pteropus samoensis": [(-16.8, 179.95), (-17.2, -179.6)],
    "Sciurus carolinensis": [(41.9, -87.7), (-1.2, -78.4)],
    "Ursus maritimus": [(89.5, 10.0)],
    "Tapirus pinchaque": [(-1.5, -78.2)],  # no class of the world
}
"""Where species were recorded: in Kenya, on both sides of the dateline, in Ecuador, elsewhere."""


def kenya_world(folder, **shape):
    """Write a world with records in Kenya, around Fiji and in Ecuador; four in each cell."""
    rows = [(name, "", "", places) for name, places in SEEN.items()]
    occurrence = draw_occurrence(np.random.default_rng(0), rows, 4)
    return build_world(folder, classes=len(SPECIES) + 2, occurrence=occurrence, **shape)


@contextmanager
def opened(address, **look):
    """Open a page in Chromium; what it says and asks for beyond this machine is an error.

    Args:
        address: Of the page.
        look: Of the browser: viewport, color_scheme ...
    """
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *SOFTWARE_GL]
        )
        context = browser.new_context(accept_downloads=True, bypass_csp=False, **look)
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(LOCAL) else said.append(asked.url),
        )
        page.goto(address)
        page.wait_for_selector("html[data-ready=map]")
        yield page
        assert said == [], said
        browser.close()


def names_listed(page):
    """Wait for the list of the place that was just chosen; return its names."""
    page.wait_for_selector("html[data-judged]")
    rows = page.locator("#panel-species .species li:not(.struck) .name em")
    return rows.all_inner_texts()
