"""Records what pytrec_eval and SciPy say about made-up rankings and numbers, for src/evaluate.

    python3 -m venv reference-venv
    reference-venv/bin/pip install pytrec-eval-terrier==0.5.11 scipy numpy
    reference-venv/bin/python tests/reference/evaluate.py > tests/reference/evaluate.json

The rankings have equal scores, grades of 0 to 3 and below 0, judged documents that were not found,
found documents that were not judged, and one question without anything relevant.
"""

import json
import random
import sys

import pytrec_eval
import scipy.stats

CHANCE = random.Random(20261124)


def ranking(documents, relevant):
    judged = {f"d{i}": CHANCE.choice([0, 0, 1, 1, 2, 3, -1]) for i in CHANCE.sample(range(documents), relevant)}
    found = CHANCE.sample(range(documents), CHANCE.randint(1, documents))
    # Few distinct scores, so that many are equal.
    scores = {f"d{i}": CHANCE.randint(0, 12) / 4 for i in found}
    return judged, scores


def main():
    cases = [ranking(documents, relevant) for documents, relevant in [(5, 3), (12, 6), (30, 10), (150, 60), (220, 140)] * 4]
    cases.append(({"d0": 0, "d1": -1}, {"d0": 1.0, "d1": 0.5}))
    judged = {str(i): grades for i, (grades, _) in enumerate(cases)}
    run = {str(i): scores for i, (_, scores) in enumerate(cases)}
    measures = {"ndcg_cut.10", "recall.100", "recip_rank"}
    values = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(run)
    # trec_eval knows no reciprocal rank at a depth: cut the run the way it sorts it.
    cut = {
        query: dict(sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:10])
        for query, scores in run.items()
    }
    firsts = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(cut)
    rankings = [
        {
            "grades": judged[query],
            "scores": run[query],
            "ndcg@10": values[query]["ndcg_cut_10"],
            "recall@100": values[query]["recall_100"],
            "mrr@10": firsts[query]["recip_rank"],
        }
        for query in judged
    ]
    pairs = []
    for length, steps in [(2, 50), (5, 3), (20, 4), (50, 1000)]:
        x = [CHANCE.randint(0, steps) / 2 for _ in range(length)]
        y = [value + CHANCE.randint(0, steps) for value in x]
        spearman = float(scipy.stats.spearmanr(x, y).statistic)
        pearson = float(scipy.stats.pearsonr(x, y).statistic)
        pairs.append({"x": x, "y": y, "spearman": spearman, "pearson": pearson})
    json.dump({"rankings": rankings, "spearman": pairs}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
