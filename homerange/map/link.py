"""One script out of the page's modules: a browser does not load modules from a folder on disk.

The modules of ``static/js`` keep to a plain form, so that joining them needs no bundler: every
import is ``import { a, b } from "./file.js";``, every export stands before what it declares, and no
two modules declare the same name at their top. Then all of them may share one scope.
"""

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["link_modules"]

_IMPORT = re.compile(r'^import\s*(?:\{[^}]*\}\s*from\s*)?"\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)


def link_modules(folder: Path, main: str) -> str:
    """Join a module and all that it imports, those that are imported first.

    Args:
        folder: Where the modules lie.
        main: The file that begins.

    Raises:
        ValueError: If a module leaves the plain form, imports in a circle, or declares a name that
            another one has.
    """
    done: dict[str, str] = {}
    _add(folder, main, done, ())
    _check_names(done)
    body = "\n".join(f"// --- {name} ---\n{text.strip()}\n" for name, text in done.items())
    return f'(() => {{\n"use strict";\n\n{body}}})();\n'


def _add(folder: Path, name: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"modules import in a circle: {' -> '.join([*above, name])}")
    if name in done:
        return
    source = (folder / name).read_text(encoding="utf-8")
    for needed in _IMPORT.findall(source):
        _add(folder, needed, done, (*above, name))
    text = _EXPORT.sub("", _IMPORT.sub("", source))
    left = re.search(r"^(?:import|export)\b.*", text, re.MULTILINE)
    if left:
        raise ValueError(f"{name}: cannot join {left.group()!r}; see homerange/map/link.py")
    done[name] = text


def _check_names(modules: Mapping[str, str]) -> None:
    owner: dict[str, str] = {}
    for name, text in modules.items():
        for declared in _DECLARED.findall(text):
            if declared in owner:
                raise ValueError(
                    f"{declared} is declared in {owner[declared]} and in {name}; rename one"
                )
            owner[declared] = name
