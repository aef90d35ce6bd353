"""The error tree: one base, a built-in beside it, and a docstring that shows the tree as it is."""

import builtins
import re
from pathlib import Path

import pytest

from homerange import errors

PACKAGE = Path(errors.__file__).parent
CLASSES = [getattr(errors, name) for name in errors.__all__]
KINDS = [error for error in CLASSES if error is not errors.HomerangeError]


def tree_in_the_docstring():
    """Name -> name of the parent, read from the indentation of the docstring."""
    above, found = {-2: ""}, {}
    for spaces, name in re.findall(r"^( *)([A-Z]\w+)(?:  +.*)?$", errors.__doc__, re.MULTILINE):
        above[len(spaces)] = name
        found[name] = above[len(spaces) - 2]
    return found


def test_every_class_of_the_file_is_public():
    defined = {name for name, one in vars(errors).items() if isinstance(one, type)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_a_homerange_error_with_a_sentence_of_its_own(error):
    assert issubclass(error, errors.HomerangeError)
    assert error.__dict__["__doc__"].endswith(".")


@pytest.mark.parametrize("error", KINDS, ids=lambda error: error.__name__)
def test_every_error_is_also_the_built_in_that_a_python_programmer_would_catch(error):
    built_in = [one for one in error.__mro__ if one.__module__ == builtins.__name__]
    assert len(built_in) > len(Exception.__mro__)


def test_the_docstring_shows_the_tree_as_it_is():
    real = {error.__name__: error.__bases__[0].__name__ for error in CLASSES}
    real["HomerangeError"] = ""  # the top
    assert tree_in_the_docstring() == real


@pytest.mark.parametrize("error", KINDS, ids=lambda error: error.__name__)
def test_no_error_is_listed_that_nothing_raises(error):
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert re.search(rf"(raise|return) {error.__name__}\(", source)
