"""The page of the demo: one HTML file with everything in it, to look at and to send on."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from homerange import __version__
from homerange.demo.answers import Answered
from homerange.demo.earth import BANDS, draw_earth
from homerange.demo.sides import Side
from homerange.demo.tour import CountryModel, Tour
from homerange.specialize.figures import Score
from homerange.world.world import World

__all__ = ["write_page"]

STYLE = Path(__file__).with_name("look.css")
DOT, DOTS_A_ROW = 15, 64


def write_page(
    path: Path, world: World, tour: Tour, sides: Sequence[Side], photos: Sequence[Answered]
) -> None:
    """Write the page.

    Args:
        path: The file, ``demo.html``.
        world: What everything was cut from.
        tour: All countries.
        sides: Two countries; none where one of them has no species.
        photos: Photos with the answers of both; may be none.
    """
    parts = [_head(world, tour), _countries(tour)]
    if sides:
        parts += [_who(sides), _experts(world, sides), _levers(sides)]
    if photos:
        parts.append(_photos(sides, photos))
    parts.append(_foot(world))
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>homerange: a model for every country</title><style>{STYLE.read_text()}</style>"
        f"</head><body>{''.join(parts)}</body></html>",
        encoding="utf-8",
    )


def _head(world: World, tour: Tour) -> str:
    made = [one for one in tour.models if one.made]
    equal = sum(one.equal for one in made)
    legend = "".join(
        f'<span><i style="background:{c}"></i>{n}</span>' for n, (_, c) in BANDS.items()
    )
    return (
        "<h1>A model for every country</h1>"
        f'<p class="big">{len(tour.models)} countries were named; {len(made)} of them have '
        f"species in the world <b>{escape(world.description.name)}</b>, and each of these got its "
        f"own model, in {tour.seconds:.0f} seconds on one core. Nothing was trained. {equal} of "
        f"{len(made)} answer as the world does for the species that they keep.</p>"
        f'{draw_earth(tour.models)}<p class="legend quiet">species on the list: {legend}</p>'
    )


def _countries(tour: Tour) -> str:
    made = sorted((one for one in tour.models if one.made), key=lambda one: -one.species)
    rows = "".join(map(_country_row, made))
    left = [one.country.name for one in tour.models if not one.made]
    without = f"<p class='quiet'>No records in this world: {escape(', '.join(left))}.</p>"
    return (
        "<details><summary>All countries, one by one</summary><div class='wide'><table>"
        "<tr><th>country</th><th class='n'>species</th><th class='n'>MB</th>"
        "<th class='n'>seconds</th><th class='n'>largest difference of a logit</th></tr>"
        f"{rows}</table></div>{without if left else ''}</details>"
    )


def _country_row(one: CountryModel) -> str:
    cells = (f"{one.species}", f"{one.bytes / 1e6:.2f}", f"{one.seconds:.2f}")
    numbers = "".join(f"<td class='n'>{cell}</td>" for cell in (*cells, f"{one.difference:.1e}"))
    return f"<tr><td>{escape(one.country.describe())}</td>{numbers}</tr>"


def _who(sides: Sequence[Side]) -> str:
    one, other = sides
    lists = (
        (f"Only in {one.country.name}", one.species - other.species),
        ("In both", one.species & other.species),
        (f"Only in {other.country.name}", other.species - one.species),
    )
    names = {s.species: s.common_name for side in sides for s in side.made.table.species}
    cards = "".join(
        f"<div class='card'><h3>{escape(title)} ({len(species)})</h3>"
        f"<ul>{_species(sorted(species), names)}</ul></div>"
        for title, species in lists
    )
    title = f"{escape(one.country.name)} and {escape(other.country.name)}: who lives there"
    return f"<h2>{title}</h2><div class='sides'>{cards}</div>"


def _species(species: Iterable[str], names: dict[str, str]) -> str:
    return "".join(
        f"<li><em>{escape(name)}</em>{f', {escape(names[name])}' if names[name] else ''}</li>"
        for name in species
    )


def _experts(world: World, sides: Sequence[Side]) -> str:
    if not world.graph.experts:
        return ""
    one, other = sides
    shared = sum(len(one.kept[n] & other.kept[n]) for n in one.kept)
    each = sum(map(len, one.kept.values()))
    rows = [
        _dots(layer.layer, layer.experts, sides, top=22 * i)
        for i, layer in enumerate(world.graph.experts)
    ]
    legend = "".join(
        f'<span><i style="background:var(--{key})"></i>{escape(name)}</span>'
        for key, name in (
            ("a", f"only {one.country.name}"),
            ("b", f"only {other.country.name}"),
            ("both", "both"),
            ("none", "neither"),
        )
    )
    width, height = 70 + DOT * DOTS_A_ROW, 22 * len(rows)
    return (
        "<h2>Which experts stay</h2>"
        f"<p>Each model keeps the {each} experts that its own species need most, by first-order "
        f"score. {shared} of them are the same. Whether that pays is another question: on photos "
        "it was a tie with dropping any others (see findings).</p>"
        f'<svg class="dots" viewBox="0 0 {width} {height}" role="img" aria-label="Experts that '
        f'stay, by layer">{"".join(rows)}</svg><p class="legend quiet">{legend}</p>'
    )


def _dots(layer: int, experts: int, sides: Sequence[Side], *, top: int) -> str:
    kept = [side.kept.get(layer, set()) for side in sides]
    words = {(True, False): "a", (False, True): "b", (True, True): "both", (False, False): "none"}
    dots = "".join(
        f'<circle cx="{76 + DOT * e}" cy="{top + 10}" r="5.5" '
        f'class="{words[e in kept[0], e in kept[1]]}"/>'
        for e in range(min(experts, DOTS_A_ROW))
    )
    return f'<text x="0" y="{top + 14}">layer {layer}</text>{dots}'


def _levers(sides: Sequence[Side]) -> str:
    parts = []
    for side in sides:
        levers = side.levers
        largest = levers[0].bytes
        rows = "".join(
            f"<tr><td>{lever.name}</td><td class='n'>{lever.bytes / 1e6:.2f}</td>"
            f"<td class='n'>{lever.macs / 1e6:.0f}</td>"
            f"<td style='width:40%'><span class='bar' style='width:{lever.bytes / largest:.0%}'>"
            "</span></td></tr>"
            for lever in levers
        )
        world, listed, _ = side.made.figures.rows
        parts.append(
            f"<div class='card'><h3>{escape(side.country.name)}</h3><table><tr><th>lever</th>"
            "<th class='n'>MB</th><th class='n'>M operations</th><th></th></tr>"
            f"{rows}</table><p class='quiet'>Accuracy on its species, photos from anywhere: "
            f"{_score(world.on_species)} with the whole world's names, "
            f"{_score(listed.on_species)} with its own.</p></div>"
        )
    return f"<h2>The levers, apart</h2><div class='sides'>{''.join(parts)}</div>"


def _score(score: Score) -> str:
    if score.top1 is None or not score.measured:
        return f"not measured ({score.photos} photos)"
    return f"{score.top1:.2f} ({score.top1_low:.2f} to {score.top1_high:.2f}, n {score.photos})"


def _photos(sides: Sequence[Side], photos: Sequence[Answered]) -> str:
    figures = "".join(
        f'<figure class="card"><img src="{one.picture}" alt="">'
        + "".join(
            f"<p><b>{escape(side.country.name)}</b>: {escape(label)} {share:.0%}</p>"
            for side, (label, share) in zip(sides, one.answers, strict=True)
        )
        + "</figure>"
        for one in photos
    )
    return (
        "<h2>The same photos, two models</h2><p class='quiet'>The best answer of each model and "
        "its probability. A model can only name what is on its list.</p>"
        f"<div class='photos'>{figures}</div>"
    )


def _foot(world: World) -> str:
    licence = escape(world.description.licence.weights)
    return (
        f"<p class='quiet'>homerange {__version__}; world {escape(world.description.name)}, "
        f"sha256 {world.sha256[:12]}, licence {licence}. Borders: "
        "Natural Earth, public domain. Not for legal, safety or anti-poaching decisions alone: "
        "somebody who knows the animals checks what matters.</p>"
    )
