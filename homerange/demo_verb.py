"""The verb ``demo``: every country gets its model while you watch."""

from pathlib import Path

import click

from homerange.world_option import takes_world

__all__ = ["demo"]

FILE = click.Path(path_type=Path)


@click.command()
@takes_world
@click.option(
    "-o", "--output", type=FILE, default=Path("demo"), show_default=True, help="Folder of the page."
)
@click.option(
    "--compare",
    nargs=2,
    default=("KEN", "ECU"),
    metavar="COUNTRY COUNTRY",
    show_default="Kenya and Ecuador",
    help="Two countries to put side by side.",
)
@click.option("--photos", type=FILE, help="Photos to run both of their models over.")
@click.option("--keep", is_flag=True, help="Keep the packages of all countries.")
def demo(
    world: Path, output: Path, compare: tuple[str, str], photos: Path | None, keep: bool
) -> None:
    """Make the model of every country, prove each against the world, and show two side by side.

    \b
    homerange demo --world world
    homerange demo --world world --compare KEN BRA --photos photos/

    The page, demo.html, holds everything and needs no network connection. "Equal" means that for
    the same pictures a country's model gives the numbers that the world gives for its species.
    """
    from homerange.demo.show import show
    from homerange.geo.countries import find_country

    one, other = (find_country(text) for text in compare)
    shown = show(world, output, compare=(one, other), photos=photos, keep=keep)
    for side in shown.sides:
        for lever in side.levers:
            click.echo(
                f"{side.country.name}, {lever.name}: {lever.bytes / 1e6:.2f} MB, "
                f"{lever.macs / 1e6:.0f} M operations"
            )
    click.echo(f"page: {shown.page}")
    click.echo(shown.tour.describe())
