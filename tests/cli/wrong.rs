//! One table of wrong inputs for every command: what is typed, the exit code, and what the error says.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use rayon::prelude::*;
use simile::cli::Cli;

use super::program::Program;

/// What is typed, split at spaces (`_` stands for a space); the exit code; words of the error.
type Row = (&'static str, i32, &'static [&'static str]);

/// Needs a server over a collection `given` whose one vector has three components and no embedder.
const ROWS: &[Row] = &[
    ("frobnicate", 2, &["unrecognized subcommand 'frobnicate'"]),
    ("--log nonsense=loud count", 2, &["log = `nonsense=loud`"]),
    ("--config missing.toml count", 2, &["cannot read the configuration file", "missing.toml"]),
    ("--config bad.toml count", 2, &["bad.toml: no setting `wokers`; there are data,"]),
    ("--config broken.toml count", 2, &["broken.toml: ", "line 1"]),
    ("--offline=perhaps count", 2, &["invalid value 'perhaps'", "--offline"]),
    ("serve --listen here", 2, &["invalid value 'here'", "--listen"]),
    ("serve --listen 0.0.0.0:0", 2, &["0.0.0.0:0", "--insecure"]),
    ("serve --workers 0 --streams-max 0", 2, &["workers = 0: expected 1 to 1024", "streams_max"]),
    ("serve --message-bytes-max 1TiB", 2, &["expected bytes as 65536, 64KiB", "`1TiB`"]),
    (
        "serve --data fresh --listen 127.0.0.1:0 --embedder other",
        3,
        &["no model is called `other`; known are all-minilm-l6-v2"],
    ),
    ("read-files", 2, &["required", "<MEMORY_BYTES_MAX>"]),
    ("read-files 1 soon", 2, &["invalid value 'soon'"]),
    ("serve --decode-processes 5000", 2, &["decode_processes = 5000: expected 0 to 1024"]),
    ("ingest", 2, &["required", "<PATH>"]),
    ("ingest a.txt -c two_words", 2, &["the name of a collection has 1 to 64", "got `two words`"]),
    ("ingest a.txt --set year", 2, &["field `year`: expected FIELD=VALUE"]),
    ("ingest a.txt --include [", 2, &["pattern `[`: "]),
    ("ingest a.txt -c given", 8, &["failed: a.txt: vector `v` has no embedder"]),
    ("ingest missing.txt -c given", 8, &["failed: missing.txt: ", "No such file"]),
    ("ingest a.txt --there -c given", 4, &["`a.txt`", "its setting ingest_root names no folder"]),
    ("ingest a.txt --there -c nowhere", 4, &["its setting ingest_root names no folder"]),
    ("ingest https://example.org/ --there -c given", 4, &["its setting ingest_urls is off"]),
    ("ingest - --there -c given", 2, &["does not read the standard input of this command"]),
    ("ingest a.txt --there --include *.md", 2, &["cannot be used with", "--include"]),
    ("serve --ingest-root missing", 2, &["ingest_root = missing: expected a folder that exists"]),
    ("serve --ingest-root a.txt", 2, &["ingest_root = a.txt: expected a folder"]),
    ("serve --ingest-root .", 2, &["ingest_root = .: expected a folder apart from data = "]),
    ("serve --ingest-urls=perhaps", 2, &["invalid value 'perhaps'", "--ingest-urls"]),
    (
        "collection create new --vector text=all-minilm-l6-v2",
        5,
        &["model all-minilm-l6-v2 is not installed", "simile model pull"],
    ),
    ("search", 2, &["required", "<QUERY>"]),
    ("search tide -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("search tide -c given --mode semantic", 2, &["no vector of the collection has an embedder"]),
    ("search tide -c given --mode sideways", 2, &["'sideways'", "hybrid, semantic, lexical"]),
    ("search tide -c given --limit 0", 2, &["0 is not in 1..=1000"]),
    ("search tide -c given --limit 1001", 2, &["1001 is not in 1..=1000"]),
    ("search tide -c given --ef 5000", 2, &["5000 is not in 1..=4096"]),
    ("search tide -c given --weight lexical", 2, &["weight `lexical`: expected LEG=NUMBER"]),
    ("search tide -c given --weight lexical=-1", 2, &["-1"]),
    ("search tide -c given --filter year", 2, &["filter `year`: expected field=value"]),
    ("search tide -c given --filter {\"all\":3}", 2, &["expected a list of filters"]),
    ("search tide -c given --filter year=3", 2, &["no document has a field `year`"]),
    ("search tide -c given --vector other", 2, &["other"]),
    ("search -c given --prefetch tide", 2, &["prefetch `tide`: ", "expected JSON as {\"text\""]),
    ("search -c given --prefetch {\"words\":1}", 2, &["unknown field `words`"]),
    ("search -c given --prefetch {\"mode\":\"x\"}", 2, &["mode `x` is none of `hybrid`"]),
    (
        "search ( -c given --mode lexical --syntax query",
        2,
        &["query, byte 1: something is missing"],
    ),
    ("search tide -c given --offset 10001", 2, &["limit + offset is 10011, expected 1 to 10000"]),
    ("search tide --server http://127.0.0.1:1", 5, &["no server answers at http://127.0.0.1:1"]),
    ("search tide --server _", 2, &["is no address, as http://127.0.0.1:7465"]),
    ("search tide --timeout 0", 2, &["0 is not in 1..=86400"]),
    ("search tide -c given --within 3", 2, &["required", "--near"]),
    ("search tide -c given --near x --within -1", 2, &["-1"]),
    ("search tide -c given --near x --within day", 2, &["expected seconds from 0 to 86400"]),
    ("locate", 2, &["required", "<FILE>"]),
    ("locate missing.mp4 -c given", 3, &["missing.mp4"]),
    ("locate a.txt -c given", 2, &["the collection sees no videos"]),
    ("locate a.txt -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("locate a.wav -c given", 2, &["the collection hears no sounds"]),
    ("locate a.txt -c given --limit 0", 2, &["0 is not in 1..=1000"]),
    ("search --batch missing.txt -c given", 3, &["missing.txt", "No such file"]),
    ("search tide --batch a.txt -c given", 2, &["cannot be used with", "--batch"]),
    ("search tide -c given --group-size 3", 2, &["required", "--group-by"]),
    ("search tide -c given --mmr=2", 2, &["relevance is 2, expected 0 to 1"]),
    ("search -c given --like a.txt", 3, &["there is no document `a.txt`"]),
    ("search tide -c given --unlike a.txt", 2, &["required", "--like"]),
    ("search -c given --sparse v", 2, &["sparse question `v`: expected NAME=INDEX:WEIGHT"]),
    ("search -c given --sparse v=1:1", 2, &["`v`: expected a dense vector, got a sparse one"]),
    ("list -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("list -c given --order-by year", 2, &["no document has a field `year`"]),
    ("list -c given --descending", 2, &["required", "--order-by"]),
    ("update -c given", 2, &["required", "<ID>"]),
    ("update a.txt -c given", 2, &["nothing to change: give --set, --unset, --clear"]),
    ("update a.txt -c given --set stars", 2, &["field `stars`: expected FIELD=VALUE"]),
    ("update a.txt -c given --set stars=5", 3, &["`given` has no document `a.txt`"]),
    ("update a.txt -c nowhere --clear", 3, &["there is no collection `nowhere`"]),
    ("count -c given --by year", 2, &["no document has a field `year`"]),
    ("get", 2, &["required", "<ID>"]),
    ("get a.txt -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("get a.txt b.txt -c given", 3, &["collection `given` has no document `a.txt`, `b.txt`"]),
    ("delete -c given", 2, &["required", "<ID>"]),
    ("delete a.txt --filter a=1 -c given", 2, &["cannot be used with", "--filter"]),
    ("delete a.txt -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("delete --filter a>>1 --yes -c given", 2, &["a range of field `a`", "got `>1`"]),
    ("delete --filter a>1 --yes -c given", 2, &["no document has a field `a`"]),
    ("count -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("count -c given --filter ?", 2, &["filter `?`: expected field=value"]),
    ("embed", 2, &["required", "<TEXT>"]),
    (
        "embed tide --model all-minilm-l6-v2",
        5,
        &["model all-minilm-l6-v2 is not installed", "simile model pull"],
    ),
    ("embed tide --model other", 3, &["no model is called `other`; known are all-minilm-l6-v2"]),
    ("collection", 2, &["Usage: simile collection"]),
    ("collection create", 2, &["required", "<NAME>"]),
    ("collection create two_words --vector v=3", 2, &["1 to 64 of the letters", "`two words`"]),
    ("collection create given --vector v=3", 4, &["there is a collection `given` already"]),
    ("collection create c --vector v", 2, &["vector `v`: expected NAME=MODEL, NAME=DIMENSION"]),
    ("alias set live nowhere", 3, &["there is no collection `nowhere`"]),
    ("alias delete nothing", 3, &["there is no alias `nothing`"]),
    ("alias rename nothing other", 3, &["there is no alias `nothing`"]),
    ("alias list --server http://127.0.0.1:1", 5, &["no server answers at"]),
    ("collection add-vector nowhere w=3", 3, &["there is no collection `nowhere`"]),
    ("collection add-vector given w", 2, &["vector `w`: expected NAME=MODEL, NAME=DIMENSION"]),
    ("collection add-vector given v=3", 4, &["there is a vector `v` already"]),
    ("collection change nowhere --tokens-max 9", 3, &["there is no collection `nowhere`"]),
    ("collection set given", 2, &["nothing to set is given"]),
    ("collection set given --hnsw-m 1", 2, &["vector `v`", "links_max", "128"]),
    ("collection set given --vector w --ef 9", 2, &["has no vector `w`; it has v"]),
    ("collection set given --metadata owner", 2, &["metadata `owner`: expected NAME=TEXT"]),
    ("collection set given --quantisation tiny", 2, &["'tiny'", "none, int8, binary"]),
    ("collection create c --vector v=3 --tenant a..b", 2, &["`a..b` is no field that names"]),
    ("collection drop-vector given w --yes", 2, &["has no vector `w`; it has v"]),
    ("collection reembed nowhere --model small-static", 3, &["there is no collection `nowhere`"]),
    ("collection reembed given --model small-static", 2, &["no model makes a vector of `given`"]),
    ("collection recall nowhere", 3, &["there is no collection `nowhere`"]),
    ("collection recall given --vector w", 2, &["has no vector `w`; it has v"]),
    ("export nowhere out.jsonl", 3, &["there is no collection `nowhere`"]),
    ("import missing.jsonl -c given", 3, &["missing.jsonl", "No such file"]),
    ("import missing.parquet -c given", 3, &["missing.parquet", "No such file"]),
    ("import - --format parquet -c given", 2, &["not from standard input: name a file"]),
    ("import a.txt --format parquet -c given", 2, &["a.txt is no table of Parquet"]),
    ("import a.txt --vector-column v -c given", 2, &["vector column `v`: expected VECTOR=COLUMN"]),
    ("snapshot create nowhere", 3, &["there is no collection `nowhere`"]),
    ("snapshot delete given monday", 3, &["there is no snapshot `monday` of collection `given`"]),
    ("snapshot list --server http://127.0.0.1:1", 5, &["no server answers at"]),
    ("snapshot restore missing.tar --collection c", 3, &["missing.tar", "No such file"]),
    ("collection create c --vector v=3:far", 2, &["vector `v=3:far`: expected", "as text="]),
    ("collection create c --vector v=0", 2, &["vector `v` has dimension 0, expected 1 to 8192"]),
    ("collection create c --vector v=9000", 2, &["has dimension 9000, expected 1 to 8192"]),
    ("collection create c --vector v=3 --vector v=4", 2, &["a vector name stands twice"]),
    ("collection create c --vector v=other", 3, &["no model is called `other`"]),
    (
        "collection create c --vector v=3 --tokens-max 0",
        2,
        &["tokens_max is 0, expected 1 to 8192"],
    ),
    (
        "collection create c --vector v=3 --tokens-max 9 --tokens-overlap 9",
        2,
        &["tokens_overlap is 9, expected less than tokens_max, which is 9"],
    ),
    ("search -c given --image missing.jpg", 3, &["missing.jpg"]),
    (
        "search -c given --image a.txt",
        2,
        &["no vector of the collection is made of pictures; it has v"],
    ),
    ("search tide -c given --crop 1,2,3,4", 2, &["required", "--image"]),
    ("search -c given --image a.txt --crop 1,2,3", 2, &["expected X,Y,WIDTH,HEIGHT in pixels"]),
    (
        "search -c given --image a.txt --image a.txt --crop 1,2,3,4",
        2,
        &["--crop asks about a part"],
    ),
    ("search -c given --clip missing.mp4", 3, &["missing.mp4"]),
    ("search -c given --clip a.wav", 2, &["vector `v` has no embedder"]),
    ("search -c given --clip a.txt", 2, &["vector `v` has no embedder"]),
    ("search -c given --image a.txt --without night", 2, &["vector `v` has no embedder"]),
    ("embed --image missing.jpg", 3, &["missing.jpg"]),
    ("collection list --server 127.0.0.1:1", 5, &["no server answers at http://127.0.0.1:1"]),
    ("collection info", 2, &["required", "<NAME>"]),
    ("collection info nowhere", 3, &["there is no collection `nowhere`"]),
    ("collection delete given", 2, &["Delete collection `given` with 0 documents? Say --yes"]),
    ("collection delete nowhere --yes", 3, &["there is no collection `nowhere`"]),
    ("model list extra", 2, &["unexpected argument 'extra'"]),
    ("model show", 2, &["required", "<NAME>"]),
    ("model show other", 3, &["no model is called `other`; known are all-minilm-l6-v2"]),
    ("model pull other", 3, &["no model is called `other`; known are all-minilm-l6-v2"]),
    ("model pull", 5, &["is not here, and downloads are switched off", "--offline", "--cache"]),
    ("model remote", 2, &["required", "--url"]),
    ("model remote x --url ftp://y --model m --dimension 3", 2, &["`ftp://y`", "https://"]),
    (
        "model remote x --url http://127.0.0.1:1/v1 --model m --dimension 3",
        5,
        &["model x, which another server runs", "downloads are switched off"],
    ),
    ("model document", 2, &["required", "<NAME>"]),
    ("model document x --of other", 3, &["no model is called `other`"]),
    ("model document x --of hashed-words", 2, &["gives sparse vectors, expected dense ones"]),
    ("model document x --of simile-residual-64", 2, &["reads image, got text"]),
    ("model document x --of small-static --piece word", 2, &["'word'", "sentence"]),
    ("model document x --of small-static --tokens-max 9000", 2, &["expected 8 to 8192"]),
    ("model document hashed-words --of small-static", 4, &["`hashed-words` is there already"]),
    ("model note", 2, &["required", "<NAME>"]),
    ("model note words", 2, &["required", "--language"]),
    ("model note words --language en", 3, &["no model is called `words`"]),
    ("model note small-static --language en", 2, &["`small-static`", "comes with the program"]),
    ("model late", 2, &["required", "<NAME>"]),
    ("model late x --of other", 3, &["no model is called `other`"]),
    ("model late x --of small-static", 2, &["of the kind static-text, expected bert-text"]),
    ("model late x --of simile-residual-64", 2, &["reads image, got text"]),
    ("model late hashed-words", 4, &["`hashed-words` is there already"]),
    ("model train", 2, &["Usage: simile model train"]),
    ("model train bm42 --corpus a.txt --out x", 2, &["'bm42'"]),
    ("model train word2vec --out x", 2, &["required", "--corpus"]),
    ("model train fasttext --out x", 2, &["required", "--corpus"]),
    ("model train glove --out x", 2, &["required", "--corpus"]),
    ("model train average --out x", 2, &["required", "--vectors"]),
    ("model train lda --out x", 2, &["required", "--corpus"]),
    ("model train doc2vec --out x", 2, &["required", "--corpus"]),
    ("model train one-hot --out x", 2, &["required", "--corpus"]),
    ("model train one-hot --corpus missing --out x", 3, &["missing"]),
    ("model train one-hot --collection nowhere --out x", 3, &["no collection `nowhere`"]),
    ("model train one-hot --collection given --out x", 2, &["0 texts have no terms"]),
    (
        "model train one-hot --collection c --out x --server http://127.0.0.1:1",
        5,
        &["no server answers at http://127.0.0.1:1"],
    ),
    ("model train tf-idf --corpus a.txt --out x --ngram 3..2", 2, &["got 3 to 2"]),
    ("model train tf-idf --corpus a.txt --out x --ngram two", 2, &["expected a number"]),
    ("model train tf-idf --corpus a.txt --out x --analyzer verse", 2, &["'verse'", "char-wb"]),
    ("model train tf-idf --corpus a.txt --out x --min-df 1.5", 2, &["or a share", "1.5"]),
    ("model train tf-idf --corpus a.txt --out x --min-df 2", 2, &["no term is in at least 2"]),
    ("model train tf-idf --corpus a.txt --out x --stop-words missing", 2, &["missing"]),
    ("model train n-gram --corpus a.txt --out a/b", 2, &["`a/b`", "name of a folder"]),
    (
        "model train n-gram --corpus a.txt --out hashed-words",
        4,
        &["`hashed-words` is there already"],
    ),
    ("model layers", 2, &["required", "<NAME|FILE>"]),
    ("model layers other", 3, &["no model is called `other`; known are all-minilm-l6-v2"]),
    ("model layers hashed-words", 2, &["model hashed-words reads text, got image"]),
    ("model layers hashed-words --size 1y2", 2, &["as 224 or 224x320", "1y2"]),
    ("model add", 2, &["required", "<FOLDER|REPOSITORY|GRAPH>"]),
    ("model add missing", 3, &["missing", "No such file"]),
    ("model add . --name m", 7, &["config.json", "hub's layout"]),
    ("model add . --name m --pooling best", 2, &["'best'", "weighted-mean"]),
    ("model add owner/name", 5, &["owner/name is not here, and downloads are switched off"]),
    ("cluster -c nowhere", 3, &["there is no collection `nowhere`"]),
    ("cluster -c given --method astrology", 2, &["'astrology'", "kmeans, hdbscan"]),
    ("cluster -c given --join topic --method kmeans", 2, &["--join", "--method"]),
    ("cluster -c given --slack 2", 2, &["--join <FIELD>"]),
    ("cluster -c given --k 0", 2, &["0 is not in 1..=65536"]),
    ("cluster -c given --choose luck", 2, &["'luck'", "silhouette, elbow"]),
    ("cluster -c given --soft 2", 2, &["--soft goes with --method hdbscan"]),
    ("cluster -c given --delete copies", 2, &["--delete goes with --method duplicates"]),
    ("cluster -c given --dry-run", 2, &["--delete <WHAT>"]),
    ("cluster -c given --names missing.txt", 3, &["missing.txt"]),
    ("top --interval 0", 2, &["0 is not in 1..=3600"]),
    ("top --server http://127.0.0.1:1", 5, &["no server answers at http://127.0.0.1:1"]),
    ("job list extra", 2, &["unexpected argument 'extra'"]),
    ("job watch 77", 3, &["there is no job `77`"]),
    ("job cancel 77", 3, &["there is no job `77`"]),
    ("verify nowhere", 3, &["there is no collection `nowhere`"]),
    ("repair nowhere", 3, &["there is no collection `nowhere`"]),
    ("optimize nowhere", 3, &["there is no collection `nowhere`"]),
    ("eval", 2, &["Usage: simile eval"]),
    ("eval retrieval missing", 3, &["missing has no corpus.jsonl, expected the layout of BEIR"]),
    ("eval clusters", 2, &["required", "<FOLDER>"]),
    ("eval clusters missing", 3, &["missing"]),
    ("eval models --sts missing.tsv", 3, &["missing.tsv", "No such file"]),
    ("eval models --keep --server http://127.0.0.1:1", 2, &["--keep", "expected no --server"]),
    ("eval models --into a.txt", 2, &["a.txt has no line", "simile eval models: begin"]),
    ("eval labels missing", 2, &["required", "--embedder"]),
    ("eval labels missing --embedder other", 3, &["no model is called `other`"]),
    ("eval labels missing --embedder hashed-words", 2, &["reads text, got image"]),
    ("eval labels missing --embedder simile-residual-64", 3, &["missing"]),
    ("eval zero-shot missing --embedder simile-residual-64", 2, &["reads image, got text"]),
    ("eval zero-shot missing --embedder x --prompt none", 2, &["\"none\" has no {}"]),
    ("eval sts missing.tsv", 3, &["missing.tsv", "No such file"]),
    ("eval sts a.txt", 2, &["a.txt"]),
    ("eval sentences one two", 2, &["3 values required"]),
    (
        "eval sentences --model other",
        3,
        &["no model is called `other`; known are all-minilm-l6-v2"],
    ),
    ("key create", 2, &["required", "<NAME>"]),
    ("key create reader --scope all", 2, &["'all'", "expected read, write or admin"]),
    ("key create reader --expires-days 0", 2, &["0 is not in 1..=36500"]),
    ("key create reader --requests-per-second 0", 2, &["0 is not in 1..=1000000"]),
    ("key create reader --bytes-per-second 1XB", 2, &["--bytes-per-second"]),
    ("key create reader --bytes-per-second 0 --data keyless", 2, &["expected 1 or more"]),
    ("key create _ --data keyless", 2, &["the name of a key has 1 to 64 bytes"]),
    ("key list --verbose", 2, &["unexpected argument '--verbose'"]),
    ("key revoke abc", 3, &["there is no key `abc`"]),
    ("serve --tls-cert a.txt", 2, &["tls_cert and tls_key: expected both or neither"]),
    ("serve --http 0.0.0.0:0", 2, &["http: other machines would reach this address", "--insecure"]),
    ("serve --cors-origins example.com", 2, &["`example.com` is no origin, as `https://"]),
    ("serve --connections-max 0", 2, &["connections_max = 0: expected 1 to 1000000"]),
    (
        "serve --bytes-in-flight-max 1MiB",
        2,
        &["bytes_in_flight_max = 1MiB: expected at least one message, message_bytes_max = 64MiB"],
    ),
    ("serve --otlp-endpoint collector:4317", 2, &["as http://127.0.0.1:4317"]),
    ("serve --otlp-ratio 2", 2, &["otlp_ratio = 2: expected 0 to 1"]),
    ("serve --bytes-per-second-max 0", 2, &["bytes_per_second_max = 0: expected 1"]),
    ("serve --data other --listen 127.0.0.1:0 --tls-cert a.txt --tls-key a.txt", 2, &["TLS"]),
    ("count -c given --server https://127.0.0.1:1 --ca none.pem", 5, &["none.pem"]),
    ("demo --keep a.txt", 5, &["a.txt"]),
    ("doctor --server http://127.0.0.1:1", 5, &["no server answers at http://127.0.0.1:1"]),
    ("completions", 2, &["required", "<SHELL>"]),
    ("completions tcsh", 2, &["'tcsh'", "bash"]),
    ("man --folder a.txt/pages", 5, &["a.txt/pages"]),
];

#[test]
fn every_command_refuses_what_is_wrong_with_the_code_and_the_words_of_the_table() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    program.run(&["collection", "create", "given", "--vector", "v=3"]).done();
    program.write("a.txt", "The tide is low.");
    program.write("a.wav", "RIFF____WAVEfmt ");
    program.write("bad.toml", "wokers = 3");
    program.write("broken.toml", "workers = ");
    let wrong: Vec<String> = ROWS.par_iter().filter_map(|row| check(&program, row).err()).collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    let list = program.run(&["collection", "list", "--json"]).done().json();
    assert_eq!(list["collections"].as_array().unwrap().len(), 1, "nothing was made in passing");
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}

fn check(program: &Program, (typed, code, words): &Row) -> Result<(), String> {
    let arguments: Vec<String> = typed.split(' ').map(|word| word.replace('_', " ")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = program.run(&arguments);
    let said = format!("{}{}", answer.stdout, answer.stderr);
    if answer.code != *code {
        return Err(format!("{typed}: expected exit code {code}, got {}: {said}", answer.code));
    }
    match words.iter().find(|word| !said.contains(**word)) {
        Some(word) => Err(format!("{typed}: expected {word:?} in: {said}")),
        None => Ok(()),
    }
}

#[test]
fn every_command_has_a_row_in_the_table() {
    fn leaves(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
        let commands: Vec<_> = command.get_subcommands().collect();
        if commands.is_empty() {
            found.insert(before.trim().to_owned());
        }
        for command in commands {
            leaves(command, &format!("{before} {}", command.get_name()), found);
        }
    }
    let mut commands = BTreeSet::new();
    leaves(&Cli::command(), "", &mut commands);
    assert!(commands.len() > 20, "{commands:?}");
    let has_row = |command: &String| {
        ROWS.iter().any(|(typed, ..)| typed == command || typed.starts_with(&format!("{command} ")))
    };
    let without: Vec<_> = commands.iter().filter(|command| !has_row(command)).collect();
    assert!(without.is_empty(), "no row for {without:?}");
}

#[test]
fn an_error_for_a_script_is_one_json_object() {
    let program = Program::without_models();
    let answer = program.run(&["count", "-c", "nowhere", "--json"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (3, ""));
    let error: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "not_found");
    assert_eq!(error["error"]["message"], "there is no collection `nowhere`");
}
