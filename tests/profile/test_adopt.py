"""Networks from elsewhere as worlds: the same answers, the same rows once cut, refusals in words.

The judge of every answer is the model as it came, run by the runtime on pixels prepared here.
"""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from foreign_models import CLASSES, ENDINGS, FEATURES, HEADS, PX, foreign_model
from onnx import TensorProto, helper
from tiny_training import draw_photo, manifest_of, tiny_manifest

from homerange.errors import ConfigError, ManifestError, ModelError, PlaceError, WorldError
from homerange.geo.place import Circle, SpeciesList
from homerange.profile.adopt.pixels import Pixels
from homerange.profile.adopt.world import adopt
from homerange.run.folder import predict
from homerange.run.session import Session
from homerange.specialize.cut import cut_world
from homerange.specialize.specialize import specialize
from homerange.specialize.species import species_at
from homerange.world.tables import Evidence
from homerange.world.weights import read_tensor
from homerange.world.world import open_world

NAMES = ("Panthera leo", "Equus quagga", "Procyon lotor", "blank", "Canis lupus")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SERENGETI = Circle(-2.33, 34.83, 100.0)


def write_labels(path, names=NAMES):
    path.write_text("species\n" + "".join(f"{name}\n" for name in names))
    return path


def adopted(folder, *, pixels="imagenet", settings=(), names=NAMES, more=None, **model):
    """Write a model and its labels, adopt it, open the world."""
    foreign_model(folder / "model.onnx", **model)
    labels = write_labels(folder / "labels.csv", names)
    adopt(
        folder / "model.onnx",
        labels,
        folder / "world",
        pixels=Pixels.read(pixels, settings),
        licence="MIT",
        **(more or {}),
    )
    return open_world(folder / "world")


def photos_B(seed=1, photos=3):
    return np.random.default_rng(seed).integers(0, 256, (photos, PX, PX, 3)).astype(np.uint8)


def run(model, rgb_BHW3):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    return session.run(None, {port.name: rgb_BHW3})[0]


def softmax(logits_NC):
    exp_NC = np.exp(logits_NC - logits_NC.max(1, keepdims=True))
    return exp_NC / exp_NC.sum(1, keepdims=True)


def answers_of(folder, rgb_BHW3):
    """What the model says, its pixels prepared as ImageNet networks want them."""
    given = ((rgb_BHW3 / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    found = run(str(folder / "model.onnx"), given)
    return found.reshape(len(rgb_BHW3), -1)


# Laws


@pytest.mark.parametrize(
    ("head", "ending"), [*((head, "") for head in HEADS), *(("gemm", e) for e in ENDINGS if e)]
)
def test_a_world_answers_what_the_model_answers_whatever_form_its_head_has(tmp_path, head, ending):
    adopted(tmp_path, head=head, ending=ending)
    logits_NC = run(str(tmp_path / "world/graph.onnx"), photos_B())
    wanted_NC = answers_of(tmp_path, photos_B())
    shown = {"": lambda x: x, "Softmax": softmax, "LogSoftmax": lambda x: np.log(softmax(x))}
    np.testing.assert_allclose(shown[ending](logits_NC), wanted_NC, atol=1e-5)


@pytest.mark.parametrize("head", ["gemm columns", "gemm halved", "matmul", "convolution"])
def test_a_cut_keeps_rows_of_the_model_in_the_order_of_the_labels(tmp_path, head):
    world = adopted(tmp_path, head=head)
    weight_CD, bias_C = foreign_model(tmp_path / "again.onnx", head=head)
    np.testing.assert_allclose(read_tensor(world.weights_path, "head.classes.weight"), weight_CD)
    np.testing.assert_allclose(read_tensor(world.weights_path, "head.classes.bias"), bias_C)
    kept = np.array([1, 2, 4])
    found_NK = run(cut_world(world, kept), photos_B())
    np.testing.assert_allclose(found_NK, answers_of(tmp_path, photos_B())[:, kept], atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "model", "prepared"),
    [
        ("unit", {}, lambda x: (x / 255).transpose(0, 3, 1, 2).astype(np.float32)),
        ("unit", {"layout": "nhwc"}, lambda x: (x / 255).astype(np.float32)),
        ("inception", {}, lambda x: (x / 127.5 - 1).transpose(0, 3, 1, 2).astype(np.float32)),
        ("bytes", {"layout": "nhwc", "kind": TensorProto.UINT8}, lambda x: x),
        ("bytes", {"layout": "nhwc"}, lambda x: x.astype(np.float32)),
        (
            "unit",
            {"kind": TensorProto.FLOAT16},
            lambda x: (x / 255).transpose(0, 3, 1, 2).astype(np.float16),
        ),
        (
            "caffe",
            {},
            lambda x: (
                (x[..., ::-1] - np.array([103.939, 116.779, 123.68]))
                .transpose(0, 3, 1, 2)
                .astype(np.float32)
            ),
        ),
    ],
)
def test_pixels_enter_the_network_as_its_preset_says(tmp_path, pixels, model, prepared):
    adopted(tmp_path, pixels=pixels, **model)
    wanted_NC = run(str(tmp_path / "model.onnx"), prepared(photos_B()))
    found_NC = run(str(tmp_path / "world/graph.onnx"), photos_B())
    np.testing.assert_allclose(found_NC, wanted_NC, rtol=1e-4, atol=1e-4)


def test_a_setting_that_the_preset_has_otherwise_counts(tmp_path):
    world = adopted(tmp_path, px="side", settings=["input_px=8", "fit=squash"])
    assert (world.preprocessing.input_px, world.preprocessing.fit) == (8, "squash")


def test_no_weight_and_no_name_of_the_exporters_machine_is_left_in_the_graph(tmp_path):
    adopted(tmp_path)
    data = (tmp_path / "world/graph.onnx").read_bytes()
    assert b"/home/me" not in data
    model = onnx.load(tmp_path / "world/graph.onnx", load_external_data=False)
    inside = [t for t in model.graph.initializer if t.data_location != TensorProto.EXTERNAL]
    assert max(np.prod(tensor.dims) for tensor in inside) <= 16
    assert {t.name for t in model.graph.initializer} >= {"net.stem", "head.classes.weight"}


# The whole road


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A world with photos and records: lion and zebra in Serengeti, raccoon in Chicago."""
    folder = tmp_path_factory.mktemp("road")
    manifest = tiny_manifest(folder)
    (folder / "records.csv").write_text(
        "scientific_name,lat,lon,licence\nCanis lupus,-2.3,34.8,CC BY-NC\nCanis lupus,,,\n"
    )
    more = {"photos": manifest, "occurrences": folder / "records.csv"}
    adopted(folder, more=more, settings=["fit=squash"])
    return folder


def test_photos_and_records_give_lists_of_places(road):
    found = species_at(open_world(road / "world"), SERENGETI)
    assert {row.species for row in found.species} == {
        "Panthera leo",
        "Equus quagga",
        "Canis lupus",
    }
    assert found.outcomes == ("blank",)
    (wolf,) = [row for row in found.species if row.species == "Canis lupus"]
    assert wolf.reason == "recorded within 50 km (1 record, none a photo of this world)"


def test_evidence_holds_what_goes_into_the_class_rows_for_every_judged_photo(road):
    world = open_world(road / "world")
    evidence = Evidence.read(world.path)
    assert len(evidence) == 13  # 6 of val, 7 of test
    assert evidence.feature.shape == (13, FEATURES)
    weight_CD = read_tensor(world.weights_path, "head.classes.weight")
    bias_C = read_tensor(world.weights_path, "head.classes.bias")
    test_N = evidence.split == "test"
    answer_N = (evidence.feature[test_N].astype(np.float32) @ weight_CD.T + bias_C).argmax(1)
    right = int((answer_N == evidence.class_index[test_N]).sum())
    measured = world.description.metrics["overall"]
    assert (measured["photos"], round(measured["top1"] * 7)) == (7, right)


def test_the_strictest_licence_of_model_photos_and_records_counts(road):
    licence = open_world(road / "world").description.licence
    assert licence.weights == "CC BY-NC"
    assert sum(licence.rows.values()) == 26  # 25 photos and one record; the model is neither


def test_the_card_does_not_claim_to_know_how_the_network_was_trained(road):
    made = specialize(road / "world", SERENGETI, road / "here.homerange")
    assert "comes from elsewhere, already trained: model.onnx (licence MIT)" in made.card
    assert "may have been among those that trained it" in made.card
    assert "was trained with the recipe" not in made.card
    assert "No photo that the accuracy was measured on was used" not in made.card
    answers = Session.open(made.path).probabilities(photos_B())
    wanted_NC = answers_of(road, photos_B())[:, [0, 1, 3, 4]]
    np.testing.assert_allclose(answers, softmax(wanted_NC), atol=1e-5)


def test_a_package_of_it_runs_over_photos(road):
    made = specialize(road / "world", SERENGETI, road / "there.homerange")
    summary = predict(road / "photos", model=made.path, output=road / "results.json")
    assert (summary.photos, summary.failures) == (25, 0)
    assert json.loads((road / "results.json").read_text())["info"]["format_version"] == "1.6"


def test_without_records_only_a_list_gives_a_package(tmp_path):
    world = adopted(tmp_path)
    with pytest.raises(PlaceError, match="the world holds no records of places at all"):
        species_at(world, SERENGETI)
    made = specialize(world, SpeciesList(("Panthera leo",)), tmp_path / "lion.homerange")
    assert made.table.labels == ("Panthera leo", "blank")
    assert not made.figures.rows[2].on_species.measured


def test_records_of_test_photos_are_no_records(tmp_path):
    (tmp_path / "records.csv").write_text(
        "species,lat,lon,split\nPanthera leo,-2.3,34.8,test\nEquus quagga,-2.3,34.8,train\n"
    )
    world = adopted(tmp_path, more={"occurrences": tmp_path / "records.csv"})
    assert [row.species for row in species_at(world, SERENGETI).species] == ["Equus quagga"]


def test_a_photo_that_cannot_be_read_is_told_and_the_rest_is_judged(tmp_path):
    place = {"latitude_deg": -2.33, "longitude_deg": 34.83, "split": "test", "licence": "CC0"}
    for name in ("good.jpg", "bad.jpg"):
        draw_photo(tmp_path / name, (190, 150, 80), seed=0)
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    rows = [place | {"image": n, "species": "Panthera leo"} for n in ("good.jpg", "bad.jpg")]
    manifest_of(rows, tmp_path).write(tmp_path / "manifest.parquet")
    foreign_model(tmp_path / "model.onnx")
    found = adopt(
        tmp_path / "model.onnx",
        write_labels(tmp_path / "labels.csv"),
        tmp_path / "world",
        pixels=Pixels.read("imagenet"),
        licence="MIT",
        photos=tmp_path / "manifest.parquet",
    )
    assert (found.photos, [bad.image for bad in found.unreadable]) == (1, ["bad.jpg"])


# Refusals


def refusal(folder, **changes):
    with pytest.raises(ModelError) as caught:
        adopted(folder, **changes)
    assert not (folder / "world/world.json").exists()
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"second_input": True},
            "model.onnx: has 2 inputs (photo, place); expected one, the photo",
        ),
        (
            {"names": NAMES[:3]},
            "model.onnx: has 5 class rows; there are 3 labels. Expected one label for each row, in "
            "their order",
        ),
        (
            {"computed": True},
            "model.onnx: the class rows of the node 'rows' (Gemm) are computed (rows.computed), "
            "not stored, so no row of them can be cut",
        ),
        (
            {"after": [helper.make_node("Sigmoid", ["rows"], ["moved"])]},
            "model.onnx: its output 'moved' comes from the node 'moved' (Sigmoid); expected a Gemm",
        ),
        (
            {"px": "side"},
            "model.onnx: its input 'photo' is open x open pixels and input_px is not set; expected "
            "one square. Say its side with --set input_px=224",
        ),
        (
            {"settings": ["input_px=9"]},
            "model.onnx: its input 'photo' is 8 x 8 pixels and input_px is 9; expected one square",
        ),
        (
            {"settings": ["layout=nhwc"]},
            "model.onnx: its input 'photo' has the shape [0, 3, 8, 8] (0: open); expected 3 ",
        ),
        (
            {"kind": TensorProto.INT64},
            "model.onnx: its input 'photo' takes INT64; expected one of float32, float16, float64,",
        ),
        (
            {"kind": TensorProto.UINT8},
            "model.onnx: its input 'photo' takes bytes, so nothing can be scaled before it; "
            "imagenet would. Choose --pixels bytes",
        ),
        (
            {"batch": 1},
            "model.onnx: cannot take 2 photos at once (",
        ),
    ],
)
def test_a_model_that_cannot_be_a_world_is_refused_in_one_line(tmp_path, changes, words):
    assert refusal(tmp_path, **changes).startswith(words)


def test_class_rows_that_are_not_all_that_makes_the_answer_are_refused(tmp_path):
    # A Cast to whole numbers stands among the nodes that keep numbers, and does not keep these.
    cast = [
        helper.make_node("Cast", ["rows"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["moved"], to=TensorProto.FLOAT),
    ]
    text = refusal(tmp_path, after=cast)
    assert text.startswith("model.onnx: its class rows were found at 'features', but give other ")
    assert text.endswith("export the model so that its output is the logits")


def edited(folder, change):
    """Write a model, change it, and try to adopt it."""
    foreign_model(folder / "model.onnx")
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    labels = write_labels(folder / "labels.csv")
    with pytest.raises(ModelError) as caught:
        adopt(
            folder / "model.onnx",
            labels,
            folder / "world",
            pixels=Pixels.read("imagenet"),
            licence="MIT",
        )
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_graph_with_a_branch_is_refused(tmp_path):
    def branch(model):
        value = helper.make_tensor_value_info("then", TensorProto.FLOAT, None)
        inner = helper.make_graph([helper.make_node("Relu", ["rows"], ["then"])], "b", [], [value])
        model.graph.node.append(
            helper.make_node(
                "If", ["yes"], ["chosen"], name="which", then_branch=inner, else_branch=inner
            )
        )

    assert edited(tmp_path, branch).startswith(
        "model.onnx: has a branch or a loop, the node 'which' (If); a world is one straight graph"
    )


def test_of_several_outputs_that_with_a_row_for_each_label_is_taken(tmp_path):
    foreign_model(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    model.graph.output.insert(0, helper.make_tensor_value_info("active", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "model.onnx")
    found = adopt(
        tmp_path / "model.onnx",
        write_labels(tmp_path / "labels.csv"),
        tmp_path / "world",
        pixels=Pixels.read("imagenet"),
        licence="MIT",
    )
    assert (len(found.labels), found.features) == (CLASSES, FEATURES)


def test_two_outputs_with_class_rows_are_refused(tmp_path):
    def twice(model):
        model.graph.node.append(helper.make_node("Softmax", ["rows"], ["shares"]))
        model.graph.output.append(helper.make_tensor_value_info("shares", TensorProto.FLOAT, None))

    assert edited(tmp_path, twice) == (
        "model.onnx: several outputs have 5 class rows: rows, shares. Export it with one"
    )


def test_an_old_opset_is_refused(tmp_path):
    def age(model):
        model.opset_import[0].version = 8

    assert edited(tmp_path, age) == (
        "model.onnx: has opset 8; expected 9 or later. Export it again"
    )


def test_missing_weights_beside_the_model_are_named(tmp_path):
    foreign_model(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    options = {"save_as_external_data": True, "location": "model.data", "size_threshold": 0}
    onnx.save(model, tmp_path / "model.onnx", **options)
    (tmp_path / "model.data").unlink()
    with pytest.raises(ModelError) as caught:
        adopt(
            tmp_path / "model.onnx",
            write_labels(tmp_path / "labels.csv"),
            tmp_path / "world",
            pixels=Pixels.read("imagenet"),
            licence="MIT",
        )
    text = str(caught.value)
    assert "its weights lie in another file that cannot be read (" in text
    assert text.endswith("Put it beside the model again, or save the model as one file")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "there is no such file; expected a classifier in ONNX"),
        (b"", "is no ONNX file, or an empty one; expected a classifier in ONNX"),
        (b"\x80\x04no model at all", "is no ONNX file ("),
    ],
)
def test_what_is_no_onnx_file_is_refused(tmp_path, data, words):
    if data is not None:
        (tmp_path / "model.onnx").write_bytes(data)
    labels = write_labels(tmp_path / "labels.csv")
    with pytest.raises(ModelError) as caught:
        adopt(
            tmp_path / "model.onnx",
            labels,
            tmp_path / "world",
            pixels=Pixels.read("imagenet"),
            licence="MIT",
        )
    assert str(caught.value).removeprefix(f"{tmp_path}/model.onnx: ").startswith(words)


def test_a_folder_with_a_world_is_left_alone(tmp_path):
    adopted(tmp_path)
    before = (tmp_path / "world/world.json").read_bytes()
    with pytest.raises(WorldError, match="holds a world already"):
        adopted(tmp_path, seed=1)
    assert (tmp_path / "world/world.json").read_bytes() == before


def test_photos_without_val_and_test_measure_nothing_and_are_refused(tmp_path):
    manifest = tiny_manifest(tmp_path, train=4, val=0, test=0)
    with pytest.raises(ManifestError, match="no labelled photo in splits val and test"):
        adopted(tmp_path, more={"photos": manifest})


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("scale=0", "scale is 0.0; it must be above 0"),
        ("mean=[0.5]", "mean is [0.5]; expected one number for each of three colours, for example"),
        ("std=[1, 0, 1]", "std is [1, 0, 1]; expected one number for each of three colours, above"),
        ("layout=chwn", "layout is 'chwn'; it must be one of graph, nchw, nhwc"),
        ("colour=bgr", "setting 'colour' is unknown; did you mean colours?"),
    ],
)
def test_a_setting_that_no_photo_could_be_prepared_with_is_refused(setting, words):
    with pytest.raises(ConfigError) as caught:
        Pixels.read("imagenet", [setting])
    assert str(caught.value).startswith(words)


def test_adopting_loads_no_torch(tmp_path):
    foreign_model(tmp_path / "model.onnx")
    write_labels(tmp_path / "labels.csv")
    manifest = tiny_manifest(tmp_path, train=1, val=2, test=2)
    code = """
import sys
from homerange.cli import main
main(sys.argv[1:], standalone_mode=False)
sys.exit("torch" in sys.modules)
"""
    words = ["adopt", "model.onnx", "--labels", "labels.csv", "--licence", "MIT", "-o", "world"]
    run_it = [sys.executable, "-c", code, *words, "--photos", str(manifest)]
    done = subprocess.run(run_it, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "4 photos judged" in done.stdout) == (0, True), done.stderr
