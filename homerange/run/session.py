"""A place package, loaded and ready to answer: pixels in, probabilities out.

Axes used in this file:
    B  photos in the batch      C  classes, in the order of the package's labels
    H, W  input_px              3  red, green, blue
"""

from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from homerange.errors import PackageError, RunError
from homerange.world.place_package import PlacePackage, read_package

__all__ = ["Session"]

_ONLY_FATAL = 4  # the runtime logs what it also raises; a run over photos shows each thing once


class Session:
    """A model for one place.

    Open it once; `probabilities` may then be called from several threads.
    """

    package: PlacePackage

    def __init__(self, package: PlacePackage, runtime: ort.InferenceSession) -> None:
        """Use ``Session.open``; this only joins a package with its loaded model."""
        self.package = package
        self._runtime = runtime

    @classmethod
    def open(cls, package: PlacePackage | str | Path, *, threads: int | None = None) -> Self:
        """Load the model of a package.

        Args:
            package: A ``.homerange`` file, or one that was read already.
            threads: Processor threads of one call of `probabilities`; None takes every core.

        Raises:
            PackageError: If the package is broken, or its model is not the one that its
                ``place.json`` describes.
        """
        if not isinstance(package, PlacePackage):
            package = read_package(package)
        options = ort.SessionOptions()
        options.log_severity_level = _ONLY_FATAL
        options.intra_op_num_threads = threads or 0
        # Planned memory comes on top of the arena of the first call: twice the peak, no less time.
        options.enable_mem_pattern = False
        # Waiting threads sleep: spinning would take the cores from the threads that decode photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            runtime = ort.InferenceSession(
                package.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime has a dozen error classes of its own
            raise PackageError(
                f"{package.path}: the runtime (onnxruntime {ort.__version__}) cannot load "
                f"model.onnx: {error}. Make the package again with: homerange get"
            ) from error
        _check_model(package, runtime)
        return cls(package, runtime)

    def probabilities(self, rgb_BHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of every class for every photo.

        Args:
            rgb_BHW3: Photos as `homerange.data.images.prepare` makes them, shape
                (B, input_px, input_px, 3).

        Returns:
            Softmax of the logits, shape (B, C); each row adds up to 1. A row of NaN means that
            the model gave no finite answer for that photo.

        Raises:
            RunError: If the runtime cannot compute the batch.
        """
        package = self.package
        feed = {package.input_name: rgb_BHW3}
        try:
            (logits_BC,) = self._runtime.run([package.output_name], feed)
        except Exception as error:  # as in open
            raise RunError(
                f"{package.path}: the runtime (onnxruntime {ort.__version__}) stopped on a batch "
                f"of shape {rgb_BHW3.shape}: {error}. With too little memory a smaller batch helps"
            ) from error
        return _softmax(logits_BC)


def _softmax(logits_BC: NDArray[np.floating]) -> NDArray[np.float32]:
    """Softmax in float64; shifted by the maximum, so that no logit is too large for exp."""
    finite_B1 = np.isfinite(logits_BC).all(axis=1, keepdims=True)
    safe_BC = np.where(finite_B1, logits_BC, 0.0).astype(np.float64)
    exp_BC = np.exp(safe_BC - safe_BC.max(axis=1, keepdims=True))
    share_BC = exp_BC / exp_BC.sum(axis=1, keepdims=True)
    return np.where(finite_B1, share_BC, np.nan).astype(np.float32)


def _check_model(package: PlacePackage, runtime: ort.InferenceSession) -> None:
    px = package.preprocessing.input_px
    _check_port(
        package, "input", runtime.get_inputs(), package.input_name, "tensor(uint8)", [px, px, 3]
    )
    _check_port(
        package,
        "output",
        runtime.get_outputs(),
        package.output_name,
        "tensor(float)",
        [len(package.labels)],
    )


def _check_port(
    package: PlacePackage,
    kind: str,
    ports: list[ort.NodeArg],
    name: str,
    type_: str,
    shape: list[int],
) -> None:
    """The batch axis must be open, every other axis as ``place.json`` says."""
    found = [f"{port.name} {port.type} {port.shape}" for port in ports]
    if len(ports) == 1:
        (port,) = ports
        batch, *rest = port.shape or [0]
        if (port.name, port.type, rest) == (name, type_, shape) and not isinstance(batch, int):
            return
    raise PackageError(
        f"{package.path}: the {kind} of model.onnx is {', '.join(found) or 'missing'}; "
        f"place.json says {name} {type_} {['batch', *shape]}. "
        "Make the package again with: homerange get"
    )
