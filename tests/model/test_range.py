"""The range model: TorchSpatial's names, and a folder that is read whole or refused."""

import dataclasses
import json

import pytest
import torch

from homerange.errors import CheckpointError
from homerange.geo.space2vec import Space2Vec
from homerange.model.checkpoint import save_weights
from homerange.model.location import LocationSpec
from homerange.model.range import RangeFacts, RangeNetwork, load_range

SPEC = LocationSpec(space2vec=Space2Vec(encoding="theory", scales=3), hidden=5, features=4)
FACTS = RangeFacts(
    encoder=SPEC,
    species=("Equus quagga", "Panthera leo"),
    finest_level=8,
    recipe={"name": "tiny"},
    provenance={"records_sha256": "0"},
)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    FACTS.write(tmp_path)
    save_weights(RangeNetwork(SPEC, 2), tmp_path)
    return tmp_path


def test_its_tensors_have_the_names_of_torchspatial():
    shapes = {name: tuple(t.shape) for name, t in RangeNetwork(SPEC, 2).state_dict().items()}
    assert shapes == {
        "spa_enc.ffn.layers.0.linear.weight": (5, 18),
        "spa_enc.ffn.layers.0.linear.bias": (5,),
        "spa_enc.ffn.layers.0.layernorm.weight": (5,),
        "spa_enc.ffn.layers.0.layernorm.bias": (5,),
        "spa_enc.ffn.layers.1.linear.weight": (4, 5),
        "spa_enc.ffn.layers.1.linear.bias": (4,),
        "class_emb.weight": (2, 4),
    }


def test_a_logit_is_the_product_of_the_place_and_the_row_of_the_species():
    torch.manual_seed(0)
    network = RangeNetwork(SPEC, 2).eval()
    feature_BF = torch.randn(3, 18)
    expected = network.spa_enc(feature_BF) @ network.class_emb.weight.T
    torch.testing.assert_close(network(feature_BF), expected)


def test_a_range_model_is_read_as_it_was_written(folder):
    network, facts = load_range(folder)
    assert facts == FACTS
    assert not network.training
    torch.manual_seed(0)
    expected = RangeNetwork(SPEC, 2).state_dict()
    assert all(torch.equal(tensor, expected[n]) for n, tensor in network.state_dict().items())


def change(folder, **changes):
    path = folder / "config.json"
    found = {k: v for k, v in (json.loads(path.read_text()) | changes).items() if v is not None}
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": "homerange-checkpoint"},
            "is no range model. Make one with: homerange train ra",
        ),
        ({"version": 9}, "range model of version 9, this homerange reads version 1"),
        ({"species": None}, "lacks keys or has unknown ones .*'species'"),
        ({"months": 12}, "lacks keys or has unknown ones .*'months'"),
        ({"species": ["Panthera leo"]}, "1 tensors do not belong to a range model of 1 species"),
    ],
)
def test_a_range_model_that_does_not_fit_is_refused(folder, changes, message):
    change(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_range(folder)


def test_a_folder_without_one_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"is no range model .*homerange train range"):
        load_range(tmp_path)
    FACTS.write(tmp_path)
    with pytest.raises(CheckpointError, match=r"no weights\.safetensors yet. Let the training fin"):
        load_range(tmp_path)


def test_frequencies_that_were_drawn_come_back(tmp_path):
    space2vec = Space2Vec(frequencies="random", scales=3, seed=7)
    facts = dataclasses.replace(FACTS, encoder=dataclasses.replace(SPEC, space2vec=space2vec))
    facts.write(tmp_path)
    save_weights(RangeNetwork(facts.encoder, 2), tmp_path)
    found = load_range(tmp_path)[1].encoder.space2vec
    assert found.frequency_S.tolist() == space2vec.frequency_S.tolist()
