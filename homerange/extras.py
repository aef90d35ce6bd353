"""Optional dependencies: imported when needed, or refused with the command that installs them."""

import importlib
from types import ModuleType

from homerange.errors import ExtraNotInstalled

__all__ = ["need"]


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Name of the module, for example ``"duckdb"``.
        extra: The extra of this package that installs it, for example ``"get"``.

    Returns:
        The imported module.

    Raises:
        ExtraNotInstalled: If the module is absent; the message holds the pip command.

    Example:
        >>> need("json", extra="get").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # the module is there, but one of its own imports is missing: not ours to explain
        raise ExtraNotInstalled(
            f"this needs {module}, which is not installed. Run: pip install 'homerange[{extra}]'"
        ) from error
