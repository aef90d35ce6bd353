"""What the page and the server say to each other, field by field; OpenAPI is made from it."""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

__all__ = [
    "BuildAnswer",
    "BuildQuestion",
    "ErrorAnswer",
    "HealthAnswer",
    "PlaceQuestion",
    "SpeciesAnswer",
    "State",
    "WorldAnswer",
]

State = Literal["queued", "running", "done", "failed"]


def _object(**properties: object) -> dict[str, object]:
    """Describe an object that has exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
PARTS: list[dict[str, object]] = [
    _object(
        kind={"const": "circle"},
        latitude_deg={"type": "number", "minimum": -90, "maximum": 90},
        longitude_deg={"type": "number", "minimum": -180, "maximum": 180},
        radius_km={"type": "number", "exclusiveMinimum": 0, "maximum": 20_038},
    ),
    _object(kind={"const": "cell"}, cell=TEXT, token=TEXT),
    _object(kind={"const": "country"}, country=TEXT, name=TEXT),
    _object(
        kind={"const": "polygon"},
        name=TEXT,
        geometry={
            "description": "GeoJSON: a Polygon or a MultiPolygon.",
            "type": "object",
            "properties": {
                "type": {"enum": ["Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array", "minItems": 1},
            },
            "required": ["type", "coordinates"],
        },
    ),
    _object(
        kind={"const": "list"},
        species={"type": "array", "items": TEXT, "minItems": 1},
    ),
]
PLACE_SCHEMA: dict[str, object] = {
    "description": "A place, as the key place of place.json gives it.",
    "oneOf": [
        *PARTS,
        _object(
            kind={"const": "union"},
            places={"type": "array", "items": {"oneOf": PARTS}, "minItems": 2},
        ),
    ],
}


def _in_unicode(place: dict[str, object]) -> dict[str, object]:
    """Refuse halves of letters, which JSON can hold and no file can."""
    json.dumps(place, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return place


PlaceObject = Annotated[
    dict[str, object], AfterValidator(_in_unicode), WithJsonSchema(PLACE_SCHEMA)
]
"""Read by ``place_from_json``, which alone decides what a place is."""

Names = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200)]],
    Field(max_length=10_000),
]


class _Question(BaseModel):
    """A body that may hold nothing else, and no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PlaceQuestion(_Question):
    """A place, and what its list gains and loses by hand."""

    place: PlaceObject
    include: Names = Field([], description="Scientific names to add.")
    exclude: Names = Field([], description="Scientific names to leave out.")


class BuildQuestion(PlaceQuestion):
    """What a package is to be made of."""

    experts: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        None, description="METHOD:AMOUNT, as homerange get takes it.", examples=["first-order:64"]
    )
    bits: Literal[32] | None = Field(None, description="Of a weight; only 32 so far.")


class Error(BaseModel):
    """What is wrong, and the next step."""

    code: str
    message: str
    next: str


class ErrorAnswer(BaseModel):
    """The one shape of all errors."""

    error: Error


class HealthAnswer(BaseModel):
    """The server answers and makes packages."""

    status: Literal["ok"]
    homerange: str


class WorldAnswer(BaseModel):
    """The world that all places are cut from."""

    name: str
    sha256: str
    classes: int
    input_px: int
    licence: str


class WorldName(BaseModel):
    """Which world answers."""

    name: str
    sha256: str


class Species(BaseModel):
    """One species of a list, as place.json gives it."""

    species: str
    common_name: str
    class_index: int
    reason: str
    strength: int
    distance_band: str
    records_band: str
    months: Annotated[list[int], Field(min_length=12, max_length=12)]


class MissingSpecies(BaseModel):
    """A species that was recorded there, but is no class of the world."""

    species: str
    strength: int
    records_band: str


class SpeciesAnswer(BaseModel):
    """The list of ``homerange species --format json``."""

    format: Literal["homerange-species"]
    version: int
    world: WorldName
    place: PlaceObject
    species: list[Species]
    outcomes: list[str]
    missing: list[MissingSpecies]
    warnings: list[str]


class BuildAnswer(BaseModel):
    """How far a build is."""

    id: str
    state: State
    position: int = Field(description="1 for the next of the queue; 0 where it does not wait.")
    progress: float = Field(ge=0, le=1)
    error: Error | None = Field(None, description="Why it failed.")
