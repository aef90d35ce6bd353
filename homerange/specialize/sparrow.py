"""``manifest.toml``: the few lines by which Sparrow Engine knows a model.

Source: ``manifest.rs`` of Microsoft's SPARROW-Engine (as of 2026-08), which reads these keys. That
engine takes ONNX models of floats with the channels first only, and a package takes bytes with the
channels last. So it refuses the model of a package as it is; ``homerange export sparrow`` writes
the folder that it takes (:mod:`homerange.export.sparrow`). It never loaded a model of ours.
"""

import json
from typing import Literal

from homerange.data.images import Preprocessing

__all__ = ["sparrow_manifest"]


def sparrow_manifest(
    name: str, preprocessing: Preprocessing, layout: Literal["nhwc", "nchw"] = "nhwc"
) -> str:
    """Write the manifest of a package.

    Args:
        name: Name of the package.
        preprocessing: How a photo becomes the input of the model.
        layout: Where the channels are; ``nhwc`` is how the model of a package has them.

    Example:
        >>> print(sparrow_manifest("serengeti", Preprocessing()).splitlines()[1])
        id = "serengeti"
    """
    # A TOML text is a JSON text, but for one control character.
    text = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    side = preprocessing.input_px
    method = 'method = "resize"'
    if preprocessing.fit == "crop":
        shorter = preprocessing.resize_px
        method = f"""\
method = "resize_crop"
resize_mode = "shorter_side"
resize_size = [{shorter}, {shorter}]
center_crop = true"""
    return f"""\
[model]
id = {text}
format = "onnx"
file = "model.onnx"

[preprocessing]
{method}
input_size = [{side}, {side}]
layout = "{layout}"
normalization = "none"
interpolation = "bicubic"

[inference]
strategy = "single"

[postprocessing]
method = "softmax"

[labels]
file = "labels.txt"
format = "one_per_line"
"""
