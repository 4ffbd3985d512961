"""Makes the ONNX classifiers of this folder with seeded random weights, and asks ONNX Runtime for their scores.

Needs onnx and onnxruntime (they were made with 1.23.2 and 1.32.0) and numpy. The image is `pixel` below; the networks are given what resize/1
makes of it with the numbers of the manifests beside them, written down here a second time.
"""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 32, 24


def pixel(y, x):
    return (y * 2011 + x * 977 + 13 * y * x) % 65536


def stem(draw, channels):
    """Two convolutions, the first one normalised, and the mean of each channel."""
    constants = {
        "first.weight": draw.normal(0, 0.4, (4, channels, 3, 3)),
        "scale": draw.uniform(0.5, 1.5, 4),
        "shift": draw.normal(0, 0.3, 4),
        "mean": draw.normal(0, 0.3, 4),
        "variance": draw.uniform(0.5, 1.5, 4),
        "second.weight": draw.normal(0, 0.3, (8, 4, 3, 3)),
        "second.bias": draw.normal(0, 0.1, 8),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first.weight"], ["a"], "first", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"], "normalised"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("Conv", ["c", "second.weight", "second.bias"], ["d"], "second", strides=[2, 2]),
        helper.make_node("Sigmoid", ["d"], ["e"], "gate"),
        helper.make_node("Mul", ["d", "e"], ["f"], "swish"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"], "pooled"),
    ]
    return constants, nodes


def save(name, constants, nodes, batch, channels, outputs):
    values = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    shape = [batch, channels, ROWS, COLUMNS]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, outputs])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")


def floats(constants):
    return {n: v.astype(np.float32) for n, v in constants.items()}


def run(name, mean, deviation):
    greys = np.array([[pixel(y, x) for x in range(COLUMNS)] for y in range(ROWS)], np.float64) / 65535
    image = np.stack([(greys - m) / d for m, d in zip(mean, deviation, strict=True)])[None].astype(np.float32)
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0][0].astype(np.float64)


def main():
    # As exporters write a classifier for photographs: an open batch, and a shape that is computed from it.
    draw = np.random.default_rng(20)
    constants, nodes = stem(draw, 3)
    constants |= {"last.weight": draw.normal(0, 2.0, (3, 8)), "last.bias": draw.normal(0, 0.5, 3)}
    constants = floats(constants) | {"zero": np.array(0), "rest": np.array([-1]), "axes": np.array([0])}
    nodes += [
        helper.make_node("Shape", ["image"], ["sizes"], "sizes"),
        helper.make_node("Gather", ["sizes", "zero"], ["count"], "count", axis=0),
        helper.make_node("Unsqueeze", ["count", "axes"], ["row"], "row"),
        helper.make_node("Concat", ["row", "rest"], ["flat"], "flat", axis=0),
        helper.make_node("Reshape", ["g", "flat"], ["features"], "features"),
        helper.make_node("Gemm", ["features", "last.weight", "last.bias"], ["scores"], "last", transB=1),
    ]
    save("lesions", constants, nodes, "batch", 3, 3)
    # One channel, one picture, and probabilities' logarithms of four classes.
    draw = np.random.default_rng(21)
    constants, nodes = stem(draw, 1)
    constants |= {"last.weight": draw.normal(0, 2.0, (8, 4)), "last.bias": draw.normal(0, 0.5, 4)}
    nodes += [
        helper.make_node("Flatten", ["g"], ["features"], "features"),
        helper.make_node("MatMul", ["features", "last.weight"], ["h"], "last"),
        helper.make_node("Add", ["h", "last.bias"], ["i"], "moved"),
        helper.make_node("LogSoftmax", ["i"], ["scores"], "logarithms", axis=1),
    ]
    save("density", floats(constants), nodes, 1, 1, 4)
    lesions = 1 / (1 + np.exp(-run("lesions", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))))
    density = np.exp(run("density", (0.25,), (0.5,)))
    expected = {
        "lesions": dict(zip(("mass", "calcification", "distortion"), lesions, strict=True)),
        "density": {"heterogeneous": density[2], "extreme": density[3]},
    }
    with open("classifiers.json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")


main()
