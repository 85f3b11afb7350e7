#!/usr/bin/env python3
"""Records how Pillow, torchvision and transformers make pictures ready, for src/embed/image/tests.rs.

    python3 tests/reference/preprocessing.py > tests/reference/preprocessing.json

Needs Pillow below 12, torchvision, transformers, torch and numpy: later Pillows make the rows of some pictures before
the columns, which networks were not trained on. The pictures are computed, here and there alike.
"""

import hashlib
import json
import os

import numpy as np
import torch
import transformers
from made import picture
from PIL import Image, __version__ as pillow
from torchvision import __version__ as torchvision
from torchvision.transforms.v2 import functional

os.environ["TOKENIZERS_PARALLELISM"] = "false"
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Columns and rows before and after; both ways, far and near, one pixel, and nothing to do.
SIZES = [
    (37, 23, 16, 16), (16, 16, 37, 23), (101, 7, 13, 29), (64, 48, 64, 48), (64, 48, 63, 49),
    (1, 1, 5, 4), (3, 200, 8, 8), (200, 3, 8, 8), (255, 255, 32, 31), (300, 200, 64, 64),
]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array, np.uint8).tobytes()).hexdigest()


def resized():
    found = []
    for name, resample in FILTERS.items():
        for width, height, columns, rows in SIZES:
            source = Image.fromarray(picture(width, height))
            result = np.asarray(source.resize((columns, rows), resample))
            case = {"filter": name, "from": [width, height], "to": [columns, rows]}
            found.append({**case, "resampler": "pillow", "sha256": digest(result)})
            if name in ("bilinear", "bicubic", "nearest"):
                mode = functional.InterpolationMode(name)
                tensor = torch.from_numpy(picture(width, height)).permute(2, 0, 1)
                result = functional.resize(tensor, [rows, columns], mode, antialias=True)
                result = result.permute(1, 2, 0).numpy()
                found.append({**case, "resampler": "torch-bytes", "sha256": digest(result)})
    return found


def floats(array):
    return [round(float(value), 6) for value in np.asarray(array, np.float64).reshape(-1)]


def torch_floats():
    """torchvision's transforms on tensors of floats."""
    found = []
    for name in ("bilinear", "bicubic"):
        for width, height, columns, rows in [(37, 23, 6, 5), (9, 11, 7, 12), (64, 48, 4, 4)]:
            tensor = torch.from_numpy(picture(width, height)).permute(2, 0, 1).float() / 255
            mode = functional.InterpolationMode(name)
            result = functional.resize(tensor, [rows, columns], mode, antialias=True)
            result = functional.normalize(result, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
            case = {"filter": name, "from": [width, height], "to": [columns, rows]}
            found.append({**case, "values": floats(result)})
    return found


def presets():
    """The preset of torchvision's classification weights, on Pillow's pictures."""
    from torchvision.transforms._presets import ImageClassification

    found = []
    for width, height in [(37, 23), (23, 37), (64, 49), (10, 90)]:
        for edge, crop in [(12, 9), (11, 8), (9, 12)]:
            preset = ImageClassification(crop_size=crop, resize_size=edge)
            values = preset(Image.fromarray(picture(width, height)))
            found.append({"from": [width, height], "edge": edge, "crop": crop, "values": floats(values)})
    return found


def processors():
    """Image processors of transformers, with the file that they write."""
    tiny = {"height": 9, "width": 10}
    made = [
        transformers.CLIPImageProcessor(size={"shortest_edge": 10}, crop_size=tiny),
        transformers.CLIPImageProcessorFast(size={"shortest_edge": 12}, crop_size=tiny),
        transformers.SiglipImageProcessor(size={"height": 9, "width": 9}),
        transformers.ViTImageProcessor(size={"height": 7, "width": 11}),
        transformers.DeiTImageProcessor(size={"height": 14, "width": 14}, crop_size=tiny),
        transformers.BitImageProcessor(size={"shortest_edge": 13}, crop_size=tiny),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 10}),
        transformers.MobileNetV2ImageProcessor(size={"shortest_edge": 12}, crop_size=tiny),
        transformers.ViTImageProcessor(size={"height": 8, "width": 8}, do_normalize=False, resample=1),
        transformers.BeitImageProcessor(size={"height": 12, "width": 12}, crop_size=tiny, do_center_crop=True),
    ]
    found = []
    for processor in made:
        for width, height in [(37, 23), (12, 31)]:
            source = Image.fromarray(picture(width, height))
            values = processor(source, return_tensors="pt")["pixel_values"]
            config = json.loads(processor.to_json_string())
            found.append({"config": config, "from": [width, height], "values": floats(values)})
    return found


def main():
    if int(pillow.split(".")[0]) >= 12:
        raise SystemExit(f"expected Pillow below 12, got {pillow}")
    print(json.dumps({
        "versions": {"pillow": pillow, "torchvision": torchvision, "transformers": transformers.__version__},
        "picture": {"37x23": digest(picture(37, 23)), "64x48": digest(picture(64, 48))},
        "grey": digest(np.asarray(Image.fromarray(picture(37, 23)).convert("L"))),
        "resized": resized(),
        "torch_floats": torch_floats(),
        "presets": presets(),
        "processors": processors(),
    }))


if __name__ == "__main__":
    main()
