"""The labels of a network from elsewhere, matched to scientific names and outcomes.

A file has one label for each class row, in their order, in one of three forms:

- a table with a header (comma, semicolon or tab): ``species``, ``name`` or another usual name of
  that column, and if it has them ``common_name``, ``outcome``, ``class``, ``order`` ...;
- labels of seven parts, as SpeciesNet has them: ``uuid;class;order;family;genus;species;common``;
- plain names, one a line.

A label that is neither a scientific name, nor known from photos or records, nor an outcome, is kept
as it is: it can be answered, but no list of a place will hold it.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from homerange.data.importers.table import usual_column
from homerange.data.names import OUTCOMES, class_key, looks_scientific, outcome
from homerange.errors import ModelError

__all__ = ["Label", "read_labels"]

RANKS = ("taxon_class", "taxon_order", "taxon_family", "taxon_genus")
SPECIESNET_PARTS = 7
OWN_NAMES = ("name", "label name", "class_name", "title")
"""Of a column of labels, beside the usual names of a column of species."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One class row."""

    name: str
    """Scientific name, outcome, or the label as it stands."""
    common_name: str = ""
    taxon_class: str = ""
    taxon_order: str = ""
    taxon_family: str = ""
    taxon_genus: str = ""
    matched: bool = False
    """Whether it is known what the name means."""


def read_labels(path: Path, known: Mapping[str, str] | None = None) -> tuple[Label, ...]:
    """Read the labels of a network.

    Args:
        path: The file.
        known: Scientific names by the names that photos or records give them, in small letters.

    Returns:
        One for each class row. A name that stands in two rows is followed by the number of its row
        in the later ones, which are not matched: a class has one row.

    Raises:
        ModelError: If the file cannot be read, or a row has no label.
    """
    rows = _rows(path)
    empty = [i for i, row in enumerate(rows, start=1) if not any(row.values())]
    if empty or not rows:
        where = f"row {empty[0]} has no label" if empty else "there are no labels"
        raise ModelError(f"{path}: {where}; expected one for each class row of the model")
    return tuple(_each_once(_matched(row, known or {}) for row in rows))


def _rows(path: Path) -> list[dict[str, str]]:
    """Read the columns species, common_name, outcome and ranks, as far as the file has them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        if lines and all(line.count(";") == SPECIESNET_PARTS - 1 for line in lines):
            return [_seven_parts(line) for line in lines]
        head = lines[0] if lines else ""
        delimiter = max(",;\t", key=head.count)
        table = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except OSError as error:
        raise ModelError(f"{path}: the labels cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModelError(
            f"{path}: the labels cannot be read ({error}). Save them as CSV in UTF-8"
        ) from error
    columns = _columns(table[0] if table else [])
    if not columns:
        return [{"label": line.strip()} for line in lines]
    uneven = [i for i, row in enumerate(table) if len(row) != len(table[0])]
    if uneven:
        raise ModelError(
            f"{path}: row {uneven[0]} has {len(table[uneven[0]])} cells, the header has "
            f"{len(table[0])}. Quote names that hold a {delimiter!r}"
        )
    return [{ours: row[at].strip() for ours, at in columns.items()} for row in table[1:]]


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Find our columns in a header; none where the line is no header."""
    plain = [name.strip().casefold() for name in header]
    found = {ours: usual_column(ours, header) for ours in ("species", "common_name", *RANKS)}
    columns = {ours: header.index(name) for ours, name in found.items() if name is not None}
    if "outcome" in plain:
        columns["outcome"] = plain.index("outcome")
    own = [plain.index(name) for name in OWN_NAMES if name in plain]
    if own:
        columns["label"] = own[0]
    named = columns.keys() & {"species", "common_name", "label"}
    return columns if named else {}


def _seven_parts(line: str) -> dict[str, str]:
    """Read a label of SpeciesNet, whose names are in small letters.

    Example:
        >>> _seven_parts("x;mammalia;carnivora;felidae;panthera;leo;lion")["species"]
        'Panthera leo'
    """
    _, *ranks, epithet, common = (part.strip() for part in line.split(";"))
    higher = {rank: name.capitalize() for rank, name in zip(RANKS, ranks, strict=True)}
    lowest = next((name for name in reversed(higher.values()) if name), "")
    species = f"{higher['taxon_genus']} {epithet}" if epithet else lowest
    return {"species": species, "common_name": common, "taxonomy": lowest} | higher


def _matched(row: Mapping[str, str], known: Mapping[str, str]) -> Label:
    species, common, label = (row.get(name, "") for name in ("species", "common_name", "label"))
    genus = row.get("taxon_genus", "")
    if genus and species.islower() and species.isalpha():
        species = f"{genus} {species}"
    names = [name for name in (species, label, common) if name]
    facts = Label(
        name=names[0] if names else row.get("outcome", ""),
        common_name=common,
        taxon_class=row.get("taxon_class", ""),
        taxon_order=row.get("taxon_order", ""),
        taxon_family=row.get("taxon_family", ""),
        taxon_genus=genus,
    )
    meant = outcome(row.get("outcome", "")) or next(filter(None, map(outcome, names)), None)
    if meant:
        return replace(facts, name=meant, common_name="", matched=True)
    for name in names:
        if name.casefold() in known:
            return replace(facts, name=known[name.casefold()], matched=True)
    if row.get("taxonomy") or looks_scientific(facts.name):
        return replace(facts, name=class_key(facts.name) or facts.name, matched=True)
    return facts


def _each_once(labels: Iterable[Label]) -> Iterable[Label]:
    seen: set[str] = set()
    for row, label in enumerate(labels, start=1):
        if label.name not in seen:
            seen.add(label.name)
            yield label
            continue
        what = "outcome" if label.name in OUTCOMES else "label"
        name = f"{label.common_name or label.name} ({what} of row {row})"
        seen.add(name)
        yield replace(label, name=name, matched=False)
