"""The verb ``map``: pick a place in a browser."""

from collections.abc import Sequence
from pathlib import Path

import click

from homerange.world_option import takes_world

__all__ = ["map_"]

FILE = click.Path(path_type=Path)


@click.command("map")
@takes_world
@click.option("--out", type=FILE, help="Write the page into this folder, and serve nothing.")
@click.option(
    "--withhold", multiple=True, metavar="NAME", help="Do not draw where it lives; repeatable."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port; 0 takes a free one.")
@click.option("--base-url", metavar="URL", help="The address that a proxy shows, if one does.")
@click.option("--token", envvar="HOMERANGE_MAP_TOKEN", help="Let in only those who have it.")
@click.option("--builds", type=FILE, help="Folder for packages and their queue; else temporary.")
@click.option("--queue-max", default=100, show_default=True, help="Packages ordered at a time.")
def map_(
    world: Path,
    out: Path | None,
    withhold: Sequence[str],
    host: str,
    port: int,
    base_url: str | None,
    token: str | None,
    builds: Path | None,
    queue_max: int,
) -> None:
    """Serve a map of the world: pick a place in a browser and take its model home.

    \b
    homerange map --world world
    homerange map --world world --out site/
    homerange map --world world --builds builds --base-url https://example.org/homerange

    With --out the page becomes a folder that opens from disk and on any web host: lists, figures
    and photos all the same, and a command line where the server makes packages.

    A token is better given as the environment variable HOMERANGE_MAP_TOKEN, which no list of
    processes shows.
    """
    if out:
        from homerange.map.site import write_site
        from homerange.show import print_site

        print_site(write_site(world, out, withhold=withhold))
        return
    from homerange.map.serve import serve
    from homerange.show import print_address

    serve(
        world,
        withhold=withhold,
        host=host,
        port=port,
        base_url=base_url,
        token=token,
        builds=builds,
        queue_max=queue_max,
        on_ready=print_address,
    )
