"""What is known of LILA's data sets beside its list: where they were taken, under what terms.

Source: public descriptions of the data sets (https://lila.science/datasets and the card of LILA at
Hugging Face), read in 2026, for area and licence. LILA gives no coordinates. Those here are the
middle of the area that a description names, and the uncertainty reaches to its farthest corner: a
park is tens of kilometres, a state hundreds. A data set that names no single area (12 countries, 7
islands) has no place here, and one whose terms we do not know has no licence: what is unknown stays
empty.

In some data sets the location tells more than the description: its beginning is ``location``.
"""

import unicodedata
from dataclasses import dataclass

__all__ = ["LICENCES", "PLACES", "LilaPlace", "licence_of", "place_of", "plain_name"]

_CDLA = "CDLA-Permissive-1.0"


@dataclass(frozen=True)
class LilaPlace:
    """Where the photos of a data set, or of some of its locations, were taken."""

    data_set: str
    location: str
    """Beginning of the location ids that this holds for; empty for all."""
    region: str
    latitude_deg: float
    longitude_deg: float
    uncertainty_m: float | None
    """From there to the farthest point of the area; None where nobody says."""


PLACES = (
    LilaPlace("Biome Health Project Maasai Mara 2018", "", "Maasai Mara", -1.4, 35.15, 65_000),
    LilaPlace("California Small Animals", "", "California", 37.2, -119.5, 700_000),
    LilaPlace("Caltech Camera Traps", "", "Southwestern USA", 36.5, -113.0, 1_200_000),
    LilaPlace("Channel Islands Camera Traps", "", "Channel Islands", 33.6, -119.3, 130_000),
    LilaPlace(
        "Desert Lion Conservation Camera Traps", "", "Northern Namibia", -19.3, 15.0, 700_000
    ),
    LilaPlace("ENA24", "", "Eastern North America", 38.5, -83.0, 2_200_000),
    LilaPlace("Felidae Conservation Fund", "", "San Francisco Bay Area", 37.8, -122.2, 170_000),
    LilaPlace("Idaho Camera Traps", "", "Idaho", 44.4, -114.5, 560_000),
    LilaPlace("NACTI", "", "contiguous USA", 39.8, -98.6, 2_700_000),
    LilaPlace("NACTI", "archbold", "Archbold, Florida", 27.18, -81.35, 20_000),
    LilaPlace("NACTI", "lebec", "Lebec, California", 34.95, -118.65, 45_000),
    LilaPlace("NACTI", "sanjuan", "San Juan Mountains, Colorado", 37.6, -107.3, 140_000),
    LilaPlace("Nkhotakota Camera Traps", "", "Nkhotakota Wildlife Reserve", -12.85, 34.05, 40_000),
    LilaPlace("Ohio Small Animals", "", "Ohio", 40.3, -82.7, 270_000),
    LilaPlace("Oregon Critters", "", "Western Oregon", 44.1, -123.2, 260_000),
    LilaPlace("Orinoquia Camera Traps", "", "Meta, Colombia", 3.55, -73.45, 60_000),
    LilaPlace("Seattle(ish) Camera Traps", "", "Seattle", 47.6, -122.3, 35_000),
    LilaPlace("Snapshot Camdeboo", "", "Camdeboo", -32.25, 24.5, 25_000),
    LilaPlace("Snapshot Enonkishu", "", "Enonkishu", -1.1, 35.2, 10_000),
    LilaPlace("Snapshot Karoo", "", "Karoo", -32.3, 22.4, 40_000),
    LilaPlace("Snapshot Kgalagadi", "", "Kgalagadi", -25.3, 20.8, 200_000),
    LilaPlace("Snapshot Kruger", "", "Kruger", -23.9, 31.5, 190_000),
    LilaPlace("Snapshot Mountain Zebra", "", "Mountain Zebra", -32.2, 25.5, 10_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "CDB", "Camdeboo", -32.25, 24.5, 25_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "ENO", "Enonkishu", -1.1, 35.2, 10_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "KAR", "Karoo", -32.3, 22.4, 40_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "KGA", "Kgalagadi", -25.3, 20.8, 200_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "KRU", "Kruger", -23.9, 31.5, 190_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "MTZ", "Mountain Zebra", -32.2, 25.5, 10_000),
    LilaPlace("Snapshot Safari 2024 Expansion", "SER", "Serengeti", -2.4, 34.9, 100_000),
    LilaPlace("Snapshot Serengeti", "", "Serengeti", -2.4, 34.9, 40_000),
    LilaPlace("SWG Camera Traps", "", "Northern and central Annamites", 17.3, 105.9, 400_000),
    LilaPlace(
        "Trail Camera Images of New Zealand Animals", "", "New Zealand", -41.0, 173.0, 830_000
    ),
    LilaPlace("UNSW Predators", "", "Myall Lakes", -32.45, 152.35, 35_000),
    LilaPlace("Wellington Camera Traps", "", "Wellington", -41.29, 174.77, 15_000),
    LilaPlace("WSU Lynx", "", "Washington", 47.4, -120.6, 330_000),
)

LICENCES = {
    **dict.fromkeys({place.data_set for place in PLACES}, _CDLA),
    "Island Conservation Camera Traps": _CDLA,
    "Missouri Camera Traps": _CDLA,
    "WCS Camera Traps": _CDLA,
    "California Small Animals": "CC-BY-4.0",
    "Idaho Camera Traps": "terms of the Idaho Department of Fish and Game: not to be sold",
}
"""Data set -> licence of its photos."""


def place_of(data_set: str, location: str) -> LilaPlace | None:
    """Find where a photo was taken, as narrowly as is known; None where it is not.

    Args:
        data_set: Name in LILA's list.
        location: Location within the data set; empty where it has none.

    Example:
        >>> place_of("NACTI", "lebec_CA-22").region, place_of("NACTI", "TAG-3").region
        ('Lebec, California', 'contiguous USA')
        >>> place_of("WCS Camera Traps", "1234") is None  # twelve countries
        True
    """
    return max(
        (
            place
            for place in _BY_NAME.get(plain_name(data_set), ())
            if location.casefold().startswith(place.location.casefold())
        ),
        key=lambda place: len(place.location),
        default=None,
    )


def licence_of(data_set: str) -> str | None:
    """Return the licence of a data set; None where it is not known."""
    return _LICENCE_BY_NAME.get(plain_name(data_set))


def plain_name(data_set: str) -> str:
    """Write a name in small letters and digits only, so that spelling makes no difference.

    Example:
        >>> plain_name("Orinoquía Camera Traps"), plain_name("Seattle(ish)")
        ('orinoquiacameratraps', 'seattleish')
    """
    letters = unicodedata.normalize("NFKD", data_set.casefold())
    return "".join(sign for sign in letters if sign.isalnum())


_BY_NAME = {
    plain_name(name): tuple(place for place in PLACES if place.data_set == name)
    for name in {place.data_set for place in PLACES}
}
_LICENCE_BY_NAME = {plain_name(name): licence for name, licence in LICENCES.items()}
