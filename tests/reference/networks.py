#!/usr/bin/env python3
"""Makes small image networks and records every layer of them, for tests/networks.rs.

    python3 tests/reference/networks.py
    python3 tests/reference/networks.py --real DATA      beside them, layers of the real networks in DATA

Needs onnx, onnxruntime, numpy and Pillow. The weights are random with a fixed seed; the pictures are
computed, here and there alike. Of real networks only a few layers are recorded, and of these 64 components.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from made import picture
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "networks"
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
REAL = {
    # The folder's README says how each reads pictures: factor, mean, deviation, and the order of channels.
    "mobilenet_v1_0.25_224.onnx": (1 / 255, [0.5] * 3, [0.5] * 3, "rgb"),
    "squeezenet_fp16.onnx": (1.0, [123.0, 117.0, 104.0], [1.0] * 3, "bgr"),
    "resnet20_cifar10.onnx": (1 / 255, *IMAGENET, "rgb"),
    "resnet8_cifar10.onnx": (1.0, [0.0] * 3, [1.0] * 3, "rgb"),
    "mnist.onnx": (1.0, [0.0] * 3, [1.0] * 3, "grey"),
    "onnx-light/light_resnet50.onnx": (1 / 255, *IMAGENET, "rgb"),
    "onnx-light/light_vgg19.onnx": (1 / 255, *IMAGENET, "rgb"),
    "onnx-light/light_densenet121.onnx": (1 / 255, *IMAGENET, "rgb"),
    "onnx-light/light_inception_v2.onnx": (1 / 255, *IMAGENET, "rgb"),
    "onnx-light/light_shufflenet.onnx": (1 / 255, *IMAGENET, "rgb"),
}


def ready(width, height, side, factor, mean, deviation, channels):
    """Returns the picture stretched to the side, 1 x channels x side x side."""
    source = Image.fromarray(picture(width, height))
    if channels == "grey":
        source = source.convert("L")
    resized = np.asarray(source.resize((side[1], side[0]), Image.Resampling.BILINEAR), np.float64)
    if channels == "grey":
        return ((resized * factor - mean[0]) / deviation[0]).astype(np.float32)[None, None]
    values = ((resized * factor - mean) / deviation).astype(np.float32)
    if channels == "bgr":
        values = values[:, :, ::-1]
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def reduced(values, pooling, is_last):
    """Returns the vector of one picture, of length one."""
    values = np.asarray(values, np.float64)
    if values.ndim == 2:
        if pooling == "cls":
            values = values[0]
        elif pooling != "flatten":
            values = {
                "mean": lambda: values.mean(0),
                "max": lambda: values.max(0),
                "gem": lambda: (np.maximum(values, 1e-6) ** 3).mean(0) ** (1 / 3),
            }[pooling]()
    elif values.ndim == 3:
        maps = values.transpose(2, 0, 1) if is_last else values
        maps = maps.reshape(len(maps), -1)
        values = {
            "flatten": lambda: maps,
            "mean": lambda: maps.mean(1),
            "max": lambda: maps.max(1),
            "gem": lambda: (np.maximum(maps, 1e-6) ** 3).mean(1) ** (1 / 3),
        }[pooling]()
    vector = values.reshape(-1)
    return vector / np.linalg.norm(vector) if vector.any() else vector


def everything(path, values):
    """Returns what each node gives for these values, by name, with shapes."""
    model = onnx.load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    asked = next(value for value in model.graph.input if value.name not in constants)
    kept = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in kept:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    kind = np.float16 if asked.type.tensor_type.elem_type == TensorProto.FLOAT16 else np.float32
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {asked.name: values.astype(kind)})))


def weights(generator, *shape):
    return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def small(batch, half=False):
    """A network of all that such networks have: branches, sums, pools, an If, a classifier."""
    generator = np.random.default_rng(20261127)
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    cast = (lambda array: array.astype(np.float16)) if half else (lambda array: array)
    constants = {
        "w1": weights(generator, 8, 3, 3, 3),
        "b1": weights(generator, 8, 1).reshape(8),
        "scale": np.abs(weights(generator, 8, 1).reshape(8)) + 0.5,
        "shift": weights(generator, 8, 1).reshape(8),
        "center": weights(generator, 8, 1).reshape(8),
        "spread": np.abs(weights(generator, 8, 1).reshape(8)) + 0.5,
        "w2": weights(generator, 8, 1, 3, 3),
        "w3": weights(generator, 4, 8, 1, 1),
        "w4": weights(generator, 6, 20, 3, 3),
        "w5": weights(generator, 10, 6),
        "b5": weights(generator, 10, 1).reshape(10),
        "unused": weights(generator, 50, 50),
    }
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["pixels", "w1", "b1"], ["conv1"], kernel_shape=[3, 3], strides=[2, 2], **pads),
        helper.make_node("BatchNormalization", ["conv1", "scale", "shift", "center", "spread"], ["bn1"]),
        helper.make_node("Relu", ["bn1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "w2"], ["depthwise"], kernel_shape=[3, 3], group=8, **pads),
        helper.make_node("Add", ["depthwise", "relu1"], ["sum"]),
        helper.make_node("Conv", ["sum", "w3"], ["pointwise"], kernel_shape=[1, 1]),
        helper.make_node("MaxPool", ["relu1"], ["pooled"], kernel_shape=[3, 3], strides=[1, 1], **pads),
        helper.make_node("Concat", ["pointwise", "pooled", "sum"], ["joined"], axis=1),
        helper.make_node("If", ["always"], ["chosen"], then_branch=helper.make_graph(
            [helper.make_node("Conv", ["joined", "w4"], ["inner"], kernel_shape=[3, 3])],
            "then", [], [helper.make_tensor_value_info("inner", kind, None)],
        ), else_branch=helper.make_graph(
            [helper.make_node("Neg", ["joined"], ["other"])],
            "else", [], [helper.make_tensor_value_info("other", kind, None)],
        )),
        helper.make_node("GlobalAveragePool", ["chosen"], ["average"]),
        helper.make_node("Flatten", ["average"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w5", "b5"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["classes"], axis=1),
    ]
    tensors = [numpy_helper.from_array(cast(array), name) for name, array in constants.items()]
    tensors.append(numpy_helper.from_array(np.array(True), "always"))
    shape = [batch, 3, 16, 16]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("classes", kind, [batch, 10])], tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def last_channels():
    """A network that reads and gives channels last, and tokens at its end."""
    generator = np.random.default_rng(20261128)
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w1"], ["patches"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Transpose", ["patches"], ["places"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["places", "shape"], ["tokens"]),
        helper.make_node("MatMul", ["tokens", "w2"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["last_hidden_state"]),
    ]
    tensors = [
        numpy_helper.from_array(weights(generator, 7, 3, 4, 4), "w1"),
        numpy_helper.from_array(weights(generator, 7, 5), "w2"),
        numpy_helper.from_array(np.array([0, -1, 7], np.int64), "shape"),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "last", [helper.make_tensor_value_info("pixels", kind, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("last_hidden_state", kind, ["batch", "tokens", 5])], tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outside():
    """The same as the small one, with its weights in another file."""
    model = small("batch")
    onnx.external_data_helper.convert_model_to_external_data(model, True, "outside.bin", 0)
    return model


def rounded(vector, count=None):
    return [float(f"{value:.7g}") for value in vector[:count]]


def record_small():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    networks = {
        "small": small("batch"), "one": small(1), "three": small(3), "half": small(1, half=True),
        "last": last_channels(), "outside": outside(),
    }
    for name, model in networks.items():
        onnx.save(model, FIXTURES / f"{name}.onnx")
    (FIXTURES / "outside.bin").unlink()
    found = {}
    for name in ["small", "half", "last"]:
        layers = {}
        for width, height in [(37, 23), (64, 48)]:
            values = ready(width, height, (16, 16), 1 / 255, *IMAGENET, "rgb")
            if name == "last":
                values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
            for layer, given in everything(FIXTURES / f"{name}.onnx", values).items():
                entry = layers.setdefault(layer, {"shape": list(given.shape[1:]), "vectors": {}})
                is_map, is_tokens = given[0].ndim == 3, given[0].ndim == 2
                poolings = ["flatten"] + ["mean", "gem", "max"] * (is_map or is_tokens) + ["cls"] * is_tokens
                for pooling in poolings:
                    vector = reduced(given[0], pooling, name == "last")
                    entry["vectors"].setdefault(pooling, []).append(rounded(vector, 64))
        found[name] = layers
    return found


def record_real(folder):
    found = {}
    for name, (factor, mean, deviation, channels) in REAL.items():
        model = onnx.load(folder / name)
        constants = {tensor.name for tensor in model.graph.initializer}
        asked = next(value for value in model.graph.input if value.name not in constants)
        side = [dim.dim_value for dim in asked.type.tensor_type.shape.dim][2:]
        values = ready(300, 200, side, factor, mean, deviation, channels)
        given = everything(folder / name, values)
        kept = [
            layer for layer, value in given.items()
            if value.dtype in (np.float16, np.float32) and value.ndim in (2, 4) and value.any()
            and value.shape[0] == 1
        ]
        depends = depending(model, asked.name)
        kept = [layer for layer in kept if layer in depends]
        chosen = [kept[len(kept) * part // 7] for part in range(1, 7)]
        found[name] = {
            "factor": factor, "mean": mean, "std": deviation, "channels": channels, "side": side,
            "layers": {
                layer: {
                    "shape": list(given[layer].shape[1:]),
                    "vector": rounded(reduced(given[layer][0], "mean", False), 64),
                }
                for layer in chosen
            },
        }
    return found


def depending(model, name):
    """Returns the values that an input makes a difference to."""
    found = {name}
    for node in model.graph.node:
        if found.intersection(node.input):
            found.update(node.output)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path)
    arguments = parser.parse_args()
    (HERE / "networks.json").write_text(json.dumps(record_small()) + "\n")
    if arguments.real:
        (HERE / "networks_real.json").write_text(json.dumps(record_real(arguments.real)) + "\n")


if __name__ == "__main__":
    main()
