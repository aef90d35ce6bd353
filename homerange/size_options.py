"""The options that say how small a package shall be, handed over as ``smaller``."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["takes_size"]

Verb = Callable[..., Any]
FILE = click.Path(path_type=Path)

_OPTIONS = (
    click.option("--bits", type=click.Choice(["32", "16", "8", "4"]), help="Of each weight."),
    click.option("--input-px", type=int, help="Side of the photos; the world's otherwise."),
    click.option("--max-kb", type=float, help="Limit for the model on disk, 10^3 bytes."),
    click.option("--max-ms", type=float, help="Limit for a photo, on the device of --device."),
    click.option("--device", type=FILE, help="What homerange bench measured on that device."),
    click.option("--min-accuracy", type=float, help="The smallest model that reaches it, 0 to 1."),
    click.option("--budget", type=click.Choice(["knee"]), help="Where the curve bends."),
    click.option("--photos", type=FILE, help="A .csv of photos with species, to measure on."),
)


def takes_size(command: Verb) -> Verb:
    """Give a verb these options; ``smaller`` is None where none is used."""

    @functools.wraps(command)
    def parsed(
        bits: str | None,
        input_px: int | None,
        max_kb: float | None,
        max_ms: float | None,
        device: Path | None,
        min_accuracy: float | None,
        budget: str | None,
        photos: Path | None,
        **rest: object,
    ) -> object:
        """Read what is wanted and call the verb."""
        values = (bits, input_px, max_kb, max_ms, device, min_accuracy, budget, photos)
        if all(value is None for value in values):
            return command(smaller=None, **rest)
        from homerange.specialize.smaller import DeviceProfile, Smaller

        smaller = Smaller(
            bits=int(bits) if bits else None,
            input_px=input_px,
            max_bytes=None if max_kb is None else round(max_kb * 1000),
            max_ms=max_ms,
            device=DeviceProfile.read(device) if device else None,
            min_accuracy=min_accuracy,
            knee=budget == "knee",
            photos=photos,
        )
        return command(smaller=smaller, **rest)

    for option in reversed(_OPTIONS):
        parsed = option(parsed)
    return parsed
