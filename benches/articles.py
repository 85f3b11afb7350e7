#!/usr/bin/env python3
"""Joins paragraphs of one title into documents, so that long texts are judged.

    python3 benches/articles.py FOLDER OUT [--paragraphs]

FOLDER is in the layout of BEIR (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`), as XQuAD is where each paragraph
has the title of its article. OUT becomes the same questions over articles without their titles, which would
say too much; with --paragraphs, over the paragraphs as they are, without titles too.
"""

import argparse
import json
import pathlib
import shutil


def main() -> None:
    """Reads one set and writes another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--paragraphs", action="store_true")
    arguments = parser.parse_args()
    paragraphs = [json.loads(line) for line in (arguments.folder / "corpus.jsonl").open(encoding="utf-8")]
    articles: dict[str, list[str]] = {}
    article_of = {}
    for paragraph in paragraphs:
        article = paragraph["_id"] if arguments.paragraphs else paragraph["title"]
        articles.setdefault(article, []).append(paragraph["text"])
        article_of[paragraph["_id"]] = article
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "corpus.jsonl").open("w", encoding="utf-8") as corpus:
        for article, texts in articles.items():
            print(json.dumps({"_id": article, "title": "", "text": "\n\n".join(texts)}), file=corpus)
    head, *judgements = (arguments.folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    with (arguments.out / "qrels.tsv").open("w", encoding="utf-8") as judged:
        print(head, file=judged)
        for question, paragraph, grade in (line.split("\t") for line in judgements):
            print(question, article_of[paragraph], grade, sep="\t", file=judged)
    shutil.copyfile(arguments.folder / "queries.jsonl", arguments.out / "queries.jsonl")


if __name__ == "__main__":
    main()
