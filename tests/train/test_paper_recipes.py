"""The recipes of the paper's data sets: their first steps on small data in the true formats."""

import json

import pytest
from tiny_encoder import torchspatial_file
from tiny_training import draw_photo

from homerange.data.importers.inat_geo import import_inat_geo
from homerange.data.importers.inaturalist import import_inaturalist
from homerange.data.importers.wilds import import_wilds
from homerange.data.regions import photos_of
from homerange.errors import ConfigError
from homerange.model.checkpoint import load_checkpoint
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.expert_config import ExpertConfig
from homerange.train.experts import train_experts
from homerange.train.location import train_location
from homerange.train.location_config import LocationConfig
from homerange.train.recipe import RECIPES

NAMES = ("Panthera leo", "Danaus plexippus", "Equus quagga")
COLOURS = ((190, 150, 80), (60, 80, 90), (120, 120, 125))
SMALL = ["start=none", "epochs=1", "input_px=64", "batch_size=4", "workers=0"]
"""What a test changes: weights from the network, and sizes. All else is the recipe's."""


def inaturalist_file(folder, split, numbers):
    """Write annotations, places and photos of iNaturalist 2017; photo n shows category n % 3."""
    images = [{"id": n, "file_name": f"photos/{n:06x}.jpg"} for n in numbers]
    for image in images:
        n = image["id"]
        draw_photo(folder / image["file_name"], COLOURS[n % 3], seed=n)
    (folder / f"{split}2017.json").write_text(
        json.dumps(
            {
                "images": images,
                "annotations": [{"id": n, "image_id": n, "category_id": n % 3} for n in numbers],
                "categories": [
                    {"id": i, "name": name, "supercategory": "Animalia"}
                    for i, name in enumerate(NAMES)
                ],
            }
        )
    )
    places = [{"id": n, "lat": 50.0 + n / 10, "lon": 8.0 - 16 * (n % 2)} for n in numbers]
    (folder / f"{split}2017_locations.json").write_text(json.dumps(places))
    return folder / f"{split}2017.json"


def inat2017(folder):
    train, val = inaturalist_file(folder, "train", range(18)), range(18, 24)
    return import_inaturalist([train, inaturalist_file(folder, "val", val)]).manifest


def inat_geo_10k(folder):
    annotations = [inaturalist_file(folder, "train", range(28))]
    lines = [f"{('2/0', '2/1')[n % 2]},{n},{n % 3},{n % 3}" for n in range(24)]
    (folder / "geo.csv").write_text("\n".join(["user_id,image_id,class,label", *lines]) + "\n")
    tests = [f"{n},{n % 3},{n % 3}" for n in range(24, 28)]
    (folder / "test.csv").write_text("\n".join(["image_id,class,label", *tests]) + "\n")
    found = import_inat_geo(
        folder / "geo.csv", annotations=annotations, test=folder / "test.csv"
    ).manifest
    return photos_of(found, "iNat-Geo-10K-6")


def wilds_iwildcam(folder):
    lines = [",split,location,seq_id,y,datetime,filename"]
    for n, split in enumerate(["train"] * 12 + ["val", "id_val", "test", "id_test"]):
        draw_photo(folder / "train" / f"{n}.jpg", COLOURS[n % 3], seed=n)
        time = f"2013-09-{n + 1:02} 16:35:59.000"
        lines.append(f"{n},{split},{26 + n % 2},s{n},{n % 3},{time},{n}.jpg")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    names = [f"{i},{i},{name.lower()}" for i, name in enumerate(NAMES)]
    (folder / "categories.csv").write_text("\n".join(["y,category_id,name", *names]) + "\n")
    places = {"26": {"latitude": 0.41, "longitude": 36.9}}  # that of 27 was withheld
    (folder / "gps.json").write_text(json.dumps(places))
    return import_wilds(folder, gps=folder / "gps.json").manifest


DATA_SETS = {f.__name__: f for f in (inat2017, inat_geo_10k, wilds_iwildcam)}


@pytest.mark.parametrize("name", DATA_SETS)
def test_each_stage_takes_its_first_steps(name, tmp_path):
    DATA_SETS[name](tmp_path).write(tmp_path / "manifest.parquet")
    manifest = tmp_path / "manifest.parquet"
    torchspatial_file(tmp_path / "encoder.pth.tar")
    dense = train_dense(manifest, tmp_path / "dense", TrainConfig.read(name, SMALL)).folder
    places = train_location(
        manifest,
        tmp_path / "location",
        LocationConfig.read(name, SMALL),
        from_checkpoint=dense,
        encoder=tmp_path / "encoder.pth.tar",
    ).folder
    few = ["tokens_max=200", "distill_steps=2", "refine_steps=2"]
    experts = train_experts(
        manifest,
        tmp_path / "experts",
        ExpertConfig.read(name, [*SMALL, *few]),
        from_checkpoint=places,
    ).folder
    network, facts = load_checkpoint(experts)
    assert facts.classes == tuple(sorted(NAMES))
    assert facts.recipe["name"] == name
    assert (facts.experts.layers, facts.experts.experts, facts.experts.hidden) == (
        (1, 3, 5, 7),
        64,
        2,
    )
    assert network.head.neck[0].out_features == 1024  # the paper's bottleneck


@pytest.mark.parametrize("name", DATA_SETS)
@pytest.mark.parametrize(
    ("config", "paper"),
    [(TrainConfig, "paper"), (LocationConfig, "paper-location"), (ExpertConfig, "paper-experts")],
)
def test_they_are_the_papers_recipes_but_for_the_clusters(name, config, paper):
    found, expected = config.read(name), config.read(paper)
    differs = {key for key in vars(expected) if getattr(found, key) != getattr(expected, key)} - {
        "name"
    }
    if config is ExpertConfig:
        # Section 3.3: 100 passes and ten photos of a class for iWildCam only, 5 for iNaturalist.
        wilds = name == "wilds_iwildcam"
        assert differs == ({"refine_steps"} if wilds else {"photos_per_class_min"})
        assert (found.refine_steps, found.photos_per_class_min) == ((100, 10) if wilds else (5, 0))
    else:
        assert differs == set()


def test_a_recipe_may_be_like_a_shipped_one_only(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('like = "small-data"\nepochs = 3\n')
    found = TrainConfig.read(mine)
    assert (found.epochs, found.head_learning_rate) == (3, 3e-3)
    for like in ('"mine"', '"other.toml"', "3"):
        mine.write_text(f"like = {like}\n")
        with pytest.raises(ConfigError, match="expected the name of another shipped recipe"):
            TrainConfig.read(mine)
    mine.write_text('like = "papper"\n')
    with pytest.raises(ConfigError, match="recipe 'papper' is unknown; shipped are"):
        TrainConfig.read(mine)


def test_every_data_set_has_a_recipe_in_every_stage():
    for folder in (RECIPES, RECIPES / "location", RECIPES / "experts"):
        assert set(DATA_SETS) <= {path.stem for path in folder.glob("*.toml")}
