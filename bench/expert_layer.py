"""Which execution of an expert layer is the faster one in ONNX Runtime: masked or gather?

Layers of the paper's network at 256 pixels (channels and tokens of layers 1, 3 and 7), K kept
experts of hidden width H, one thread, one photo. Executions and the dense MLP take turns, round by
round in one process; ratios of medians to the dense MLP are reported, and whether the exporter's
choice was the faster one. Writes ``bench/results/expert_layer.json``.
Run: ``python bench/expert_layer.py``.
"""

import argparse
import time
from statistics import median

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from record import write_record

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
    results = []
    for name, (channels, patches) in LAYERS.items():
        for hidden in HIDDEN:
            for kept in KEPT:
                row = one_case(channels, patches, hidden, kept, rounds)
                results.append({"layer": name, "hidden": hidden, "kept": kept} | row)
                print(results[-1], flush=True)
    wrong = [row for row in results if not row["choice_is_faster"]]
    write_record(
        "expert_layer",
        "Which execution of an expert layer is faster, and does the exporter choose it?",
        {"cases": results, "wrong_choices": len(wrong)},
        rounds=rounds,
        threads=1,
        near=NEAR,
    )
    print(f"{len(wrong)} of {len(results)} choices are wrong")


def one_case(channels: int, patches: int, hidden: int, kept: int, rounds: int) -> dict:
    """Time masked, gather and the dense MLP in turn."""
    layer = ExpertLayer(
        layer=0, prefix="mlp", input="x", output="y", residual="r", channels=channels,
        experts=kept, hidden=hidden, low_rank=True, top_k=1, shared=0,
    )  # fmt: skip
    dense = ExpertLayer(**{**vars(layer), "experts": 0, "shared": 2 * channels})
    sessions = {
        "dense": session(dense, patches, None),
        "masked": session(layer, patches, "masked"),
        "gather": session(layer, patches, "gather"),
    }
    x = np.random.default_rng(0).normal(size=(1, channels, 4, patches)).astype(np.float32)
    times = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, one in sessions.items():
            start = time.perf_counter()
            for _ in range(3):
                one.run(None, {"x": x})
            times[name].append(time.perf_counter() - start)
    ms = {name: median(values) for name, values in times.items()}
    choice = faster_execution(layer)
    other = "gather" if choice == "masked" else "masked"
    return {
        "masked_to_dense": round(ms["masked"] / ms["dense"], 3),
        "gather_to_dense": round(ms["gather"] / ms["dense"], 3),
        "choice": choice,
        "choice_is_faster": kept == 1 or ms[choice] <= ms[other] * (1 + NEAR),
    }


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
