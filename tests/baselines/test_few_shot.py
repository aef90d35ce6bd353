"""Few-shot specialisation: the cut head, the photos that count, and what a place may be."""

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import manifest_of

from homerange.baselines.few_shot import FewShotConfig, slice_head, train_few_shot
from homerange.baselines.systems import read_recipe
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError, ManifestError, PlaceError
from homerange.geo.place import Circle
from homerange.model.checkpoint import load_checkpoint
from homerange.model.network import build_network
from homerange.train import stage as stage_module

SERENGETI = ("Equus quagga", "Panthera leo", "blank")  # of the classes of the tiny photos


def config_of(small, **changes):
    settings = {"place": "-2.33,34.83", "epochs": 1} | changes
    return read_recipe("few-shot", [*small, *(f"{k}={v}" for k, v in settings.items())])


@pytest.mark.parametrize("head", ["plain", "bottleneck"])
def test_the_cut_network_gives_the_logits_of_the_rows_that_it_keeps(head):
    network = build_network(classes=5, head=head).eval()
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected_BK = network(x_B3HW)[:, [1, 4]]
        torch.testing.assert_close(slice_head(network, [1, 4]).eval()(x_B3HW), expected_BK)


def test_before_it_is_fine_tuned_it_is_the_dense_network_of_the_places_classes(
    manifest, dense, small, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        stage_module, "fit", lambda _f, learner, data, *_, **__: seen.append((learner, data)) or []
    )
    trained = train_few_shot(manifest, tmp_path / "c", config_of(small), from_checkpoint=dense)
    ((learner, data),) = seen
    full, facts = load_checkpoint(dense)
    rows = [facts.classes.index(name) for name in SERENGETI]
    x_B3HW = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(learner.network.eval()(x_B3HW), full(x_B3HW)[:, rows])
    assert trained.classes == SERENGETI
    # 12 photos in train, 6 in val: every fourth is of Chicago.
    assert set(data.train.manifest.strings("region_id")) == {"serengeti"}
    assert (len(data.train), len(data.val)) == (9, 5)


def test_photos_of_the_places_species_are_learnt_from_only_if_taken_there(
    manifest, dense, small, tmp_path, monkeypatch
):
    whole = Manifest.read(manifest)
    rows = whole.table.to_pylist()
    for row in rows:
        if row["observation_id"] in ("0", "13"):  # a lion of train, a zebra of val, in Chicago
            row |= {"latitude_deg": 41.9, "longitude_deg": -87.6}
    manifest_of(rows, whole.root).write(tmp_path / "m.parquet")
    seen = []
    monkeypatch.setattr(stage_module, "fit", lambda _f, __, d, *_, **___: seen.append(d) or [])
    train_few_shot(tmp_path / "m.parquet", tmp_path / "c", config_of(small), from_checkpoint=dense)
    assert "0" not in seen[0].train.manifest.strings("observation_id")
    assert len(seen[0].train) == 8
    assert "13" in seen[0].val.manifest.strings("observation_id")


def test_it_has_the_tensors_of_the_dense_network_with_as_many_class_rows_as_the_place(
    manifest, dense, small, tmp_path
):
    trained = train_few_shot(manifest, tmp_path / "c", config_of(small), from_checkpoint=dense)
    network, facts = load_checkpoint(trained.folder)  # an ordinary checkpoint
    assert facts.classes == SERENGETI
    before, after = (load_file(f / "weights.safetensors") for f in (dense, trained.folder))
    sizes = {name: tensor.shape for name, tensor in after.items()}
    expected = {name: tensor.shape for name, tensor in before.items()}
    expected |= {"head.classes.weight": (3, 256), "head.classes.bias": (3,)}
    assert sizes == expected
    assert sum(p.numel() for p in network.parameters()) == 1_113_593 + 3 * 257
    assert not torch.equal(after["encoder.stem.conv.weight"], before["encoder.stem.conv.weight"])


@pytest.mark.parametrize(
    ("place", "expected"),
    [("-2.33,34.83", Circle(-2.33, 34.83, 50.0)), ("2/1", "S2 cell 2/1 (4c)")],
)
def test_a_place_is_a_coordinate_or_a_cell(place, expected):
    area = FewShotConfig(place=place, radius_km=50.0).area
    assert expected in (area, area.describe())


def test_a_place_without_training_photos_and_a_missing_one_are_refused(
    manifest, dense, small, tmp_path
):
    def train(**changes):
        config = config_of(small, **changes)
        train_few_shot(manifest, tmp_path / "c", config, from_checkpoint=dense)

    with pytest.raises(PlaceError, match="none of 12 photos was taken here"):
        train(place="60.0,60.0")
    with pytest.raises(ConfigError, match="no place is named; use --set place=LAT,LON"):
        train(place="''")
    assert not (tmp_path / "c").exists()


def test_a_place_of_unknown_species_is_refused(manifest, dense, small, tmp_path):
    whole = Manifest.read(manifest)
    rows = [row | {"species": "Felis catus"} for row in whole.table.to_pylist()]
    manifest_of(rows, whole.root).write(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match="knows none of the species photographed here"):
        train_few_shot(
            tmp_path / "m.parquet", tmp_path / "c", config_of(small), from_checkpoint=dense
        )
