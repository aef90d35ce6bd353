"""Train the systems that bench/baselines.py compares.

For each seed a dense network is trained with the recipe ``small-data``. From there on dense (the
same network, trained on), the paper's experts and the four ways of GNFG are trained for the same
epochs; MobileNetV2, federated averaging (one round for an epoch) and FLYP for both together. All
have the settings of ``small-data`` but for what a system forbids. What is finished is not trained
again.

Without a network there are no ImageNet weights and no CLIP: MobileNetV2 then starts from nothing
and FLYP from a tiny random CLIP, which shows that it runs and nothing more.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import open_clip
from findings_train import train_on

from homerange.baselines.systems import read_recipe, train_baseline
from homerange.geo.place import Circle
from homerange.model.checkpoint import WEIGHTS
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.expert_config import ExpertConfig
from homerange.train.experts import train_experts

SYSTEMS = (
    "dense",
    "experts",
    "gnfg prior",
    "gnfg post",
    "gnfg film",
    "gnfg add",
    "mobilenet",
    "ptfl",
    "flyp",
)
OFF_IN_FLYP = ("mixup=0.0", "label_smoothing=0.0", "head_dropout=0.0", "learning_rate=1e-3")
TINY_CLIP = {
    "embed_dim": 64,
    "vision_cfg": {"layers": 2, "width": 64, "head_width": 16, "patch_size": 16, "image_size": 96},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2},
}


@dataclass(frozen=True)
class HowTrained:
    """What is the same for all systems and seeds."""

    manifest: Path
    output: Path
    epochs: tuple[int, int]
    """Of the dense network, then of what goes on from it."""
    settings: list[str]
    client_photos_max: int
    mobilenet_start: str
    clip: str
    """Name and weights, ``NAME:START``."""

    def small_data(self, seed: int, epochs: int) -> list[str]:
        """Return the settings of ``small-data`` as overrides for another recipe."""
        values = asdict(TrainConfig.read("small-data", self.own(seed, epochs)))
        for name in ("name", "backbone", "start", "teacher"):
            del values[name]
        return [f"{key}={str(value).lower()}" for key, value in values.items()]

    def own(self, seed: int, epochs: int) -> list[str]:
        """Return the overrides of this run."""
        return [*self.settings, f"seed={seed}", f"epochs={epochs}"]


def register_tiny_clip(folder: Path) -> None:
    """Tell open_clip of a CLIP that trains in seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny-clip.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / "tiny-clip.json")


def train(system: str, seed: int, how: HowTrained) -> Path:
    """Return the checkpoint of one system, or of ``base``, trained where it was not."""
    folder = how.output / f"seed{seed}" / system.replace(" ", "-")
    if (folder / WEIGHTS).is_file():
        return folder
    first, then = how.epochs
    both, on = how.small_data(seed, first + then), how.small_data(seed, then)
    name, _, mode = system.partition(" ")
    manifest = how.manifest
    if name == "base":
        train_dense(manifest, folder, TrainConfig.read("small-data", how.own(seed, first)))
    elif name in ("dense", "experts"):
        config = ExpertConfig.read("small-experts", [*how.own(seed, then), "tokens_max=20000"])
        base = train("base", seed, how)
        if name == "dense":
            train_on(manifest, folder, config, base)
        else:
            train_experts(manifest, folder, config, from_checkpoint=base)
    elif name == "gnfg":
        config = read_recipe("gnfg", [*on, f"geo_mode={mode}", "warmup_epochs=0.5"])
        train_baseline(manifest, folder, config, from_checkpoint=train("base", seed, how))
    elif name == "mobilenet":
        config = read_recipe("mobilenet", [*both, f"start={how.mobilenet_start}"])
        train_baseline(manifest, folder, config)
    elif name == "ptfl":
        more = [f"rounds={first + then}", f"client_photos_max={how.client_photos_max}"]
        more += ["start=shipped", "warmup_epochs=0", "final_rate=1.0"]
        train_baseline(manifest, folder, read_recipe("ptfl", [*how.small_data(seed, 1), *more]))
    elif name == "flyp":
        clip, _, start = how.clip.partition(":")
        more = [*OFF_IN_FLYP, f"backbone={clip}", f"start={start}"]
        train_baseline(manifest, folder, read_recipe("flyp", [*both, *more]))
    return folder


def train_at(place: Circle, number: int, seed: int, how: HowTrained) -> Path:
    """Return the checkpoint of ``few-shot`` at one place, trained where it was not."""
    folder = how.output / f"seed{seed}" / f"few-shot-{number}"
    if not (folder / WEIGHTS).is_file():
        where = f"place={place.latitude_deg},{place.longitude_deg}"
        settings = [where, f"radius_km={place.radius_km}", "warmup_epochs=0.5"]
        config = read_recipe("few-shot", [*how.small_data(seed, how.epochs[1]), *settings])
        base = train("base", seed, how)
        train_baseline(how.manifest, folder, config, from_checkpoint=base)
    return folder
