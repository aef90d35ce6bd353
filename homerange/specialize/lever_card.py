"""The part of a card that says what made a package smaller: the levers beside the control."""

from homerange.specialize.lever_search import LeverFigures
from homerange.specialize.levers import Variant

__all__ = ["lever_rows", "lever_words"]

HEADINGS = (
    "model",
    "kB",
    "multiply-adds a photo",
    "ms",
    "accuracy",
    "against the control",
    "known",
)


def lever_rows(figures: LeverFigures) -> list[list[str]]:
    """Return the table, its headings first: the control, each lever alone, the package."""
    control, chosen = figures.control, figures.chosen
    rows = [_row("control: class rows cut", control, control)]
    rows += [_row(one.levers.describe(), one, control) for one in figures.alone]
    rows.append(_row(f"this package: {chosen.levers.describe()}", chosen, control))
    return [list(HEADINGS), *rows]


def _row(name: str, one: Variant, control: Variant) -> list[str]:
    change = "-"
    if one.accuracy is not None and control.accuracy is not None and one is not control:
        change = f"{100 * (one.accuracy - control.accuracy):+.1f} points"
    return [
        name,
        f"{one.size.bytes / 1e3:,.0f}",
        f"{one.size.macs / 1e6:,.1f} M",
        "-" if one.ms is None else f"{one.ms:.1f}",
        "-" if one.accuracy is None else f"{one.accuracy:.1%}",
        change,
        f"{one.known} ({one.photos:,} photos)" if one.known in ("exact", "measured") else one.known,
    ]


def lever_words(figures: LeverFigures) -> str:
    """Explain the table."""
    text = f"Chosen: {figures.chosen_by}. "
    if figures.chosen_score and figures.control_score:
        kept, before = figures.chosen_score, figures.control_score
        text += (
            f"On {kept.photos:,} other photos, which did not choose, the package answers "
            f"{kept.correct:,} rightly and the control {before.correct:,}. Accuracies of the table "
            "are on the photos that chose. "
        )
    else:
        text += (
            "Exact: from the world's test photos. Estimated: by what the same lever cost another "
            "network (115 species, 128 pixels); run the package on photos that you know, or make "
            "it with --photos. "
        )
    if figures.device:
        text += (
            f"Milliseconds: estimated for {figures.device}, in proportion to multiply-adds; bits "
            "of weights do not change them. "
        )
    return text + "kB are 10^3 bytes of the model on disk."
