"""Write docs/recipes.md: every setting of a training. A test compares it with the file.

The words are the docstrings under the fields of the configs, the values those of the recipes.
Run: ``python docs/generate_recipes.py``
"""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path

from homerange.baselines.config import BaselineConfig
from homerange.baselines.systems import read_recipe
from homerange.train.config import TrainConfig
from homerange.train.expert_config import ExpertConfig
from homerange.train.location_config import LocationConfig
from homerange.train.range_config import RangeConfig
from homerange.train.recipe import Recipe

PAGE = Path(__file__).with_name("recipes.md")
HEAD = """\
# Recipes: the settings of a training

Written by `python docs/generate_recipes.py` from `homerange/train/config.py`,
`homerange/train/location_config.py`, `homerange/train/expert_config.py`,
`homerange/train/range_config.py`, `homerange/baselines/` and `homerange/train/recipes/`; do not
edit.

A recipe is a TOML file: `key = value`, one setting a line. What it does not name has the default.
An unknown key, a value of the wrong type and values that contradict each other are refused before
anything starts. `--recipe` takes the name of a shipped recipe or the path of your own file, and
`--set key=value` changes one setting, for example:

```bash
homerange train dense manifest.parquet -o checkpoint --recipe small-data --set epochs=80
```

A recipe may say `like = "NAME"`: what it does not name is then that of a shipped recipe. So do
those of the paper's data sets, `inat2017`, `inat_geo_10k` and `wilds_iwildcam`, in each stage; see
[datasets.md](datasets.md).

The defaults are the paper's where it gives a value. `paper` is the paper's dense stage;
`small-data` is for a few hundred to a few thousand photos; `teacher` makes an encoder from photos
alone.
A dash means: as the default.
"""


LOCATION = """\
## The location stage

`homerange train location` takes all settings above, but for `start`, whose place the checkpoint
has, and these. `paper-location` is the paper's; `small-location` goes with `small-data`.
"""

RANGE = """\
## Range models

`homerange train range` has settings of its own. `small-range` is for tens of thousands of records,
`torchspatial` is the encoder that the paper takes, for half a million or more.
"""

EXPERTS = """\
## The expert stage

`homerange train experts` takes all settings above, but for `start`, whose place the dense
checkpoint has, and these. `paper-experts` is the paper's; `small-experts` goes with `small-data`.
`inat2017` and `inat_geo_10k` cluster in 5 passes and repeat no photo; `wilds_iwildcam` clusters in
100 and repeats photos of rare species up to ten.
"""


BASELINES = """\
## Other systems

`homerange train baseline` takes the settings of the first table and, by the `system` of the recipe,
some of its own ([baselines.md](baselines.md)). Shown are these and all that differ from the
defaults in one recipe at least; an empty cell is a setting that the system does not have. For
`gnfg` and `few-shot` the dense checkpoint takes the place of `start`.
"""


def page() -> str:
    """Return the whole page."""
    stages = ((LOCATION, LocationConfig), (EXPERTS, ExpertConfig))
    shared = {field.name for field in dataclasses.fields(TrainConfig)}
    recipes = [_shipped(config) for config in (TrainConfig, *(config for _, config in stages))]
    parts = [
        HEAD,
        *_table(TrainConfig, shared, {k: v for part in recipes for k, v in part.items()}),
    ]
    for (words, config), shipped in zip(stages, recipes[1:], strict=True):
        own = {field.name for field in dataclasses.fields(config)} - shared
        parts += [words, *_table(config, own, shipped)]
    ranges = {field.name for field in dataclasses.fields(RangeConfig)} - {"name"}
    parts += [RANGE, *_table(RangeConfig, ranges, _shipped(RangeConfig))]
    return "\n".join([*parts, BASELINES, *_baselines()])


def _shipped(config: type[Recipe]) -> dict[str, Recipe]:
    """Read the recipes that stand for themselves."""
    files = sorted(config.shipped_in.glob("*.toml"))
    own = [file.stem for file in files if "like" not in tomllib.loads(file.read_text())]
    return {name: config.read(name) for name in own}


def _table(config: type[Recipe], settings: set[str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Write one table of settings, and below it what they mean."""
    names = ["setting", "default", *recipes]
    lines, notes = [_line(names), _line(["---"] * len(names))], []
    words = meanings(config)
    for field in dataclasses.fields(config):
        if field.name not in settings:
            continue
        values = [getattr(recipe, field.name) for recipe in recipes.values()]
        cells = ["-" if value == field.default else _value(value) for value in values]
        lines.append(_line([f"`{field.name}`", _value(field.default), *cells]))
        if field.name in words:
            notes.append(f"- `{field.name}`: {words[field.name]}")
    return [*lines, "", "What they mean, where the name does not say it:", "", *notes, ""]


def _baselines() -> list[str]:
    """Write one table for the systems that differ in their settings, and what these mean."""
    files = sorted(BaselineConfig.shipped_in.glob("*.toml"))
    recipes = {file.stem: read_recipe(file.stem) for file in files}
    plain = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    settings: dict[str, None] = {}  # in order, each once
    for recipe in recipes.values():
        for field in dataclasses.fields(recipe):
            if getattr(recipe, field.name) != plain.get(field.name):
                settings[field.name] = None
    lines = [_line(["setting", *recipes]), _line(["---"] * (len(recipes) + 1))]
    for name in settings:
        values = [getattr(recipe, name, None) for recipe in recipes.values()]
        cells = ["" if value is None else _value(value) for value in values]
        lines.append(_line([f"`{name}`", *cells]))
    notes = [f"- `system`: {meanings(BaselineConfig)['system']}"]
    told = meanings(BaselineConfig)
    for system, recipe in recipes.items():
        own = {k: v for k, v in meanings(type(recipe)).items() if told.get(k) != v}
        notes += [f"- `{name}` ({system}): {text}" for name, text in own.items()]
    return [*lines, "", "What they mean:", "", *notes, ""]


def meanings(config: type[Recipe]) -> dict[str, str]:
    """Return the docstring under each field that has one, on one line; those of its bases too."""
    found = {}
    bases = [base for base in reversed(config.__mro__) if dataclasses.is_dataclass(base)]
    lines = (ast.parse(textwrap.dedent(inspect.getsource(base))).body[0] for base in bases)
    for field, text in (pair for base in lines for pair in itertools.pairwise(base.body)):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            assert isinstance(text.value, ast.Constant)
            words = " ".join(str(text.value.value).split())
            found[field.target.id] = words.replace("``", "`")
    return found


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "(empty)" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
