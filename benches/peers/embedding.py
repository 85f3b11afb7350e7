#!/usr/bin/env python3
"""How much of the machine does MiniLM use, and how fast is it beside Python's packages, on the same texts?

    python3 benches/peers/embedding.py TEXTS.txt MODEL_FOLDER --bench SESSION [--texts 1000] [--threads 1]
                                       [--rounds 3]

Needs torch, transformers, sentence-transformers and onnxruntime in the Python that runs it. TEXTS.txt has a
text a line; MODEL_FOLDER is all-MiniLM-L6-v2 as it is on the hub (config.json, tokenizer.json,
model.safetensors); SESSION is the built bench `session`, as `cargo bench --bench session --no-run` names it.

All on as many threads, each round in turn: a matrix product of the shape of the network's widest layer (in
numpy and in ONNX Runtime, the faster counts) as what the machine can do; the bare model of simile on its
batches; sentence-transformers; its network exported to ONNX and run by onnxruntime in its batches of 32
(longest first, padded to the longest, as that package does). Texts are cut at 256 tokens by all. Of each side
the fastest round counts, in wall seconds with the cutting into tokens, and in CPU seconds: on a machine that
others use only the latter means much. Prints one JSON object: operations a second and their share of what the
matrix product reaches, the share of tokens that is padding, and how many times as fast as the peers it is.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

TOKENS_MAX, BATCH, LAYERS, WIDTH, INNER = 256, 32, 6, 384, 1536


def operations(shapes) -> float:
    """The multiplications and additions of batches of these shapes: products with weights, and attention."""
    dense = 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    return sum(LAYERS * count * tokens * (dense + 4 * tokens * WIDTH) for count, tokens in shapes)


def timed(work):
    """Returns wall and CPU seconds, and what came out."""
    wall, computed = time.perf_counter(), time.process_time()
    out = work()
    return time.perf_counter() - wall, time.process_time() - computed, out


def probe(threads: int):
    """Returns a function that multiplies matrices and says operations per wall and per CPU second."""
    import numpy
    import torch
    from torch import nn

    rows = 4096
    left = numpy.random.default_rng(1).standard_normal((rows, WIDTH), numpy.float32)
    right = numpy.random.default_rng(2).standard_normal((WIDTH, INNER), numpy.float32)
    layer = nn.Linear(WIDTH, INNER, bias=False)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/product.onnx"
        torch.onnx.export(layer, torch.from_numpy(left), path, input_names=["x"], opset_version=17, dynamo=False)
        product = session(path, threads)
    works = [lambda: left @ right, lambda: product.run(None, {"x": left})]

    def run():
        best = [0.0, 0.0]
        for work in works:
            work()
            for _ in range(8):
                wall, computed, _ = timed(work)
                done = 2 * rows * WIDTH * INNER
                best = [max(best[0], done / wall), max(best[1], done / max(computed, 1e-9))]
        return best

    return run


def session(path: str, threads: int):
    """A session as the server opens its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def exported(transformer, tokenizer, folder: str, threads: int):
    """Returns the vectors of batches by onnxruntime."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = transformer

        def forward(self, input_ids, attention_mask):
            hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).float()
            return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))

    ids, path = torch.ones(2, 5, dtype=torch.long), f"{folder}/network.onnx"
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Network().eval(), (ids, ids), path, input_names=names, output_names=["vector"], opset_version=17, dynamo=False,
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"vector": {0: "batch"}},
    )
    network = session(path, threads)

    def embed(texts):
        shapes, rows = [], [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = tokenizer(
                [texts[place] for place in places], padding=True, truncation=True, max_length=TOKENS_MAX,
                return_tensors="np",
            )
            shapes.append(batch["input_ids"].shape)
            vectors = network.run(None, {name: batch[name] for name in names})[0]
            for place, vector in zip(places, vectors):
                rows[place] = vector
        return shapes, rows

    return embed


def sentence_transformers(folder: str):
    """The package over the folder, with the mean of the tokens."""
    from sentence_transformers import SentenceTransformer, models

    transformer = models.Transformer(folder, max_seq_length=TOKENS_MAX)
    pooling = models.Pooling(transformer.get_word_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")


def main() -> None:
    """Measures all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("model")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    # Before the packages that read it.
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]:
        os.environ[name] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.simplefilter("ignore")
    import numpy
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    lines = pathlib.Path(arguments.file).read_text(encoding="utf-8").splitlines()
    texts = [line for line in lines if line.strip()][: arguments.texts]
    peers = {}
    package = sentence_transformers(arguments.model)
    peers["sentence-transformers"] = lambda: package.encode(texts, batch_size=BATCH, normalize_embeddings=True)
    best = {"peak": [0.0, 0.0]}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
        inner = transformers.AutoModel.from_pretrained(arguments.model, attn_implementation="eager").eval()
        embed = exported(inner, tokenizer, folder, arguments.threads)
        peers["onnxruntime"] = lambda: embed(texts)
        peak = probe(arguments.threads)
        written = pathlib.Path(folder, "texts.txt")
        written.write_text("\n".join(texts) + "\n", encoding="utf-8")
        command = [arguments.bench, str(written), str(arguments.threads)]
        vectors, shapes = {}, {}
        for turn in range(arguments.rounds + 1):
            best["peak"] = [max(pair) for pair in zip(best["peak"], peak())]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            ours = json.loads(out.splitlines()[-1])
            shapes["simile"], tokens = ours["shapes"], ours["tokens"]
            cutting = ours["tokenize_cpu_seconds"]
            sides = {"simile": (ours["seconds"] + cutting, ours["cpu_seconds"] + cutting)}
            network = (ours["seconds"], ours["cpu_seconds"])
            best["network"] = [min(pair) for pair in zip(best.get("network", network), network)]
            for name, peer in peers.items():
                wall, computed, vectors[name] = timed(peer)
                sides[name] = (wall, computed)
            # The first turn warms up.
            if turn > 0:
                for name, took in sides.items():
                    best[name] = [min(pair) for pair in zip(best.get(name, took), took)]
    shapes["onnxruntime"], rows = vectors["onnxruntime"]
    alike = (numpy.stack(rows) * vectors["sentence-transformers"]).sum(1).min()
    if alike < 0.9999:
        raise SystemExit(f"the peers do not agree: cosine {alike}")
    padded = {name: sum(count * length for count, length in shape) for name, shape in shapes.items()}
    done = operations(shapes["simile"])
    reached = [done / seconds for seconds in best["network"]]
    report = {
        "texts": len(texts),
        "tokens": tokens,
        "threads": arguments.threads,
        "peak_gflops": {"wall": round(best["peak"][0] / 1e9, 1), "cpu": round(best["peak"][1] / 1e9, 1)},
        "network_gflops": {"wall": round(reached[0] / 1e9, 1), "cpu": round(reached[1] / 1e9, 1)},
        "share_of_peak": {
            "wall": round(reached[0] / best["peak"][0], 3), "cpu": round(reached[1] / best["peak"][1], 3),
        },
        "padding": {name: round(1 - tokens / count, 4) for name, count in padded.items()},
        "seconds": {name: [round(value, 3) for value in best[name]] for name in ["simile", *peers]},
        "times_as_fast": {
            name: {"wall": round(best[name][0] / best["simile"][0], 2),
                   "cpu": round(best[name][1] / best["simile"][1], 2)}
            for name in peers
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    sys.exit(main())
