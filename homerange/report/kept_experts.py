"""Which experts do the packages of several places keep, and how many do they share?

Run as ``python -m homerange.report.kept_experts north.homerange south.homerange``.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homerange.errors import HomerangeError, PackageError
from homerange.world.place_package import read_package

__all__ = ["KeptInLayer", "kept_experts", "main"]


@dataclass(frozen=True)
class KeptInLayer:
    """Experts of one layer that packages keep."""

    layer: int
    kept: tuple[int, ...]
    """Number kept by each package."""
    by_all: int
    """Number kept by every package."""
    by_any: int


def kept_experts(packages: Sequence[Path]) -> list[KeptInLayer]:
    """Compare the experts of packages that were cut from one world.

    Raises:
        PackageError: If one of them keeps all experts, or they come from different worlds.
    """
    parents, chosen = zip(*map(_parent_and_kept, packages), strict=True)
    if len(set(parents)) > 1:
        raise PackageError(
            f"{packages[0]} and the others come from {len(set(parents))} worlds, whose experts are "
            "not the same ones. Get them from one world"
        )
    rows = []
    for layer in sorted(chosen[0], key=int):
        sets = [set(kept[layer]) for kept in chosen]
        rows.append(
            KeptInLayer(
                layer=int(layer),
                kept=tuple(map(len, sets)),
                by_all=len(set.intersection(*sets)),
                by_any=len(set.union(*sets)),
            )
        )
    return rows


def _parent_and_kept(path: Path) -> tuple[str, Mapping[str, Sequence[int]]]:
    """Return the hash of the world that a package was cut from, and its experts by layer."""
    place = read_package(path).place
    parent, experts = place["parent"], place["experts"]
    kept = experts.get("kept") if isinstance(experts, Mapping) else None
    if not isinstance(parent, Mapping) or not isinstance(kept, Mapping):
        raise PackageError(
            f"{path}: no experts were dropped. Make it with: homerange get --experts METHOD:AMOUNT"
        )
    return str(parent.get("sha256")), kept


def main(arguments: Sequence[str]) -> int:
    """Print a line for each layer; return the exit code."""
    packages = [Path(text) for text in arguments]
    try:
        rows = kept_experts(packages)
    except HomerangeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for row in rows:
        each = ", ".join(f"{p.stem} {n}" for p, n in zip(packages, row.kept, strict=True))
        print(f"layer {row.layer}: {each}; kept by all {row.by_all}, by any {row.by_any}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
