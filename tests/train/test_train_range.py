"""Range models: the loss by hand, what is learnt, what is kept aside, resume and refusals."""

import csv
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny_ranges import HOMES, occurrence_table, tiny_range_config
from tiny_training import manifest_of
from torch.nn import functional

from homerange.cli import main
from homerange.data.importers.occurrences import read_records
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.geo.cells import cell_centre, cell_ids, cell_level, cell_parent
from homerange.geo.coarse import coarse_cells
from homerange.model.checkpoint import WEIGHTS
from homerange.model.range import RangeNetwork, load_range
from homerange.train import range_loop
from homerange.train.range import blocks_kept_aside, divide, train_range
from homerange.train.range_config import RangeConfig
from homerange.train.range_loop import presence_loss, rank_of_true
from homerange.train.state import STATE

SPECIES = tuple(HOMES)
CONFIG = tiny_range_config()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return occurrence_table(tmp_path_factory.mktemp("records") / "records.csv")


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    return train_range(table, tmp_path_factory.mktemp("ranges") / "ranges", CONFIG)


# The loss


def test_the_loss_is_the_one_of_geo_prior_worked_out_by_hand():
    # One record of species 0 of two: logits 0 and log 3, so p = 1/2 and 3/4; elsewhere 1/2 twice.
    # At the record species 0 is there, -log(1/2), counted twice, and species 1 is not, -log(1/4):
    # the mean of 1.386294 and 1.386294. Elsewhere both are not: the mean of 0.693147 twice.
    logits_BC = torch.tensor([[0.0, math.log(3)]])
    found = presence_loss(logits_BC, torch.tensor([0]), torch.zeros(1, 2))
    assert found.item() == pytest.approx(1.386294 + 0.693147, abs=1e-6)


def test_the_loss_is_binary_cross_entropy_with_the_true_species_counted_once_for_each_species():
    generator = torch.Generator().manual_seed(0)
    logits_BC, elsewhere_BC = torch.randn(2, 7, 5, generator=generator)
    class_B = torch.tensor([0, 4, 4, 1, 2, 3, 0])
    target_BC = functional.one_hot(class_B, 5).float()
    weight_BC = 1 + 4 * target_BC
    expected = functional.binary_cross_entropy_with_logits(logits_BC, target_BC, weight=weight_BC)
    expected += functional.binary_cross_entropy_with_logits(elsewhere_BC, torch.zeros(7, 5))
    torch.testing.assert_close(presence_loss(logits_BC, class_B, elsewhere_BC), expected)


def test_the_rank_counts_ties_against_the_true_species():
    logits_NC = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    assert rank_of_true(logits_NC, torch.tensor([0, 1, 0])).tolist() == [1, 3, 2]


# What is learnt


def test_species_are_expected_where_they_were_recorded(table, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=60)
    network, facts = load_range(train_range(table, tmp_path / "ranges", config).folder)
    assert facts.species == SPECIES
    homes_N2 = np.array([HOMES[name] for name in SPECIES])
    feature_NF = torch.from_numpy(facts.encoder.space2vec.encode(homes_N2))
    with torch.no_grad():
        assert network(feature_NF).argmax(1).tolist() == [0, 1, 2]
    metrics = json.loads((tmp_path / "ranges" / "metrics.json").read_text())
    assert metrics["mean_reciprocal_rank"] > 0.8  # by chance 0.61


def test_nothing_finer_than_a_published_cell_is_learnt(table, trained, tmp_path):
    """Records moved anywhere inside their cells of level 8 give the same model to the bit."""
    records = read_records(table)
    cell_N = coarse_cells(records.latlon_N2, records.uncertainty_km_N)
    assert set(cell_level(cell_N).tolist()) == {8}
    lines = ["species,latitude,longitude"]
    places = cell_centre(cell_N).tolist()
    for name, (latitude, longitude) in zip(records.species_N, places, strict=True):
        lines.append(f"{name},{latitude!r},{longitude!r}")
    (tmp_path / "moved.csv").write_text("\n".join(lines))
    assert not np.allclose(read_records(tmp_path / "moved.csv").latlon_N2, records.latlon_N2)
    moved = train_range(tmp_path / "moved.csv", tmp_path / "ranges", CONFIG)
    ours, theirs = load_file(moved.folder / WEIGHTS), load_file(trained.folder / WEIGHTS)
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_records_stand_at_other_places_of_their_cells_in_every_epoch(table, tmp_path, monkeypatch):
    one_step, seen = range_loop._Run.one_step, []

    def note(self, latlon_B2, class_B):
        seen.append((latlon_B2, class_B))
        return one_step(self, latlon_B2, class_B)

    monkeypatch.setattr(range_loop._Run, "one_step", note)
    config = dataclasses.replace(CONFIG, epochs=2, batch_size=47, val_share=0.0, finest_level=5)
    _, train, _ = divide(read_records(table), config)
    train_range(table, tmp_path / "ranges", config)
    cells = {(int(cell), int(row)) for cell, row in zip(train.cell_N, train.class_N, strict=True)}
    for latlon_B2, class_B in seen:  # each with its own species
        assert set(zip(cell_ids(latlon_B2, 5).tolist(), class_B.tolist(), strict=True)) <= cells
    first, second = ({tuple(place) for place in latlon.tolist()} for latlon, _ in seen)
    assert first.isdisjoint(second)
    assert first.isdisjoint(tuple(place) for place in cell_centre(train.cell_N).tolist())


def test_another_seed_gives_another_model_and_the_same_one_the_same(table, trained, tmp_path):
    again = train_range(table, tmp_path / "again", CONFIG)
    other = train_range(table, tmp_path / "other", dataclasses.replace(CONFIG, seed=1))
    ours, same, theirs = (
        load_file(one.folder / WEIGHTS)["class_emb.weight"] for one in (trained, again, other)
    )
    assert torch.equal(ours, same)
    assert not torch.equal(ours, theirs)


def test_the_kept_weights_are_those_of_the_best_epoch_and_metrics_tell_of_them(table, trained):
    with (trained.folder / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    best = max(float(line["val_mean_reciprocal_rank"]) for line in lines)
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["mean_reciprocal_rank"] == pytest.approx(best, abs=1e-4)
    network, facts = load_range(trained.folder)
    _, _, val = divide(read_records(table), CONFIG)
    assert metrics["val_records"] == len(val) > 3
    feature_NF = torch.from_numpy(facts.encoder.space2vec.encode(cell_centre(val.cell_N)))
    with torch.no_grad():
        own_N = network(feature_NF).sigmoid().numpy()[np.arange(len(val)), val.class_N]
        ranks_N = (network(feature_NF).numpy().argsort(1)[:, ::-1] == val.class_N[:, None]).argmax(
            1
        )
    assert metrics["mean_reciprocal_rank"] == pytest.approx((1 / (ranks_N + 1)).mean())
    assert metrics["median_rank"] == np.median(ranks_N + 1)
    assert metrics["threshold"] == pytest.approx(np.quantile(own_N, 0.05))


# What is kept aside


def test_whole_blocks_are_kept_aside_and_the_share_is_one_of_blocks(table):
    records = read_records(occurrence_table(table.with_name("many.csv"), records=600))
    cell_N = coarse_cells(records.latlon_N2, records.uncertainty_km_N)
    config = tiny_range_config(val_share=0.25, val_block_level=3)
    kept_N = blocks_kept_aside(cell_N, config)
    block_N = cell_parent(cell_N, 3)
    inside, outside = set(block_N[kept_N].tolist()), set(block_N[~kept_N].tolist())
    assert inside.isdisjoint(outside)
    assert len(inside) == round(0.25 * len(inside | outside)) > 2
    other_N = blocks_kept_aside(cell_N, dataclasses.replace(config, seed=5))
    assert (kept_N != other_N).any()


def test_a_record_vaguer_than_a_block_is_never_kept_aside():
    cell_N = cell_ids(np.array([[10.0, 20.0], [-40.0, 100.0]]), 2)
    assert not blocks_kept_aside(cell_N, tiny_range_config(val_share=1.0)).any()


def test_splits_of_the_table_go_first_and_test_rows_are_not_looked_at(tmp_path):
    place = {"latitude_deg": -2.33, "longitude_deg": 34.83}
    names = [("Panthera leo", "train"), ("Equus quagga", "val"), ("Panthera leo", "val")]
    names += [("Procyon lotor", "test"), ("Panthera leo", "test")]
    rows = [place | {"species": name, "split": split, "licence": split} for name, split in names]
    manifest_of(rows, tmp_path).write(tmp_path / "m.parquet")
    species, train, val = divide(read_records(tmp_path / "m.parquet"), CONFIG)
    assert species == ("Panthera leo",)
    assert (len(train), len(val)) == (1, 1)  # the zebra is no species that can be answered
    trained = train_range(tmp_path / "m.parquet", tmp_path / "ranges", CONFIG)
    licences = load_range(trained.folder)[1].provenance["licences"]
    assert licences == {"train": 1, "val": 2}  # those of test rows bind nobody


def test_without_records_kept_aside_the_last_epoch_is_kept(table, tmp_path):
    config = dataclasses.replace(CONFIG, val_share=0.0)
    trained = train_range(table, tmp_path / "ranges", config)
    state = torch.load(trained.folder / STATE, weights_only=True)["learner"]
    assert all(torch.equal(state[n], t) for n, t in load_file(trained.folder / WEIGHTS).items())
    assert json.loads((trained.folder / "metrics.json").read_text()) == {}


# Resume


@pytest.mark.parametrize("stop_at", [2, 3, 6])
def test_a_stopped_training_goes_on_to_the_same_weights(
    table, trained, tmp_path, monkeypatch, stop_at
):
    one_step, steps = range_loop._Run.one_step, []

    def stopping(self, *arguments):
        steps.append(1)
        if len(steps) == stop_at:
            raise KeyboardInterrupt
        return one_step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(range_loop, "SAVE_EVERY_S", -1.0)
        patch.setattr(range_loop._Run, "one_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_range(table, tmp_path / "ranges", CONFIG)
    train_range(table, tmp_path / "ranges", CONFIG, resume=True)
    ours, theirs = load_file(tmp_path / "ranges" / WEIGHTS), load_file(trained.folder / WEIGHTS)
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    logs = [(folder / "log.csv").read_text().splitlines() for folder in (tmp_path / "ranges",
            trained.folder)]  # fmt: skip
    columns = [[line.split(",")[2:] for line in log] for log in logs]
    assert columns[0] == columns[1]  # the mean loss is that of the steps that were left


@pytest.mark.parametrize("after", [False, True])
def test_a_training_stopped_while_an_epoch_is_judged_judges_it_again(
    table, trained, tmp_path, monkeypatch, after
):
    judge, calls = range_loop._Run.judge, []

    def stopping(self):
        calls.append(1)
        if len(calls) == 2 and not after:
            raise KeyboardInterrupt
        metrics = judge(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return metrics

    with monkeypatch.context() as patch:
        patch.setattr(range_loop, "SAVE_EVERY_S", -1.0)
        patch.setattr(range_loop._Run, "judge", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_range(table, tmp_path / "ranges", CONFIG)
    # Two epochs of two steps are done; the last state to go on from is that of the third step.
    assert torch.load(tmp_path / "ranges" / STATE, weights_only=True)["state"]["step"] == 3
    train_range(table, tmp_path / "ranges", CONFIG, resume=True)
    ours, theirs = load_file(tmp_path / "ranges" / WEIGHTS), load_file(trained.folder / WEIGHTS)
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_another_table_or_recipe_is_not_resumed(table, trained, tmp_path):
    other = occurrence_table(tmp_path / "other.csv", seed=1)
    with pytest.raises(ConfigError, match=r"cannot resume: .*other.csv is not the table that"):
        train_range(other, trained.folder, CONFIG, resume=True)
    with pytest.raises(ConfigError, match="cannot resume: epochs was 3 and is 4"):
        train_range(table, trained.folder, dataclasses.replace(CONFIG, epochs=4), resume=True)
    with pytest.raises(CheckpointError, match="holds a checkpoint already"):
        train_range(table, trained.folder, CONFIG)


def test_the_verb_says_what_was_learnt_and_lists_the_rows_that_could_not_be_used(table, tmp_path):
    text = table.read_text() + "unknown,1,2\n"
    (tmp_path / "records.csv").write_text(text)
    (tmp_path / "mine.toml").write_text('name = "mine"\nepochs = 1\nscales = 4\nbatch_size = 32\n')
    words = ("train", "range", tmp_path / "records.csv", "-o", tmp_path / "ranges")
    more = ("--recipe", tmp_path / "mine.toml", "--set", "hidden=8")
    result = CliRunner().invoke(main, [str(word) for word in (*words, *more)])
    assert result.exit_code == 3
    assert re.fullmatch(r"\d+ records, 3 species: \S+/ranges\n", result.stdout)
    assert "1 rows refused; reasons in" in result.stderr
    report = (tmp_path / "ranges" / "refused-range.csv").read_text().splitlines()
    assert report == ["row,image,reason", "61,,no species"]
    assert load_range(tmp_path / "ranges")[1].recipe["hidden"] == 8


# What is refused


def test_a_table_of_test_rows_only_teaches_nothing(tmp_path):
    rows = [{"species": "Panthera leo", "latitude_deg": 1.0, "longitude_deg": 2.0, "split": "test"}]
    manifest_of(rows, tmp_path).write(tmp_path / "m.parquet")
    with pytest.raises(
        ManifestError, match="no record to learn from; all are of split val or test"
    ):
        train_range(tmp_path / "m.parquet", tmp_path / "ranges", CONFIG)
    assert not (tmp_path / "ranges").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encoding=rbf", "encoding is 'rbf'; it must be one of grid, theory, raw"),
        ("scales=1", "scales is 1; expected 2 or more"),
        ("activation=swish", "activation is 'swish'; it must be one of leakyrelu"),
        ("val_share=2", r"val_share is 2\.0; it must be between 0 and 1"),
        ("finest_level=31", "finest_level is 31; S2 levels are 0 to 30"),
        ("epochs=0", "epochs is 0; it must be above 0"),
        ("scale=3", "setting 'scale' is unknown; did you mean scales"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        RangeConfig.read("small-range", [text])


@pytest.mark.parametrize("recipe", ["torchspatial", "small-range"])
def test_shipped_recipes_load_under_their_own_name(recipe):
    found = RangeConfig.read(recipe)
    assert found.name == recipe
    assert found.finest_level == 8  # it can be published
    RangeNetwork(found.spec, 2)
