#!/usr/bin/env python3
"""Trains the two image networks that come with simile, and measures them.

    python3 src/embed/models/train_images.py DATA --out src/embed/models

DATA is a folder with a folder of photographs for each class; what ships was trained on 34 classes of
Caltech-101 (Li, Andreeto, Ranzato, Perona 2022, CC BY 4.0), at most 50 photographs each. Every third class
is held out: the networks never see it, and the figures that are printed are of these classes only.

Needs torch, onnx, numpy and Pillow; one thread, some minutes. The seed is fixed, so the same versions on the
same processor give the same files.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

SEED = 20261127
SIDE = 64
# Pictures are kept a little larger than they are read, for crops at random.
KEPT = 80
BATCH = 64


def load(folder):
    """Returns pictures (n x 3 x KEPT x KEPT, 0 to 1), the same at SIDE, classes and their names."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    large, small, labels = [], [], []
    for label, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            picture = Image.open(path).convert("RGB")
            for side, pictures in [(KEPT, large), (SIDE, small)]:
                resized = picture.resize((side, side), Image.Resampling.BILINEAR)
                pictures.append(np.asarray(resized, np.float32).transpose(2, 0, 1) / 255)
            labels.append(label)
    return torch.tensor(np.stack(large)), torch.tensor(np.stack(small)), np.array(labels), names


def varied(pictures, generator, colours):
    """Returns the pictures at SIDE, each cut, mirrored and, if asked, recoloured at random."""
    count = len(pictures)
    random = lambda low, high: low + (high - low) * torch.rand(count, generator=generator)
    scale = random(0.65, 1.0)
    mirror = torch.where(random(0, 1) < 0.5, -1.0, 1.0)
    angle = random(-0.15, 0.15)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = scale * mirror * torch.cos(angle)
    theta[:, 0, 1] = -scale * torch.sin(angle)
    theta[:, 1, 0] = scale * mirror * torch.sin(angle)
    theta[:, 1, 1] = scale * torch.cos(angle)
    theta[:, 0, 2] = (1 - scale) * random(-1, 1)
    theta[:, 1, 2] = (1 - scale) * random(-1, 1)
    grid = functional.affine_grid(theta, (count, 3, SIDE, SIDE), align_corners=False)
    cut = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return cut if not colours else recoloured(cut, generator)


def recoloured(pictures, generator):
    """Returns the pictures with other light, some without colours."""
    count = len(pictures)
    random = lambda low, high: low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
    grey = pictures.mean(1, keepdim=True)
    colour = random(0.3, 1.5) * (random(0, 1) > 0.15)
    lit = (grey + colour * (pictures - grey)) * random(0.7, 1.3)
    middle = lit.mean((1, 2, 3), keepdim=True)
    return ((lit - middle) * random(0.7, 1.3) + middle + random(-0.1, 0.1)).clamp(0, 1)


def erased(pictures, generator):
    """Returns the pictures with noise and a grey square in each."""
    count = len(pictures)
    noisy = pictures + 0.05 * torch.randn(pictures.shape, generator=generator)
    for picture in range(count):
        side = int(torch.randint(8, 28, (1,), generator=generator))
        top, left = torch.randint(0, SIDE - side, (2,), generator=generator).tolist()
        noisy[picture, :, top : top + side, left : left + side] = 0.5
    return noisy


def orientations(pictures):
    """Returns how strong edges of each of 8 orientations are in each of 16 x 16 cells (Dalal, Triggs 2005)."""
    grey = functional.pad(pictures.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[:, 0, 1:-1, 2:] - grey[:, 0, 1:-1, :-2]
    down = grey[:, 0, 2:, 1:-1] - grey[:, 0, :-2, 1:-1]
    strength = (across**2 + down**2).sqrt()
    which = (torch.atan2(down, across) / torch.pi * 8).floor().long() % 8
    maps = functional.one_hot(which, 8).permute(0, 3, 1, 2) * strength[:, None]
    cells = functional.avg_pool2d(maps, 4)
    around = functional.avg_pool2d(cells.sum(1, keepdim=True), 5, 1, 2, count_include_pad=False)
    return (cells / (around + 0.03)).sqrt()


class Autoencoder(nn.Module):
    """64 x 64 pixels to 16 x 4 x 4 and back; beside the picture the orientations of its edges come back."""

    def __init__(self, latent=16):
        super().__init__()
        down = lambda a, b: [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        up = lambda a, b: [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.encoder = nn.Sequential(
            *down(3, 24), *down(24, 48), *down(48, 96), *down(96, 128),
            nn.Conv2d(128, latent, 1), nn.BatchNorm2d(latent, affine=False),
        )
        self.decoder = nn.Sequential(*up(latent, 96), *up(96, 48))
        self.edges = nn.Conv2d(48, 8, 1)
        self.picture = nn.Sequential(*up(48, 24), nn.ConvTranspose2d(24, 3, 4, 2, 1))

    def forward(self, pixels):
        latent = self.encoder(pixels)
        decoded = self.decoder(latent)
        return latent, self.picture(decoded), self.edges(decoded)


class Block(nn.Module):
    """He et al. 2016; the skip is a projection where the width changes."""

    def __init__(self, width, out, stride):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        same = width == out and stride == 1
        self.skip = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out)
        )

    def forward(self, values):
        return functional.relu(self.second(self.first(values)) + self.skip(values))


class Residual(nn.Module):
    """64 x 64 pixels to 128 x 4 x 4; the roots of its means over 2 x 2 quarters are the feature."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.blocks = nn.Sequential(Block(24, 32, 2), Block(32, 64, 2), Block(64, 128, 2))
        self.head = nn.Linear(128, classes)

    def forward(self, pixels):
        maps = self.blocks(self.stem(pixels))
        feature = functional.avg_pool2d(maps, 2).sqrt().flatten(1)
        return maps, feature, self.head(functional.dropout(maps.mean((2, 3)), 0.2, self.training))


def train(model, pictures, epochs, rate, loss_of, generator):
    """Steps through the pictures with AdamW and one cycle of the rate."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    steps = epochs * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.2)
    began = time.process_time()
    for epoch in range(epochs):
        model.train()
        total = 0.0
        order = torch.randperm(len(pictures), generator=generator)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            loss = loss_of(chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 5 == 4 or epoch == epochs - 1:
            mean = total / (len(order) // BATCH)
            print(f"  epoch {epoch + 1}: loss {mean:.4f}, {time.process_time() - began:.0f} s", flush=True)


def accuracy(vectors, labels):
    """Leave-one-out accuracy of the nearest neighbour by cosine."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    return float((labels[near.argmax(1)] == labels).mean())


def permuted(model, generator):
    """Returns the model with the weights of each tensor in another order."""
    other = type(model)(*([model.head.out_features] if isinstance(model, Residual) else []))
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for weights in other.parameters():
            flat = weights.view(-1)
            flat.copy_(flat[torch.randperm(len(flat), generator=generator)])
    return other.eval()


def features(model, pictures):
    model.eval()
    with torch.no_grad():
        parts = [model(part) for part in pictures.split(128)]
    if isinstance(model, Residual):
        return torch.cat([part[1] for part in parts]).numpy()
    return torch.cat([part[0].flatten(1) for part in parts]).numpy()


def export(model, path, outputs):
    torch.onnx.export(
        model.eval(), torch.zeros(1, 3, SIDE, SIDE), path, dynamo=False, opset_version=17,
        input_names=["pixels"], output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in ["pixels", *outputs]},
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=["autoencoder", "residual"])
    parser.add_argument("--epochs", type=int, help="default: 40 and 60")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    large, small, labels, names = load(arguments.data)
    held = np.array([label % 3 == 2 for label in labels])
    print(f"{len(names)} classes, {len(labels)} pictures, {held.sum()} of them in the classes held out:")
    print(" ", ", ".join(names[2::3]))
    pictures = large[~held]
    shift = lambda pixels: (pixels - 0.5) / 0.5
    judged, judged_labels = small[held], labels[held]
    raw = judged.flatten(1).numpy()
    seen = small[~held].flatten(1).numpy()
    mean = seen.mean(0)
    axes = np.linalg.svd(seen - mean, full_matrices=False)[2]
    report = {"pixels": accuracy(raw, judged_labels)}
    for dimension in [256, 512]:
        report[f"pca-{dimension}"] = accuracy((raw - mean) @ axes[:dimension].T, judged_labels)
    print(json.dumps(report), flush=True)

    if arguments.only != "residual":
        torch.manual_seed(SEED)
        generator = torch.Generator().manual_seed(SEED)
        model = Autoencoder()

        def loss_of(chosen):
            clean = varied(pictures[chosen], generator, colours=False)
            _, picture, edges = model(shift(erased(recoloured(clean, generator), generator)))
            wanted = shift(clean)
            return functional.mse_loss(picture, wanted) + 20 * functional.mse_loss(edges, orientations(clean))

        train(model, pictures, arguments.epochs or 40, 4e-3, loss_of, generator)
        report["simile-autoencoder-64"] = accuracy(features(model, shift(judged)), judged_labels)
        control = permuted(model, generator)
        report["its weights permuted"] = accuracy(features(control, shift(judged)), judged_labels)
        print(json.dumps(report), flush=True)
        export(model, arguments.out / "simile-autoencoder-64.onnx", ["latent", "picture", "edges"])

    if arguments.only != "autoencoder":
        torch.manual_seed(SEED + 1)
        generator = torch.Generator().manual_seed(SEED + 1)
        seen_names = sorted(set(labels[~held]))
        targets = torch.tensor([seen_names.index(label) for label in labels[~held]])
        model = Residual(len(seen_names))

        def loss_of(chosen):
            pixels = shift(varied(pictures[chosen], generator, colours=True))
            return functional.cross_entropy(model(pixels)[2], targets[chosen], label_smoothing=0.1)

        train(model, pictures, arguments.epochs or 60, 4e-3, loss_of, generator)
        report["simile-residual-64"] = accuracy(features(model, shift(judged)), judged_labels)
        control = permuted(model, generator)
        report["its weights permuted too"] = accuracy(features(control, shift(judged)), judged_labels)
        print(json.dumps(report), flush=True)
        export(model, arguments.out / "simile-residual-64.onnx", ["maps", "feature", "classes"])


if __name__ == "__main__":
    main()
