"""The model card of a place package: what it is, how good it is and what it is not, in plain words.

Written for the ecologist who is handed the package. Rules: the first sentence warns; a share with
fewer than 30 photos is not given as a number; each way to make a model smaller has its own row, so
that nobody credits one with what another did; the accuracy says whose photos it was measured on.
"""

from collections.abc import Mapping

from homerange.specialize.expert_figures import ExpertFigures
from homerange.specialize.figures import Figures, Row, Score, Size
from homerange.specialize.lever_card import lever_rows, lever_words
from homerange.specialize.lever_search import LeverFigures
from homerange.specialize.names import some
from homerange.specialize.species import ExpectedSpecies, SpeciesTable
from homerange.world.description import ADOPTED, OCCURRENCES, DropRule
from homerange.world.world import World

__all__ = ["model_card"]


def model_card(
    name: str,
    world: World,
    table: SpeciesTable,
    figures: Figures,
    experts: ExpertFigures | None = None,
    levers: LeverFigures | None = None,
) -> str:
    """Write the card of a package, in Markdown.

    Args:
        name: Name of the package.
        world: The world that it was cut from.
        table: Its species.
        figures: What was measured.
        experts: What dropping experts saved, where some were.
        levers: What fewer bits and smaller photos saved, where they were tried.
    """
    parts = [
        f"# {_plain(name)}",
        "**Not for legal, safety or anti-poaching decisions alone.** The model suggests a name for "
        "each photo; somebody who knows the animals must check what matters.",
        _what(world, table, levers),
        "## How good is it",
        _rows(figures, experts, levers),
        _explanation(world, table, figures) + _about_experts(experts),
        "## What made it smaller",
        _levers(world, table, figures, experts, levers),
        "## Species",
        _species(table, figures),
        "## Where the photos came from",
        _photos(world),
        "## Limits",
        _limits(world, table, figures),
        "## Run it",
        f"```\nhomerange predict PHOTOS --model {name}.homerange -o results.json\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _what(world: World, table: SpeciesTable, levers: LeverFigures | None) -> str:
    description = world.description
    outcomes = f", and the outcomes {', '.join(table.outcomes)}" if table.outcomes else ""
    side = levers.chosen.levers.input_px if levers else description.preprocessing.input_px
    return (
        f"A model of {len(table.species)} species{outcomes}, made for a place: "
        f"{_plain(table.place.describe())}. It was cut from the world model "
        f"{_plain(description.name)} ({len(world.labels)} classes, "
        f"{_plain(description.architecture.backbone)}, photos of {side} x {side} pixels), without "
        "training anything."
    )


def _rows(figures: Figures, experts: ExpertFigures | None, levers: LeverFigures | None) -> str:
    head = (
        "model | MB | parameters | multiply-adds a photo | accuracy on this place's species | "
        "macro-F1 | accuracy on photos of this place"
    )
    lines = [_line(head.split(" | ")), _line(["---", *["---:"] * 3, *["---"] * 3])]
    rows = [_row(row) for row in figures.rows]
    if experts:
        rows[2][0] = "class rows cut, all experts kept"
        cost = _estimate(experts)
        rows += [
            [name, *_size(size), cost, "-", "-"]
            for name, size in (
                ("experts dropped, all classes kept", experts.experts_only),
                ("this package: class rows cut, experts dropped", experts.head_and_experts),
            )
        ]
    if levers:
        rows[2][0] = "class rows cut, no other lever"
        if experts:
            rows[-1][0] = "class rows cut, experts dropped"
        chosen = levers.chosen
        name = f"this package: {chosen.levers.describe()}"
        rows.append([name, *_size(chosen.size), "see below", "-", "-"])
    return "\n".join([*lines, *map(_line, rows)])


def _row(row: Row) -> list[str]:
    on_species, here = row.on_species, row.at_place
    return [
        row.name,
        *_size(row.size),
        _share(on_species),
        f"{on_species.macro_f1:.2f}" if on_species.measured else "-",
        _share(here) if here and here.photos else "no photos",
    ]


def _size(size: Size) -> list[str]:
    return [f"{size.bytes / 1e6:,.2f}", f"{size.parameters:,}", f"{size.macs / 1e6:,.1f} M"]


def _estimate(experts: ExpertFigures) -> str:
    if experts.estimated_loss_rise is None:
        return "not estimated (no validation photos)"
    return f"estimated: loss {experts.estimated_loss_rise:+.3f} a photo"


_BY_RULE: Mapping[DropRule, str] = {
    "reroute": "Each patch of a photo whose expert is gone goes to the best expert that is left",
    "zero": "What leaves the layer is zero for each patch of a photo whose expert is gone",
    "literal": "Each patch of a photo whose expert is gone gets minus its own input as the answer",
    "skip": "Each patch of a photo whose expert is gone passes the layer's experts unchanged",
    "mean": "Each patch of a photo whose expert is gone gets the mean answer of that expert",
}


def _about_experts(experts: ExpertFigures | None) -> str:
    if experts is None:
        return ""
    return (
        f" {_count(experts.dropped, 'expert')} dropped ({_plain(experts.choice)}). "
        f"{_BY_RULE[experts.drop_rule]} (drop rule {experts.drop_rule}). What dropping costs "
        "is an estimate to first order, from validation photos of this place's species: with "
        "several experts gone, only photos can tell. Run the package on photos that you know."
    )


def _share(score: Score) -> str:
    if not score.measured:
        return f"not measured here ({_count(score.photos, 'photo')})"
    return (
        f"{score.top1:.1%} ({score.top1_low:.1%} to {score.top1_high:.1%}; {score.photos:,} photos)"
    )


def _explanation(world: World, table: SpeciesTable, figures: Figures) -> str:
    off_list = (
        f" and {_count(figures.photos_off_list, 'test photo')} taken at the place of species off "
        "the list, which this package cannot name and which count as errors"
        if figures.photos_off_list
        else ""
    )
    return (
        f"Accuracy on this place's species: {_count(figures.photos_on_list, 'test photo')} of the "
        f"species on the list, taken anywhere (photos from elsewhere){off_list}. In brackets the "
        "95 % interval (Wilson). Macro-F1 gives each species the same weight. Photos of this "
        "place: all test photos taken there, outcomes too. MB are 10^6 bytes on disk. "
        "Multiply-adds are those of convolutions and matrix products. The world masked to the "
        "list may answer with this package's classes only; it is what the package must be "
        f"compared with. {_unseen(world)}"
    )


def _unseen(world: World) -> str:
    if _adopted(world):
        return (
            "The network comes from elsewhere: photos that the accuracy was measured on may have "
            "been among those that trained it."
        )
    return "No photo that the accuracy was measured on was used to make the model."


def _adopted(world: World) -> bool:
    return world.description.provenance.recipe == ADOPTED


def _levers(
    world: World,
    table: SpeciesTable,
    figures: Figures,
    experts: ExpertFigures | None,
    levers: LeverFigures | None,
) -> str:
    world_size, size = figures.rows[0].size, figures.rows[2].size
    unused = "not used in this package"
    dropped = ["experts dropped", unused, "", "", ""]
    if experts:
        what = f"{experts.dropped:,} of {experts.dropped + _kept(experts):,} experts"
        dropped = ["experts dropped", what, *_saved(world_size, experts.experts_only)]
    classes = f"{len(world.labels):,} to {len(table.labels):,} classes"
    lines = [
        _line(["lever", "what", "bytes", "parameters", "multiply-adds"]),
        _line(["---", "---", "---:", "---:", "---:"]),
        _line(["class rows cut", classes, *_saved(world_size, size)]),
        _line(dropped),
    ]
    if levers is None:
        more = ("fewer bits", "smaller photos")
        return "\n".join([*lines, *(_line([lever, unused, "", "", ""]) for lever in more)])
    headings, *rows = lever_rows(levers)
    table_lines = [_line(headings), _line(["---", *["---:"] * 5, "---"]), *map(_line, rows)]
    return "\n".join([*lines, "", *table_lines, "", lever_words(levers)])


def _kept(experts: ExpertFigures) -> int:
    return sum(map(len, experts.kept.values()))


def _saved(before: Size, after: Size) -> list[str]:
    change = after.bytes - before.bytes
    return [
        f"{change / 1e6:+,.2f} MB ({after.bytes / before.bytes - 1:+.1%})",
        f"{after.parameters - before.parameters:+,}",
        f"{(after.macs - before.macs) / 1e6:+,.3f} M",
    ]


def _species(table: SpeciesTable, figures: Figures) -> str:
    lines = [
        _line(["species", "common name", "why it is on the list", "test photos answered rightly"]),
        _line(["---"] * 4),
    ]
    for row, judged in zip(table.species, figures.species, strict=True):
        right = f"{judged.correct} of {judged.photos}" if judged.photos else "no test photos"
        lines.append(_line([*_names(row), row.reason, right]))
    if table.outcomes:
        lines.append(f"\nBeside them: {', '.join(table.outcomes)}.")
    if table.not_in_world:
        names = some([_plain(name) for name in table.not_in_world])
        lines.append(f"\nRecorded here, but unknown to the world, so never answered: {names}.")
    return "\n".join(lines)


def _names(row: ExpectedSpecies) -> list[str]:
    return [f"*{_plain(row.species)}*", _plain(row.common_name)]


def _photos(world: World) -> str:
    provenance, licence = world.description.provenance, world.description.licence
    sources, rows = _counted(provenance.sources), _counted(licence.rows)
    splits = ", ".join(f"{n:,} {split}" for split, n in provenance.photos.items())
    start = _plain(provenance.start)
    made = f"The world was trained with the recipe {_plain(provenance.recipe)} from {start}."
    if _adopted(world):
        made = (
            f"The network comes from elsewhere, already trained: {start}. On which photos, is not "
            "known here; the photos below say where species live and how right it is."
        )
    return (
        f"{made} Photos: {splits}. Sources: {sources or 'not known'}. "
        f"Licences of the photos: {rows or 'not known'}.\n\n"
        f"Licence of these weights, computed from those of the photos: {_plain(licence.weights)}."
    )


def _counted(numbers: Mapping[str, int]) -> str:
    """List names with their numbers of photos, or of records of species that were added."""
    return "; ".join(
        f"{_plain(name.removeprefix(OCCURRENCES))} "
        f"({number:,} {'records of species' if name.startswith(OCCURRENCES) else 'photos'})"
        for name, number in numbers.items()
    )


def _limits(world: World, table: SpeciesTable, figures: Figures) -> str:
    limits = [
        "The accuracy is that of this place's species with photos from elsewhere. A new camera "
        "sees another background and often does worse; check a few hundred photos of your own.",
        "A species that is not on the list is called by the name of one that is. The list holds "
        "what was recorded, not all that lives here.",
        "Confidences are not calibrated.",
    ]
    few = sum(not judged.photos for judged in figures.species)
    if few:
        limits.append(f"{few} of {len(figures.species)} species have no test photo at all.")
    if "person" not in world.outcomes:
        limits.append(
            "The world does not know people: somebody in front of the camera is called an animal."
        )
    if "blank" not in world.outcomes:
        limits.append("The world does not know empty photos: an empty photo is called an animal.")
    limits += [_plain(warning) for warning in table.warnings]
    return "\n".join(f"- {limit}" for limit in limits)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Keep names from breaking out of a table's cell or a line."""
    return " ".join(text.replace("|", "/").split())


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
