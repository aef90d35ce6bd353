"""The loop that every stage of training shares: steps, checkpoints, resume, selection.

A training that stops at any step goes on from its last saved state and ends with the same weights
as one that never stopped (on one machine): photos are drawn from (seed, epoch, photo), mixup and
dropout from (seed, step), and the learning rate is a function of the step.

Source of the shape: the loop of Lightning Fabric's documentation, kept in plain sight.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader

from homerange.data.answers import Unreadable, check_readable
from homerange.model.checkpoint import save_weights
from homerange.model.projections import save_projections
from homerange.progress import Step, progress
from homerange.train.augment import seeded
from homerange.train.dataset import Batch, GlobalBatches, PlainPhotos, TrainingPhotos, loader
from homerange.train.learner import Learner
from homerange.train.losses import draw_mix
from homerange.train.places import TrainingPlaces
from homerange.train.schedule import rate_factor
from homerange.train.state import SAVE_EVERY_S, State, log_epoch, restore_state, save_state
from homerange.train.teacher import TeacherFeatures

__all__ = ["TrainingData", "fit", "make_optimizer", "set_rates"]


@dataclass(frozen=True)
class TrainingData:
    """Photos to learn from, photos to select on, the teacher's features of both, and places."""

    train: TrainingPhotos
    val: PlainPhotos
    train_teacher: TeacherFeatures | None
    val_teacher: TeacherFeatures | None
    cut_for: TrainingPlaces | None = None
    """Places that the network is trained for as it is cut; none without ``place_dropout``."""


class Rates(Protocol):
    """Settings that say how fast each parameter learns, and when."""

    @property
    def weight_decay(self) -> float:
        """Weight decay of matrices."""

    @property
    def warmup_epochs(self) -> float:
        """Epochs until the peak rate is reached."""

    @property
    def warmup_from(self) -> float:
        """Rate at the first step, as a share of the peak."""

    @property
    def final_rate(self) -> float:
        """Rate at the last step, as a share of the peak."""

    def peak_rate(self, parameter: str) -> float:
        """Return the peak rate of a parameter, by its name."""


def make_optimizer(learner: nn.Module, config: Rates) -> AdamW:
    """AdamW with a group for each peak rate that the recipe gives, with and without weight decay.

    Vectors (norms and biases, those of experts too) have no weight decay: they hold no scale to
    shrink. Frozen parameters are left out.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        is_bias = name.rpartition(".")[2].startswith("b")  # bias, b1_EH, b2_ED
        decay = config.weight_decay if parameter.ndim > 1 and not is_bias else 0.0
        groups.setdefault((config.peak_rate(name), decay), []).append(parameter)
    return AdamW(
        [
            {"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay}
            for (rate, decay), chosen in groups.items()
        ]
    )


def set_rates(
    optimizer: Optimizer, config: Rates, step: int, *, steps: int, steps_of_epoch: int
) -> None:
    """Give each group of an optimizer from :func:`make_optimizer` its rate for a step."""
    factor = rate_factor(
        step,
        steps=steps,
        warmup_steps=round(config.warmup_epochs * steps_of_epoch),
        warmup_from=config.warmup_from,
        final_rate=config.final_rate,
    )
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def fit(
    fabric: Fabric, learner: Learner, data: TrainingData, folder: Path, *, resume: bool
) -> list[Unreadable]:
    """Train to the last epoch, saving state about every minute and the best weights by epoch.

    Args:
        fabric: The engine.
        learner: Network and projection; trained in place.
        data: Photos and teacher features.
        folder: The checkpoint to write.
        resume: Go on from the state in ``folder``.

    Returns:
        Photos of train and val that any process could not read, each once.

    Raises:
        CheckpointError: If ``resume`` is asked for and there is no state.
        ConfigError: If the state was made with other settings.
        ManifestError: If not one photo can be read.
    """
    config = learner.config
    optimizer = make_optimizer(learner, config)
    state = State()
    if resume:
        fabric.to_device(learner)  # the optimizer's state goes where its parameters are
        restore_state(folder, learner, config, optimizer, state)
    wrapped, engine_optimizer = fabric.setup(learner, optimizer)
    batches = GlobalBatches(
        len(data.train),
        config.batch_size,
        seed=config.seed,
        rank=fabric.global_rank,
        processes=fabric.world_size,
    )
    run = _Run(fabric, wrapped, engine_optimizer, learner, data, batches, folder, state)
    steps = config.epochs * len(batches)
    photos = batches.batch_size
    with progress("train", steps * photos, unit="photos", done=state.step * photos) as show:
        run.all_epochs(steps, show)
    found = {
        bad.image: bad for bad in _of_all_processes(fabric, run.unreadable + run.unreadable_val)
    }
    return [found[image] for image in sorted(found)]


def _of_all_processes(fabric: Fabric, unreadable: list[Unreadable]) -> list[Unreadable]:
    """Gather what each process met: it reads only its own share of the photos."""
    if fabric.world_size == 1:
        return unreadable
    parts: list[list[Unreadable]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(parts, unreadable)
    return [bad for part in parts for bad in part]


@dataclass
class _Run:
    """One training under way: what every step needs, so that functions stay short."""

    fabric: Fabric
    wrapped: nn.Module
    optimizer: Optimizer
    learner: Learner
    data: TrainingData
    batches: GlobalBatches
    folder: Path
    state: State

    def __post_init__(self) -> None:
        self.unreadable: list[Unreadable] = []
        self.unreadable_val: list[Unreadable] = []
        self.saved_at = time.monotonic()
        self.between_steps = True
        """False inside a step or a selection: what is half done must not be saved."""

    def all_epochs(self, steps: int, show: Step) -> None:
        """Train from the present step to the last; on Ctrl-C save what is whole."""
        config = self.learner.config
        source = loader(self.data.train, batches=self.batches, workers=config.workers)
        try:
            for epoch in range(self.state.step // len(self.batches), config.epochs):
                self.data.train.epoch = self.batches.epoch = epoch
                self.batches.first = self.state.step - epoch * len(self.batches)
                loss = self.one_epoch(source, steps, show)
                check_readable(self.data.train.manifest, self.unreadable)
                self.select(epoch, loss)
        except KeyboardInterrupt:
            if self.between_steps:
                self.save()
            raise

    def one_epoch(self, source: DataLoader[Batch], steps: int, show: Step) -> float:
        """Take the steps of one epoch that are left; return their mean loss."""
        self.wrapped.train()
        total = 0.0
        for batch in source:
            self.unreadable += batch.unreadable
            self.between_steps = False
            if len(batch) or self.fabric.world_size > 1:  # the others wait for our gradient
                total += self.one_step(batch, steps)
            self.state.step += 1
            show(self.batches.batch_size, f"epoch {self.batches.epoch + 1}")
            # The last step of an epoch is saved once the epoch is judged: a resume would skip that.
            self.between_steps = self.state.step % len(self.batches) > 0
            if self.between_steps and time.monotonic() - self.saved_at > SAVE_EVERY_S:
                self.save()
        return total / max(1, len(self.batches) - self.batches.first)

    def one_step(self, batch: Batch, steps: int) -> float:
        """Take one step on a batch; return its loss. An empty batch moves nothing."""
        weight = float(len(batch) > 0)
        batch = batch if len(batch) else _stand_in(self.learner.config.input_px)
        config = self.learner.config
        step = self.state.step
        set_rates(self.optimizer, config, step, steps=steps, steps_of_epoch=len(self.batches))
        numbers = (config.seed, step, self.fabric.global_rank)
        mix = draw_mix(len(batch), alpha=config.mixup, seed=numbers)
        inputs = _inputs(self.fabric, batch, self.data.train_teacher, self.data.train.view)
        latlon_B2 = self.data.train.latlon_N2[batch.photo_B].to(self.fabric.device)
        if not weight:  # a stand-in was taken nowhere
            latlon_B2 = torch.full_like(latlon_B2, torch.nan)
        places = self.data.cut_for  # the same place in all processes
        cut_for = places.draw((config.seed, step, 2)) if places else None
        with seeded(*numbers):  # fixes dropout
            loss, _ = self.wrapped(*inputs, mix, latlon_B2=latlon_B2, cut_for=cut_for)
        self.fabric.backward(weight * loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return weight * float(loss.detach())

    def select(self, epoch: int, train_loss: float) -> None:
        """Judge the epoch on the validation photos; keep its weights if they are the best yet."""
        score, loss, top1 = self.judge()
        better = score >= self.state.best_score
        if better:
            self.state.best_score = score
        if self.fabric.is_global_zero:
            columns = {"train_loss": train_loss, "val_loss": loss, "val_top1": top1}
            log_epoch(self.folder, epoch, columns, selected=better)
            if better:
                save_weights(self.learner.network, self.folder)
                if self.learner.location is not None:
                    save_projections(self.learner.location.state_dict(), self.folder)
        self.save()
        self.between_steps = True

    def judge(self) -> tuple[float, float, float]:
        """Return the score to select by, the loss and the top-1 accuracy on validation photos.

        The score is top-1, with the loss to break ties; without labels it is the loss.
        """
        self.wrapped.eval()
        loss_sum, right, labelled, photos = 0.0, 0, 0, 0
        for batch in loader(self.data.val, workers=self.learner.config.workers):
            self.unreadable_val += batch.unreadable
            if len(batch) == 0:
                continue
            mix = draw_mix(len(batch), alpha=0, seed=(0,))
            latlon_B2 = self.data.val.latlon_N2[batch.photo_B].to(self.fabric.device)
            with torch.no_grad(), self.fabric.autocast():
                inputs = _inputs(self.fabric, batch, self.data.val_teacher, 0)
                loss, logits_BC = self.learner(*inputs, mix, latlon_B2=latlon_B2)
            loss_sum += float(loss) * len(batch)
            photos += len(batch)
            if logits_BC is not None:
                right += int((logits_BC.argmax(1).cpu() == batch.class_B).sum())
                labelled += int((batch.class_B >= 0).sum())
        loss_mean = loss_sum / photos if photos else 0.0
        top1 = right / labelled if labelled else float("nan")
        return (top1 - 1e-6 * loss_mean if labelled else -loss_mean), loss_mean, top1

    def save(self) -> None:
        """Write the state in one step, so that a kill leaves the old one or the new one."""
        self.saved_at = time.monotonic()
        if self.fabric.is_global_zero:
            config = self.learner.config
            save_state(self.folder, self.learner, config, self.optimizer, self.state)


def _stand_in(px: int) -> Batch:
    """Make a batch of one black photo of the first class, for a process without a readable one."""
    first = torch.zeros(1, dtype=torch.long)
    return Batch(torch.zeros(1, 3, px, px, dtype=torch.uint8), first, first)


def _inputs(
    fabric: Fabric, batch: Batch, teacher: TeacherFeatures | None, view: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Move photos, classes and teacher features to where the network is."""
    x_B3HW = batch.pixels_B3HW.to(fabric.device).float() / 255.0
    return (
        x_B3HW.contiguous(memory_format=torch.channels_last),
        batch.class_B.to(fabric.device),
        teacher.of(batch.photo_B, view).to(fabric.device) if teacher else None,
    )
