#!/usr/bin/env python3
"""Computes vectors of passages by late chunking (Günther et al. 2024), step by step in numpy.

    python3 -m venv .venv
    .venv/bin/pip install numpy==2.3.4 tokenizers==0.22.1
    .venv/bin/python tests/reference/late.py

A document is read by a BERT in windows of so many tokens that overlap by half; a passage is the mean of its
own tokens in the window in which the shorter of its two sides is longest, the ends of the document counting
as endless. Windows begin and end with words. Writes `tests/fixtures/late.json`: for each document its
passages with their bytes, and their vectors, of length one. With a folder of another BERT and questions it
prints how near passages come to them alone and in their document (the made example in benches/README.md):

    .venv/bin/python tests/reference/late.py FOLDER
"""

import json
import pathlib
import sys
from math import erf, inf, sqrt

import numpy
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENS_MAX = 48
DOCUMENTS = [
    ["The kitten hunts rodents.", "It likes ham.", "The ferry waits outside; the mouse is gone."],
    ["A telescope gathers light."],
    [
        "Low tide leaves the harbour wall wet.",
        "Covered in weed, it waits for the ferry, which is late again.",
        "¿Dónde está la biblioteca?",
        "Straße, café, naïve: the eyepiece only magnifies what it gathered.",
        "Replace the gasket if the tap still drips after tightening.",
        "Is the dough ready?",
        "The cat chases the mouse, and the kitten hunts rodents where the weed is high and the wall is low.",
        "猫追逐老鼠。小猫捕猎老鼠。",
        "I like ham sandwiches.",
    ],
]
# Nothing but its first sentence says of what a document speaks.
EXAMPLES = [
    ["Falkenau lighthouse stands where the river meets the sea.", "It was built of red brick in 1871.",
     "On clear nights its lamp is seen from thirty miles away."],
    ["The Ostrava cooperative bakes bread for half of the town.", "It was founded by eleven women in 1923.",
     "Every morning its ovens are lit at two o'clock."],
    ["Ada Lindqvist measured the tides of the northern fjords.", "She was born on an island without a school.",
     "Her notebooks filled forty shelves when she died."],
    ["The grey heron lives along slow rivers and ponds.", "It lays four or five eggs in early spring.",
     "Its nest of sticks is used again year after year."],
]
QUESTIONS = [
    (0, 1, "When was the Falkenau lighthouse built?"),
    (0, 2, "How far can one see the light of the Falkenau lighthouse?"),
    (1, 1, "Who founded the Ostrava cooperative?"),
    (1, 2, "When does the Ostrava bakery light its ovens?"),
    (2, 1, "Where was Ada Lindqvist born?"),
    (2, 2, "What did Ada Lindqvist leave behind at her death?"),
    (3, 1, "How many eggs does a grey heron lay?"),
    (3, 2, "Does a grey heron build a new nest each year?"),
]


class Bert:
    """A BERT of the hub's layout, in double precision."""

    def __init__(self, folder: pathlib.Path, tokens_max: int):
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.room = tokens_max - 2
        raw = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:8 + length])
        header.pop("__metadata__", None)
        self.weights = {}
        for name, entry in header.items():
            if entry["dtype"] == "F32":
                start, end = (8 + length + at for at in entry["data_offsets"])
                values = numpy.frombuffer(raw[start:end], "<f4").astype(float).reshape(entry["shape"])
                self.weights[name.removeprefix("bert.")] = values

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / numpy.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def states(self, ids):
        """Returns the last hidden state of each token."""
        tables = "embeddings.{}_embeddings.weight"
        x = self.weights[tables.format("word")][ids]
        x = x + self.weights[tables.format("position")][:len(ids)]
        x = self.norm("embeddings.LayerNorm", x + self.weights[tables.format("token_type")][0])
        heads = self.config["num_attention_heads"]
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{number}"
            parts = [self.linear(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value")]
            query, key, value = (part.reshape(len(ids), heads, -1).transpose(1, 0, 2) for part in parts)
            scores = query @ key.transpose(0, 2, 1) / sqrt(query.shape[-1])
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed = scores / scores.sum(-1, keepdims=True) @ value
            mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(f"{layer}.attention.output.LayerNorm",
                          x + self.linear(f"{layer}.attention.output.dense", mixed))
            inner = self.linear(f"{layer}.intermediate.dense", x)
            inner = inner * (1 + numpy.vectorize(erf)(inner / sqrt(2))) / 2
            x = self.norm(f"{layer}.output.LayerNorm", x + self.linear(f"{layer}.output.dense", inner))
        return x

    def alone(self, text):
        """Returns the vector of a text: the mean over all of its tokens."""
        return unit(self.states(self.tokenizer.encode(text).ids).mean(0))

    def passages(self, text, places):
        """Returns the vector of each passage, given by its characters."""
        if len(places) == 1 and places[0] == (0, len(text)):
            return [self.alone(text)]
        tokens = self.tokenizer.encode(text, add_special_tokens=False).offsets
        last = max(0, len(tokens) - self.room)
        starts = [*range(0, last, (self.room + 1) // 2), last]
        windows = [(start, min(start + self.room, len(tokens))) for start in starts]
        return [self.passage(text, tokens, windows, place) for place in places]

    def passage(self, text, tokens, windows, place):
        run = [at for at, (_, end) in enumerate(tokens) if place[0] < end <= place[1]]
        first, behind = run[0], run[-1] + 1

        def context(window):
            before = inf if window[0] == 0 else first - window[0]
            after = inf if window[1] == len(tokens) else window[1] - behind
            return min(before, after)

        fitting = [window for window in windows if window[0] <= first and behind <= window[1]]
        best = max(fitting, key=lambda window: (context(window), window))
        ends = [0, *(end for _, end in tokens)]
        begins = [at for at in range(len(tokens) + 1)
                  if at in (0, len(tokens)) or ends[at] < tokens[at][0]]
        start = next((at for at in begins if best[0] <= at <= min(first, best[0] + 16)), best[0])
        end = next((at for at in reversed(begins) if max(behind, best[1] - 16) <= at <= best[1]), best[1])
        offset = tokens[start][0]
        window = self.tokenizer.encode(text[offset:tokens[end - 1][1]])
        own = [at for at, (begin, end) in enumerate(window.offsets)
               if begin < end and place[0] - offset < end <= place[1] - offset]
        return unit(self.states(window.ids)[own].mean(0))


def unit(vector):
    return vector / numpy.sqrt((vector * vector).sum())


def places_of(passages):
    places, at = [], 0
    for passage in passages:
        places.append((at, at + len(passage)))
        at += len(passage) + 1
    return " ".join(passages), places


def record():
    model = Bert(ROOT / "fixtures" / "families" / "bert-max", TOKENS_MAX)
    documents = []
    for passages in DOCUMENTS:
        text, places = places_of(passages)
        vectors = model.passages(text, places)
        in_bytes = [[len(text[:at].encode()) for at in place] for place in places]
        documents.append([
            {"text": passage, "bytes": place, "vector": [round(float(value), 7) for value in vector]}
            for passage, place, vector in zip(passages, in_bytes, vectors)
        ])
    rows = ",\n".join(json.dumps(document, ensure_ascii=False) for document in documents)
    (ROOT / "fixtures" / "late.json").write_text(f"[{rows}]\n", encoding="utf-8")


def example(folder):
    model = Bert(folder, 256)
    alone = [[model.alone(passage) for passage in passages] for passages in EXAMPLES]
    late = [model.passages(*places_of(passages)) for passages in EXAMPLES]
    for name, vectors in (("alone", alone), ("late", late)):
        flat = {(d, p): vector for d, row in enumerate(vectors) for p, vector in enumerate(row)}
        ranks, own = [], []
        for document, passage, question in QUESTIONS:
            asked = model.alone(question)
            order = sorted(flat, key=lambda key: -float(asked @ flat[key]))
            ranks.append(order.index((document, passage)) + 1)
            own.append(float(asked @ flat[document, passage]))
        print(name, "ranks", ranks, "cosines", [round(value, 3) for value in own],
              "mean reciprocal rank", round(sum(1 / rank for rank in ranks) / len(ranks), 3))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        example(pathlib.Path(sys.argv[1]))
    else:
        record()
