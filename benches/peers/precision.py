#!/usr/bin/env python3
"""What do 8-bit weights do to MiniLM on a CPU: how near are the vectors, do they depend on the batch, how fast?

    python3 benches/peers/precision.py MODEL_FOLDER PAIRS.tsv

Needs torch, transformers, onnx, onnx_ir and onnxruntime in the Python that runs it. MODEL_FOLDER is
all-MiniLM-L6-v2 as it is on the hub; PAIRS.tsv has `score <tab> sentence <tab> sentence`, whose first
sentences are embedded. Compared with single precision, on one thread: dynamic quantisation, whose
activations are scaled over the whole batch, and weights in 8 bits for blocks of 32 or 128 (MatMulNBits),
computed in single precision or with activations of 8 bits, scaled for each block of each row. Prints a JSON
object a line: cosines to single precision and between a text alone and in a batch of 16, then CPU time in
times of single precision's for batches of tokens.
"""

import json
import logging
import pathlib
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
import torch
import transformers
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

TEXTS, BATCH, ROUNDS = 64, 16, 5
SHAPES = [(1, 16), (8, 32), (16, 128)]


class Embedding(torch.nn.Module):
    """The network with its mean over tokens."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input_ids, attention_mask):
        hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).float()
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))


def graphs(model_folder: str, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes the network in each precision."""
    model = transformers.AutoModel.from_pretrained(model_folder, attn_implementation="eager").eval()
    single = folder / "single.onnx"
    ids = torch.ones(2, 5, dtype=torch.long)
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Embedding(model),
        (ids, ids),
        str(single),
        input_names=names,
        output_names=["embedding"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"embedding": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    written = {"single": single, "dynamic": folder / "dynamic.onnx"}
    quantize_dynamic(str(single), str(written["dynamic"]))
    for level, computed in [(0, "single"), (4, "int8")]:
        for block in [32, 128]:
            quantizer = MatMulNBitsQuantizer(
                onnx.load(single), bits=8, block_size=block, is_symmetric=True, accuracy_level=level
            )
            quantizer.process()
            written[f"weights of {block}, computed in {computed}"] = path = folder / f"{level}-{block}.onnx"
            quantizer.model.save_model_to_file(str(path))
    return written


def session(path: pathlib.Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main(model_folder: str, pairs: str) -> int:
    logging.disable(logging.WARNING)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    lines = pathlib.Path(pairs).read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[1] for line in lines[1 : TEXTS + 1]]
    with tempfile.TemporaryDirectory() as folder:
        sessions = {name: session(path) for name, path in graphs(model_folder, pathlib.Path(folder)).items()}

    def embed(name, batch):
        encoded = tokenizer(batch, padding=True, truncation=True, max_length=256, return_tensors="np")
        fed = {key: encoded[key] for key in ["input_ids", "attention_mask"]}
        return sessions[name].run(None, fed)[0]

    alone = {name: numpy.concatenate([embed(name, [text]) for text in texts]) for name in sessions}
    for name in sessions:
        near = (alone[name] * alone["single"]).sum(1)
        starts = range(0, len(texts), BATCH)
        batched = numpy.concatenate([embed(name, texts[start : start + BATCH]) for start in starts])
        same = (batched * alone[name]).sum(1)
        said = {"precision": name, "cosine_mean": near.mean(), "cosine_min": near.min(), "batch_cosine_min": same.min()}
        print(json.dumps({key: value if key == "precision" else round(float(value), 6) for key, value in said.items()}))
    generator = numpy.random.default_rng(1)
    for shape in SHAPES:
        ids = generator.integers(1000, 20000, shape)
        fed = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
        least = dict.fromkeys(sessions, float("inf"))
        for _ in range(ROUNDS):
            for name, network in sessions.items():
                times = max(1, 1024 // ids.size)
                began = time.process_time()
                for _ in range(times):
                    network.run(None, fed)
                least[name] = min(least[name], (time.process_time() - began) / times)
        faster = {name: round(least["single"] / value, 2) for name, value in least.items()}
        print(json.dumps({"batch": shape, "times_as_fast": faster, "single_ms": round(least["single"] * 1e3, 2)}))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
