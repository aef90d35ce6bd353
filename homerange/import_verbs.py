"""The verbs ``homerange import ...``: from a data set to a manifest."""

from collections.abc import Sequence
from pathlib import Path

import click

from homerange.reports import check_import, finish_import, finish_records

__all__ = ["import_"]

FILE = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)


@click.group("import")
def import_() -> None:
    """Turn a data set into a manifest: one table of photos, places and species.

    Rows that cannot be used are listed with the reason in MANIFEST.refused.csv.
    """


@import_.command("table")
@click.argument("source", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet.")
@click.option("--photos", type=FILE, help="Folder of the photos; the folder of SOURCE otherwise.")
@click.option(
    "--column", multiple=True, metavar="OURS=THEIRS", help="A column of another name; repeatable."
)
@click.option("--seed", default=0, show_default=True, help="Of the train, val and test splits.")
def import_table(
    source: Path, output: Path, photos: Path | None, column: Sequence[str], seed: int
) -> None:
    """Import a CSV or Parquet table with a row per photo.

    \b
    homerange import table photos.csv -o manifest.parquet
    homerange import table records.csv --photos /mnt/cameras --column species=name -o m.parquet
    """
    from homerange.data.importers.table import import_table as run

    pairs = dict(_pair(text) for text in column)
    check_import(output, source)
    finish_import(run(source, photos=photos, columns=pairs, seed=seed), output)


@import_.command("coco")
@click.argument("source", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet.")
@click.option("--photos", type=FILE, help="Folder of the photos; the folder of SOURCE otherwise.")
@click.option(
    "--gps", type=FILE, help="JSON of latitude and longitude per location, as iWildCam's."
)
@click.option("--seed", default=0, show_default=True, help="Of the train, val and test splits.")
def import_coco(
    source: Path, output: Path, photos: Path | None, gps: Path | None, seed: int
) -> None:
    """Import COCO Camera Traps JSON (LILA, iWildCam), with boxes where it has them.

    \b
    homerange import coco annotations.json --photos images --gps gps_locations.json -o m.parquet
    """
    from homerange.data.importers.coco_camera_traps import import_coco as run

    check_import(output, source, *([gps] if gps else []))
    finish_import(run(source, photos=photos, gps=gps, seed=seed), output)


@import_.command("camtrap-dp")
@click.argument("package", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet.")
@click.option("--photos", type=FILE, help="Folder of the photos; that of PACKAGE otherwise.")
@click.option("--seed", default=0, show_default=True, help="Of the train, val and test splits.")
def import_camtrap_dp(package: Path, output: Path, photos: Path | None, seed: int) -> None:
    """Import a Camtrap DP 1.0 package (Agouti, GBIF, Trapper ...), a folder or a zip.

    \b
    homerange import camtrap-dp my-project/ -o manifest.parquet
    homerange import camtrap-dp my-project.zip --photos /mnt/cameras -o manifest.parquet

    Labels of single photos count first; labels of events are spread over their photos.
    """
    from homerange.data.importers.camtrap_dp import import_camtrap_dp as run

    check_import(output, *(package.iterdir() if package.is_dir() else [package]))
    finish_import(run(package, photos=photos, seed=seed), output)


@import_.command("gbif")
@click.argument("download", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The records to write, .parquet.")
def import_gbif(download: Path, output: Path) -> None:
    """Import a GBIF download: where species were recorded, without photos.

    \b
    homerange import gbif 0012345-250117142028555.zip -o mammals.parquet
    homerange profile checkpoint manifest.parquet -o world --occurrences mammals.parquet

    DOWNLOAD is a "simple" download or a Darwin Core Archive, as a zip or unzipped. Places become
    S2 cells of about 36 km or larger, and numbers become bands.
    """
    from homerange.world.gbif import import_gbif as run

    check_import(output, download)
    finish_records(run(download, output))


@import_.command("lila")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet.")
@click.option("--dataset", multiple=True, required=True, metavar="NAME", help="Repeatable.")
@click.option("--species", multiple=True, metavar="NAME", help="Only these; repeatable.")
@click.option("--per-species", type=COUNT, help="At most so many photos of each species.")
@click.option("--most", type=COUNT, help="At most so many photos in all.")
@click.option("--download", is_flag=True, help="Fetch the photos; else only their addresses.")
@click.option("--places", type=FILE, help="CSV of coordinates that you know better than LILA.")
@click.option("--seed", default=0, show_default=True, help="Of the choice and of the splits.")
def import_lila(
    folder: Path,
    output: Path,
    dataset: Sequence[str],
    species: Sequence[str],
    per_species: int | None,
    most: int | None,
    download: bool,
    places: Path | None,
    seed: int,
) -> None:
    """Import camera-trap data sets of LILA BC; its list and photos are kept in FOLDER.

    \b
    homerange import lila lila/ --dataset "Snapshot Karoo" --per-species 100 --download -o k.parquet
    homerange import lila lila/ --dataset NACTI --species "Puma concolor" --most 500 -o m.parquet

    The list (about 0.8 GB) is downloaded once. The same command goes on where an interrupted one
    stopped.
    """
    from homerange.data.importers.lila import import_lila as run

    check_import(output, *([places] if places else []))
    try:
        imported = run(
            folder,
            dataset,
            species=species,
            per_species=per_species,
            most=most,
            download=download,
            places=places,
            seed=seed,
        )
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from here") from None
    finish_import(imported, output)


@import_.command("join")
@click.argument("sources", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet.")
def import_join(sources: Sequence[Path], output: Path) -> None:
    """Join manifests into one; their splits stay, unless they share a camera or photo.

    \b
    homerange import join serengeti.parquet chicago.parquet -o both.parquet
    """
    from homerange.data.importers.join import join_manifests

    check_import(output, *sources)
    finish_import(join_manifests(sources), output)


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals:
        raise click.UsageError(f"--column {text}: expected OURS=THEIRS, as in species=taxon_name")
    return ours, theirs
