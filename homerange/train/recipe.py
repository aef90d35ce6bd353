"""Recipes: frozen settings that a TOML file gives, each key one field, and checks of their values.

A recipe is passive: reading one opens no data and builds no network. One that says
``like = "paper"`` takes from that shipped recipe what it does not name itself.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from homerange.errors import ConfigError

__all__ = [
    "RECIPES",
    "Recipe",
    "check_above_0",
    "check_choices",
    "check_not_below_0",
    "read_values",
]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training; a subclass has the fields."""

    shipped_in: ClassVar[Path]
    """Where the recipes lie that come with the package."""

    name: str = ""
    """What worlds trained with this recipe say they were trained with."""

    @classmethod
    def read(cls, recipe: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe by name or path, then apply ``key=value`` overrides.

        Args:
            recipe: Name of a shipped recipe, or the path of a TOML file.
            overrides: Texts such as ``"epochs=5"``; values are TOML, bare words are strings.

        Raises:
            ConfigError: If the recipe is unknown or unreadable, a key is unknown (the message
                names the nearest one), or a value has the wrong type.
        """
        values = read_values(recipe, overrides, cls.shipped_in)
        return cls(**_check_types(cls, values))  # type: ignore[arg-type]


def read_values(
    recipe: str | Path, overrides: Sequence[str], shipped_in: Path
) -> dict[str, object]:
    """Read what a recipe and its overrides say, before it is known what they may say.

    Raises:
        ConfigError: If the recipe is unknown or unreadable, or an override has no value.
    """
    said = _read_toml(recipe, shipped_in)
    return said | dict(_parse_override(text) for text in overrides)


def check_choices(recipe: Recipe, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse a setting that is none of its choices.

    Raises:
        ConfigError: If so.
    """
    for name, allowed in choices.items():
        if getattr(recipe, name) not in allowed:
            raise ConfigError(
                f"{name} is {getattr(recipe, name)!r}; it must be one of {', '.join(allowed)}"
            )


def check_above_0(recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse settings of 0 or less.

    Raises:
        ConfigError: If so.
    """
    for name in names:
        if not getattr(recipe, name) > 0:
            raise ConfigError(f"{name} is {getattr(recipe, name)}; it must be above 0")


def check_not_below_0(recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse settings below 0.

    Raises:
        ConfigError: If so.
    """
    for name in names:
        if not getattr(recipe, name) >= 0:
            raise ConfigError(f"{name} is {getattr(recipe, name)}; it must be 0 or more")


def _read_toml(recipe: str | Path, folder: Path) -> dict[str, object]:
    path = Path(recipe)
    if path.suffix != ".toml":
        shipped = sorted(file.stem for file in folder.glob("*.toml"))
        if str(recipe) not in shipped:
            raise ConfigError(
                f"recipe {str(recipe)!r} is unknown; shipped are {', '.join(shipped)}. "
                "A file of your own must end in .toml"
            )
        path = folder / f"{recipe}.toml"
    if not path.is_file():
        raise ConfigError(f"{path}: no such recipe file")
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    if like := values.pop("like", None):
        return _read_toml(_shipped_name(like, path), folder) | values
    return values


def _shipped_name(like: object, path: Path) -> str:
    if not isinstance(like, str) or like.endswith(".toml") or like == path.stem:
        raise ConfigError(f"{path}: like is {like!r}; expected the name of another shipped recipe")
    return like


def _parse_override(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: expected key=value, for example --set epochs=5")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()  # a bare word is a string, as people type it


def _check_types(cls: type[Recipe], values: Mapping[str, object]) -> dict[str, object]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    checked: dict[str, object] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; settings are {', '.join(fields)}"
            raise ConfigError(f"setting {key!r} is unknown{hint}")
        expected = _kinds(hints[key])
        if float in expected and type(value) is int:
            value = float(value)
        if tuple in expected and isinstance(value, list):
            value = tuple(value)
        if type(value) not in expected:
            names = " or ".join(kind.__name__ for kind in expected)
            raise ConfigError(f"{key} is {value!r}; expected {names}")
        checked[key] = value
    return checked


def _kinds(hint: object) -> list[type]:
    """Return the plain types that a field may hold: one, or those of a union."""
    if isinstance(hint, types.UnionType):
        return [kind for part in typing.get_args(hint) for kind in _kinds(part)]
    origin = typing.get_origin(hint)
    if origin is Literal:
        return [str]
    return [origin or hint]  # type: ignore[list-item]  # a class, or the generic of one
