"""The loop of a range model: its loss, its steps, and the epoch that is kept.

Source: the full loss of geo_prior, its equation 7 (Mac Aodha et al. 2019): at a record its species
is present and all others are absent, at a place drawn on the Earth all are absent. Where we differ:
    - a record is a cell, and stands at another random place of it in every epoch;
    - logarithms of sigmoids are computed as such, where geo_prior adds 1e-5 to the sigmoid.
As in every training, what is random depends on seed, epoch and step alone, so that one that was
interrupted ends with the weights of one that was not.

Axes used in this file:
    N  records      B  records of a step      C  species      2  latitude, longitude
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from homerange.geo.cells import cell_centre, random_places
from homerange.geo.sphere import to_latlon
from homerange.model.checkpoint import save_weights
from homerange.model.range import RangeNetwork
from homerange.progress import Step, progress
from homerange.train.augment import seeded
from homerange.train.loop import make_optimizer, set_rates
from homerange.train.range_config import RangeConfig
from homerange.train.state import SAVE_EVERY_S, State, log_epoch, restore_state, save_state

__all__ = ["CellRecords", "fit_range", "presence_loss", "rank_of_true"]

RECORDS_AT_ONCE = 2048
KEPT_SHARE = 0.95
"""Share of the records kept aside that the threshold in ``metrics.json`` keeps."""


@dataclass(frozen=True)
class CellRecords:
    """Records as cells and rows of the network."""

    cell_N: NDArray[np.uint64]
    class_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell_N)


def fit_range(
    network: RangeNetwork,
    train: CellRecords,
    val: CellRecords,
    config: RangeConfig,
    folder: Path,
    *,
    resume: bool,
) -> None:
    """Train to the last epoch, saving state about every minute and the best weights by epoch.

    Args:
        network: Trained in place.
        train: Records to learn from.
        val: Records to choose the epoch by; without any the last one is kept.
        config: The recipe.
        folder: The range model to write.
        resume: Go on from the state in ``folder``.

    Raises:
        CheckpointError: If ``resume`` is asked for and there is no state.
        ConfigError: If the state was made with other settings.
    """
    run = _Run(network, train, val, config, folder)
    if resume:
        restore_state(folder, network, config, run.optimizer, run.state)
    run.all_epochs()


def presence_loss(logits_BC: Tensor, class_B: Tensor, elsewhere_BC: Tensor) -> Tensor:
    """Return the full loss of geo_prior, a scalar.

    Args:
        logits_BC: Logits at the places of records.
        class_B: The species recorded there; its term counts C times.
        elsewhere_BC: Logits at places drawn on the Earth.
    """
    own_B1 = logits_BC.gather(1, class_B[:, None])
    absent = functional.softplus(logits_BC).sum() - functional.softplus(own_B1).sum()
    present = logits_BC.shape[1] * functional.softplus(-own_B1).sum()
    return (absent + present) / logits_BC.numel() + functional.softplus(elsewhere_BC).mean()


def rank_of_true(logits_NC: Tensor, class_N: Tensor) -> Tensor:
    """Return how many species score at least as high as the true one, itself included, (N,)."""
    own_N1 = logits_NC.gather(1, class_N[:, None])
    return (logits_NC >= own_N1).sum(dim=1)


class _Run:
    """One training under way."""

    def __init__(
        self,
        network: RangeNetwork,
        train: CellRecords,
        val: CellRecords,
        config: RangeConfig,
        folder: Path,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network, self.config, self.folder = network.to(self.device), config, folder
        self.train, self.val = train, val
        self.batch = min(config.batch_size, len(train))
        self.steps_of_epoch = len(train) // self.batch
        self.optimizer = make_optimizer(network, config)
        self.state = State()
        self.saved_at = time.monotonic()
        self.between_steps = True
        """False inside a step or a selection: what is half done must not be saved."""

    def all_epochs(self) -> None:
        """Train from the present step to the last; on Ctrl-C save what is whole."""
        total = self.config.epochs * self.steps_of_epoch * self.batch
        done = self.state.step * self.batch
        try:
            with progress("train", total, unit="records", done=done) as show:
                for epoch in range(self.state.step // self.steps_of_epoch, self.config.epochs):
                    self.select(epoch, self.one_epoch(epoch, show))
        except KeyboardInterrupt:
            if self.between_steps:
                self.save()
            raise

    def one_epoch(self, epoch: int, show: Step) -> float:
        """Take the steps of one epoch that are left; return their mean loss."""
        generator = np.random.default_rng((self.config.seed, epoch))
        latlon_N2 = random_places(self.train.cell_N, generator)
        order_N = generator.permutation(len(self.train))
        first = self.state.step - epoch * self.steps_of_epoch
        losses = []
        for step in range(first, self.steps_of_epoch):
            chosen_B = order_N[step * self.batch : (step + 1) * self.batch]
            self.between_steps = False
            losses.append(self.one_step(latlon_N2[chosen_B], self.train.class_N[chosen_B]))
            self.state.step += 1
            # The last step of an epoch is saved once it is judged: a resume would skip that.
            self.between_steps = step + 1 < self.steps_of_epoch
            show(self.batch, f"epoch {epoch + 1}")
            if self.between_steps and time.monotonic() - self.saved_at > SAVE_EVERY_S:
                self.save()
        return float(np.mean(losses))

    def one_step(self, latlon_B2: NDArray[np.float64], class_B: NDArray[np.int64]) -> float:
        """Take one step on some records; return its loss."""
        config, step = self.config, self.state.step
        steps = config.epochs * self.steps_of_epoch
        set_rates(self.optimizer, config, step, steps=steps, steps_of_epoch=self.steps_of_epoch)
        numbers = (config.seed, step)
        somewhere_B3 = np.random.default_rng((*numbers, 1)).normal(size=(len(class_B), 3))
        self.network.train()
        with seeded(*numbers):  # fixes dropout
            loss = presence_loss(
                self.logits(latlon_B2),
                torch.from_numpy(class_B).to(self.device),
                self.logits(to_latlon(somewhere_B3)),
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def logits(self, latlon_B2: NDArray[np.float64]) -> Tensor:
        """Run the network at some places, shape (B, C)."""
        feature_BF = torch.from_numpy(self.config.spec.space2vec.encode(latlon_B2))
        logits_BC: Tensor = self.network(feature_BF.to(self.device))
        return logits_BC

    def select(self, epoch: int, train_loss: float) -> None:
        """Judge the epoch on the records kept aside; keep its weights if they are the best yet."""
        metrics = self.judge()
        score = metrics["mean_reciprocal_rank"] if metrics else float(epoch)
        better = score >= self.state.best_score
        if better:
            self.state.best_score = score
            save_weights(self.network, self.folder)
            text = json.dumps(metrics, indent=1)
            (self.folder / "metrics.json").write_text(text + "\n")
        columns = {"train_loss": train_loss, "val_mean_reciprocal_rank": score}
        log_epoch(self.folder, epoch, columns, selected=better)
        self.save()
        self.between_steps = True

    def judge(self) -> dict[str, float]:
        """Rank the true species of the records kept aside, at the centres of their cells."""
        if len(self.val) == 0:
            return {}
        self.network.eval()
        ranks, shares = [], []
        for start in range(0, len(self.val), RECORDS_AT_ONCE):
            some = slice(start, start + RECORDS_AT_ONCE)
            class_B = torch.from_numpy(self.val.class_N[some]).to(self.device)
            with torch.no_grad():
                logits_BC = self.logits(cell_centre(self.val.cell_N[some]))
            ranks.append(rank_of_true(logits_BC, class_B).cpu().numpy())
            shares.append(logits_BC.gather(1, class_B[:, None]).sigmoid()[:, 0].cpu().numpy())
        rank_N, share_N = np.concatenate(ranks), np.concatenate(shares)
        return {
            "val_records": len(rank_N),
            "mean_reciprocal_rank": float((1 / rank_N).mean()),
            "median_rank": float(np.median(rank_N)),
            "threshold": float(np.quantile(share_N, 1 - KEPT_SHARE)),
        }

    def save(self) -> None:
        """Write the state to go on from."""
        self.saved_at = time.monotonic()
        save_state(self.folder, self.network, self.config, self.optimizer, self.state)
