"""Decoding and shrinking pictures beside Pillow and numpy, on one thread, in one run.

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


def opened(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def decode(data):
    return numpy.asarray(opened(data)).sum(dtype=numpy.uint64)


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
    works = {"decode": decode, "decode_and_shrink": shrink, "decode_hash_and_thumbnail": all_of_it}
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
