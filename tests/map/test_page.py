"""The page in a real browser: from an empty page to a list, a package, and answers for photos."""

import io
import json
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from map_page import kenya_world, names_listed, needs_chromium, opened
from map_server import running
from PIL import Image

from homerange.data.images import prepare
from homerange.geo.countries import Country
from homerange.geo.place import Circle
from homerange.geo.polygon import Polygon
from homerange.map.site import write_site
from homerange.run.session import Session
from homerange.specialize.specialize import specialize
from homerange.specialize.species import species_at
from homerange.world.world import open_world

pytestmark = needs_chromium
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
CORNERS = ((-19.5, 176.5), (-19.5, 181.5), (-15.5, 181.5), (-15.5, 176.5))
FIJI = Polygon("Fiji", ((CORNERS,),))
FAR = 0.05
"""Largest difference of probabilities where the runner decodes a JPEG smaller: chroma differs."""
NEAR = 1e-4
"""Elsewhere."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(kenya_world(tmp_path_factory.mktemp("page") / "world"))


@pytest.fixture(scope="module")
def site(world, tmp_path_factory):
    return write_site(world, tmp_path_factory.mktemp("page") / "site")


def expected(world, place):
    return sorted(row.species for row in species_at(world, place).species)


def scientific(page):
    """The names of the list, whether they stand alone or behind a common name."""
    return sorted(names_listed(page))


def test_from_disk_three_places_give_their_lists_and_a_command_and_nothing_is_asked_elsewhere(
    world, site
):
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.click("[data-example=kenya]")
        assert scientific(page) == expected(world, Circle(-1.4, 36.8))
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.click("[data-example=fiji]")
        assert scientific(page) == expected(world, FIJI)
        page.click(".get button")
        assert "--geojson fiji.geojson" in page.inner_text(".sheet")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save the area").click()
        geometry = json.loads(saved.value.path().read_text())["features"][0]["geometry"]
        assert geometry == FIJI.to_json()["geometry"]
    with opened(site.path.as_uri(), viewport=PHONE) as page:
        page.click("#tab-country")
        page.fill("#country", "ecua")
        page.press("#country", "Enter")
        assert scientific(page) == expected(world, Country("ECU"))
        page.click(".get button")
        assert "--country ECU -o ecuador.homerange" in page.inner_text(".sheet")


def test_a_click_on_the_map_and_a_species_struck_by_hand(world, site):
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.fill("#point", "-1.4, 36.8")
        page.press("#point", "Enter")
        before = scientific(page)
        page.get_by_role("button", name="Strike lion from the list").click()
        page.wait_for_selector(f"html[data-listed='{len(before) - 1}']")
        assert page.get_by_role("button", name="Put lion back").is_visible()
        page.mouse.click(300, 700)  # the sea
        page.wait_for_selector("html[data-listed='0']")
        assert page.locator(".get button").is_disabled()


def test_swapped_coordinates_are_explained(site):
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.fill("#point", "134.83, -2.33")
        page.press("#point", "Enter")
        assert "These look swapped: try -2.33, 134.83." in page.inner_text("#panel-point")


def test_photos_that_know_their_place_are_read_in_the_browser(site, tmp_path):
    photo = Image.new("RGB", (40, 30))
    exif = photo.getexif()
    exif[0x8825] = {1: "S", 2: (1.0, 24.0, 0.0), 3: "E", 4: (36.0, 48.0, 0.0)}
    photo.save(tmp_path / "here.jpg", exif=exif)
    photo.save(tmp_path / "nowhere.jpg")
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.click("#tab-photos")
        page.set_input_files("#place-photos", [tmp_path / "here.jpg", tmp_path / "nowhere.jpg"])
        page.wait_for_selector("html[data-judged]")
        assert page.text_content(".place") == "within 100 km of -1.4000, 36.8000"
        assert "1 of 2 photos" in page.inner_text("#panel-photos")


def test_a_served_page_builds_the_very_package_of_the_command_line(world, tmp_path):
    time = {"SOURCE_DATE_EPOCH": "1700000000"}
    with running(world.path, log=tmp_path / "log", **time) as (_, address):
        with opened(address, viewport=DESKTOP) as page:
            page.click("[data-example=kenya]")
            names_listed(page)
            page.click(".get button")
            page.get_by_role("button", name="Make the package").click()
            with page.expect_download() as saved:
                page.get_by_text("Download the package").click()
            package, name = saved.value.path().read_bytes(), saved.value.suggested_filename
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", time["SOURCE_DATE_EPOCH"])
        made = specialize(world, Circle(-1.4, 36.8), tmp_path / name)
    assert members(package) == members(made.path.read_bytes())


def members(package):
    """What is in a package, but for the name that place.json and the card give it."""
    with zipfile.ZipFile(io.BytesIO(package)) as file:
        return {name: file.read(name) for name in ("model.onnx", "labels.txt")} | {
            "species": json.loads(file.read("place.json"))["species"]
        }


def test_the_browser_answers_photos_as_the_runner_does(world, site, tmp_path):
    if not site.runs_photos:
        pytest.skip("the runtime for photos is not there; make map fetches it")
    rng = np.random.default_rng(0)
    soft = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(soft).resize((30, 20)).save(tmp_path / "small.jpg")
    Image.fromarray(soft).resize((64, 48)).save(tmp_path / "grey.png")
    Image.fromarray(soft).resize((800, 603), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg")
    tolerance = {"small.jpg": NEAR, "grey.png": NEAR, "large.jpg": FAR}
    made = specialize(world, Circle(-1.4, 36.8), tmp_path / "here.homerange")
    runner = Session.open(made.path)
    with opened(site.path.as_uri(), viewport=DESKTOP) as page:
        page.click("[data-example=kenya]")
        names_listed(page)
        page.click("#tab-try")
        page.set_input_files("#try-photos", [tmp_path / name for name in tolerance])
        for name, far in tolerance.items():
            first = f"li[data-photo='{name}'] .answers > div:first-child li"
            page.wait_for_selector(first)
            found = {
                world.labels[int(row.get_attribute("data-class"))]: float(
                    row.get_attribute("data-probability")
                )
                for row in page.locator(first).all()
            }
            pixels = prepare(tmp_path / name, runner.package.preprocessing)
            known = dict(
                zip(runner.package.labels, runner.probabilities(pixels[None])[0], strict=True)
            )
            assert {label: known[label] for label in found} == pytest.approx(found, abs=far), name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_axe_finds_nothing_serious(site, axe, scheme, viewport):
    with opened(site.path.as_uri(), viewport=viewport, color_scheme=scheme) as page:
        for step in ("#tab-area", "#tab-country", "#tab-cell", "#tab-text", "#tab-photos"):
            page.click(step)
            assert violations(page, axe) == [], step
        page.click("[data-example=kenya]")
        names_listed(page)
        for step in ("#tab-accuracy", "#tab-inside", "#tab-try", "#tab-species", ".get button"):
            page.click(step)
            assert violations(page, axe) == [], step


def violations(page, axe):
    found = page.evaluate(f"() => {{ {axe}; return axe.run({{preload: false}}); }}")["violations"]
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed; it fetches axe-core")
    command = [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "axe-core@4.10.3"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"axe-core cannot be fetched from npm: {run.stderr[-200:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()
