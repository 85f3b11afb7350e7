#!/usr/bin/env python3
"""Records what scikit-learn's vectorizers make of 1,000 texts.

The texts are composed of our own words by a seeded generator: a few scripts, odd spacing, digits,
underscores, letters whose lower case is longer, single letters, empty texts.

    python3 -m venv .venv && .venv/bin/pip install scikit-learn==1.9.1
    .venv/bin/python tests/reference/sparse.py

Writes to `tests/fixtures/sparse`:
- `texts.json`: the texts
- `cases.json`: for each case the recipe as simile reads it, the number of features, the texts whose
  rows are recorded, and of every text how many entries it has and the sum of value x weight(index)
- `rows.bin`: the recorded rows, case after case: u32 entries, that many u32 indices in order, as many
  f32 values; little-endian
"""

import json
import pathlib
import random
import struct
import sys

import numpy
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

COUNT = 1000
WORDS = """
harbour lighthouse keeper lamp fog tide weed wall rope knot anchor ferry ticket timetable storm gull
herring soup ladle kitchen oven dough bread salt pepper apple cake cinnamon butter recipe garden
beehive honey queen swarm smoke veil frame telescope mirror lens eyepiece comet planet orbit galaxy
night winter frost log stove kettle tea library book shelf lamp reader whisper map coast path stile
otter island seal rock pool crab glass beach walk boot stone engine motor propeller fuel plug gasket
valve pump hose sail mast keel hull paint brush varnish sand meeting safety alarm drill ladder helmet
café naïve Ångström façade Straße größer İstanbul ΣΊΣΥΦΟΣ Ωμέγα кошка мышь телескоп свет 猫追逐老鼠
望远镜 港口的灯塔 ねずみを追う x y Z 7 42 3rd snake_case __init__ don't co-op e\u0301clair ½ x² 🐈 the the the the of of
and and in in to a a is was it for on with as at by from
""".split()
GLUE = [" ", " ", " ", " ", " ", ", ", ". ", "  ", "\n", "\t\t", " - ", "\u3000", "\u00a0", "\x1f "]
STOP_WORDS = ["the", "of", "and", "in", "to", "is", "was", "it"]


def texts() -> list[str]:
    """Returns the texts: early words of the list come more often, as in any language."""
    chance = random.Random(20261126)
    words = WORDS[:]
    chance.shuffle(words)
    weights = [1.0 / (place + 3) for place in range(len(words))]
    out = []
    while len(out) < COUNT - 3:
        text = ""
        for word in chance.choices(words, weights, k=chance.randint(1, 24)):
            case = chance.random()
            word = word.upper() if case < 0.05 else word.capitalize() if case < 0.2 else word
            text += word + chance.choice(GLUE)
        out.append(text)
    return out + ["", "   ", "?!"]


def settings(**terms) -> dict:
    """Returns the settings of terms under which simile does as scikit-learn does."""
    return {"words": "letters", "letters_min": 2, **terms}


def cases(corpus: list[str]) -> list[tuple[str, dict, object]]:
    """Returns name, recipe and fitted vectorizer of each case."""
    words = settings(analyzer="word")
    pairs = settings(analyzer="word", run_min=1, run_max=2)
    return [
        ("tf-idf", {"method": "tf-idf", "options": {"terms": words}}, TfidfVectorizer().fit(corpus)),
        (
            "tf-idf-sublinear",
            {
                "method": "tf-idf",
                "options": {
                    "terms": words,
                    "vocabulary": {"df_min": "3", "df_max": "0.3"},
                    "smooth_idf": False,
                    "sublinear_tf": True,
                    "norm": "l1",
                },
            },
            TfidfVectorizer(min_df=3, max_df=0.3, smooth_idf=False, sublinear_tf=True, norm="l1").fit(corpus),
        ),
        (
            "tf-idf-pairs",
            {
                "method": "tf-idf",
                "options": {
                    "terms": pairs,
                    "vocabulary": {"df_min": "2", "terms_max": limit_without_tie(corpus)},
                    "norm": "none",
                },
            },
            TfidfVectorizer(
                ngram_range=(1, 2), min_df=2, max_features=limit_without_tie(corpus), norm=None
            ).fit(corpus),
        ),
        ("one-hot", {"method": "one-hot", "options": {"terms": words}}, CountVectorizer(binary=True).fit(corpus)),
        (
            "n-gram-words",
            {
                "method": "n-gram",
                "options": {
                    "terms": settings(analyzer="word", run_min=2, run_max=3, stop_words=STOP_WORDS),
                    "vocabulary": {"df_min": "2"},
                },
            },
            CountVectorizer(ngram_range=(2, 3), stop_words=STOP_WORDS, min_df=2).fit(corpus),
        ),
        (
            "n-gram-char",
            {
                "method": "n-gram",
                "options": {
                    "terms": settings(analyzer="char", run_min=1, run_max=4),
                    "vocabulary": {"df_min": "0.005"},
                },
            },
            CountVectorizer(analyzer="char", ngram_range=(1, 4), min_df=0.005).fit(corpus),
        ),
        (
            "tf-idf-char-wb",
            {
                "method": "tf-idf",
                "options": {
                    "terms": settings(analyzer="char-wb", run_min=3, run_max=5, lowercase=False),
                    "vocabulary": {"df_min": "2"},
                },
            },
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), lowercase=False, min_df=2).fit(corpus),
        ),
        (
            "hashed-words",
            {
                "method": "n-gram",
                "options": {"terms": pairs, "hashed": {"features": 1 << 20, "signed": True, "norm": "l2"}},
            },
            HashingVectorizer(ngram_range=(1, 2)),
        ),
        (
            "hashed-char-wb",
            {
                "method": "n-gram",
                "options": {
                    "terms": settings(analyzer="char-wb", run_min=2, run_max=3),
                    "hashed": {"features": 257, "signed": True, "norm": "none"},
                },
            },
            HashingVectorizer(analyzer="char_wb", ngram_range=(2, 3), n_features=257, norm=None),
        ),
        (
            "hashed-unsigned",
            {
                "method": "n-gram",
                "options": {"terms": words, "hashed": {"features": 1000, "signed": False, "norm": "l1"}},
            },
            HashingVectorizer(n_features=1000, alternate_sign=False, norm="l1"),
        ),
    ]


def limit_without_tie(corpus: list[str]) -> int:
    """Returns a number of terms such that the last one kept is more frequent than the first one left:
    which of equals scikit-learn keeps is an accident of its sorting."""
    counts = CountVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(corpus).sum(axis=0)
    ordered = numpy.sort(numpy.asarray(counts).ravel())[::-1]
    return next(limit for limit in range(150, len(ordered)) if ordered[limit - 1] > ordered[limit])


def weight(index: int) -> float:
    """Spreads indices over 0 to 1 (Knuth's multiplicative hash)."""
    return ((index * 2654435761) % (1 << 32)) / (1 << 32)


def main() -> int:
    """Records the rows and sums of every case."""
    corpus = texts()
    folder = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "sparse"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.json").write_text(json.dumps(corpus, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    recorded, rows = [], b""
    for name, recipe, vectorizer in cases(corpus):
        matrix = vectorizer.transform(corpus).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix.sort_indices()
        every = 1 if matrix.nnz < 30 * COUNT else 20
        entries, sums = [], []
        for row in range(COUNT):
            span = slice(matrix.indptr[row], matrix.indptr[row + 1])
            indices, values = matrix.indices[span], matrix.data[span].astype(float)
            entries.append(len(indices))
            sums.append(float(sum(value * weight(int(index)) for index, value in zip(indices, values))))
            if row % every == 0:
                rows += struct.pack("<I", len(indices))
                rows += indices.astype("<u4").tobytes() + values.astype("<f4").tobytes()
        recorded.append(
            {"name": name, "recipe": recipe, "features": matrix.shape[1], "every": every, "entries": entries, "sums": sums}
        )
        print(f"{name}: {matrix.shape[1]} features, {matrix.nnz} entries, every {every}")
    (folder / "cases.json").write_text(json.dumps(recorded, indent=None).replace('{"name"', '\n{"name"') + "\n")
    (folder / "rows.bin").write_bytes(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
