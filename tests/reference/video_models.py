#!/usr/bin/env python3
"""Makes small models of videos and records what they make of a clip, for tests/video/networks.rs.

    python3 tests/reference/video_models.py

Needs torch, transformers, onnx, numpy and Pillow. The weights are random with a fixed seed, the architectures are
those of transformers, and so are the image processors. The frames are computed, here and there alike.
"""

import json
from pathlib import Path

import numpy as np
import torch
from made import picture
from transformers import (
    VideoMAEConfig,
    VideoMAEImageProcessor,
    VideoMAEModel,
    VivitConfig,
    VivitImageProcessor,
    VivitModel,
)

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "video"
SEED = 20261127
SIDE = 32
# The widths of the frames of the clip; each is another picture.
WIDTHS = [48, 50, 52, 54, 56, 58, 60]
HEIGHT = 40
COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": SIDE,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def models():
    """Yields the name, the model, its image processor, and how its tokens become a vector."""
    torch.manual_seed(SEED)
    config = VideoMAEConfig(num_frames=4, tubelet_size=2, patch_size=16, use_mean_pooling=True, **COMMON)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    yield "videomae", VideoMAEModel(config), VideoMAEImageProcessor(**size), "mean"
    config = VivitConfig(num_frames=6, tubelet_size=[2, 16, 16], **COMMON)
    size["size"] = {"shortest_edge": 36}
    yield "vivit", VivitModel(config, add_pooling_layer=False), VivitImageProcessor(**size), "cls"


class Last(torch.nn.Module):
    """Gives the tokens alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values).last_hidden_state


def spread(model):
    """Makes the weights large enough that what is seen shows in the vector."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1:
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.15)


def vector(hidden, pooling):
    pooled = hidden.mean(0) if pooling == "mean" else hidden[0]
    return pooled / np.linalg.norm(pooled)


def main():
    frames = [picture(width, HEIGHT) for width in WIDTHS]
    expected = {"widths": WIDTHS, "height": HEIGHT, "models": {}}
    for name, model, processor, pooling in models():
        model.eval()
        spread(model)
        folder = FIXTURES / f"{name}-tiny"
        folder.mkdir(parents=True, exist_ok=True)
        count = model.config.num_frames
        model.config.save_pretrained(folder)
        processor.save_pretrained(folder)
        last = Last(model)
        torch.onnx.export(
            last, torch.zeros(1, count, 3, SIDE, SIDE), str(folder / "model.onnx"), dynamo=False,
            opset_version=17, input_names=["pixel_values"], output_names=["last_hidden_state"],
            dynamic_axes={"pixel_values": {0: "batch"}, "last_hidden_state": {0: "batch"}},
        )

        def see(chosen):
            pixels = processor([frames[at] for at in chosen], return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                return vector(last(pixels)[0].numpy(), pooling)

        # Evenly over the clip, the first and the last among them.
        places = [round(at * (len(frames) - 1) / (count - 1)) for at in range(count)]
        expected["models"][name] = {
            "places": places,
            "clip": [float(value) for value in see(places)],
            "backwards": [float(value) for value in see(places[::-1])],
            "still": [float(value) for value in see([2] * count)],
        }
    text = json.dumps(expected, separators=(",", ":"))
    (HERE / "video_models.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
