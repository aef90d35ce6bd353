"""The other systems of the paper's table 2 by their names: to train one, and to load it again."""

from collections.abc import Sequence
from pathlib import Path

from homerange.baselines.clip import build_clip
from homerange.baselines.config import BaselineConfig
from homerange.baselines.few_shot import FewShotConfig, train_few_shot
from homerange.baselines.flyp import FlypConfig, train_flyp
from homerange.baselines.gnfg import GnfgConfig, GnfgNetwork, train_gnfg
from homerange.baselines.mobilenet import MobileNetConfig, build_mobilenet, train_mobilenet
from homerange.baselines.ptfl import PtflConfig, train_ptfl
from homerange.errors import ConfigError
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.network import SpeciesNetwork, build_network
from homerange.train.recipe import read_values
from homerange.train.stage import Trained

__all__ = ["network_of", "read_recipe", "train_baseline"]


def read_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> BaselineConfig:
    """Read the recipe of a baseline; its key ``system`` decides which settings there are.

    Args:
        recipe: Name of a shipped recipe, or the path of a TOML file.
        overrides: Texts such as ``"epochs=5"``.

    Raises:
        ConfigError: If there is no such system, or a setting is unknown or cannot work.

    Example:
        >>> read_recipe("gnfg", ["geo_mode=prior"]).geo_mode
        'prior'
    """
    system = read_values(recipe, overrides, BaselineConfig.shipped_in).get("system")
    match system:
        case "mobilenet":
            return MobileNetConfig.read(recipe, overrides)
        case "gnfg":
            return GnfgConfig.read(recipe, overrides)
        case "ptfl":
            return PtflConfig.read(recipe, overrides)
        case "flyp":
            return FlypConfig.read(recipe, overrides)
        case "few-shot":
            return FewShotConfig.read(recipe, overrides)
    raise ConfigError(
        f"system is {system!r}; it must be one of mobilenet, gnfg, ptfl, flyp, few-shot"
    )


def train_baseline(
    manifest: Path,
    output: Path,
    config: BaselineConfig,
    *,
    from_checkpoint: Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train a baseline and write a checkpoint.

    Args:
        manifest: A manifest with splits; ``train`` is learnt from, ``val`` selects.
        output: Folder of the checkpoint; made if absent.
        config: The recipe, from :func:`read_recipe`.
        from_checkpoint: The dense checkpoint that ``gnfg`` and ``few-shot`` go on from.
        resume: Go on from the last saved state in ``output``.

    Raises:
        ConfigError: If a dense checkpoint is missing, or given to a system that takes none.
        ManifestError, CheckpointError, PlaceError, ExtraNotInstalled: As the systems say.
    """
    match config:
        case GnfgConfig() if from_checkpoint:
            return train_gnfg(
                manifest, output, config, from_checkpoint=from_checkpoint, resume=resume
            )
        case FewShotConfig() if from_checkpoint:
            return train_few_shot(
                manifest, output, config, from_checkpoint=from_checkpoint, resume=resume
            )
        case GnfgConfig() | FewShotConfig():
            raise ConfigError(
                f"{config.system} goes on from a dense checkpoint; name it: --from CHECKPOINT"
            )
    if from_checkpoint:
        raise ConfigError(
            f"{config.system} starts from start = {config.start!r}, not from a checkpoint; leave "
            "--from out"
        )
    match config:
        case MobileNetConfig():
            return train_mobilenet(manifest, output, config, resume=resume)
        case PtflConfig():
            return train_ptfl(manifest, output, config, resume=resume)
        case FlypConfig():
            return train_flyp(manifest, output, config, resume=resume)
    raise TypeError(f"{type(config).__name__} is the config of no system")


def network_of(config: CheckpointConfig) -> SpeciesNetwork:
    """Build the network that a checkpoint describes, whichever system it is of.

    The weights of ``ptfl`` and ``few-shot`` belong to the world network.

    Raises:
        ConfigError: If its backbone is unknown here.
        ExtraNotInstalled: If it is a CLIP and open_clip is not installed.
    """
    recipe, classes = config.recipe, len(config.classes)
    match recipe.get("system"):
        case "mobilenet":
            return build_mobilenet(classes, backbone=config.backbone)
        case "gnfg":
            photo = build_network(classes=classes, backbone=config.backbone, head=config.head)
            return GnfgNetwork(photo, recipe["geo_mode"])  # type: ignore[arg-type]
        case "flyp":
            return build_clip(config.backbone, classes, input_px=config.preprocessing.input_px)
    return config.network()
