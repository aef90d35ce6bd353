"""The session: the model of a package answers, and only the model that place.json describes."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from homerange.errors import PackageError, RunError
from homerange.run.session import Session, _softmax
from homerange.world.place_package import read_package


def some_photos(count, px=16):
    return np.random.default_rng(3).integers(0, 256, (count, px, px, 3), dtype=np.uint8)


def test_probabilities_worked_out_by_hand(make_package, make_model, tmp_path):
    # Every pixel is (137, 127, 127): centred by 127 the mean colour is (10, 0, 0).
    # The red row of the weights is (0, ln(3)/10), so the logits are (0, ln 3),
    # exp gives (1, 3), and the shares are 1/4 and 3/4.
    weight_32 = [[0, np.log(3) / 10], [1, -1], [5, 5]]
    labels = ("Vulpes vulpes", "blank")
    path = make_package(
        tmp_path / "two.homerange", labels=labels, model=make_model(labels, weight_3C=weight_32)
    )
    rgb_1HW3 = np.full((1, 16, 16, 3), (137, 127, 127), np.uint8)
    got = Session.open(path).probabilities(rgb_1HW3)
    np.testing.assert_allclose(got, [[0.25, 0.75]], atol=1e-6)
    assert got.dtype == np.float32


def test_the_number_of_threads_and_the_batch_do_not_change_the_answer(package):
    rgb_BHW3 = some_photos(9)
    whole = Session.open(read_package(package), threads=1).probabilities(rgb_BHW3)
    session = Session.open(package, threads=2)
    single = np.concatenate([session.probabilities(rgb_BHW3[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(whole, single, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)


@given(arrays(np.float32, (4, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_softmax_of_any_finite_logits_is_a_distribution_in_the_same_order(logits_BC):
    share_BC = _softmax(logits_BC)
    np.testing.assert_allclose(share_BC.sum(axis=1), 1, atol=1e-6)
    best = np.take_along_axis(share_BC, logits_BC.argmax(axis=1)[:, None], axis=1)
    assert (best[:, 0] == share_BC.max(axis=1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_spoil_their_own_photo_only(bad):
    share_BC = _softmax(np.array([[0, 0], [bad, 0]], np.float32))
    assert share_BC[0].tolist() == [0.5, 0.5]
    assert np.isnan(share_BC[1]).all()


def test_a_model_that_cannot_be_loaded_is_refused(make_package, tmp_path):
    path = make_package(tmp_path / "a.homerange", model=b"no model")
    with pytest.raises(PackageError, match=r"a.homerange: the runtime .* cannot load model.onnx: "):
        Session.open(path)


def test_nothing_is_logged_for_a_model_that_cannot_be_loaded(make_package, tmp_path, capfd):
    path = make_package(tmp_path / "a.homerange", model=b"no model")
    with pytest.raises(PackageError):
        Session.open(path)
    assert capfd.readouterr() == ("", "")


def refusal(path):
    with pytest.raises(PackageError) as caught:
        Session.open(path)
    assert "Make the package again with: homerange get" in str(caught.value)
    return str(caught.value)


def test_another_number_of_classes_is_refused(make_package, make_model, tmp_path):
    path = make_package(tmp_path / "a.homerange", model=make_model(("a", "b")))
    assert "the output of model.onnx is logits tensor(float) ['batch', 2]; place.json says " in (
        refusal(path)
    )


def test_another_input_size_is_refused(make_package, make_model, tmp_path):
    path = make_package(tmp_path / "a.homerange", model=make_model(input_px=32))
    message = refusal(path)
    assert "the input of model.onnx is image tensor(uint8) ['batch', 32, 32, 3]; " in message
    assert "place.json says image tensor(uint8) ['batch', 16, 16, 3]" in message


def test_other_names_are_refused(make_package, tmp_path):
    path = make_package(tmp_path / "a.homerange", graph={"input": "photo", "output": "logits"})
    assert "place.json says photo tensor(uint8)" in refusal(path)
    path = make_package(tmp_path / "a.homerange", graph={"input": "image", "output": "answer"})
    assert "place.json says answer tensor(float)" in refusal(path)


def test_a_model_for_one_photo_at_a_time_is_refused(make_package, make_model, tmp_path):
    path = make_package(tmp_path / "a.homerange", model=make_model(batch=1))
    assert "image tensor(uint8) [1, 16, 16, 3]" in refusal(path)


def test_a_batch_that_the_model_cannot_compute_is_an_error_of_ours_and_not_logged(
    make_package, make_model, tmp_path, capfd
):
    # 16 x 16 x 3 x 2 = 1,536 values cannot be cut into rows of 7; those of 7 photos can.
    model = onnx.load_from_string(make_model())
    graph = model.graph
    graph.node[-1].output[0] = "raw"
    graph.node.extend(
        [
            onnx.helper.make_node("Reshape", ["float", "rows"], ["sevens"]),
            onnx.helper.make_node("ReduceMax", ["sevens"], ["max"], keepdims=0),
            onnx.helper.make_node("Max", ["raw", "max"], ["logits"]),
        ]
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 7]), "rows"))
    path = make_package(tmp_path / "a.homerange", model=model.SerializeToString())
    session = Session.open(path)
    assert session.probabilities(some_photos(7)).shape == (7, 6)
    with pytest.raises(RunError) as caught:
        session.probabilities(some_photos(2))
    assert "stopped on a batch of shape (2, 16, 16, 3): " in str(caught.value)
    assert "With too little memory a smaller batch helps" in str(caught.value)
    assert capfd.readouterr() == ("", "")
