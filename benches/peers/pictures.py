"""Decoding pictures, making them ready for a network and shrinking them beside Pillow and numpy, on one thread, in one run.

    python benches/peers/pictures.py FOLDER [--rounds 3] [--binary PATH]

Runs the bench `pictures` (built by cargo, or the binary given) and Pillow over the same files, turn by turn, and
prints both with their ratio. Needs Pillow, numpy and imagehash.
"""

import argparse
import io
import json
import os
import pathlib
import subprocess
import time

os.environ["OMP_NUM_THREADS"] = "1"

import imagehash
import numpy
from PIL import Image, ImageOps


MEAN, DEVIATION = (numpy.array(of, numpy.float32) for of in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def opened(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def decode(data):
    return numpy.asarray(opened(data)).sum(dtype=numpy.uint64)


def prepare(data):
    """As the networks of torchvision read pictures: the shorter edge 256, the middle, scaled and shifted."""
    picture = opened(data)
    width, height = picture.size
    short = min(width, height)
    resized = picture.resize((256 * width // short, 256 * height // short), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    pixels = numpy.asarray(resized.crop((left, top, left + 224, top + 224)), numpy.float32) / numpy.float32(255)
    return numpy.ascontiguousarray(((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)).size


def shrink(data):
    picture = opened(data)
    picture.thumbnail((256, 256), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return numpy.asarray(picture).sum(dtype=numpy.uint64)


def all_of_it(data):
    picture = opened(data)
    hashes = str(imagehash.phash(picture)) + str(imagehash.dhash(picture))
    picture.thumbnail((256, 256), Image.Resampling.BILINEAR, reducing_gap=2.0)
    saved = io.BytesIO()
    picture.save(saved, "JPEG", quality=82)
    return len(hashes) + saved.tell()


def per_second(files, work):
    began = time.perf_counter()
    for data in files:
        work(data)
    return len(files) / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", help="a built bench `pictures`")
    arguments = parser.parse_args()
    files = [path.read_bytes() for path in sorted(arguments.folder.rglob("*")) if path.suffix in (".jpg", ".png")]
    command = [arguments.binary] if arguments.binary else ["cargo", "bench", "-q", "--bench", "pictures", "--"]
    works = {"decode": decode, "decode_and_prepare": prepare, "decode_and_shrink": shrink, "decode_hash_and_thumbnail": all_of_it}
    ours, theirs = dict.fromkeys(works, 0.0), dict.fromkeys(works, 0.0)
    for _ in range(arguments.rounds):
        told = subprocess.run([*command, str(arguments.folder), "1"], check=True, capture_output=True, text=True).stdout
        told = json.loads(told.strip().splitlines()[-1])
        assert told["files"] == len(files), (told, len(files))
        for name, work in works.items():
            ours[name] = max(ours[name], told[f"{name}_per_second"])
            theirs[name] = max(theirs[name], per_second(files, work))
    for name in works:
        print(f"{name}: simile {ours[name]:.1f}/s, Pillow {theirs[name]:.1f}/s, ratio {ours[name] / theirs[name]:.2f}")


main()
