"""Federated averaging: S2 cells as clients, means by photos, one client as ordinary training."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_training import tiny_manifest

from homerange.baselines import ptfl
from homerange.baselines.clients import clients_of
from homerange.baselines.ptfl import PtflConfig, fedavg, train_ptfl
from homerange.baselines.systems import read_recipe
from homerange.data.answers import Unreadable
from homerange.errors import ConfigError, ManifestError
from homerange.geo.cells import parse_cell
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.state import STATE


def config_of(small, **changes):
    settings = {"rounds": 1, "epochs": 1, "client_photos_max": 9} | changes
    return read_recipe("ptfl", [*small, *(f"{k}={v}" for k, v in settings.items())])


def weights(folder):
    return load_file(folder / "weights.safetensors")


# Clients


def test_a_cell_with_too_many_photos_is_split_in_four_and_no_other():
    boston, nairobi, delhi = (42.36, -71.06), (-1.29, 36.8), (28.6, 77.2)
    latlon_N2 = np.array([boston, nairobi, delhi, nairobi, boston, (-33.87, 151.2)])
    assert {name: rows.tolist() for name, rows in clients_of(latlon_N2, photos_max=2).items()} == {
        "0/": [1, 3], "1/": [2], "3/": [5], "4/": [0, 4],
    }  # fmt: skip
    lima, sao_paulo = (-12.05, -77.04), (-23.5, -46.6)  # 4/202 and 4/221: apart at level 2
    found = clients_of(np.array([lima, sao_paulo, nairobi]), photos_max=1)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "0/": [2], "4/20": [0], "4/22": [1],
    }  # fmt: skip


def test_photos_at_one_point_stay_together_and_those_without_a_place_are_one_client():
    latlon_N2 = np.array([[1.0, 1.0]] * 3 + [[np.nan, np.nan]] * 2)
    found = clients_of(latlon_N2, photos_max=1)
    assert sorted(rows.tolist() for rows in found.values()) == [[0, 1, 2], [3, 4]]
    assert found["nowhere"].tolist() == [3, 4]


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=40), st.integers(1, 5)
)
def test_every_photo_has_one_client_and_no_cell_holds_another(places, photos_max):
    clients = clients_of(np.array(places).reshape(-1, 2), photos_max=photos_max)
    rows = np.concatenate([np.empty(0, int), *clients.values()])
    assert sorted(rows) == list(range(len(places)))
    paths = [parse_cell(name) for name in clients]
    assert len(set(paths)) == len(paths)
    for one in clients:
        assert not any(
            other != one and other.startswith(one) for other in clients if one[-1] != "/"
        )


# Averaging


@pytest.mark.parametrize("epochs", [1, 2])
def test_one_client_and_one_round_are_ordinary_training(small, tmp_path, epochs):
    manifest = tiny_manifest(tmp_path, val=2, latitude_deg=-2.33, longitude_deg=34.83)  # one cell
    config = config_of(small, client_photos_max=1000, epochs=epochs)
    alike = {field.name: getattr(config, field.name) for field in dataclasses.fields(TrainConfig)}
    federated = train_ptfl(manifest, tmp_path / "f", config).folder
    dense = train_dense(manifest, tmp_path / "d", TrainConfig(**alike)).folder
    ours, theirs = (torch.load(f / STATE, weights_only=True) for f in (federated, dense))
    for name, tensor in theirs["learner"].items():
        assert torch.equal(ours["learner"][name], tensor), name
    if epochs == 1:  # else the dense training may have kept the weights of its first epoch
        assert all(torch.equal(weights(federated)[n], t) for n, t in weights(dense).items())


def fake_fit(monkeypatch, move, *, seen=None, unreadable=None):
    """Let each client move every weight by a number of its own instead of training."""

    def fit(fabric, learner, data, folder, *, resume):
        images = data.train.manifest.strings("image")
        if seen is not None:
            seen.append(
                (learner.config.seed, images, next(learner.parameters()).flatten()[0].item())
            )
        with torch.no_grad():
            for tensor in learner.state_dict().values():
                tensor += move(images)
        bad = [i for i, image in enumerate(images) if image in (unreadable or ())]
        return [Unreadable(i, images[i], "damaged") for i in bad]

    monkeypatch.setattr(ptfl, "fit", fit)


def test_the_mean_is_weighted_by_photos(small, manifest, tmp_path, monkeypatch):
    # 9 photos are of Serengeti and move the weights by 4, 3 of Chicago and move them by 8:
    # (9 * 4 + 3 * 8) / 12 = 5. The second round starts from there: 10 in all.
    seen = []
    fake_fit(monkeypatch, lambda images: 4 if len(images) == 9 else 8, seen=seen)
    folder = train_ptfl(manifest, tmp_path / "c", config_of(small, rounds=2)).folder
    assert json.loads((folder / "clients.json").read_text()) == {"0/": 9, "4/": 3}
    first = [value for _, _, value in seen]
    assert first[0] == first[1]  # both clients start from the shared weights
    assert first[2] == first[3] == pytest.approx(first[0] + 5, abs=1e-5)
    state = torch.load(folder / STATE, weights_only=True)["learner"]
    assert next(iter(state.values())).flatten()[0].item() == pytest.approx(first[0] + 10, abs=1e-5)
    counters = [t for n, t in state.items() if n.endswith("num_batches_tracked")]
    assert all((t.dtype, t.item()) == (torch.int64, 10) for t in counters)


def test_rounds_draw_other_photos_and_clients_of_a_round_the_same_stream(
    small, manifest, tmp_path, monkeypatch
):
    seen = []
    fake_fit(monkeypatch, lambda _: 0, seen=seen)
    train_ptfl(manifest, tmp_path / "c", config_of(small, rounds=2, seed=7))
    assert [seed for seed, _, _ in seen] == [7, 7, 1007, 1007]


def test_photos_that_cannot_be_read_do_not_weigh(small, manifest, tmp_path, monkeypatch):
    # 6 of the 9 photos of Serengeti are damaged: (3 * 4 + 3 * 8) / 6 = 6.
    bad = [f"{i}.jpg" for i in range(12) if i % 4 != 2][:6]
    seen = []
    fake_fit(monkeypatch, lambda i: 4 if len(i) == 9 else 8, seen=seen, unreadable=bad)
    trained = train_ptfl(manifest, tmp_path / "c", config_of(small))
    state = torch.load(trained.folder / STATE, weights_only=True)["learner"]
    assert next(iter(state.values())).flatten()[0].item() == pytest.approx(seen[0][2] + 6, abs=1e-5)
    assert [one.image for one in trained.unreadable] == sorted(bad)


def test_a_client_without_a_readable_photo_takes_no_part_and_is_reported(small, tmp_path):
    path = tiny_manifest(tmp_path, train=8, val=4, test=0)
    raccoons = ["2.jpg", "6.jpg"]  # all photos of Chicago that are learnt from
    for image in (*raccoons, "9.jpg"):  # and one of val
        (tmp_path / "photos" / image).write_bytes(b"no photo")
    config = config_of(small, client_photos_max=7, batch_size=2)
    trained = train_ptfl(path, tmp_path / "c", config)
    found = [(one.photo, one.image) for one in trained.unreadable]
    assert found == [(2, "2.jpg"), (6, "6.jpg"), (1, "9.jpg")]
    for image in (tmp_path / "photos").glob("*.jpg"):
        image.write_bytes(b"no photo")
    with pytest.raises(ManifestError, match="none of 8 photos could be read"):
        train_ptfl(path, tmp_path / "d", config)


# Rounds


def test_the_round_that_does_best_on_validation_photos_is_kept(
    small, manifest, tmp_path, monkeypatch
):
    fake_fit(monkeypatch, lambda _: 1)
    judged, scores = [], iter([0.2, 0.9, 0.5])

    def judge(learner, *_):
        judged.append({n: t.clone() for n, t in learner.network.state_dict().items()})
        return next(scores), []

    monkeypatch.setattr(ptfl, "_judge", judge)
    folder = train_ptfl(manifest, tmp_path / "c", config_of(small, rounds=3)).folder
    assert all(torch.equal(judged[1][n], t) for n, t in weights(folder).items())
    assert not torch.equal(judged[2]["head.classes.bias"], judged[1]["head.classes.bias"])


def test_the_score_of_a_round_is_the_top1_that_evaluate_finds(small, manifest, tmp_path):
    from homerange.train.evaluate import evaluate

    folder = train_ptfl(manifest, tmp_path / "c", config_of(small)).folder
    saved = torch.load(folder / STATE, weights_only=True)["state"]["best_score"]
    assert saved == pytest.approx(evaluate(folder, manifest, split="val").overall.top1)


def test_an_interrupted_training_goes_on_with_the_round_that_was_under_way(
    small, manifest, tmp_path, monkeypatch
):
    config = config_of(small, rounds=3)
    fake_fit(monkeypatch, len)
    by_weight = lambda learner, *_: (next(learner.parameters()).sum().item(), [])  # noqa: E731
    monkeypatch.setattr(ptfl, "_judge", by_weight)
    whole = train_ptfl(manifest, tmp_path / "whole", config).folder
    calls, original = [], ptfl.fit

    def stopping(*given, **how):
        calls.append(given)
        original(*given, **how)
        if len(calls) == 4:  # the second client of the second round
            raise KeyboardInterrupt
        return []

    with monkeypatch.context() as patch:
        patch.setattr(ptfl, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_ptfl(manifest, tmp_path / "parts", config)
    parts = train_ptfl(manifest, tmp_path / "parts", config, resume=True).folder
    assert all(torch.equal(weights(parts)[n], t) for n, t in weights(whole).items())
    states = [torch.load(f / STATE, weights_only=True) for f in (parts, whole)]
    assert states[0]["state"] == states[1]["state"]
    assert states[0]["state"]["step"] == 3
    assert all(torch.equal(states[0]["learner"][n], t) for n, t in states[1]["learner"].items())


# What is refused


def test_without_validation_photos_the_last_round_is_kept(small, tmp_path, monkeypatch):
    path = tiny_manifest(tmp_path, train=4, val=0, test=0)
    fake_fit(monkeypatch, lambda _: 1)
    folder = train_ptfl(path, tmp_path / "c", config_of(small, rounds=2)).folder
    state = torch.load(folder / STATE, weights_only=True)["learner"]
    assert torch.equal(weights(folder)["head.classes.bias"], state["network.head.classes.bias"])


def test_several_processes_are_refused(small):
    fabric = SimpleNamespace(world_size=2)
    with pytest.raises(ConfigError, match="one client after another; start it in one process"):
        fedavg(fabric, SimpleNamespace(config=config_of(small)), None, None, resume=False)


@pytest.mark.parametrize("name", ["rounds", "client_photos_max"])
def test_numbers_that_cannot_work_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} is 0; it must be above 0"):
        PtflConfig(**{name: 0})
