"""Records what PySceneDetect and OpenCV make of a few rendered scenes: tests/reference/shots.json.

    pip install scenedetect==0.7.2 opencv-python-headless numpy
    python tests/reference/shots.py

The same scenes are rendered by src/chunk/shots/tests.rs, by the same integers.
"""

import json
import pathlib

import cv2
import numpy
from scenedetect.detectors import AdaptiveDetector, ContentDetector
from scenedetect.common import FrameTimecode
from scenedetect.detector import FlashFilter

WIDTH, HEIGHT = 48, 32
# Frames, colour, slope across, slope down, speed, noise.
SCENES = [
    (20, (200, 40, 30), 1, 2, 3, 5),
    (9, (20, 190, 60), 3, 1, 1, 9),
    (18, (30, 50, 210), 2, 2, 0, 1),
    (24, (90, 90, 90), 0, 0, 40, 30),
    (16, (250, 240, 10), 5, 3, 7, 60),
    (17, (255, 250, 20), 5, 3, 7, 60),
    (30, (0, 0, 0), 0, 0, 0, 1),
    (20, (10, 220, 200), 4, 1, 11, 20),
]


def frame(number, start, scene):
    _, colour, across, down, speed, noise = scene
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.int64)
    time = number - start
    wave = (x * across + y * down + time * speed) % 64
    grain = ((x * 7919) ^ (y * 104729) ^ (number * 1299709)) % noise
    return numpy.stack([(value + wave + grain) % 256 for value in colour], axis=2).astype(numpy.uint8)


def main():
    frames, start = [], 0
    for scene in SCENES:
        frames += [frame(start + at, start, scene) for at in range(scene[0])]
        start += scene[0]
    content = ContentDetector(filter_mode=FlashFilter.Mode.SUPPRESS)
    adaptive = AdaptiveDetector()
    found = {"content": [], "adaptive": []}
    scores = []
    for number, picture in enumerate(frames):
        timecode = FrameTimecode(number, fps=25.0)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        found["content"] += [cut.frame_num for cut in content.process_frame(timecode, bgr)]
        found["adaptive"] += [cut.frame_num for cut in adaptive.process_frame(timecode, bgr)]
        scores.append(float(content._frame_score))
    result = {"scenes": SCENES, "width": WIDTH, "height": HEIGHT, "scores": scores, **found}
    path = pathlib.Path(__file__).with_name("shots.json")
    path.write_text(json.dumps(result) + "\n")


main()
