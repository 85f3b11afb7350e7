#!/usr/bin/env bash
# How good and how fast is every way to turn texts into vectors? Trains a model of every method that learns
# from texts, and writes what all of them reach into src/embed/README.md.
#
#     benches/embedders.sh SIMILE FOLDER CORPUS STS... -- RETRIEVAL...
#
# SIMILE is the program, FOLDER one that the models are kept in (those that are there are not trained anew),
# CORPUS a folder of texts to learn from, STS files of judged pairs (`score <tab> sentence <tab> sentence`),
# RETRIEVAL folders in the layout of BEIR. The texts of the demo are learnt from too, so that the words of the
# example sentences are known. About ten minutes on one core with ten megabytes of books.
# The figures are kept with the models, for `simile model list`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

simile=$1 folder=$2 corpus=$3
shift 3
export SIMILE_DATA=$folder
mkdir -p "$folder"

train() {
    local name=$1
    shift
    [[ -d $folder/models/$name ]] ||
        "$simile" model train "$@" --out "$name" --seed 7 --threads 1 --licence Apache-2.0
}

texts=(--corpus "$corpus" src/cli/demo/texts)
demo=(--corpus src/cli/demo/texts)
train words one-hot "${demo[@]}"
train words-no-stop one-hot "${demo[@]}" --stop-words english
train tf-idf tf-idf "${demo[@]}"
train tf-idf-letters tf-idf "${demo[@]}" --analyzer char-wb --ngram 3..5
train word-pairs n-gram "${demo[@]}" --ngram 1..2
train books-word2vec word2vec "${texts[@]}" --lines --weighting uniform
train books-cbow word2vec "${texts[@]}" --lines --weighting uniform --architecture cbow
train books-fasttext fasttext "${texts[@]}" --lines --weighting uniform
train books-glove glove "${texts[@]}" --lines --weighting uniform
train books-sif average --vectors "$folder/models/books-word2vec/words.bin" --weighting sif "${texts[@]}" --lines
train lda lda "${demo[@]}" --lines --topics 10
train books-doc2vec doc2vec "${texts[@]}" --lines

# Models on top of the default one: in eight bits, and of long texts by their windows.
add() {
    local name=$1
    shift
    [[ -d $folder/models/$name ]] || "$simile" model "$@"
}
folder_of='import json, sys; print(json.load(sys.stdin)["folder"])'
weights=$("$simile" model show all-minilm-l6-v2 --json | python3 -c "$folder_of")
add minilm-int8 add "$weights" --name minilm-int8 --tokens-max 256 --precision int8 --licence Apache-2.0
add minilm-windows document minilm-windows --of all-minilm-l6-v2

sets=()
option=--sts
for set in "$@"; do
    if [[ $set == -- ]]; then option=--retrieval; else sets+=("$option" "$set"); fi
done
"$simile" eval models --timeout 3000 "${sets[@]}" --into src/embed/README.md --keep
