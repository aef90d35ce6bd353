"""``manifest.toml``: the few lines by which Sparrow Engine knows a model.

Source: the manifests of the image classifiers in Microsoft's SPARROW-Engine repository. We write
the same keys. No package of ours was ever loaded by that engine: it may want floats where our
graph takes bytes and normalises by itself, and it stretches a photo to the square where we may
cut the middle out.
"""

import json

from homerange.data.images import Preprocessing

__all__ = ["sparrow_manifest"]


def sparrow_manifest(name: str, preprocessing: Preprocessing) -> str:
    """Write the manifest of a package.

    Args:
        name: Name of the package.
        preprocessing: How a photo becomes the input of the model.

    Example:
        >>> print(sparrow_manifest("serengeti", Preprocessing()).splitlines()[1])
        id = "serengeti"
    """
    # A TOML text is a JSON text, but for one control character.
    text = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"""\
[model]
id = {text}
format = "onnx"
file = "model.onnx"

[preprocessing]
method = "resize"
input_size = [{preprocessing.input_px}, {preprocessing.input_px}]
layout = "nhwc"
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
