"""Records what librosa makes of two seconds of a rendered sound: tests/reference/sound.json.

    pip install librosa==0.11.0
    python tests/reference/sound.py

The same sound is rendered by src/embed/sound/tests.rs, by the same formulae. A frame of 400 samples stands
in the middle of the 512 that librosa transforms, so 56 samples of silence go before and after.
"""

import json
import pathlib

import librosa
import numpy

RATE, SAMPLES, EVERY = 16_000, 32_000, 12


def noise(count):
    """A linear congruential generator (Knuth, MMIX), its upper bits as numbers from -1 to 1."""
    state, values = 1, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 40) / 2**23 - 1)
    return numpy.array(values)


def sound():
    time = numpy.arange(SAMPLES) / RATE
    tone = 0.4 * numpy.sin(2 * numpy.pi * 440 * time)
    sweep = 0.3 * numpy.sin(2 * numpy.pi * (300 + 900 * time) * time)
    return (tone + sweep + 0.01 * noise(SAMPLES)).astype(numpy.float32)


def main():
    samples = numpy.pad(sound(), 56)
    power = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=512, win_length=400, hop_length=160, window="hann", center=False,
        power=2.0, n_mels=64, fmin=20, fmax=8000, htk=True, norm=None,
    )
    decibels = 10 * numpy.log10(numpy.maximum(power, 1e-10)).T
    frames = decibels[::EVERY]
    result = {
        "librosa": librosa.__version__,
        "every": EVERY,
        "count": int(decibels.shape[0]),
        "frames": [[round(float(value), 4) for value in frame] for frame in frames],
    }
    path = pathlib.Path(__file__).with_name("sound.json")
    path.write_text(json.dumps(result) + "\n")
    print(decibels.shape, decibels.min(), decibels.max())


if __name__ == "__main__":
    main()
