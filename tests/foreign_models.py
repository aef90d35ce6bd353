"""Classifiers as strangers export them: one tiny network, its class rows in many forms."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PX, FEATURES, CLASSES = 8, 6, 5
HEADS = (
    "gemm",
    "gemm columns",
    "gemm halved",
    "gemm without bias",
    "matmul",
    "matmul with bias first",
    "transpose",
    "convolution",
    "convolution averaged",
)
ENDINGS = ("", "Softmax", "LogSoftmax")


def foreign_model(
    path,
    *,
    head="gemm",
    ending="",
    layout="nchw",
    kind=TensorProto.FLOAT,
    classes=CLASSES,
    px=PX,
    batch="n",
    seed=0,
    after=(),
    second_input=False,
    computed=False,
):
    """Write a classifier: convolution, ReLU, average, class rows, perhaps a softmax.

    Args:
        path: Where.
        head: One of ``HEADS``.
        ending: One of ``ENDINGS``.
        layout, kind, px, batch: Of its input.
        classes: Class rows.
        seed: Of its numbers.
        after: Nodes between class rows and ending, from ``rows`` to ``moved``.
        second_input: Whether it asks for more than a photo.
        computed: Whether its class rows are the result of a node.

    Returns:
        The class rows and their bias, (C, D) and (C,).
    """
    rng = np.random.default_rng(seed)
    weight_CD = rng.normal(size=(classes, FEATURES)).astype(np.float32)
    bias_C = rng.normal(size=classes).astype(np.float32)
    bias_C *= head not in ("gemm without bias",)
    nodes, value = [], "photo"
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [value], ["first"], perm=[0, 3, 1, 2]))
        value = "first"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [value], ["float"], to=TensorProto.FLOAT))
        value = "float"
    nodes += [
        helper.make_node("Conv", [value, "stem"], ["map"], strides=[2, 2], doc_string="/home/me"),
        helper.make_node("Relu", ["map"], ["active"]),
    ]
    tensors = {"stem": rng.normal(size=(FEATURES, 3, 3, 3)).astype(np.float32) / 3}
    head_nodes, more = _head(head, weight_CD, bias_C)
    if batch == 1:  # as exporters write it that saw one photo
        more["flat"] = np.array([1, FEATURES])
        reshape = helper.make_node("Reshape", ["pooled", "flat"], ["features"])
        head_nodes = [reshape if node.op_type == "Flatten" else node for node in head_nodes]
    if computed:
        factor = helper.make_node("Sigmoid", ["rows.weight"], ["rows.computed"])
        head_nodes = [factor, *_replaced(head_nodes, "rows.weight", "rows.computed")]
    nodes += [*head_nodes, *after]
    last = nodes[-1].output[0]
    if ending:
        nodes.append(helper.make_node(ending, [last], ["answer"], axis=-1))
        last = "answer"
    sides = ["n", px, px]
    shape = [batch, 3, *sides[1:]] if layout == "nchw" else [batch, *sides[1:], 3]
    inputs = [helper.make_tensor_value_info("photo", kind, shape)]
    if second_input:
        inputs.append(helper.make_tensor_value_info("place", TensorProto.FLOAT, ["n", 2]))
    initializers = [numpy_helper.from_array(v, n) for n, v in (tensors | more).items()]
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "foreign", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return weight_CD, bias_C


def _replaced(nodes, old, new):
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = new if name == old else name
    return nodes


def _head(head, weight_CD, bias_C):
    """Nodes from the map to ``rows``, and their constants."""
    if head.startswith("convolution"):
        averaged = head.endswith("averaged")
        order = ("Conv", "GlobalAveragePool") if averaged else ("GlobalAveragePool", "Conv")
        nodes, value = [], "active"
        for op in order:
            given = [value, "rows.weight", "rows.bias"] if op == "Conv" else [value]
            nodes.append(helper.make_node(op, given, [f"{op} made"]))
            value = f"{op} made"
        nodes.append(helper.make_node("Flatten", [value], ["rows"]))
        return nodes, {"rows.weight": weight_CD[:, :, None, None], "rows.bias": bias_C}
    nodes = [
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    constants = {"rows.weight": weight_CD, "rows.bias": bias_C}
    if head.startswith("gemm"):
        flip, alpha = int(head != "gemm columns"), 1.0
        if head == "gemm columns":
            constants["rows.weight"] = weight_CD.T.copy()
        if head == "gemm halved":
            constants, alpha = {n: v * 2 for n, v in constants.items()}, 0.5
        given = ["features", "rows.weight", "rows.bias"]
        if head == "gemm without bias":
            del constants["rows.bias"], given[2]
        gemm = helper.make_node("Gemm", given, ["rows"], transB=flip, alpha=alpha, beta=alpha)
        return [*nodes, gemm], constants
    factor = "rows.weight"
    if head == "transpose":
        nodes.append(helper.make_node("Transpose", [factor], ["turned"], perm=[1, 0]))
        factor = "turned"
    else:
        constants["rows.weight"] = weight_CD.T.copy()
    nodes.append(helper.make_node("MatMul", ["features", factor], ["product"]))
    pair = ["product", "rows.bias"]
    pair = pair[::-1] if head == "matmul with bias first" else pair
    return [*nodes, helper.make_node("Add", pair, ["rows"])], constants
