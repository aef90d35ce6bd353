"""The page as files: what is in them, and what is refused."""

import base64
import gzip
import json
import re

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from map_page import kenya_world

from homerange.cli import main
from homerange.errors import ConfigError, SpeciesError
from homerange.geo.place import Circle
from homerange.map.chunks import chunk_script, smallest_unsigned
from homerange.map.link import link_modules
from homerange.map.site import STATIC, write_site
from homerange.map.tables import MOST_BEATERS, evidence_chunk, records_chunk
from homerange.specialize.cut import cut_world
from homerange.specialize.evidence import answer, judged_photos
from homerange.specialize.graph import load_graph
from homerange.specialize.species import species_at
from homerange.world.tables import Evidence
from homerange.world.world import open_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(kenya_world(tmp_path_factory.mktemp("site") / "world", features=3))


@pytest.fixture(scope="module")
def written(world, tmp_path_factory):
    return write_site(world, tmp_path_factory.mktemp("page") / "site")


def read_chunk(script):
    """Undo ``chunk_script``, in the way that its first lines describe."""
    data = gzip.decompress(base64.b64decode(re.search('="(.*)"', script).group(1)))
    head_bytes = int(np.frombuffer(data[:4], "<u4")[0])
    head = json.loads(data[4 : 4 + head_bytes])
    arrays = {
        one["name"]: np.frombuffer(data, "<" + one["type"], one["length"], one["offset"])
        for one in head["arrays"]
    }
    return head["facts"], arrays


def test_a_chunk_gives_back_its_facts_and_arrays_at_multiples_of_8_bytes():
    arrays = {"a": np.arange(3, dtype=np.uint8), "b": np.array([2.5, -1.0], np.float32)}
    script = chunk_script("few", {"name": "Poás"}, arrays)
    facts, found = read_chunk(script)
    assert facts == {"name": "Poás"}
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": [0, 1, 2],
        "b": [2.5, -1.0],
    }


def test_a_chunk_refuses_numbers_that_a_browser_has_no_array_for():
    with pytest.raises(ValueError, match="a chunk cannot hold int64; expected one of"):
        chunk_script("few", {}, {"a": np.arange(3)})


def test_whole_numbers_take_as_few_bytes_as_the_largest_needs():
    assert smallest_unsigned(np.array([255])).dtype == np.uint8
    assert smallest_unsigned(np.array([256])).dtype == np.uint16
    assert smallest_unsigned(np.array([], np.int64)).dtype == np.uint8


def test_every_record_with_a_place_is_in_the_chunk_of_records(world):
    facts, arrays = records_chunk(world)
    assert facts["others"] == ["Tapirus pinchaque"]
    assert arrays["first"][-1] == len(arrays["species"]) == len(arrays["count"])
    assert set(arrays["count"].tolist()) == {2}  # 4 records are the band 2-5: at least 2


def test_a_photo_is_right_for_a_list_if_no_class_that_beats_it_is_on_the_list(world):
    _, arrays = evidence_chunk(world)
    table = species_at(world, Circle(-1.4, 36.8, 300.0))
    judged = judged_photos(world, table)
    cut = onnx.load_from_string(cut_world(world, table.class_index_K))
    answers = answer(world, table, judged.feature_ND, full=load_graph(world), cut=cut)
    photos = Evidence.read(world.path, "split = 'test'")
    kept = set(table.class_index_K.tolist())
    right = [
        c in kept
        and kept.isdisjoint(arrays["beaten_by"][arrays["first"][p] : arrays["first"][p + 1]])
        for p, c in enumerate(photos.class_index.tolist())
        if c in {row.class_index for row in table.species}
    ]
    on_list_N = np.isin(judged.class_N, [row.class_index for row in table.species])
    assert sum(right) == int((answers.masked_N == judged.class_N)[on_list_N].sum())
    assert 0 < sum(right) < len(right)
    assert not arrays["cut_short"].any()
    assert MOST_BEATERS > 10


def test_the_page_reaches_nothing_but_its_own_files_and_may_ask_nobody(written):
    page = written.path.read_text()
    assert "connect-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    for name in re.findall(r'(?:src|href)="([\w/.-]+)"', page):
        assert (written.path.parent / name).is_file(), name


def test_a_page_that_is_there_is_written_again_and_anything_else_is_left_alone(
    world, written, tmp_path
):
    assert write_site(world, written.path.parent).bytes == written.bytes
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files that are no page of a world; name a new"):
        write_site(world, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_who_withholds_a_species_must_name_one_of_the_world(world, tmp_path):
    with pytest.raises(SpeciesError, match="--withhold: 1 of 1 names are no species"):
        write_site(world, tmp_path / "site", withhold=["Panthera lea"])
    assert not (tmp_path / "site").exists()


def test_the_verb_says_where_the_page_is(world, tmp_path):
    run = CliRunner().invoke(
        main, ["map", "--world", str(world.path), "--out", str(tmp_path / "s")]
    )
    assert run.exit_code == 0, run.output
    assert f"{tmp_path / 's' / 'index.html'}: " in run.stdout


def test_modules_are_joined_in_the_order_of_their_imports(tmp_path):
    (tmp_path / "a.js").write_text('import { two } from "./b.js";\nconst one = two;\n')
    (tmp_path / "b.js").write_text("export const two = 2;\n")
    joined = link_modules(tmp_path, "a.js")
    assert joined.index("const two = 2;") < joined.index("const one = two;")
    assert not re.search(r"^(?:import|export)", joined, re.MULTILINE)


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ('import { one } from "./a.js";\n', r"modules import in a circle: a.js -> b.js -> a.js"),
        ("export const one = 2;\n", r"one is declared in b.js and in a.js; rename one"),
        ("export default 3;\n", r"b.js: cannot join 'export default 3;'"),
    ],
)
def test_modules_that_cannot_share_a_scope_are_refused(tmp_path, b, message):
    (tmp_path / "a.js").write_text('import "./b.js";\nconst one = 1;\n')
    (tmp_path / "b.js").write_text(b)
    with pytest.raises(ValueError, match=message):
        link_modules(tmp_path, "a.js")


def test_every_text_of_the_page_is_in_one_file():
    for path in (STATIC / "js").glob("*.js"):
        used = set(re.findall(r"\bwords\.(\w+)(?!\w*\")", path.read_text()))
        known = set(re.findall(r"^  (\w+)[:,]", (STATIC / "js/words.js").read_text(), re.MULTILINE))
        assert used <= known, path.name
