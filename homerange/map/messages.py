"""What the page and the server say to each other, field by field; OpenAPI is made from it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

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


PLACE_SCHEMA: dict[str, object] = {
    "description": "A place, as the key place of place.json gives it.",
    "oneOf": [
        _object(
            kind={"const": "circle"},
            latitude_deg={"type": "number", "minimum": -90, "maximum": 90},
            longitude_deg={"type": "number", "minimum": -180, "maximum": 180},
            radius_km={"type": "number", "exclusiveMinimum": 0, "maximum": 20_038},
        ),
        _object(kind={"const": "cell"}, cell={"type": "string"}, token={"type": "string"}),
        _object(
            kind={"const": "list"},
            species={"type": "array", "items": {"type": "string"}, "minItems": 1},
        ),
    ],
}

PlaceObject = Annotated[dict[str, object], WithJsonSchema(PLACE_SCHEMA)]
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


class Species(BaseModel):
    """One species of a list, as place.json gives it."""

    species: str
    common_name: str
    class_index: int
    reason: str
    strength: int
    distance_band: str
    records_band: str


class SpeciesAnswer(BaseModel):
    """The list of ``homerange species``."""

    place: PlaceObject
    described: str
    species: list[Species]
    outcomes: list[str]
    not_in_world: list[str]
    warnings: list[str]


class BuildAnswer(BaseModel):
    """How far a build is."""

    id: str
    state: State
    position: int = Field(description="1 for the next of the queue; 0 where it does not wait.")
    progress: float = Field(ge=0, le=1)
    error: Error | None = Field(None, description="Why it failed.")
