#!/usr/bin/env python3
"""Records what gensim reads from, and writes to, the files that word vectors are handed around in.

    python3 -m venv .venv && .venv/bin/pip install gensim==4.4.0
    .venv/bin/python tests/reference/word_vectors.py [SHARED_DATA]

Writes small models that gensim trained on a corpus of its own making to `tests/fixtures/word_vectors/`
(word2vec binary and text, GloVe text without a header, fastText binary), and to
`tests/reference/word_vectors.json` the vectors that gensim reads from them. With a folder that holds
`wordvec/gensim/`, also the vectors of those real files, which `SIMILE_SHARED_DATA` lets the tests find.
"""

import json
import pathlib
import random
import sys
import warnings

from gensim.models import FastText, KeyedVectors, Word2Vec
from gensim.models.fasttext import load_facebook_model, save_facebook_model

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "word_vectors"
WORDS = "harbour tide wall weed lamp keeper café Ångström 灯塔 潮水 море берег a of".split()
UNKNOWN = ["harbours", "lamplight", "тide", "морской", "灯塔守", "b"]
REAL = {
    "lee_fasttext_new.bin": ["hundred", "of", "rejection", "night", "nights"],
    "lee_fasttext.bin": ["hundred", "of", "rejection", "night", "nights"],
    "non_ascii_fasttext.bin": None,
    "crime-and-punishment.bin": ["landlady", "крыша"],
}


def sentences() -> list[list[str]]:
    """Returns a corpus in which every word has some company."""
    source = random.Random(20261127)
    return [[source.choice(WORDS) for _ in range(12)] for _ in range(200)]


def vectors(keyed, words) -> dict[str, list[float]]:
    """Returns the vector of each word, known or composed."""
    return {word: [float(value) for value in keyed[word]] for word in words}


def fixtures() -> dict:
    """Trains and saves the small models, and reads them back."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    corpus = sentences()
    model = Word2Vec(corpus, vector_size=5, min_count=1, seed=3, workers=1, epochs=20)
    binary, text, glove = (FIXTURES / name for name in ("word2vec.bin", "word2vec.vec", "glove.txt"))
    model.wv.save_word2vec_format(str(binary), binary=True)
    model.wv.save_word2vec_format(str(text), binary=False)
    model.wv.save_word2vec_format(str(glove), binary=False, write_header=False)
    table = KeyedVectors.load_word2vec_format(str(binary), binary=True)
    fast = FastText(
        corpus, vector_size=5, min_count=1, seed=3, workers=1, epochs=20, bucket=97, min_n=2, max_n=4
    )
    fast_path = FIXTURES / "fasttext.bin"
    save_facebook_model(fast, str(fast_path))
    loaded = load_facebook_model(str(fast_path)).wv
    return {
        "word2vec": vectors(table, table.index_to_key),
        "fasttext": vectors(loaded, loaded.index_to_key + UNKNOWN),
    }


def real(folder: pathlib.Path) -> dict:
    """Reads the real files."""
    found = {}
    for name, words in REAL.items():
        keyed = load_facebook_model(str(folder / name)).wv
        chosen = words or keyed.index_to_key[:5] + ["несуществующий"]
        found[name] = vectors(keyed, chosen)
    return found


def main() -> int:
    """Writes the fixtures and the record."""
    warnings.simplefilter("ignore")
    path = HERE / "word_vectors.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    record["fixtures"] = fixtures()
    if len(sys.argv) > 1:
        record["real"] = real(pathlib.Path(sys.argv[1]) / "wordvec" / "gensim")
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {', '.join(record)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
