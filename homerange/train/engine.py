"""The engine under the loop: Lightning Fabric, on one processor, one GPU or many machines.

``torchrun`` and SLURM are found by Fabric itself; without them one process is used.
"""

import os
from collections.abc import Callable

import torch
from lightning.fabric import Fabric

from homerange.train.config import TrainConfig

__all__ = ["make_fabric", "supports_bfloat16"]


def supports_bfloat16() -> bool:
    """Return whether bfloat16 is computed in hardware here: a GPU, or a processor with AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    find: Callable[[], dict[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    capabilities = find()  # torch 2.11 has no such function: then 32 bit is used
    return bool(capabilities.get("amx_bf16", False))


def make_fabric(config: TrainConfig) -> Fabric:
    """Start the engine with the precision of the recipe and all processes of this launch."""
    precision = config.precision
    if precision == "auto":
        precision = "bf16-mixed" if supports_bfloat16() else "32-true"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))  # set by torchrun
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // local if local else 1
    fabric = Fabric(accelerator="auto", devices=local or 1, num_nodes=nodes, precision=precision)
    fabric.launch()
    return fabric
