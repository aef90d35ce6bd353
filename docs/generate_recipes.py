"""Write docs/recipes.md: every setting of a training. A test compares it with the file.

The words are the docstrings under the fields of ``TrainConfig``, the values those of the recipes.
Run: ``python docs/generate_recipes.py``
"""

import ast
import dataclasses
import inspect
import itertools
from pathlib import Path

from homerange.train.config import RECIPES, TrainConfig

PAGE = Path(__file__).with_name("recipes.md")
HEAD = """\
# Recipes: the settings of a training

Written by `python docs/generate_recipes.py` from `homerange/train/config.py` and
`homerange/train/recipes/`; do not edit.

A recipe is a TOML file: `key = value`, one setting a line. What it does not name has the default.
An unknown key, a value of the wrong type and values that contradict each other are refused before
anything starts. `--recipe` takes the name of a shipped recipe or the path of your own file, and
`--set key=value` changes one setting, for example:

```bash
homerange train dense manifest.parquet -o checkpoint --recipe small-data --set epochs=80
```

The defaults are the paper's where it gives a value. `paper` is the paper's dense stage;
`small-data` is for a few hundred to a few thousand photos; `teacher` makes an encoder from photos
alone.
A dash means: as the default.
"""


def page() -> str:
    """Return the whole page."""
    shipped = {file.stem: TrainConfig.read(file.stem) for file in sorted(RECIPES.glob("*.toml"))}
    names = ["setting", "default", *shipped]
    lines = [_line(names), _line(["---"] * len(names))]
    notes = []
    words = meanings()
    for field in dataclasses.fields(TrainConfig):
        values = [getattr(recipe, field.name) for recipe in shipped.values()]
        cells = ["-" if value == field.default else _value(value) for value in values]
        lines.append(_line([f"`{field.name}`", _value(field.default), *cells]))
        if field.name in words:
            notes.append(f"- `{field.name}`: {words[field.name]}")
    return "\n".join(
        [HEAD, *lines, "", "What they mean, where the name does not say it:", "", *notes, ""]
    )


def meanings() -> dict[str, str]:
    """Return the docstring under each field that has one, on one line."""
    (config,) = ast.parse(inspect.getsource(TrainConfig)).body
    assert isinstance(config, ast.ClassDef)
    found = {}
    for field, text in itertools.pairwise(config.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            assert isinstance(text.value, ast.Constant)
            words = " ".join(str(text.value.value).split())
            found[field.target.id] = words.replace("``", "`")
    return found


def _value(value: object) -> str:
    return "(empty)" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
