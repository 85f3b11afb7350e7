"""Renders a sweep and packs it in the formats that tests do not write themselves: tests/fixtures/sound.

    pip install numpy imageio-ffmpeg
    python tests/reference/sounds.py

The same sweep is rendered by tests/sound/formats.rs.
"""

import pathlib
import subprocess
import tempfile
import wave

import imageio_ffmpeg
import numpy

RATE, SECONDS = 22_050, 1
TAGS = {"title": "Sweep", "artist": "simile", "album": "Fixtures"}
CODECS = {
    "adpcm.wav": ["-c:a", "adpcm_ms"],
    "aiff": ["-c:a", "pcm_s16be", "-write_id3v2", "1"],
    "flac": ["-c:a", "flac"],
    "alac.m4a": ["-c:a", "alac"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "48k"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "2"],
    "m4a": ["-c:a", "aac", "-b:a", "48k"],
    "aac": ["-c:a", "aac", "-b:a", "48k"],
}


def sweep():
    time = numpy.arange(RATE * SECONDS) / RATE
    beats = 0.2 + 0.2 * (numpy.floor(time * 5) % 2)
    left = beats * numpy.sin(2 * numpy.pi * (300 + 700 * time) * time)
    right = 0.15 * numpy.sin(2 * numpy.pi * 880 * time)
    return numpy.round(32767 * numpy.stack([left, right], axis=1)).astype("<i2")


def main():
    folder = pathlib.Path(__file__).parent.parent / "fixtures" / "sound"
    tags = [part for name, text in TAGS.items() for part in ("-metadata", f"{name}={text}")]
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "sweep.wav"
        with wave.open(str(path), "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(sweep().tobytes())
        for name, codec in CODECS.items():
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", path, *tags, *codec,
                       "-fflags", "+bitexact", "-flags:a", "+bitexact", folder / f"sweep.{name}"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
