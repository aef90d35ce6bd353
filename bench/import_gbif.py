"""What does it cost to import a GBIF download, and how does its peak memory grow?

Draws simple downloads of different length with the columns that GBIF gives: species as unequal as
in nature, places all over the Earth, one record in eight of a kind that is refused. Each import
runs in a process of its own; processor time is what other work on the machine disturbs least.

Writes ``bench/results/import_gbif.json``. Run: ``python bench/import_gbif.py``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from record import write_record

from homerange.world.gbif import import_gbif

RECORDS = (100_000, 400_000, 1_600_000)
SPECIES = 2_000
QUESTION = "What does a GBIF download of so many records cost to import, in time and memory?"
_EMPTY = (
    "occurrenceID kingdom phylum class order family genus infraspecificEpithet taxonRank "
    "scientificName verbatimScientificName verbatimScientificNameAuthorship countryCode locality "
    "stateProvince individualCount publishingOrgKey coordinatePrecision elevation "
    "elevationAccuracy depth depthAccuracy eventDate day year taxonKey speciesKey "
    "institutionCode collectionCode catalogNumber recordNumber identifiedBy dateIdentified "
    "rightsHolder recordedBy typeStatus establishmentMeans lastInterpreted mediaType"
).split()


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=float, default=0.5)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_import(arguments.one)))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for records in RECORDS:
            download = Path(folder) / f"{records}.csv"
            draw_download(download, records, arguments.seed)
            command = [sys.executable, __file__, "--one", str(download)]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            results[records] = json.loads(run.stdout)
            download.unlink()
    path = write_record(
        "import_gbif",
        QUESTION,
        results,
        seed=arguments.seed,
        species=SPECIES,
        cores=len(os.sched_getaffinity(0)),
        duckdb=duckdb.__version__,
    )
    print(path)


def draw_download(path: Path, records: int, seed: float) -> None:
    """Write a simple download."""
    empty = ", ".join(f"'of a usual length' AS \"{name}\"" for name in _EMPTY)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute("SELECT setseed(?)", [seed])
        connection.execute(f"""
            COPY (
                SELECT range AS gbifID, {empty},
                    'Fictus species' || floor({SPECIES} * pow(random(), 3))::INTEGER AS species,
                    'PRESENT' AS occurrenceStatus,
                    round(degrees(asin(2 * random() - 1)), 5) AS decimalLatitude,
                    round(360 * random() - 180, 5) AS decimalLongitude,
                    floor(pow(10, 5 * random()))::INTEGER AS coordinateUncertaintyInMeters,
                    1 + floor(12 * random())::INTEGER AS month,
                    if(random() < 0.125, 'FOSSIL_SPECIMEN', 'HUMAN_OBSERVATION') AS basisOfRecord,
                    'CC_BY_4_0' AS license, 'COORDINATE_ROUNDED' AS issue
                FROM range({records})
            ) TO '{path}' (FORMAT csv, DELIMITER '\t', QUOTE '', ESCAPE '', HEADER)
        """)


def one_import(download: Path) -> dict[str, float]:
    """Import a download in this process, and say what it cost."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    made = import_gbif(download, download.with_suffix(".parquet"))
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    records = made.file.records + sum(made.refused.values())
    return {
        "records": records,
        "rows": made.rows,
        "download_mb": round(download.stat().st_size / 1e6),
        "file_mb": round(made.file.path.stat().st_size / 1e6, 1),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "processor_us_per_record": round(1e6 * processor / records, 2),
        "peak_mb": round(after.ru_maxrss / 1e3),
    }


if __name__ == "__main__":
    main()
