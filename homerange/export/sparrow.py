"""The model of a place as the folder that Microsoft's Sparrow Engine loads.

That engine gives floats from 0 to 255 with the channels first, where the model of a package takes
bytes with the channels last. So three nodes are put before the same graph: the same photo gives the
same logits. Written after the engine's sources; it was never loaded by the engine itself.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from homerange.errors import PackageError
from homerange.output import atomic_file
from homerange.specialize.sparrow import sparrow_manifest
from homerange.world.place_package import PlacePackage, read_package

__all__ = ["export_sparrow"]

GIVEN = "channels_first"


def export_sparrow(package: Path, output: Path) -> tuple[str, ...]:
    """Write ``model.onnx``, ``manifest.toml`` and ``labels.txt`` into a folder.

    Args:
        package: A place package.
        output: The folder; made if absent, refused if it holds anything.

    Returns:
        The names of the files.

    Raises:
        PackageError: If the package is broken, or the folder is not empty.
    """
    place = read_package(package)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PackageError(f"{output}: is there and not an empty folder. Choose another output")
    files = {
        "model.onnx": _channels_first(place),
        "manifest.toml": sparrow_manifest(place.name, place.preprocessing, "nchw").encode(),
        "labels.txt": "".join(f"{label}\n" for label in place.labels).encode(),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with atomic_file(output / name) as file:
            file.write(data)
    return tuple(files)


def _channels_first(package: PlacePackage) -> bytes:
    """Let the graph take floats (batch, 3, H, W) from 0 to 255, rounded to bytes."""
    model = onnx.load_from_string(package.model)
    graph = model.graph
    side = package.preprocessing.input_px
    before = [
        helper.make_node("Round", [GIVEN], ["rounded"]),
        helper.make_node("Transpose", ["rounded"], ["channels_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["channels_last"], [package.input_name], to=TensorProto.UINT8),
    ]
    nodes = [*before, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(
        helper.make_tensor_value_info(GIVEN, TensorProto.FLOAT, ["batch", 3, side, side])
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
