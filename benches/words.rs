//! How fast are word vectors trained? `benches/peers/words.py` trains the same with gensim and the C
//! implementation of GloVe, and says how good both are.
//!
//!     cargo bench --bench words -- METHOD TEXTS.txt OUT.bin [SEED] [THREADS]
//!
//! One text a line, words between blanks; METHOD is sg-ns, sg-hs, cbow-ns, cbow-hs, glove, fasttext, or
//! lda-TOPICS-SWEEPS, whose OUT is JSON: the first words of each topic, and for each text its topic
//! (`benches/peers/topics.py` compares them with gensim's). Prints one JSON object.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use simile::cancel::Cancellation;
use simile::embed::text::{Segmentation, Subwords, Words};
use simile::embed::train::{
    Architecture, GloveOptions, Loss, Run, TokenCorpus, TokenCorpusBuilder, TopicOptions,
    WordOptions, train_glove, train_subwords, train_topics, train_words,
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
    // The texts of topics were chosen by whoever asks.
    let topics = method.strip_prefix("lda-");
    let corpus = builder.finish(if topics.is_some() { 1 } else { 5 }, usize::MAX)?;
    let cancel = Cancellation::new();
    let run =
        Run { seed, threads, table_bytes_max: u64::MAX, progress: &|_, _, _| {}, cancel: &cancel };
    let (out, start) = (Path::new(&out), Instant::now());
    if let Some(numbers) = topics {
        return find_topics(&corpus, numbers, run, out);
    }
    let seconds = match method.as_str() {
        "glove" => {
            // As the C implementation has it.
            let rate_of_biases = 1.0;
            let options = GloveOptions {
                dimension: 50,
                epochs: 15,
                rate_of_biases,
                ..GloveOptions::default()
            };
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

/// Finds topics with the symmetric priors of gensim, and writes what they are and where they are.
fn find_topics(
    corpus: &TokenCorpus,
    numbers: &str,
    run: Run<'_>,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let (topics, sweeps) = numbers.split_once('-').ok_or("expected lda-TOPICS-SWEEPS")?;
    let (topics, sweeps) = (topics.parse()?, sweeps.parse()?);
    let options = TopicOptions { topics, alpha_sum: 1.0, beta: 1.0 / topics as f64, sweeps };
    let start = Instant::now();
    let found = train_topics(corpus, &options, run)?;
    let seconds = start.elapsed().as_secs_f64();
    let words = |topic| -> Vec<String> {
        found.words_of(topic, 10).into_iter().map(|(word, _)| word.to_owned()).collect()
    };
    let most = |text: &[u32]| {
        let shares = found.shares(text).unwrap_or_default();
        (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap_or(0)
    };
    let answer = serde_json::json!({
        "words": (0..topics).map(words).collect::<Vec<_>>(),
        "topics": corpus.texts().map(most).collect::<Vec<_>>(),
    });
    fs_err::write(out, answer.to_string())?;
    println!("{{\"method\": \"lda\", \"topics\": {topics}, \"seconds\": {seconds:.2}}}");
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
