#!/usr/bin/env python3
"""Exports VGG16 and ResNet-50 as torchvision builds them, and records what torch gives at each of their layers.

    python3 tests/reference/torchvision_networks.py

For tests/torchvision.rs. Needs torch, torchvision, onnx, onnxruntime, numpy and Pillow. The weights (VGG16 has
138 million) are computed from their names, here and in the test alike, and are left out of the graphs; the layers
are read by forward hooks on torch's modules, not from the graph.
"""

import io
import json

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from made import picture
from networks import FIXTURES, HERE, IMAGENET, ready, reduced, rounded

PICTURES = [(300, 200), (123, 457)]
COMPONENTS = 16


def spread(name, shape):
    """Returns between which numbers the values of a weight lie, so that activations neither vanish nor overflow."""
    if len(shape) > 1:
        bound = round(float(np.sqrt(6 / np.prod(shape[1:]))), 6)
        return -bound, bound
    if name.endswith(("weight", "running_var")):
        return 0.5, 1.0
    return -0.1, 0.1


def weights(name, count, low, high):
    """Returns SplitMix64's numbers from a state made of the name (FNV-1a), spread between the two bounds."""
    state = np.uint64(0xCBF29CE484222325)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            state = (state ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        number = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + state
        number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        number ^= number >> np.uint64(31)
    share = (number >> np.uint64(40)).astype(np.float64) / 2**24
    return (low + (high - low) * share).astype(np.float32)


def hooked(model, pixels):
    """Returns what each module but the whole gives, by its name and how often it was asked before."""
    given = {}

    def keep(name):
        def hook(_, __, output):
            count = sum(1 for known, _ in given if known == name)
            # A ReLU in place would change what another module gave.
            given[name, count] = output.detach().clone().numpy()
        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in model.named_modules() if name]
    with torch.no_grad():
        model(pixels)
    for handle in handles:
        handle.remove()
    return given


def prefix(name, count):
    """Returns how torch's export begins the names of a module's nodes: /layer1/layer1.0/relu_1/."""
    parts, path = [], []
    for part in name.split("."):
        path.append(part)
        parts.append(f"{path[-2]}.{part}" if part.isdigit() else part)
        if part.isdigit():
            path[-1] = f"{path[-2]}.{part}"
    return "/" + "/".join(parts) + (f"_{count}" if count else "") + "/"


def export(model):
    """Returns the graph that torch exports, batch normalisation kept as layers of its own."""
    target = io.BytesIO()
    torch.onnx.export(
        model, torch.zeros(1, 3, 224, 224), target, opset_version=17, dynamo=False, do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE, input_names=["pixels"], output_names=["scores"],
        dynamic_axes={"pixels": {0: "batch"}, "scores": {0: "batch"}},
    )
    return onnx.load_from_string(target.getvalue())


def record(name, model):
    model.eval()
    kept = {}
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.dtype == torch.float32:
                bounds = spread(key, tensor.shape)
                tensor.copy_(torch.from_numpy(weights(key, tensor.numel(), *bounds)).reshape(tensor.shape))
                kept[key] = {"shape": list(tensor.shape), "bounds": bounds}
    graph = export(model)
    exported = {tensor.name for tensor in graph.graph.initializer}
    assert exported == set(kept), exported ^ set(kept)
    pixels = np.concatenate([
        ready(width, height, (224, 224), 1 / 255, *IMAGENET, "rgb") for width, height in PICTURES
    ])
    given = hooked(model, torch.from_numpy(pixels))

    nodes = {}
    for node in graph.graph.node:
        nodes.setdefault(node.name.rsplit("/", 1)[0] + "/", []).append(node.output[0])
    layers = {}
    for (module, count), values in given.items():
        outputs = nodes.get(prefix(module, count))
        # A dropout at rest is no node, a block ends with the node of its last activation.
        if outputs is None or not isinstance(values, np.ndarray) or type(model.get_submodule(module)).__name__ in (
            "Sequential", "Bottleneck", "Dropout",
        ):
            continue
        pooling = "mean" if values.ndim == 4 else "flatten"
        vectors = [reduced(value, pooling, False) for value in values]
        layers[outputs[-1]] = {
            "shape": list(values.shape[1:]),
            "pooling": pooling,
            "vectors": [rounded(vector, COMPONENTS) for vector in vectors],
        }
        assert np.isfinite(values).all() and np.abs(values).max() > 1e-3, (module, np.abs(values).max())

    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = session.run(None, {"pixels": pixels})[0]
    with torch.no_grad():
        np.testing.assert_allclose(scores, model(torch.from_numpy(pixels)).numpy(), rtol=1e-3, atol=1e-3)

    del graph.graph.initializer[:]
    graph.producer_version = ""
    onnx.save(graph, FIXTURES / f"{name}.onnx")
    print(name, len(layers), "layers of", len(given), "modules;", len(graph.graph.node), "nodes")
    return {"weights": kept, "layers": layers}


if __name__ == "__main__":
    torch.manual_seed(0)
    models = {"vgg16": torchvision.models.vgg16(weights=None), "resnet50": torchvision.models.resnet50(weights=None)}
    recorded = {
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "pictures": PICTURES,
        "networks": {name: record(name, model) for name, model in models.items()},
    }
    # A line for each weight and each layer, so that a change can be read.
    (HERE / "torchvision_networks.json").write_text(
        json.dumps(recorded, separators=(",", ":")).replace('},"', '},\n"') + "\n"
    )
