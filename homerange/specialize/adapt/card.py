"""What the card of an adapted package says before all that it says of the package before."""

from typing import TYPE_CHECKING

from homerange.specialize.figures import Score
from homerange.world.place_package import PlacePackage

if TYPE_CHECKING:
    from homerange.specialize.adapt.adapt import Adapted

__all__ = ["adapted_card"]


def adapted_card(card: str, parent: PlacePackage, adapted: "Adapted") -> str:
    """Put a section about the corrections behind the first words of a card.

    Args:
        card: Of the package before.
        parent: That package.
        adapted: What became of it.
    """
    _, _, rest = card.partition("\n")
    warning, _, rest = rest.lstrip("\n").partition("\n\n")
    rest = rest.replace(f"--model {parent.name}.homerange", f"--model {adapted.name}.homerange")
    parts = [f"# {_plain(adapted.name)}", warning, "## Adapted", _section(parent, adapted), rest]
    return "\n\n".join(parts)


def _section(parent: PlacePackage, adapted: "Adapted") -> str:
    rows = [
        "| class rows | right | accuracy on the newest corrected photos |",
        "| --- | ---: | --- |",
        *(
            f"| {name} | {one.correct} of {one.photos} | {_share(one)} |"
            for name, one in (
                ("as they were", adapted.before),
                ("taught by the older photos", adapted.after),
            )
        ),
    ]
    added = f" New labels: {', '.join(map(_plain, adapted.added))}." if adapted.added else ""
    notes = "".join(f"\n- {_plain(note)}" for note in adapted.notes)
    return (
        "\n".join(rows) + f"\n\nThe class rows of the package {_plain(parent.name)} learnt from "
        f"{adapted.photos:,} corrected photos of its user. For the table only the older ones "
        f"taught and the newest {adapted.judged:,} ({adapted.order}) judged; the rows of this "
        f"package learnt from all of them.{added} Nothing else of the network changed. "
        "These photos are of the cameras of one user: elsewhere the package may be worse than "
        "before. **All other numbers on this card are of the package before its corrections.**"
        + (f"\n{notes}" if notes else "")
    )


def _share(score: Score) -> str:
    return f"{score.top1:.1%} ({score.top1_low:.1%} to {score.top1_high:.1%})"


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
