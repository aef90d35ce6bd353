"""The range model of a world: which of its species to expect at a coordinate, without torch.

``range.onnx`` takes latitude and longitude in degrees and gives a score between 0 and 1 for each
species; its metadata name the species. The scores rank species and places. They are no
probabilities of presence: training counts a record as often as there are species.

Axes used in this file:
    N  places      K  species
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from homerange.errors import WorldError
from homerange.geo.coarse import PUBLISHED_LEVEL
from homerange.geo.sphere import check_latlon
from homerange.world.world import RANGE_FILE

__all__ = ["RANGE_INPUT", "RANGE_OUTPUT", "RangeModel", "range_metadata"]

RANGE_INPUT, RANGE_OUTPUT = "latlon", "score"
PLACES_AT_ONCE = 4096


def range_metadata(
    species: tuple[str, ...], *, finest_level: int, threshold: float | None
) -> dict[str, str]:
    """Return what a range model says about itself, as texts."""
    return {
        "species": "\n".join(species),
        "finest_level": str(finest_level),
        "threshold": "" if threshold is None else repr(threshold),
    }


@dataclass(frozen=True, eq=False)
class RangeModel:
    """A range model, loaded and ready to answer."""

    species: tuple[str, ...]
    """Scientific names: classes of the world whose records the model learnt from."""
    finest_level: int
    """S2 level of the finest cells that records were made to; 8 or coarser."""
    threshold: float | None
    """The score that 95 % of the records kept aside in training reach; none without such."""
    runtime: ort.InferenceSession

    @classmethod
    def open(cls, world: str | Path) -> Self:
        """Load the range model of a world.

        Args:
            world: The folder of the world.

        Raises:
            WorldError: If the world has none, it is damaged, or its records were finer than what a
                world may say.
        """
        path = Path(world) / RANGE_FILE
        if not path.is_file():
            raise WorldError(
                f"{world}: has no {RANGE_FILE}. Publish it again with: homerange profile --range"
            )
        try:
            runtime = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            said = runtime.get_modelmeta().custom_metadata_map
            species, level = tuple(said["species"].split("\n")), int(said["finest_level"])
            threshold = float(said["threshold"]) if said["threshold"] else None
        except Exception as error:  # the runtime has a dozen error classes of its own
            raise WorldError(
                f"{path}: cannot be loaded (onnxruntime {ort.__version__}: {error}). Copy or "
                "download the world again"
            ) from error
        if level > PUBLISHED_LEVEL:
            raise WorldError(
                f"{path}: learnt from cells of level {level}; worlds say nothing finer than "
                f"{PUBLISHED_LEVEL}. Train the range model again"
            )
        return cls(species, level, threshold, runtime)

    def scores(self, latlon_N2: NDArray[np.float64]) -> NDArray[np.float32]:
        """Score every species at some places.

        Args:
            latlon_N2: Latitude and longitude, WGS 84 degrees, shape (N, 2).

        Returns:
            Scores between 0 and 1, shape (N, K), in the order of ``species``.

        Raises:
            CoordinateError: If a coordinate is NaN or out of range.
        """
        check_latlon(latlon_N2)
        found = [np.empty((0, len(self.species)), np.float32)]
        for start in range(0, len(latlon_N2), PLACES_AT_ONCE):
            feed = {RANGE_INPUT: latlon_N2[start : start + PLACES_AT_ONCE]}
            found += self.runtime.run([RANGE_OUTPUT], feed)
        return np.concatenate(found)

    def expected_at(self, latitude_deg: float, longitude_deg: float) -> dict[str, float]:
        """Return the species to expect at one place with their scores, the highest first.

        With a threshold, those that reach it; without, all.

        Raises:
            CoordinateError: If it is no place on the Earth.
        """
        score_K = self.scores(np.array([[latitude_deg, longitude_deg]]))[0]
        order_K = np.argsort(-score_K, kind="stable")
        kept_K = order_K[score_K[order_K] >= (self.threshold or 0.0)]
        return {self.species[k]: float(score_K[k]) for k in kept_K.tolist()}
