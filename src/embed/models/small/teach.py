#!/usr/bin/env python3
"""What does the teacher say? Embeds every token of its vocabulary, and the sentences of a few corpora.

    python3 -m venv .venv
    .venv/bin/pip install torch==2.9.1 transformers==4.57.6 tokenizers==0.22.2 numpy==2.4.6
    .venv/bin/python src/embed/models/small/teach.py DATA TEACHER WORK

TEACHER is the folder of all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json). DATA has

    corpora/*/*.txt                books in English, in the public domain (Brontë, Darwin, Du Bois,
                                   Hurston, Shakespeare)
    xquad/en, xquad/zh             XQuAD (Artetxe et al. 2020, CC BY-SA 4.0) in the layout of BEIR: the same
                                   paragraphs and questions in English and in Chinese
    cranfield                      the abstracts of the Cranfield collection in the layout of BEIR

and no sentence of any set that the models are measured on. WORK gets, with vectors as little-endian
floats, 384 each, means over the tokens that are not scaled to length one:

    sentences.txt, sentences.f32   one sentence a line, in an order drawn by lot
    chinese.txt, chinese.f32       Chinese texts, and the vectors of the English ones that they translate
    tokens.f32                     what the teacher makes of [CLS] token [SEP], for each token

About ten minutes on one core.
"""

import json
import random
import re
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertModel

SEED = 20261127
SENTENCES_MAX = 40_000
CRANFIELD_MAX = 2_500
WORDS = range(3, 25)
BATCH_TOKENS = 2_048

data, teacher, work = map(Path, sys.argv[1:4])
torch.set_num_threads(1)
work.mkdir(parents=True, exist_ok=True)


def sentences_of(text):
    text = re.sub(r"\s+", " ", text)
    for sentence in re.split(r"(?<=[.!?;])[\"')]* +", text):
        if len(sentence.split()) in WORDS and sentence.count("_") < 2:
            yield sentence.strip()


def clauses_of(sentence):
    """Shorter texts, as questions and captions are."""
    for clause in re.split(r"[,;:] |--", sentence):
        if 3 <= len(clause.split()) <= 12 and clause != sentence:
            yield clause.strip()


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def collect():
    chance = random.Random(SEED)
    first = [row["text"] for row in rows(data / "xquad/en/queries.jsonl")]
    for row in rows(data / "xquad/en/corpus.jsonl"):
        first += [row["title"].replace("_", " ")] + list(sentences_of(row["text"]))
    abstracts = [row["text"] for row in rows(data / "cranfield/queries.jsonl")]
    for row in rows(data / "cranfield/corpus.jsonl"):
        abstracts += [row["title"]] + list(sentences_of(row["text"]))
    first += chance.sample(abstracts, CRANFIELD_MAX)
    books = []
    for path in sorted((data / "corpora").glob("*/*.txt")):
        books += list(sentences_of(path.read_text(errors="replace")))
    clauses = [clause for sentence in first + books for clause in clauses_of(sentence)]
    chance.shuffle(books)
    chance.shuffle(clauses)
    room = SENTENCES_MAX - len(first)
    chosen = first + books[: room // 2] + clauses[: room // 2]
    chosen = list(dict.fromkeys(text for text in chosen if text))
    chance.shuffle(chosen)
    return chosen


def pairs():
    """Chinese texts with the English ones that they translate."""
    for name in ["queries.jsonl", "corpus.jsonl"]:
        english = {row["_id"]: row["text"] for row in rows(data / "xquad/en" / name)}
        for row in rows(data / "xquad/zh" / name):
            if row["_id"] in english:
                yield row["text"].replace("\n", " "), english[row["_id"]]


tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(256)
model = BertModel.from_pretrained(teacher, add_pooling_layer=False).eval()


@torch.inference_mode()
def embed(ids):
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), 384), np.float32)
    at = 0
    while at < len(order):
        count = 1
        while at + count < len(order) and (count + 1) * len(ids[order[at + count]]) <= BATCH_TOKENS:
            count += 1
        batch = order[at : at + count]
        longest = max(len(ids[i]) for i in batch)
        tokens = torch.zeros(count, longest, dtype=torch.long)
        mask = torch.zeros(count, longest, dtype=torch.long)
        for place, i in enumerate(batch):
            tokens[place, : len(ids[i])] = torch.tensor(ids[i])
            mask[place, : len(ids[i])] = 1
        hidden = model(tokens, attention_mask=mask).last_hidden_state
        mask = mask[..., None].float()
        out[batch] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
        at += count
    return out


def of_texts(texts):
    return embed([encoding.ids for encoding in tokenizer.encode_batch(texts)])


sentences = collect()
(work / "sentences.txt").write_text("\n".join(sentences) + "\n")
embed([[101, token, 102] for token in range(tokenizer.get_vocab_size())]).tofile(work / "tokens.f32")
chinese = list(pairs())
(work / "chinese.txt").write_text("\n".join(text for text, _ in chinese) + "\n")
of_texts([english for _, english in chinese]).tofile(work / "chinese.f32")
print(f"{len(sentences)} sentences, {len(chinese)} Chinese texts", flush=True)
with open(work / "sentences.f32", "wb") as file:
    for start in range(0, len(sentences), 4_000):
        of_texts(sentences[start : start + 4_000]).tofile(file)
        file.flush()
        print(f"{min(start + 4_000, len(sentences))} done", flush=True)
