#!/usr/bin/env python3
"""Finds topics with simile and with gensim's LdaModel in the same texts, with the same priors.

    python3 benches/peers/topics.py CORPUS [--bench TRAINER] [--topics 10] [--sweeps 500] [--passes 10]
                                    [--documents 600] [--words 100] [--seeds 1,2,3]

CORPUS is a folder whose folders are labels; what is in their .txt files is taken as documents of whole
paragraphs that have so many words together, as many of each label as `--documents` says, spread evenly. Words
that are in fewer than five documents, or in more than a fifth, are left out, for both. TRAINER is the built
bench `words`; without it, it is built. Prints a JSON object a line: CPU seconds, the coherence of the ten
first words of the topics in these documents (C_v and U_Mass, as gensim's CoherenceModel computes them for
both), and the normalised mutual information between labels and the most frequent topic of each document. The
last line is of words that are shuffled among the topics: what no topics get. Gensim and scikit-learn are
installed in target/bench-venv. Sweeps of Gibbs sampling and passes of online variational Bayes are not the
same thing: CPU seconds tell what they cost.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

harness.environment(["gensim>=4.4", "scikit-learn"])
from gensim.corpora import Dictionary
from gensim.models import CoherenceModel, LdaModel
from sklearn.metrics import normalized_mutual_info_score

WORDS_SHOWN = 10


def documents_of(folder: pathlib.Path, words_min: int, most: int) -> list[list[str]]:
    """Returns documents of a label, spread evenly over what there is."""
    documents, current = [], []
    for file in sorted(folder.rglob("*.txt")):
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8", errors="replace").lower()):
            current += re.findall(r"[a-z]{3,}", paragraph)
            if len(current) >= words_min:
                documents.append(current)
                current = []
        current = []
    step = max(1.0, len(documents) / most)
    return [documents[int(number * step)] for number in range(min(most, len(documents)))]


def ours(arguments, texts, seed: int, folder: str):
    """Returns CPU seconds, the first words of each topic, and the topic of each document."""
    lines, out = pathlib.Path(folder) / "texts.txt", pathlib.Path(folder) / "topics.json"
    lines.write_text("".join(" ".join(text) + "\n" for text in texts))
    method = f"lda-{arguments.topics}-{arguments.sweeps}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([arguments.bench, method, lines, out, str(seed), "1"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(out.read_text())
    return after.ru_utime - before.ru_utime, found["words"], found["topics"]


def theirs(arguments, texts, seed: int, dictionary):
    """The same of gensim."""
    bags = [dictionary.doc2bow(text) for text in texts]
    start = time.process_time()
    model = LdaModel(bags, num_topics=arguments.topics, id2word=dictionary, passes=arguments.passes,
                     alpha="symmetric", eta="symmetric", random_state=seed)
    seconds = time.process_time() - start
    words = [[word for word, _ in model.show_topic(topic, WORDS_SHOWN)] for topic in range(arguments.topics)]
    topics = [max(model.get_document_topics(bag, 0.0), key=lambda pair: pair[1])[0] for bag in bags]
    return seconds, words, topics


def coherence(words, texts, dictionary, kind: str) -> float:
    """Returns the mean coherence of topics by their first words."""
    model = CoherenceModel(topics=words, texts=texts, dictionary=dictionary, coherence=kind, processes=1,
                           topn=WORDS_SHOWN)
    return round(float(model.get_coherence()), 4)


def main() -> None:
    """Finds topics with each seed, ours and theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--bench")
    parser.add_argument("--topics", type=int, default=10)
    parser.add_argument("--sweeps", type=int, default=500)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--seeds", default="1,2,3")
    arguments = parser.parse_args()
    arguments.bench = arguments.bench or harness.driver("words")
    labels, texts = [], []
    for folder in sorted(path for path in arguments.corpus.iterdir() if path.is_dir()):
        found = documents_of(folder, arguments.words, arguments.documents)
        labels += [folder.name] * len(found)
        texts += found
    if len(set(labels)) < 2:
        parser.error(f"{arguments.corpus} has texts of {len(set(labels))} labels, expected folders of two or more")
    seen = collections.Counter(word for text in texts for word in set(text))
    texts = [[word for word in text if 5 <= seen[word] <= len(texts) / 5] for text in texts]
    dictionary = Dictionary(texts)
    print(json.dumps({"documents": len(texts), "labels": len(set(labels)), "words": len(dictionary),
                      "tokens": sum(map(len, texts))}), flush=True)

    def report(by: str, seed: int, seconds: float, words, topics) -> None:
        print(json.dumps({
            "by": by, "seed": seed, "cpu_seconds": round(seconds, 1),
            "c_v": coherence(words, texts, dictionary, "c_v"),
            "u_mass": coherence(words, texts, dictionary, "u_mass"),
            "nmi": round(float(normalized_mutual_info_score(labels, topics)), 4),
        }), flush=True)

    words, topics = [], []
    for seed in map(int, arguments.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            seconds, words, topics = ours(arguments, texts, seed, folder)
        report("simile", seed, seconds, words, topics)
        report("gensim", seed, *theirs(arguments, texts, seed, dictionary))
    chance = random.Random(1)
    shuffled = [word for topic in words for word in topic]
    chance.shuffle(shuffled)
    words = [shuffled[start::len(words)] for start in range(len(words))]
    chance.shuffle(topics)
    report("shuffled", 1, 0.0, words, topics)


if __name__ == "__main__":
    main()
