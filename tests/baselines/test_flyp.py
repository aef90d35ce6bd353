"""FLYP: its loss by hand and by open_clip, class rows by a slow mean, and what is trained."""

import math
import sys

import pytest
import torch
from tiny_training import manifest_of
from torch.nn import functional

from homerange.baselines.clip import TEMPLATES, build_clip
from homerange.baselines.flyp import (
    FlypConfig,
    FlypLearner,
    captions,
    contrastive_loss,
    train_flyp,
)
from homerange.baselines.systems import network_of, read_recipe
from homerange.errors import CheckpointError, ConfigError, ExtraNotInstalled
from homerange.model.checkpoint import load_checkpoint
from homerange.train.augment import seeded
from homerange.train.losses import draw_mix

NO_MIX = draw_mix(3, alpha=0, seed=(0,))


@pytest.fixture
def network(tiny_clip):
    """Three classes with different captions, random weights."""
    torch.manual_seed(0)
    network = build_clip(tiny_clip, 3, input_px=32).eval()
    network.token_CKL.copy_(torch.randint(1, 400, network.token_CKL.shape))
    network.token_CKL[..., -1] = 49407  # the end of a text, whose features CLIP takes
    return network


@pytest.fixture
def learner(network):
    return FlypLearner(
        network, FlypConfig(mixup=0, label_smoothing=0, head_dropout=0), teacher_size=0
    )


def photos():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))


# The loss


def test_the_loss_by_hand():
    # Cosines of photos (rows) and captions (columns): 1, 0.6; 0, 0.8. Times the scale of 5: 5, 3;
    # 0, 4. Which caption: ln(1 + e^-2) = 0.126928, ln(1 + e^-4) = 0.018150. Which photo: the
    # columns, ln(1 + e^-5) = 0.006715, ln(1 + e^-1) = 0.313262. Means 0.072539 and 0.159989.
    image_BD = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    text_BD = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = contrastive_loss(image_BD, text_BD, torch.tensor(5.0)).item()
    assert found == pytest.approx((0.072539 + 0.159989) / 2, abs=1e-6)


def test_the_loss_is_that_of_open_clip():
    open_clip = pytest.importorskip("open_clip", reason="the extra baselines is not installed")
    generator = torch.Generator().manual_seed(0)
    image_BD, text_BD = (functional.normalize(torch.randn(7, 5, generator=generator)) for _ in "ab")
    scale = torch.tensor(14.3)
    expected = open_clip.ClipLoss()(image_BD, text_BD, scale)
    torch.testing.assert_close(contrastive_loss(image_BD, text_BD, scale), expected)


def test_in_evaluation_each_photo_has_the_first_caption_of_its_class(learner):
    class_B, network = torch.tensor([2, -1, 0]), learner.network
    learner.eval()
    with torch.no_grad():
        loss, _ = learner(photos(), class_B, None, NO_MIX)
        image_BD = network.encoder(photos()[[0, 2]])
        text_BD = network.directions(network.token_CKL[[2, 0], 0])
        expected = contrastive_loss(image_BD, text_BD, torch.tensor(1 / 0.07))
    torch.testing.assert_close(loss, expected)


def test_in_training_captions_are_drawn_from_the_stream_of_the_step(learner):
    class_B = torch.tensor([2, 1, 0])

    def loss(*numbers):
        with seeded(*numbers), torch.no_grad():
            return learner.train()(photos(), class_B, None, NO_MIX)[0].item()

    assert loss(1, 2) == loss(1, 2)
    assert len({loss(1, i) for i in range(60)}) == 2**3  # two captions for each of three photos


def test_photos_of_unknown_species_have_no_loss(learner):
    loss, logits_BC = learner(photos(), torch.full((3,), -1), None, NO_MIX)
    assert loss.item() == 0
    assert logits_BC.shape == (3, 3)


# The class rows


def test_a_class_row_is_the_mean_direction_of_its_captions_times_the_scale(learner):
    network = learner.network
    learner.train().eval()  # on the way to evaluation the rows are written
    for c in range(3):
        with torch.no_grad():
            texts = [network.text.encode_text(network.token_CKL[c, k][None])[0] for k in (0, 1)]
        mean_D = sum(text_D / text_D.norm() for text_D in texts)
        expected_D = mean_D / mean_D.norm() / 0.07
        torch.testing.assert_close(network.head.classes.weight[c], expected_D)
    assert not network.head.classes.bias.any()


def test_the_scale_is_never_above_100(network):
    with torch.no_grad():
        network.text.logit_scale.fill_(math.log(900))
    assert network.scale().item() == pytest.approx(100)


def test_photos_are_normalised_as_the_clip_was_trained(network):
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    known_B3HW = (photos() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        expected = network.encoder.visual(known_B3HW)
        torch.testing.assert_close(network.features(photos()), functional.normalize(expected))


def test_the_clip_of_the_paper_has_428_million_parameters():
    pytest.importorskip("open_clip", reason="the extra baselines is not installed")
    with torch.device("meta"):
        network = build_clip("ViT-L-14-336", 182, input_px=336)
    towers = [p.numel() for n, p in network.named_parameters() if not n.startswith("head.")]
    assert round(sum(towers) / 1e6) == 428


# Training


def test_captions_say_the_common_name_where_there_is_one():
    rows = [
        {"species": "Panthera leo", "common_name": None},
        {"species": "Panthera leo", "common_name": "lion"},
        {"species": "Equus quagga", "common_name": None},
    ]
    found = captions(("Equus quagga", "Panthera leo", "blank"), manifest_of(rows, "."))
    assert found[1] == ["a photo of lion.", "lion in the wild."]
    assert [lines[0] for lines in found] == [
        "a photo of Equus quagga.", "a photo of lion.", "a photo of blank.",
    ]  # fmt: skip


def test_both_towers_learn_and_the_checkpoint_has_the_accuracy_it_was_selected_for(
    manifest, small, tiny_clip, tmp_path
):
    from homerange.train.evaluate import evaluate

    settings = [*small, f"backbone={tiny_clip}", "epochs=2", "learning_rate=1e-3"]
    config = read_recipe("flyp", [*settings, "head_learning_rate=1e-3"])
    folder = train_flyp(manifest, tmp_path / "c", config).folder
    network, facts = load_checkpoint(folder, network_of)
    with seeded(config.seed):
        fresh = dict(build_clip(tiny_clip, 4, input_px=32).named_parameters())
    still = [n for n, p in network.named_parameters() if torch.equal(p, fresh[n])]
    assert [n for n in still if "head." not in n] == []
    lines = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()[1:]]
    kept = [float(top1) for _, _, _, top1, selected in lines if selected == "1"][-1]
    found = evaluate(folder, manifest, split="val", build=network_of).overall.top1
    assert found == pytest.approx(kept, abs=1e-4)
    rows_CD = network.head.classes.weight.clone()
    network.write_class_rows()
    torch.testing.assert_close(network.head.classes.weight, rows_CD)  # of the selected epoch
    assert facts.provenance["start"] == "open_clip tiny-clip none"


# What is refused


def test_without_open_clip_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ExtraNotInstalled, match=r"this needs open_clip, .* '\.\[baselines\]'"):
        build_clip("ViT-B-16", 2, input_px=32)


@pytest.mark.parametrize("name", ["ViT-B-17", "xlm-roberta-base-ViT-B-32"])
def test_what_is_no_plain_clip_is_refused(name, tiny_clip):
    with pytest.raises(ConfigError, match=rf"'{name}', which is no plain CLIP of open_clip"):
        build_clip(name, 2, input_px=32)


def test_weights_that_cannot_be_had_are_one_line(tiny_clip):
    with pytest.raises(CheckpointError, match="could not load the weights absent of tiny-clip: "):
        build_clip(tiny_clip, 2, input_px=32, start="absent")


@pytest.mark.parametrize("name", ["mixup", "label_smoothing", "head_dropout"])
def test_settings_without_a_use_are_refused(name):
    off = {"mixup": 0.0, "label_smoothing": 0.0, "head_dropout": 0.0}
    with pytest.raises(ConfigError, match=f"{name} is 0.1; flyp does not use it, set it to 0.0"):
        FlypConfig(**(off | {name: 0.1}))
    with pytest.raises(ConfigError, match="flyp has captions for a head"):
        FlypConfig(**off, head="bottleneck")


def test_there_are_two_captions_of_a_class():
    assert [template.format("x") for template in TEMPLATES] == ["a photo of x.", "x in the wild."]
