#!/usr/bin/env python3
"""Trains word vectors with simile and with gensim (and the C implementation of GloVe), on one thread each.

    python3 benches/peers/words.py TEXTS JUDGEMENTS... [--bench TRAINER] [--glove FOLDER]
                                   [--methods sg-ns,cbow-ns] [--seeds 1,2,3] [--by simile,peer]

TEXTS is a file with a text a line, words between blanks, or a folder of .txt files, whose paragraphs become
texts of their words in lower case. JUDGEMENTS are files of `word word score`, tab-separated (WordSim353,
SimLex-999). TRAINER is the built bench `words`; without it, it is built. FOLDER has the C implementation of
GloVe: its sources, which are compiled in a folder that goes again, or its four programs. Prints a JSON
object a line: the method, the seed, CPU seconds of training, and Spearman's correlation with each file of
judgements. Settings are the defaults of gensim's Word2Vec (100 components, 5 epochs) and of the
demonstration of GloVe (50 components, 15 epochs). Gensim is installed in target/bench-venv.
"""

import argparse
import json
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

harness.environment(["gensim>=4.4"])
from gensim.models import KeyedVectors, Word2Vec
from gensim.models.fasttext import FastText, load_facebook_model
from gensim.models.word2vec import LineSentence


def lines_of(texts: str, folder: str) -> str:
    """Returns a file of a text a line: that which is given, or one of the paragraphs in a folder."""
    if pathlib.Path(texts).is_file():
        return texts
    out = pathlib.Path(folder) / "texts.txt"
    with out.open("w") as lines:
        for file in sorted(pathlib.Path(texts).rglob("*.txt")):
            for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8", errors="replace").lower()):
                if words := re.findall(r"[a-z']+", paragraph):
                    print(*words, file=lines)
    return str(out)


def judged(keyed, files) -> list[float]:
    """Returns Spearman's correlation with each file, over the pairs of known words."""
    return [round(float(keyed.evaluate_word_pairs(file)[1][0]), 4) for file in files]


def child_seconds(command: list[str], **options) -> float:
    """Runs a command and returns its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime


def ours(arguments, method: str, seed: int, folder: str):
    """Returns CPU seconds, reading included, and the vectors."""
    out = f"{folder}/ours.bin"
    seconds = child_seconds([arguments.bench, method, arguments.texts, out, str(seed), "1"])
    if method == "fasttext":
        return seconds, load_facebook_model(out).wv
    return seconds, KeyedVectors.load_word2vec_format(out, binary=True)


def theirs(arguments, method: str, seed: int, folder: str):
    """Returns CPU seconds and the vectors of the peer."""
    if method == "glove":
        return c_glove(arguments, seed, folder)
    sentences = list(LineSentence(arguments.texts))
    if method == "fasttext":
        model = FastText(sg=1, alpha=0.05, sample=1e-4, bucket=200_000, seed=seed, workers=1)
    else:
        architecture, loss = method.split("-")
        model = Word2Vec(
            sg=int(architecture == "sg"), hs=int(loss == "hs"), negative=0 if loss == "hs" else 5,
            seed=seed, workers=1,
        )
    start = time.process_time()
    model.build_vocab(sentences)
    model.train(sentences, total_examples=model.corpus_count, epochs=5)
    return time.process_time() - start, model.wv


def c_glove(arguments, seed: int, folder: str):
    """Runs the four programs of the C implementation."""
    def step(line: str) -> float:
        return child_seconds(["sh", "-c", line], cwd=folder)

    build = programs_of_glove(pathlib.Path(arguments.glove).resolve(), pathlib.Path(folder))
    texts = pathlib.Path(arguments.texts).resolve()
    seconds = step(f"{build}/vocab_count -min-count 5 < {texts} > vocab")
    seconds += step(f"{build}/cooccur -vocab-file vocab -memory 2 -window-size 15 < {texts} > counts")
    seconds += step(f"{build}/shuffle -memory 2 -seed {seed} < counts > shuffled")
    seconds += step(
        f"{build}/glove -save-file vectors -threads 1 -input-file shuffled -x-max 10 -iter 15 "
        f"-vector-size 50 -binary 0 -vocab-file vocab -seed {seed} -write-header 1"
    )
    return seconds, KeyedVectors.load_word2vec_format(f"{folder}/vectors.txt", binary=False)


def programs_of_glove(given: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the four programs, which are compiled if only their sources are there."""
    for place in (given, given / "build"):
        if (place / "glove").is_file():
            return place
    shutil.copytree(given, folder / "sources")
    subprocess.run(["make", "--quiet"], check=True, cwd=folder / "sources", stdout=subprocess.DEVNULL)
    return folder / "sources" / "build"


def main() -> None:
    """Trains each method with each seed, ours and theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts")
    parser.add_argument("judgements", nargs="+")
    parser.add_argument("--bench")
    parser.add_argument("--glove")
    parser.add_argument("--methods", default="sg-ns,cbow-ns,sg-hs,cbow-hs")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--by", default="simile,peer")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if "glove" in methods and "peer" in arguments.by and not arguments.glove:
        parser.error("method glove has a peer only with --glove FOLDER, the C implementation")
    arguments.bench = arguments.bench or harness.driver("words")
    with tempfile.TemporaryDirectory() as kept:
        arguments.texts = lines_of(arguments.texts, kept)
        for method in methods:
            for seed in map(int, arguments.seeds.split(",")):
                for name in arguments.by.split(","):
                    train = {"simile": ours, "peer": theirs}[name]
                    with tempfile.TemporaryDirectory() as folder:
                        seconds, keyed = train(arguments, method, seed, folder)
                        found = judged(keyed, arguments.judgements)
                    print(json.dumps({"by": name, "method": method, "seed": seed,
                                      "cpu_seconds": round(seconds, 1), "spearman": found}), flush=True)


if __name__ == "__main__":
    main()
