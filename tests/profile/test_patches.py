"""What the patches of a layer look like, against slow versions that take one patch at a time."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_encoder import SMALL, torchspatial_file
from tiny_training import CLASSES, tiny_manifest
from tiny_world import expert_checkpoint
from torch import nn

from homerange.data.answers import class_indices
from homerange.data.manifest import Manifest
from homerange.errors import ManifestError
from homerange.model.checkpoint import save_weights
from homerange.model.projections import project, save_projections
from homerange.model.range import RangeFacts, RangeNetwork
from homerange.profile.expert_sums import expert_layers
from homerange.profile.patches import TAU, layer_patches, place_affinity
from homerange.profile.place_views import views_of_encoder, views_of_photos
from homerange.profile.routing import on_the_map
from homerange.train.dataset import PlainPhotos

LAYER, EXPERTS = 3, 5
PLACES = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network, its photos, and for each photo its class, place and patches as the layer has them.

    Photos are seen at 64 pixels, where layer 3 has a map of 4 x 4 patches.
    """
    folder = tmp_path_factory.mktemp("made")
    manifest = Manifest.read(tiny_manifest(folder, train=10, val=5, test=0))
    config, network = expert_checkpoint(folder / "ex", layers=(1, LAYER), experts=EXPERTS)
    preprocessing = dataclasses.replace(config.preprocessing, input_px=64)
    config = dataclasses.replace(config, preprocessing=preprocessing)
    block = network.encoder.get_submodule("stages.3.1.transformer.1")
    seen = []
    handle = block.mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    plain = PlainPhotos(manifest, CLASSES, config.preprocessing)
    with torch.no_grad():
        for row in range(len(manifest)):
            network(plain.pixels(row)[None].float() / 255)
    handle.remove()
    classes = class_indices(manifest, CLASSES)
    photos = [
        SimpleNamespace(
            row=row, kind=classes[row], patches=patches_of(seen[row]), place=row % 3 % 2
        )
        for row in range(len(manifest))
    ]
    return SimpleNamespace(manifest=manifest, network=network, config=config, photos=photos)


def patches_of(x_1DPN):
    """Directions of the patches of one photo, in float64, by their row and column."""
    tokens_TD = x_1DPN.flatten(2)[0].T.double()
    side = math.isqrt(len(tokens_TD))
    at_HW = on_the_map(torch.arange(len(tokens_TD)).view(1, 4, -1), rows=side // 2)[0]
    unit_TD = (tokens_TD / tokens_TD.norm(dim=1, keepdim=True)).numpy()
    return {(y, x): unit_TD[at_HW[y, x]] for y in range(side) for x in range(side)}


def gate_rows(network):
    """Rows of the gate: what they score a patch decides where it goes."""
    gate = expert_layers(network)[LAYER].gate
    return (gate.up @ gate.down).detach().double().numpy()


def unit(vector):
    return vector / np.linalg.norm(vector)


def slow_places(photos, apart_from=None):
    """Mean direction of the patches of each place, without a class."""
    places = []
    for place in range(PLACES):
        own = [p for p in photos if p.place == place and p.kind != apart_from]
        means = [np.mean(list(p.patches.values()), axis=0) for p in own]
        places.append(unit(np.sum(means, axis=0)))
    return np.array(places)


@pytest.fixture(scope="module")
def views(made):
    train = made.manifest.where(np.arange(len(made.manifest)) < 10)
    place_N = np.array([photo.place for photo in made.photos[:10]])
    return views_of_photos(made.network, made.config, train, place_N, places=PLACES, layer=LAYER)


@pytest.fixture(scope="module")
def found(made, views):
    return layer_patches(made.network, made.config, made.manifest, layer=LAYER, views=views, keep=4)


def test_a_place_is_the_mean_patch_of_its_photos_without_those_of_the_class(made, views):
    train = made.photos[:10]
    np.testing.assert_allclose(views.mean_KD, slow_places(train), atol=1e-5)
    for kind in range(len(CLASSES)):
        expected = slow_places(train, apart_from=kind)
        np.testing.assert_allclose(views.of(torch.tensor([kind]))[0], expected, atol=1e-5)


def test_a_place_with_photos_of_one_class_only_is_none_for_that_class(made):
    zebras = [p.row for p in made.photos if p.kind == CLASSES.index("Equus quagga")]
    some = made.manifest.take(np.array([*zebras, 0]))
    place_N = np.array([1] * len(zebras) + [0])
    views = views_of_photos(made.network, made.config, some, place_N, places=2, layer=LAYER)
    of_zebras = views.of(torch.tensor([CLASSES.index("Equus quagga")]))[0]
    assert of_zebras.isnan().all(dim=1).tolist() == [False, True]
    assert not views.mean_KD.isnan().any()


def test_patches_are_counted_at_the_expert_that_the_gate_scores_highest(made, found):
    rows_ED = gate_rows(made.network)
    expected = np.zeros((len(CLASSES), EXPERTS), int)
    for photo in made.photos:
        for patch in photo.patches.values():
            expected[photo.kind, (rows_ED @ patch).argmax()] += 1
    np.testing.assert_array_equal(found.tokens_CE, expected)
    assert found.tokens_CE.sum() == 15 * 16
    # 15 photos: lion, zebra, raccoon, blank in turn; classes in alphabetical order, blank last.
    assert found.photos_C.tolist() == [4, 4, 4, 3]
    assert (found.layer, found.side) == (LAYER, 4)


def test_the_nearest_patches_are_those_of_largest_cosine_one_from_each_photo(made, found):
    rows_ED = gate_rows(made.network)
    for expert in range(EXPERTS):
        best = {}
        for photo in made.photos:
            for at, patch in photo.patches.items():
                if (rows_ED @ patch).argmax() == expert:
                    cosine = float(unit(rows_ED[expert]) @ patch)
                    best[photo.row] = max(best.get(photo.row, (-2, None)), (cosine, at))
        expected = sorted(((c, row, at) for row, (c, at) in best.items()), reverse=True)[:4]
        near = [(one.cosine, one.photo, (one.row, one.column)) for one in found.nearest[expert]]
        assert [one[1:] for one in near] == [one[1:] for one in expected]
        np.testing.assert_allclose([n[0] for n in near], [e[0] for e in expected], atol=1e-5)
    assert sum(map(len, found.nearest)) > EXPERTS


def test_patches_belong_to_places_by_a_sharp_softmax_of_their_cosines(made, found):
    for kind in range(len(CLASSES)):
        places = slow_places(made.photos[:10], apart_from=kind)
        shares = []
        for photo in made.photos:
            for patch in photo.patches.values() if photo.kind == kind else ():
                scores = places @ patch / 0.001
                shares.append(np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum())
        np.testing.assert_allclose(found.share_CK[kind], np.mean(shares, axis=0), atol=2e-3)
    centres = np.array([unit(row) for row in gate_rows(made.network)])
    np.testing.assert_allclose(
        found.cosine_EK, centres @ slow_places(made.photos[:10]).T, atol=1e-5
    )


def test_a_place_that_is_unknown_gets_nothing():
    # Cosines 1 and 0.999 to the known places: the second gets exp(-1) of the first.
    place_BKD = torch.tensor([[[1.0, 0.0], [0.999, 0.0], [torch.nan, torch.nan]]])
    share = place_affinity(torch.tensor([[[1.0, 0.0]]]), place_BKD)[0, 0].tolist()
    assert TAU == 0.001
    first = 1 / (1 + math.exp(-1))
    assert share == pytest.approx([first, 1 - first, 0], abs=1e-3)


@pytest.mark.parametrize("kind", ["a file of TorchSpatial", "a range model"])
def test_with_an_encoder_a_place_is_the_mean_projection_of_its_coordinates(kind, tmp_path):
    path = tmp_path / "encoder"
    if kind == "a range model":
        path.mkdir()
        network = RangeNetwork(SMALL, 2).eval()
        RangeFacts(encoder=SMALL, species=("a", "b"), finest_level=8).write(path)
        save_weights(network, path)
        encoder = network.spa_enc
    else:
        encoder = torchspatial_file(path)
    trained = nn.ModuleDict({"norm": nn.LayerNorm(6), "project": nn.ModuleList([nn.Linear(6, 9)])})
    save_projections(trained.state_dict(), tmp_path)
    latlon = [np.array([[-2.3, 34.8], [-1.0, 36.0]]), np.array([[41.9, -87.6]])]
    views = views_of_encoder(latlon, encoder=path, located=tmp_path, channels=9)
    for place, latlon_N2 in enumerate(latlon):
        each = project(trained.state_dict(), encoder.embed(latlon_N2), 9)
        np.testing.assert_allclose(
            views.mean_KD[place], unit(each.double().sum(0).numpy()), atol=1e-6
        )
    # The same for every class.
    assert torch.equal(views.of(torch.tensor([3, 0])), torch.stack([views.mean_KD] * 2))


def test_photos_of_which_none_can_be_read_are_an_error(made, views, tmp_path):
    nowhere = Manifest(made.manifest.table, tmp_path)
    with pytest.raises(ManifestError, match="none of 15 photos could be read"):
        layer_patches(made.network, made.config, nowhere, layer=LAYER, views=views, keep=1)
