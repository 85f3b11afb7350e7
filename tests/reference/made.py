"""The picture that the scripts here and the tests compute alike, so that none has to be kept."""

import numpy as np


def picture(width, height):
    """Samples that a generator of Knuth's makes, smoothed for every other picture."""
    samples, state = [], width * 65_537 + height
    for _ in range(width * height * 3):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        samples.append(state >> 56)
    pixels = np.array(samples, np.uint8).reshape(height, width, 3)
    if width % 2 == 0:
        rows = np.arange(height)[:, None, None] * 7
        columns = np.arange(width)[None, :, None] * 3
        pixels = (rows + columns + pixels // 8).astype(np.uint8)
    return pixels
