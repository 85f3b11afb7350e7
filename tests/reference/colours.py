"""Makes tests/fixtures/pictures/colours: the smallest network that tells pictures apart, by their mean colours in
4 x 4 fields, less 0.5. Tests of ingestion and search need a model that reads pictures, and no more of it.

    python tests/reference/colours.py

Needs onnx.
"""

import hashlib
import pathlib

import onnx
from onnx import TensorProto, helper

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures/pictures/colours"
SIDE, FIELDS = 32, 4

pool = helper.make_node("AveragePool", ["pixels"], ["fields"], kernel_shape=[SIDE // FIELDS] * 2, strides=[SIDE // FIELDS] * 2)
flat = helper.make_node("Flatten", ["fields"], ["feature"], axis=1)
graph = helper.make_graph(
    [pool, flat],
    "colours",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
    [helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["batch", 3 * FIELDS * FIELDS])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
data = model.SerializeToString()
FOLDER.mkdir(parents=True, exist_ok=True)
(FOLDER / "colours.onnx").write_bytes(data)
(FOLDER / "manifest.toml").write_text(f"""# Mean colours in 4 x 4 fields; made by tests/reference/colours.py.
schema = 1
name = "colours"
kind = "onnx-image"
description = "Mean colours, for tests"
licence = "Apache-2.0"
dimension = {3 * FIELDS * FIELDS}
metric = "cosine"

[image]
height = {SIDE}
width = {SIDE}
resize = "stretch"
filter = "bilinear"
scale = {1 / 255}
mean = [0.5, 0.5, 0.5]
std = [1.0, 1.0, 1.0]

[network]
file = "colours.onnx"
layer = "feature"
pooling = "flatten"

[[files]]
name = "colours.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
bytes = {len(data)}
""")
