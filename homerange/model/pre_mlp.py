"""What enters the MLPs of an encoder, the paper's F_MLP: experts and places both look at it.

Axes used in this file:
    B  photos      T  tokens      D  channels
    P  pixels of a patch          N  patches
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["pre_mlp_tokens"]


@contextmanager
def pre_mlp_tokens(encoder: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Note what enters the MLP of some transformer layers while the context is open.

    Args:
        encoder: It is run inside the context, once or more.
        layers: Names of layers, as ``transformer_layers`` gives them.

    Yields:
        The tokens of the last photos by layer, shape (B, T, D).
    """
    seen: dict[str, Tensor] = {}

    def note(name: str, x_BDPN: Tensor) -> None:
        seen[name] = x_BDPN.flatten(2).transpose(1, 2)

    handles = [
        encoder.get_submodule(f"{name}.mlp").register_forward_pre_hook(
            lambda _, given, name=name: note(name, given[0])
        )
        for name in layers
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
