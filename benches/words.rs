//! How fast are word vectors trained? `benches/peers/words.py` trains the same with gensim and the C
//! implementation of GloVe, and says how good both are.
//!
//!     cargo bench --bench words -- METHOD TEXTS.txt OUT.bin [SEED] [THREADS]
//!
//! One text a line, words between blanks; METHOD is sg-ns, sg-hs, cbow-ns, cbow-hs, glove or fasttext.
//! Prints one JSON object.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use simile::cancel::Cancellation;
use simile::embed::text::{Segmentation, Subwords, Words};
use simile::embed::train::{
    Architecture, GloveOptions, Loss, Run, TokenCorpusBuilder, WordOptions, train_glove,
    train_subwords, train_words,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut next = |what: &'static str| arguments.next().ok_or(format!("expected {what}"));
    let (method, texts, out) = (next("a method")?, next("a file of texts")?, next("a file")?);
    let seed = next("").map_or(Ok(1), |seed| seed.parse())?;
    let threads = next("").map_or(Ok(1), |threads| threads.parse())?;
    let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Blanks, false));
    for text in fs_err::read_to_string(texts)?.lines() {
        builder.add(text)?;
    }
    let corpus = builder.finish(5, usize::MAX)?;
    let cancel = Cancellation::new();
    let run =
        Run { seed, threads, table_bytes_max: u64::MAX, progress: &|_, _, _| {}, cancel: &cancel };
    let (out, start) = (Path::new(&out), Instant::now());
    let seconds = match method.as_str() {
        "glove" => {
            let options = GloveOptions { dimension: 50, epochs: 15, ..GloveOptions::default() };
            let table = train_glove(&corpus, &options, run)?;
            let seconds = start.elapsed().as_secs_f64();
            table.write_binary(out)?;
            seconds
        }
        "fasttext" => {
            let options = WordOptions { rate_first: 0.05, sample: 1e-4, ..WordOptions::default() };
            let subwords = Subwords { shortest: 3, longest: 6, buckets: 200_000 };
            let model = train_subwords(&corpus, &options, subwords, run)?;
            let seconds = start.elapsed().as_secs_f64();
            model.write(out)?;
            seconds
        }
        other => {
            let table = train_words(&corpus, &options(other)?, run)?;
            let seconds = start.elapsed().as_secs_f64();
            table.write_binary(out)?;
            seconds
        }
    };
    let epochs = if method == "glove" { 15 } else { 5 };
    println!(
        "{{\"method\": \"{method}\", \"words\": {}, \"tokens\": {}, \"epochs\": {epochs}, \
         \"threads\": {threads}, \"seconds\": {seconds:.2}}}",
        corpus.vocabulary().len(),
        corpus.tokens(),
    );
    Ok(())
}

fn options(method: &str) -> Result<WordOptions, String> {
    let (architecture, loss) = match method {
        "sg-ns" => (Architecture::SkipGram, Loss::NegativeSampling(5)),
        "sg-hs" => (Architecture::SkipGram, Loss::HierarchicalSoftmax),
        "cbow-ns" => (Architecture::Cbow, Loss::NegativeSampling(5)),
        "cbow-hs" => (Architecture::Cbow, Loss::HierarchicalSoftmax),
        other => return Err(format!("no method is called {other:?}")),
    };
    Ok(WordOptions { architecture, loss, ..WordOptions::default() })
}
