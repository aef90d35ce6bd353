"""LILA BC on this machine: its list, in its columns, and photos; nothing real is asked."""

import csv
import io
import zipfile

from http_files import jpeg

from homerange.data.importers.lila import import_lila

# As LILA writes the list; the levels of taxa in between are there too, and not read.
COLUMNS = (
    "dataset_name url_gcp url_aws url_azure image_id sequence_id location_id frame_num "
    "original_label scientific_name common_name datetime annotation_level kingdom phylum "
    "subphylum superclass class subclass infraclass superorder order suborder infraorder "
    "superfamily family subfamily tribe genus species subspecies variety"
).split()
LIST = "/public/lila_image_urls_and_labels.csv.zip"
IDAHO, KAROO, WCS = "Idaho Camera Traps", "Snapshot Karoo", "WCS Camera Traps"
TAXA = {
    "kudu": {
        "scientific_name": "tragelaphus strepsiceros",
        "common_name": "greater kudu",
        "class": "mammalia",
        "order": "artiodactyla",
        "family": "bovidae",
        "genus": "tragelaphus",
        "species": "tragelaphus strepsiceros",
    },
    "lionmale": {"scientific_name": "panthera leo", "common_name": "lion"},
    "lionfemale": {"scientific_name": "panthera leo", "common_name": "lion"},
    "birdother": {"scientific_name": "aves", "common_name": "birds"},
    "human": {"scientific_name": "homo sapiens", "common_name": "human"},
}


def photo(number, label, data_set=KAROO, **cells):
    """One row of the list: by default each photo is a burst, at one of three cameras."""
    name = f"P{number:04}"
    return {
        "dataset_name": data_set,
        "image_id": f"{data_set} : {name}",
        "url_gcp": f"/gcp/{data_set}/{name}.JPG",
        "url_aws": f"/aws/{data_set}/{name}.JPG",
        "sequence_id": f"{data_set} : S{number}",
        "location_id": f"{data_set} : B0{number % 3}",
        "frame_num": "1",
        "original_label": label,
        "datetime": "07-31-2018 06:30:00",
        "annotation_level": "image",
    } | TAXA.get(label, {}) | cells  # fmt: skip


def listed(rows, server=None, columns=COLUMNS):
    """The text of the list; paths become addresses of the server."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        urls = {name: server.url + row[name] for name in row if server and name.startswith("url")}
        writer.writerow(row | urls)
    return buffer.getvalue()


def zipped(text, name="lila_image_urls_and_labels.csv"):
    """A zip with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def publish(server, rows):
    """Put the list and the photos of its first cloud on the server."""
    rows = list(rows)
    server.files[LIST] = zipped(listed(rows, server))
    server.files |= {row["url_gcp"]: jpeg() for row in rows}
    return server


def many():
    """60 photos of kudus in 20 bursts at four cameras, 9 of lions, 3 blank ones."""
    for i in range(60):
        yield photo(
            i,
            "kudu",
            sequence_id=f"{KAROO} : S{i // 3}",
            frame_num=str(i % 3 + 1),
            location_id=f"{KAROO} : C{i // 15}",
        )
    yield from (photo(100 + i, "lionmale") for i in range(9))
    yield from (photo(200 + i, "empty") for i in range(3))


def fetch(server, folder, *data_sets, **options):
    """Import from the server; one data set if none is named."""
    return import_lila(folder, data_sets or [KAROO], list_url=server.url + LIST, **options)


def table(imported, *names):
    """Columns of the manifest, row by row."""
    return [tuple(row[name] for name in names) for row in imported.manifest.table.to_pylist()]


def asked_for(server, part):
    """The requests for paths with a part."""
    return [path for path, _ in server.requests if part in path]
