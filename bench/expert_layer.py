"""Which execution of an expert layer is faster, in ONNX Runtime and in torch: masked or gather?

Layers of the paper's network at 256 pixels (channels and tokens of layers 1, 3 and 7), K kept
experts of hidden width H, one thread, one photo. Executions and the dense MLP take turns, round by
round in one process; ratios of medians to the dense MLP of the same runtime are reported, and
whether the exporter's choice was the faster one. Torch evaluates, without gradients; there one
expert keeps its gate, which the exporter leaves out.

Writes ``bench/results/expert_layer.json``. Run: ``python bench/expert_layer.py``.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from record import write_record
from timm.layers.mlp import ConvMlp
from torch import nn

from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.specialize.expert_graph import expert_nodes, faster_execution
from homerange.world.description import ExpertLayer

LAYERS = {"layer 1": (64, 256), "layer 3": (96, 64), "layer 7": (128, 16)}
"""Channels, and patches of four tokens."""
HIDDEN = (2, 8, 32)
KEPT = (1, 4, 16, 64)
NEAR = 0.1
"""Executions whose medians differ by less than this share are called equal."""


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    results, in_torch = [], []
    for name, (channels, patches) in LAYERS.items():
        for hidden in HIDDEN:
            for kept in KEPT:
                case = {"layer": name, "hidden": hidden, "kept": kept}
                onnx_row, torch_row = one_case(channels, patches, hidden, kept, rounds)
                results.append(case | onnx_row)
                in_torch.append(case | torch_row)
                print(case, onnx_row, {"torch": torch_row}, flush=True)
    wrong = [row for row in results if not row["choice_is_faster"]]
    write_record(
        "expert_layer",
        "Which execution of an expert layer is faster, and does the exporter choose it?",
        {"cases": results, "wrong_choices": len(wrong), "torch": in_torch},
        rounds=rounds,
        threads=1,
        near=NEAR,
    )
    print(f"{len(wrong)} of {len(results)} choices are wrong")


def one_case(channels: int, patches: int, hidden: int, kept: int, rounds: int) -> tuple[dict, dict]:
    """Time masked, gather and the dense MLP in turn, each in ONNX Runtime and in torch."""
    layer = ExpertLayer(
        layer=0, prefix="mlp", input="x", output="y", residual="r", channels=channels,
        experts=kept, hidden=hidden, low_rank=True, top_k=1, shared=0,
    )  # fmt: skip
    dense = ExpertLayer(**{**vars(layer), "experts": 0, "shared": 2 * channels})
    x = np.random.default_rng(0).normal(size=(1, channels, 4, patches)).astype(np.float32)
    runs = {
        "dense": with_photo(session(dense, patches, None), x),
        "masked": with_photo(session(layer, patches, "masked"), x),
        "gather": with_photo(session(layer, patches, "gather"), x),
        **torch_runs(channels, hidden, kept, x),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                for _ in range(3):
                    run()
                times[name].append(time.perf_counter() - start)
    ms = {name: median(values) for name, values in times.items()}
    choice = faster_execution(layer)
    other = "gather" if choice == "masked" else "masked"
    return ratios(ms, "") | {
        "choice": choice,
        "choice_is_faster": kept == 1 or ms[choice] <= ms[other] * (1 + NEAR),
    }, ratios(ms, "torch ")


def ratios(ms: dict[str, float], of: str) -> dict:
    """Divide the times of one runtime by that of its dense MLP."""
    names = ("masked", "gather")
    return {f"{name}_to_dense": round(ms[of + name] / ms[f"{of}dense"], 3) for name in names}


def with_photo(one: onnxruntime.InferenceSession, x: np.ndarray) -> Callable[[], object]:
    """Bind a session to its input."""
    return lambda: one.run(None, {"x": x})


def torch_runs(
    channels: int, hidden: int, kept: int, x: np.ndarray
) -> dict[str, Callable[[], object]]:
    """Build the dense MLP and the experts in torch, with random weights."""
    torch.manual_seed(1)
    photo = torch.from_numpy(x)
    dense = ConvMlp(channels, 2 * channels, act_layer=nn.SiLU).eval()
    runs: dict[str, Callable[[], object]] = {"torch dense": lambda: dense(photo)}
    for execution in ("masked", "gather"):
        mlp = ExpertMlp(channels, ExpertSpec(experts=kept, hidden=hidden)).eval()
        nn.init.normal_(mlp.w2_EHD)
        mlp.execution = execution
        runs[f"torch {execution}"] = lambda mlp=mlp: mlp(photo)
    return runs


def session(
    layer: ExpertLayer, patches: int, execution: str | None
) -> onnxruntime.InferenceSession:
    """Build a model of one layer with random weights."""
    written = expert_nodes(layer, execution=execution)
    d, e, h, s = layer.channels, layer.experts, layer.hidden, layer.shared
    shapes = {
        "gate.up": (e, 8), "gate.down": (8, d), "w1_EHD": (e, h, d), "b1_EH": (e, h),
        "w2_EHD": (e, h, d), "b2_ED": (e, d), "shared.fc1.weight": (s, d, 1, 1),
        "shared.fc1.bias": (s,), "shared.fc2.weight": (d, s, 1, 1), "shared.fc2.bias": (d,),
    }  # fmt: skip
    generator = np.random.default_rng(1)
    used = {name for node in written.nodes for name in node.input}
    weights = [
        numpy_helper.from_array(generator.normal(size=shape).astype(np.float32), f"mlp.{name}")
        for name, shape in shapes.items()
        if f"mlp.{name}" in used
    ]
    value = [1, d, 4, patches]
    graph = helper.make_graph(
        written.nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, value)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, value)],
        [*weights, *written.constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


if __name__ == "__main__":
    main()
