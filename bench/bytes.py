"""How small is the model of a place, what does each lever cost in answers, and in time?

Bytes: 300 of 5,089 classes, MobileViTV2-0.5 at 224 pixels with random weights, plain head and
bottleneck head, every tensor filled with different numbers, so that none is shared by luck. The
model, and the whole package with its card and list.

Losses: dense networks trained on photos of 115 species at 128 pixels, one for each seed, cut to
all of their classes; all test photos, the same for each lever; the control is the same network with
32 bits at its own side. The interval is that of the mean over photos of what a photo gains or
loses, averaged over the seeds.

Times: processor time of one photo, one thread, the models taking turns; only ratios inside a round
are claims.
``DequantizeLinear`` is the usual form of 8 bits; ``QDQ`` has activations of 8 bits too, by the
world's own ranges, made by ONNX Runtime's quantizer; both exist only here.

Writes ``bench/results/bytes.json``. Run:
``python bench/bytes.py --manifest M.parquet --world A/world --world B/world --world C/world``.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from record import spread, write_record

from homerange.data.images import prepare
from homerange.data.manifest import Manifest
from homerange.data.metrics import macro_f1
from homerange.geo.place import SpeciesList
from homerange.specialize.count import count_macs
from homerange.specialize.cut import cut_world
from homerange.specialize.input_side import at_side
from homerange.specialize.levers import finished
from homerange.specialize.quantize import quantize
from homerange.specialize.smaller import Smaller
from homerange.specialize.specialize import specialize
from homerange.world.ranges import Ranges
from homerange.world.world import open_world

CLASSES, KEPT, INPUT_PX = 5089, 300, 224
BITS = (32, 16, 8, 4)
SIDES_PX = (160, 112, 96, 80)
TIMED_AT_PX, TIMED_PX = 256, (224, 192, 160)
"""At 256 no map has to be stretched, which ONNX Runtime's quantizer does not survive."""
BATCH = 4


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--world", type=Path, action="append", required=True, help="one a seed")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    results = {
        "bytes_of_300_species": {head: bytes_of(head) for head in ("plain", "bottleneck")},
        "losses": losses(arguments.manifest, arguments.world),
        "time_against_32_bits": times(arguments.world[0], arguments.rounds),
    }
    path = write_record(
        "bytes",
        "How small is the model of 300 species, and what does each lever cost in answers and time?",
        results,
        classes=CLASSES,
        kept=KEPT,
        seeds=len(arguments.world),
        rounds=arguments.rounds,
        threads=1,
        networks="mobilevitv2_050; bytes: random weights, 224 px; losses: trained, 115 species",
        load_average_before=load,
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def bytes_of(head: str) -> dict:
    """Return bytes of the model and of the package for each number of bits."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "world", head)
        names = [label for label in world.labels if label not in world.outcomes]
        place = SpeciesList(tuple(names[:: len(names) // KEPT][:KEPT]))
        for bits in BITS:
            start = time.process_time()
            made = specialize(
                world, place, Path(folder) / "x.homerange", smaller=Smaller(bits=bits)
            )
            found[f"{bits} bits"] = {
                "model": made.levers.chosen.size.bytes,
                "package": made.path.stat().st_size,
                "get_cpu_s": round(time.process_time() - start, 2),
            }
        before = cut_world(world, made.table.class_index_K)
        eight = quantize(onnx.load_from_string(before), world.graph, 8)
        after = onnx.load_from_string(finished(eight, world.graph))
        found["8 bits, what is no tensor"] = {
            "as exported": overhead(eight),
            "in the package": overhead(after),
        }
    return found


def overhead(model: onnx.ModelProto) -> int:
    """Count the bytes of nodes and names."""
    return model.ByteSize() - sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def make_world(folder: Path, head: str):
    """Publish a world of the paper's size."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import fakes
    import torch

    from homerange.model.network import build_network
    from homerange.profile.export import export_graph
    from homerange.profile.fold import fold_batch_norm

    fakes.build_world(folder, classes=CLASSES, features=256, input_px=INPUT_PX, test_photos=2)
    torch.manual_seed(0)
    network = fold_batch_norm(build_network(classes=CLASSES, head=head).eval())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.01)
    export_graph(network, folder, input_px=INPUT_PX)
    fakes.reseal(folder)
    return open_world(folder)


def losses(manifest: Path, folders: list[Path]) -> dict:
    """Return top-1 and what it loses, for each lever, over all worlds."""
    test = Manifest.read(manifest).split("test")
    right: dict[str, list] = {}
    f1: dict[str, list] = {}
    agrees: dict[str, list] = {}
    for folder in folders:
        world = open_world(folder)
        index_of = {label: i for i, label in enumerate(world.labels)}
        class_N = np.array([index_of[name] for name in test.strings("species")])
        side_px = world.preprocessing.input_px
        control_N = None
        pixels = {px: photos(test, world, px) for px in (side_px, *SIDES_PX)}
        for name, (model, px) in variants(world).items():
            answer_N = answers(model, pixels[px])
            control_N = answer_N if control_N is None else control_N
            right.setdefault(name, []).append(answer_N == class_N)
            f1.setdefault(name, []).append(macro_f1(class_N, answer_N))
            agrees.setdefault(name, []).append(float((answer_N == control_N).mean()))
            print(folder, name, right[name][-1].mean(), flush=True)
    return {name: summary(name, right, f1, agrees) for name in right}


def summary(name: str, right: dict, f1: dict, agrees: dict) -> dict:
    """Compare one lever with the control."""
    change_SN = np.array(right[name], float) - np.array(right["32 bits"], float)
    change_N = change_SN.mean(axis=0)
    half = 1.96 * change_N.std(ddof=1) / len(change_N) ** 0.5
    return {
        "photos": len(change_N),
        "top1_by_seed": [round(float(one.mean()), 4) for one in right[name]],
        "macro_f1_by_seed": [round(float(one), 4) for one in f1[name]],
        "top1_change": round(float(change_N.mean()), 4),
        "top1_change_low": round(float(change_N.mean() - half), 4),
        "top1_change_high": round(float(change_N.mean() + half), 4),
        "same_answer_by_seed": [round(one, 4) for one in agrees[name]],
        "part_of_control": round(float(np.mean(right[name]) / np.mean(right["32 bits"])), 4),
    }


def variants(world) -> dict:
    """Make the models of a world: name, model and side, the control first."""
    own_px = world.preprocessing.input_px
    cut = onnx.load_from_string(cut_world(world, np.arange(len(world.labels))))
    made = {f"{bits} bits": (quantize(cut, world.graph, bits), own_px) for bits in BITS}
    made["QDQ"] = (qdq(cut, world), own_px)
    return made | {f"{px} px": (at_side(cut, px), px) for px in SIDES_PX}


def photos(test: Manifest, world, px: int):
    """Prepare the test photos."""
    preprocessing = replace(world.preprocessing, input_px=px)
    return np.stack([prepare(test.image_path(i), preprocessing) for i in range(len(test))])


def answers(model: onnx.ModelProto, rgb_NHW3):
    """Return the class that a model answers for each photo."""
    runtime = session(model)
    parts = range(0, len(rgb_NHW3), BATCH)
    logits = [runtime.run(None, {"image": rgb_NHW3[i : i + BATCH]})[0] for i in parts]
    return np.concatenate(logits).argmax(axis=1)


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Load a model for one thread."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def qdq(cut: onnx.ModelProto, world) -> onnx.ModelProto:
    """Quantize convolutions and the head with activations, by the ranges that the world has."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    model = onnx.shape_inference.infer_shapes(cut)
    ranges = {
        name: (np.float32(low), np.float32(high))
        for name, (low, high) in Ranges.over(world.path, np.arange(len(world.labels))).items()
    }
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def with_dequantize_linear(cut: onnx.ModelProto, names) -> onnx.ModelProto:
    """Write 8 bits in the usual form: the same numbers, one node a weight."""
    model = quantize(cut, names, 8)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in tensors:
            continue
        if node.op_type == "Mul" and f"{node.output[0]}/whole" in tensors:
            scale = tensors[f"{node.output[0]}/scale"]
            values = numpy_helper.to_array(scale).astype(np.float32)
            axis = int(np.argmax(values.shape))
            scale.CopyFrom(numpy_helper.from_array(values.ravel(), scale.name))
            inputs = [f"{node.output[0]}/whole", scale.name]
            node = helper.make_node("DequantizeLinear", inputs, node.output, axis=axis)
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return model


def times(folder: Path, rounds: int) -> dict:
    """Return the time of a photo of each model against that of 32 bits, round by round."""
    world = open_world(folder)
    own = onnx.load_from_string(cut_world(world, np.arange(len(world.labels))))
    cut = at_side(own, TIMED_AT_PX)
    models = {"32 bits": (cut, TIMED_AT_PX)}
    models |= {f"{bits} bits": (quantize(cut, world.graph, bits), TIMED_AT_PX) for bits in BITS[1:]}
    models["32 bits, slim"] = (onnx.load_from_string(finished(cut, world.graph)), TIMED_AT_PX)
    models["8 bits, DequantizeLinear"] = (with_dequantize_linear(cut, world.graph), TIMED_AT_PX)
    models["QDQ"] = (qdq(cut, world), TIMED_AT_PX)
    models |= {f"{px} px": (at_side(own, px), px) for px in TIMED_PX}
    macs = {px: count_macs(at_side(own, px)) for px in (TIMED_AT_PX, *TIMED_PX)}
    loaded = {name: (session(model), px) for name, (model, px) in models.items()}
    taken: dict[str, list] = {name: [] for name in models}
    for _ in range(rounds):
        for name, (runtime, px) in loaded.items():
            image = np.full((1, px, px, 3), 127, np.uint8)
            start = time.process_time()
            runtime.run(None, {"image": image})
            taken[name].append(time.process_time() - start)
    base = np.array(taken["32 bits"])
    return {
        name: {
            "ratio": spread((np.array(taken[name]) / base).tolist()),
            "macs": round(macs[px] / macs[TIMED_AT_PX], 3),
            "bytes": len(finished(model, world.graph)),
        }
        for name, (model, px) in models.items()
    }


if __name__ == "__main__":
    main()
