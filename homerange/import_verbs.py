"""The verbs ``homerange import ...``: from a data set to a manifest."""

from collections.abc import Sequence
from pathlib import Path

import click

from homerange.reports import check_import, finish_import, finish_records

__all__ = ["import_"]

FILE = click.Path(path_type=Path)
OUTPUT = click.option(
    "-o", "--output", type=FILE, required=True, help="The manifest to write, .parquet."
)
PHOTOS = click.option(
    "--photos", type=FILE, help="Folder of the photos; the folder of SOURCE otherwise."
)
SEED = click.option(
    "--seed", default=0, show_default=True, help="Of the train, val and test splits."
)
LOCATIONS = click.option(
    "--locations", type=FILE, help="Folder of the *_locations.json, if elsewhere."
)
COUNT = click.IntRange(min=1)


@click.group("import")
def import_() -> None:
    """Turn a data set into a manifest: one table of photos, places and species.

    Rows that cannot be used are listed with the reason in MANIFEST.refused.csv.
    """


@import_.command("table")
@click.argument("source", type=FILE)
@OUTPUT
@PHOTOS
@click.option(
    "--column", multiple=True, metavar="OURS=THEIRS", help="A column of another name; repeatable."
)
@SEED
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
@OUTPUT
@PHOTOS
@click.option(
    "--gps", type=FILE, help="JSON of latitude and longitude per location, as iWildCam's."
)
@SEED
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


@import_.command("inaturalist")
@click.argument("sources", type=FILE, nargs=-1, required=True)
@OUTPUT
@click.option("--photos", type=FILE, help="Folder of the photos; that of the first file otherwise.")
@LOCATIONS
@click.option("--categories", type=FILE, help="Real names of the species, for 2018 and 2019.")
@click.option(
    "--cells", type=click.IntRange(1), help="Regions are S2 cells of at most so many photos."
)
def import_inaturalist(
    sources: Sequence[Path],
    output: Path,
    photos: Path | None,
    locations: Path | None,
    categories: Path | None,
    cells: int | None,
) -> None:
    """Import the annotations of an iNaturalist competition, 2017 to 2021, and their splits.

    \b
    homerange import inaturalist train2017.json val2017.json -o inat2017.parquet
    homerange import inaturalist train2018.json --categories categories.json -o m.parquet
    homerange import inaturalist train.json val.json --cells 10000 -o inat2021.parquet
    """
    from homerange.data.importers.inaturalist import import_inaturalist as run
    from homerange.data.importers.inaturalist_json import locations_of

    read_too = [locations_of(source, locations) for source in sources]
    check_import(output, *sources, *read_too, *([categories] if categories else []))
    imported = run(sources, photos=photos, locations=locations, categories=categories, cells=cells)
    finish_import(imported, output)


@import_.command("inat-geo")
@click.argument("source", type=FILE)
@OUTPUT
@click.option(
    "--annotations",
    type=FILE,
    multiple=True,
    required=True,
    help="A file of iNaturalist 2017 with these photos; repeatable.",
)
@click.option("--test", type=FILE, help="The CSV of the test photos.")
@click.option(
    "--column",
    default="user_id",
    show_default=True,
    help="Of the cells: geo_10k in one CSV for all.",
)
@click.option(
    "--photos", type=FILE, help="Folder of the photos; that of the annotations otherwise."
)
@LOCATIONS
@click.option("--seed", default=0, show_default=True, help="Of the choice of val in each cell.")
def import_inat_geo(
    source: Path,
    output: Path,
    annotations: Sequence[Path],
    test: Path | None,
    column: str,
    photos: Path | None,
    locations: Path | None,
    seed: int,
) -> None:
    """Import a split of iNaturalist-Geo, such as iNaturalist-Geo-10K: cells as regions.

    SOURCE is the CSV of the training photos.

    \b
    homerange import inat-geo geo_10k.csv --test test.csv --annotations train2017.json -o m.parquet
    """
    from homerange.data.importers.inat_geo import import_inat_geo as run
    from homerange.data.importers.inaturalist_json import locations_of

    read_too = [*annotations, *(locations_of(one, locations) for one in annotations)]
    check_import(output, source, *read_too, *([test] if test else []))
    imported = run(
        source,
        annotations=annotations,
        test=test,
        column=column,
        photos=photos,
        locations=locations,
        seed=seed,
    )
    finish_import(imported, output)


@import_.command("wilds")
@click.argument("source", type=FILE)
@OUTPUT
@click.option("--gps", type=FILE, help="gps_locations.json of iWildCam 2021: places of cameras.")
@click.option("--photos", type=FILE, help="Folder that holds train/; that of SOURCE otherwise.")
@click.option("--categories", type=FILE, help="categories.csv, if elsewhere.")
def import_wilds(
    source: Path,
    output: Path,
    gps: Path | None,
    photos: Path | None,
    categories: Path | None,
) -> None:
    """Import iWildCam2020-WILDS with its splits; regions are the clusters of its cameras.

    SOURCE is the folder iwildcam_v2.0 or its metadata.csv.

    \b
    homerange import wilds iwildcam_v2.0 --gps gps_locations.json -o wilds.parquet
    """
    from homerange.data.importers.wilds import import_wilds as run

    metadata = source / "metadata.csv" if source.is_dir() else source
    categories = categories or metadata.with_name("categories.csv")
    check_import(output, metadata, categories, *([gps] if gps else []))
    finish_import(run(metadata, photos=photos, gps=gps, categories=categories), output)


@import_.command("camtrap-dp")
@click.argument("package", type=FILE)
@OUTPUT
@click.option("--photos", type=FILE, help="Folder of the photos; that of PACKAGE otherwise.")
@SEED
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
@OUTPUT
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
@OUTPUT
def import_join(sources: Sequence[Path], output: Path) -> None:
    """Join manifests into one; their splits stay, unless they share a camera or photo.

    \b
    homerange import join serengeti.parquet chicago.parquet -o both.parquet
    """
    from homerange.data.importers.join import join_manifests

    check_import(output, *sources)
    finish_import(join_manifests(sources), output)


@import_.command("places")
@click.argument("source", type=FILE)
@click.option("--of", "places", required=True, help="A region of the manifest, or a set of them.")
@OUTPUT
def import_places(source: Path, places: str, output: Path) -> None:
    """Take the photos of some places out of a manifest, to finetune on and to test on.

    The test photos are those of the species that the training photos of the places show, wherever
    taken, as in the paper. Its sets are iNat-Geo-10K-6 and iWildcam-6.

    \b
    homerange import places geo.parquet --of iNat-Geo-10K-6 -o geo-6.parquet
    homerange import places geo.parquet --of 2/1 -o geo-1.parquet
    """
    from homerange.data.importers import Imported
    from homerange.data.manifest import Manifest
    from homerange.data.regions import photos_of

    check_import(output, source)
    finish_import(Imported(photos_of(Manifest.read(source), places), [], []), output)


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals:
        raise click.UsageError(f"--column {text}: expected OURS=THEIRS, as in species=taxon_name")
    return ours, theirs
