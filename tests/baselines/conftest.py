"""A tiny trained dense network, its photos, and a tiny CLIP that open_clip knows by name."""

import json

import pytest
import torch
from tiny_training import tiny_config, tiny_manifest

from homerange.train.dense import train_dense

# One core is enough for tiny networks, and leaves the others to whoever else works here.
torch.set_num_threads(1)

SMALL = ("start=none", "head=plain", "fit=squash", "input_px=32", "batch_size=4", "workers=0")
"""Settings that let any baseline train on the tiny photos."""


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def dense(manifest, tmp_path_factory):
    """The folder of a dense checkpoint, after one epoch."""
    folder = tmp_path_factory.mktemp("dense") / "checkpoint"
    return train_dense(manifest, folder, tiny_config(input_px=32, epochs=1)).folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """The name of a CLIP of 16 features."""
    open_clip = pytest.importorskip("open_clip", reason="the extra baselines is not installed")
    folder = tmp_path_factory.mktemp("clip")
    shape = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16,
        },
        "text_cfg": {
            "context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1,
        },
    }  # fmt: skip
    (folder / "tiny-clip.json").write_text(json.dumps(shape))
    open_clip.add_model_config(folder)
    return "tiny-clip"
