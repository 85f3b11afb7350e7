"""Photographs from files to vectors: how many a second beside Python's onnxruntime, and does memory stay flat?

    python3 benches/photographs.py speed  PHOTOS [--binary target/release/simile] [--threads 1] [--json]
    python3 benches/photographs.py memory PHOTOS [--binary target/release/simile] [--pictures 10000] [--json]

speed embeds the same files with the model that comes with the program (simile-residual-64): by `Embedding.Embed`, and
in Python by Pillow, numpy and onnxruntime, decoded, resized and normalised in batches, on as many threads. Both orders
are run, and the better run of each counts. Seconds are those that the process computed, all threads together, and by
the clock. That both compute the same is checked: the cosine of each two vectors is at least 0.999.

memory stores copies of the photographs, each a little different, under names of their own, and samples the resident
memory of the server as it goes.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment(["onnxruntime", "pillow"])

import numpy
from PIL import Image, ImageEnhance, ImageOps

MODEL = harness.ROOT / "src/embed/models/simile-residual-64.onnx"
NAME = "simile-residual-64"
SIDE = 64
BATCH = 16
ROUNDS = 2


def photographs(folder):
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix.lower() in {".jpg", ".jpeg", ".png"}]


def read(content):
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    values = numpy.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), numpy.float32)
    return ((values / 255.0 - 0.5) / 0.5).transpose(2, 0, 1)


def theirs(files, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    name, output = session.get_inputs()[0].name, "feature"
    session.run([output], {name: numpy.zeros((1, 3, SIDE, SIDE), numpy.float32)})
    clock, computed, found = time.perf_counter(), time.process_time(), []
    for first in range(0, len(files), BATCH):
        batch = numpy.stack([read(content) for content in files[first : first + BATCH]])
        found.extend(session.run([output], {name: batch})[0].reshape(len(batch), -1))
    return {"cpu_s": time.process_time() - computed, "wall_s": time.perf_counter() - clock}, found


def ours(stubs, binary, files, threads):
    flags = ["--embed-threads", str(threads)]
    with tempfile.TemporaryDirectory() as folder, harness.Server(binary, folder, *flags) as server:
        service = stubs.EmbeddingStub(server.channel)
        service.Embed(stubs.EmbedRequest(model=NAME, images=files[:1]), timeout=120)
        clock, computed, found = time.perf_counter(), server.cpu_seconds(), []
        # The first was embedded already, and may be remembered.
        for first in range(1, len(files), BATCH):
            answer = service.Embed(stubs.EmbedRequest(model=NAME, images=files[first : first + BATCH]), timeout=120)
            found.extend(numpy.array(one.vector.components, numpy.float32) for one in answer.embeddings)
        return {"cpu_s": server.cpu_seconds() - computed, "wall_s": time.perf_counter() - clock}, found


def speed(stubs, options):
    files = photographs(options.photos)
    best = {}
    for number in range(ROUNDS):
        order = [("python", lambda: theirs(files[1:], options.threads)), ("simile", lambda: ours(stubs, options.binary, files, options.threads))]
        for name, work in order if number % 2 else order[::-1]:
            seconds, found = work()
            if name not in best or seconds["cpu_s"] < best[name][0]["cpu_s"]:
                best[name] = (seconds, found)
    pairs = zip(best["python"][1], best["simile"][1], strict=True)
    cosine = [float(a @ b / (numpy.linalg.norm(a) * numpy.linalg.norm(b))) for a, b in pairs]
    report = {"pictures": len(files) - 1, "least_cosine": min(cosine)}
    for name, (seconds, _) in best.items():
        report[name] = {**seconds, "per_cpu_second": (len(files) - 1) / seconds["cpu_s"], "per_second": (len(files) - 1) / seconds["wall_s"]}
    report["ratio_cpu"] = report["simile"]["per_cpu_second"] / report["python"]["per_cpu_second"]
    report["ratio_clock"] = report["simile"]["per_second"] / report["python"]["per_second"]
    if min(cosine) < 0.999:
        raise SystemExit(f"the vectors differ: {report}")
    return report


def memory(stubs, options):
    files = photographs(options.photos)
    samples = []

    def documents():
        for number in range(options.pictures):
            content = files[number % len(files)]
            if number >= len(files):
                picture = Image.open(io.BytesIO(content)).convert("RGB")
                out = io.BytesIO()
                ImageEnhance.Brightness(picture).enhance(0.7 + 0.05 * (number // len(files))).save(out, "JPEG", quality=85)
                content = out.getvalue()
            if number % max(1, options.pictures // 20) == 0:
                samples.append((number, round(server.status("VmRSS"))))
            yield stubs.UpsertRequest(
                collection="photos", document=stubs.Document(id=f"{number}.jpg", file=stubs.File(name=f"{number}.jpg", bytes=content))
            )

    with tempfile.TemporaryDirectory() as folder, harness.Server(options.binary, folder) as server:
        config = stubs.VectorConfig(embedder=NAME)
        stubs.CollectionsStub(server.channel).Create(stubs.CreateCollectionRequest(name="photos", vectors={"image": config}))
        clock, failed = time.perf_counter(), 0
        for result in stubs.DocumentsStub(server.channel).Upsert(documents()):
            failed += not result.HasField("stored")
        seconds, computed = time.perf_counter() - clock, server.cpu_seconds()
        samples.append((options.pictures, round(server.status("VmRSS"))))
        peak = round(server.status("VmHWM"))
    half = [mib for number, mib in samples if number >= options.pictures / 2]
    early = [mib for number, mib in samples if options.pictures / 10 <= number < options.pictures / 2]
    return {
        "pictures": options.pictures, "failed": failed, "wall_s": seconds, "cpu_s": computed, "peak_mib": peak,
        "resident_mib": samples, "second_half_by_first": max(half) / max(early),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    report = {"speed": speed, "memory": memory}[options.what](stubs, options)
    report["machine"] = harness.machine()
    print(json.dumps(report) if options.json else "\n".join(f"{name}: {value}" for name, value in report.items()))


if __name__ == "__main__":
    main()
