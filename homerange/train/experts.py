"""Step iii of the paper: turn a dense checkpoint into a mixture of experts and fine-tune it.

The tokens that enter the MLP of each expert layer are collected over training photos and clustered;
the centres start the gate, and each expert starts by imitating the dense MLP on its own tokens.
What was found is written to ``experts.json`` beside the weights.

Axes used in this file:
    T  tokens      D  channels      E  experts
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import WEIGHTS, CheckpointConfig, load_checkpoint
from homerange.model.experts import ExpertMlp
from homerange.model.network import SpeciesNetwork
from homerange.model.pre_mlp import pre_mlp_tokens
from homerange.progress import progress
from homerange.train.config import TrainConfig
from homerange.train.dataset import PlainPhotos, loader
from homerange.train.expert_config import ExpertConfig
from homerange.train.kmeans import Clusters, spherical_kmeans
from homerange.train.stage import (
    Stage,
    Trained,
    check_same_network,
    sha256_of,
    train_stage,
)

__all__ = [
    "LayerReport",
    "check_dense",
    "collect_tokens",
    "convert",
    "freeze_gates",
    "train_experts",
]

DISTILL_BATCH, DISTILL_RATE = 4096, 1e-3


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """How the experts of one layer began, before any fine-tuning."""

    layer: int
    tokens: int
    inertia: float | None
    """Mean of one minus the cosine of a token and its centre; none without clusters."""
    smallest_cluster: int | None
    largest_cluster: int | None
    gate_agreement: float | None
    """Share of tokens for which the gate of low rank picks the same expert as the full one."""
    token_share: list[float]
    """Share of the tokens that the gate sends to each expert."""
    r2: dict[str, float]
    """Share of the dense MLP's variance that the layer explains: by init, and by ``mean``."""


def train_experts(
    manifest: Path,
    output: Path,
    config: ExpertConfig,
    *,
    from_checkpoint: Path,
    resume: bool = False,
) -> Trained:
    """Convert a dense checkpoint to experts, fine-tune it and write a checkpoint.

    Args:
        manifest: A manifest with splits, with the species of the dense checkpoint.
        output: Folder of the checkpoint; made if absent.
        config: The recipe.
        from_checkpoint: The dense checkpoint to convert.
        resume: Go on from the last saved state in ``output``.

    Raises:
        CheckpointError: If the checkpoint has experts already or no class head.
        ConfigError: If the recipe names another backbone, head or input than the checkpoint.
        ManifestError: As :func:`homerange.train.stage.train_stage`.
    """
    dense, facts = load_checkpoint(from_checkpoint)
    check_dense(from_checkpoint, facts, config)

    def build(_: tuple[str, ...], photos: Manifest) -> SpeciesNetwork:
        """Convert the dense network, or shape one for the state that will be restored."""
        if resume:
            return _shaped(facts, config)
        network, reports = convert(dense, facts, photos, config)
        text = json.dumps([asdict(report) for report in reports], indent=1)
        (output / "experts.json").write_text(text + "\n")
        return network

    weights = from_checkpoint / WEIGHTS
    stage = Stage(
        classes=facts.classes,
        experts=config.spec,
        start=f"dense checkpoint sha256 {sha256_of(weights)}",
        build=build,
    )
    return train_stage(manifest, output, config, stage, resume=resume)


def check_dense(folder: Path, facts: CheckpointConfig, config: TrainConfig) -> None:
    """Refuse to go on from a checkpoint that is not a dense one of the recipe's network.

    Raises:
        CheckpointError: If it has experts already or no class head.
        ConfigError: If its backbone or head is another.
    """
    if facts.experts is not None:
        raise CheckpointError(
            f"{folder}: has experts already. Start from a dense checkpoint: homerange train dense"
        )
    check_same_network(folder, facts, config)


def _shaped(facts: CheckpointConfig, config: ExpertConfig) -> SpeciesNetwork:
    """Build a network with experts and random weights; gates of the control are frozen."""
    shaped = CheckpointConfig(
        backbone=facts.backbone,
        head=facts.head,
        classes=facts.classes,
        preprocessing=facts.preprocessing,
        experts=config.spec,
    )
    network = shaped.network()
    if network.head is not None:
        network.head.dropout.p = config.head_dropout
    if config.routing == "random":
        freeze_gates(network)
    return network


def freeze_gates(network: SpeciesNetwork) -> None:
    """Leave the gates of the control ``routing = "random"`` as they were drawn."""
    for name, parameter in network.named_parameters():
        if ".gate." in name:
            parameter.requires_grad = False


def convert(
    dense: SpeciesNetwork, facts: CheckpointConfig, photos: Manifest, config: ExpertConfig
) -> tuple[SpeciesNetwork, list[LayerReport]]:
    """Replace MLPs of a dense network by experts that begin from its own activations.

    Args:
        dense: The network, in evaluation mode; it is not changed.
        facts: Its checkpoint's config.
        photos: Training photos; their tokens are clustered.
        config: The recipe.

    Returns:
        The network with experts, and a report for each expert layer.
    """
    network = _shaped(facts, config)
    network.load_state_dict(dense.state_dict(), strict=False)
    names = transformer_layers(dense.encoder)
    chosen = [names[layer] for layer in config.expert_layers]
    tokens = collect_tokens(dense, facts, photos, chosen, config)
    reports = []
    with progress("experts", len(chosen), unit="layers") as step:
        for layer, name in zip(config.expert_layers, chosen, strict=True):
            mlp = network.encoder.get_submodule(f"{name}.mlp")
            dense_mlp = dense.encoder.get_submodule(f"{name}.mlp")
            assert isinstance(mlp, ExpertMlp)
            _check_enough(layer, tokens[name], photos, config)
            reports.append(_begin(layer, mlp, dense_mlp, tokens[name], config))
            step(1, f"layer {layer}")
    return network, reports


def collect_tokens(
    network: SpeciesNetwork,
    facts: CheckpointConfig,
    photos: Manifest,
    layers: list[str],
    config: ExpertConfig,
) -> dict[str, Tensor]:
    """Collect what enters the MLPs of some layers, a few random tokens of each photo.

    Args:
        network: In evaluation mode.
        facts: For the preprocessing.
        photos: Photos of the classes; those of rare classes are shown several times.
        layers: Names of transformer layers in the encoder.
        config: How many tokens, photos and which seed.

    Returns:
        For each layer at most ``tokens_max`` tokens, shape (T, D).
    """
    rows = _resampled(photos, config.photos_per_class_min, config.seed)
    each = max(1, min(config.tokens_per_photo, config.tokens_max // max(1, len(rows))))
    rows = rows[: max(1, config.tokens_max // each)]
    shown = PlainPhotos(photos.take(rows), facts.classes, facts.preprocessing)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    kept: dict[str, list[Tensor]] = {name: [] for name in layers}
    generator = torch.Generator().manual_seed(config.seed)
    watched = pre_mlp_tokens(network.encoder, layers)
    with progress("tokens", len(rows), unit="photos") as step, watched as seen:
        for batch in loader(shown, workers=config.workers):
            step(len(batch) + len(batch.unreadable))
            if len(batch) == 0:
                continue
            with torch.no_grad():
                network.encoder(batch.pixels_B3HW.to(device).float() / 255)
            for name in layers:
                kept[name].append(_some_tokens(seen[name], each, generator))
    return {name: torch.cat(parts) for name, parts in kept.items()}


def _resampled(photos: Manifest, at_least: int, seed: int) -> NDArray[np.int64]:
    """Return rows in random order: all photos, those of rare classes repeated up to a number."""
    generator = np.random.default_rng(seed)
    species = np.array([name or "" for name in photos.strings("species")])
    rows = [np.arange(len(photos))]
    for name in np.unique(species[species != ""]).tolist():
        own = np.flatnonzero(species == name)
        if len(own) < at_least:
            rows.append(generator.choice(own, at_least - len(own)))
    return generator.permutation(np.concatenate(rows))


def _some_tokens(x_BTD: Tensor, each: int, generator: torch.Generator) -> Tensor:
    order_BT = torch.rand(x_BTD.shape[:2], generator=generator).argsort(dim=1)[:, :each]
    index_BTD = order_BT.to(x_BTD.device).unsqueeze(-1).expand(-1, -1, x_BTD.shape[2])
    return x_BTD.gather(1, index_BTD).flatten(0, 1).cpu()


def _check_enough(layer: int, x_TD: Tensor, photos: Manifest, config: ExpertConfig) -> None:
    if len(x_TD) < config.experts:
        raise ManifestError(
            f"{len(photos):,} training photos give {len(x_TD):,} tokens in layer {layer}, too few "
            f"to begin {config.experts} experts there. Train on more photos, or --set experts=8"
        )


def _begin(
    layer: int, mlp: ExpertMlp, dense: nn.Module, x_TD: Tensor, config: ExpertConfig
) -> LayerReport:
    """Give one expert layer its gate and its first weights."""
    generator = torch.Generator().manual_seed(config.seed)
    clusters = _set_gate(mlp, x_TD, config, generator) if config.experts else None
    with torch.no_grad():
        y_TD = _apply(dense, x_TD)
        chosen_T = mlp.route(x_TD[None])[0][0, :, 0] if config.experts else None
    _first_weights(mlp, dense, x_TD, y_TD, chosen_T, config)
    r2 = {"random": 0.0}
    if config.expert_init in ("mean", "distill"):
        r2 = {"mean": _explained(mlp, x_TD, y_TD)}
    if config.expert_init == "distill":
        _imitate(mlp, x_TD, y_TD, config, generator)
        r2["distill"] = _explained(mlp, x_TD, y_TD)
    share_E = [] if chosen_T is None else _share(chosen_T, config.experts)
    agreement = None
    if clusters is not None and chosen_T is not None:
        nearest_T = (x_TD @ clusters.centre_ED.T).argmax(1)
        agreement = float((nearest_T == chosen_T).float().mean())
    return LayerReport(
        layer=layer,
        tokens=len(x_TD),
        inertia=clusters.inertia if clusters else None,
        smallest_cluster=int(clusters.size_E.min()) if clusters else None,
        largest_cluster=int(clusters.size_E.max()) if clusters else None,
        gate_agreement=agreement,
        token_share=share_E,
        r2=r2,
    )


def _set_gate(
    mlp: ExpertMlp, x_TD: Tensor, config: ExpertConfig, generator: torch.Generator
) -> Clusters | None:
    if config.routing == "random":
        shape = (config.experts, x_TD.shape[1])
        mlp.gate.set_centroids(functional.normalize(torch.randn(shape, generator=generator)))
        return None
    clusters = spherical_kmeans(x_TD, config.experts, steps=config.refine_steps, seed=config.seed)
    mlp.gate.set_centroids(clusters.centre_ED)
    return clusters


def _first_weights(
    mlp: ExpertMlp,
    dense: nn.Module,
    x_TD: Tensor,
    y_TD: Tensor,
    chosen_T: Tensor | None,
    config: ExpertConfig,
) -> None:
    """Set the weights by ``expert_init``, short of the imitation."""
    if mlp.shared is not None:
        for parameter in mlp.shared.fc2.parameters():
            nn.init.zeros_(parameter)
    if config.expert_init == "copy":
        _copy(mlp, dense, config)
    elif config.expert_init in ("mean", "distill"):
        with torch.no_grad():
            if chosen_T is None:
                assert mlp.shared is not None
                mlp.shared.fc2.get_parameter("bias").copy_(y_TD.mean(0))
                return
            sum_ED = torch.zeros_like(mlp.b2_ED).index_add_(0, chosen_T, y_TD)
            size_E = torch.bincount(chosen_T, minlength=config.experts)
            mlp.b2_ED.copy_(sum_ED / size_E.clamp(min=1).unsqueeze(1))


def _copy(mlp: ExpertMlp, dense: nn.Module, config: ExpertConfig) -> None:
    first, second = dense.get_submodule("fc1"), dense.get_submodule("fc2")
    weight_HD = first.get_parameter("weight").flatten(1)
    if config.experts == 0 or len(weight_HD) != config.hidden:
        raise ConfigError(
            f'expert_init "copy" needs experts as wide as the dense MLP: hidden is '
            f"{config.hidden}, the MLP of this layer has {len(weight_HD)}"
        )
    with torch.no_grad():
        mlp.w1_EHD.copy_(weight_HD.expand_as(mlp.w1_EHD))
        mlp.b1_EH.copy_(first.get_parameter("bias").expand_as(mlp.b1_EH))
        mlp.w2_EHD.copy_(second.get_parameter("weight").flatten(1).T.expand_as(mlp.w2_EHD))
        mlp.b2_ED.copy_(second.get_parameter("bias").expand_as(mlp.b2_ED))


def _imitate(
    mlp: ExpertMlp, x_TD: Tensor, y_TD: Tensor, config: ExpertConfig, generator: torch.Generator
) -> None:
    """Fit the experts to the dense MLP's answers, the gate as it is."""
    learnt = [p for name, p in mlp.named_parameters() if not name.startswith("gate.")]
    optimizer = torch.optim.Adam(learnt, lr=DISTILL_RATE)
    for _ in range(config.distill_steps):
        rows_T = torch.randint(len(x_TD), (min(DISTILL_BATCH, len(x_TD)),), generator=generator)
        loss = functional.mse_loss(_apply(mlp, x_TD[rows_T]), y_TD[rows_T])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    mlp.zero_grad()


def _apply(mlp: nn.Module, x_TD: Tensor) -> Tensor:
    """Run an MLP of the transformer on loose tokens, shape (T, D)."""
    weight = next(mlp.parameters())
    y_1D1T: Tensor = mlp(x_TD.T[None, :, None].to(weight.device))
    return y_1D1T[0, :, 0].T.cpu()


def _explained(mlp: ExpertMlp, x_TD: Tensor, y_TD: Tensor) -> float:
    with torch.no_grad():
        error = (_apply(mlp, x_TD) - y_TD).square().sum()
    return float(1 - error / (y_TD - y_TD.mean(0)).square().sum())


def _share(chosen_T: Tensor, experts: int) -> list[float]:
    share_E = torch.bincount(chosen_T, minlength=experts) / len(chosen_T)
    return [round(share, 6) for share in share_E.tolist()]
