//! How fast is the bare model? Runs batches that are tokenised and sorted already in a loop, on one
//! thread that owns the session: no queue, no store, no wire. `benches/ingest.py` compares ingest with
//! this, and `benches/peers/embedding.py` what Python's packages do with the same texts.
//!
//!     cargo bench --bench session -- TEXTS.txt [THREADS] [ROUNDS] [TOKENS]   one text a line; prints a JSON
//!                                                                            object a round

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod common;

use std::error::Error;
use std::time::Instant;

use cpu_time::ProcessTime;
use simile::embed::{DEFAULT_TEXT_MODEL, Embedder, Encoded, Role, WorkerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let file = arguments.next().ok_or("expected a file with one text a line")?;
    let threads = match arguments.next() {
        Some(threads) => threads.parse()?,
        // A thread for each core.
        None => std::thread::available_parallelism()?.get(),
    };
    let rounds = arguments.next().map_or(Ok(1), |rounds| rounds.parse::<usize>())?;
    let tokens = arguments
        .next()
        .map_or(Ok(WorkerOptions::default().batch_tokens_max), |tokens| tokens.parse())?;
    let texts = fs_err::read_to_string(file)?;
    let catalogue = common::catalogue(threads)?;
    catalogue.pull(DEFAULT_TEXT_MODEL, &|_, _, _| {})?;
    let mut embedder = catalogue.open_model(DEFAULT_TEXT_MODEL, &|_, _, _| {})?;
    let tokenizer = embedder.tokenizer();
    let cutting = ProcessTime::now();
    let mut encoded = texts
        .lines()
        .map(|text| tokenizer.encode(text, Role::Passage))
        .collect::<Result<Vec<_>, _>>()?;
    let tokenize_cpu_seconds = cutting.elapsed().as_secs_f64();
    encoded.sort_by_key(|text| text.ids.len());
    let batches = batches(&encoded, tokens);
    // The first runs pay for memory that later ones find.
    for batch in [batches.first(), batches.last()].into_iter().flatten() {
        embedder.run(batch)?;
    }
    let tokens: usize = encoded.iter().map(|text| text.ids.len()).sum();
    // Batch and length of each, padding included.
    let shapes: Vec<[usize; 2]> = batches
        .iter()
        .map(|batch| [batch.len(), batch.iter().map(|text| text.ids.len()).max().unwrap_or(0)])
        .collect();
    for _ in 0..rounds {
        let (start, computed) = (Instant::now(), ProcessTime::now());
        for batch in &batches {
            embedder.run(batch)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = computed.elapsed().as_secs_f64();
        let report = serde_json::json!({
            "texts": encoded.len(),
            "tokens": tokens,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "tokenize_cpu_seconds": tokenize_cpu_seconds,
            "shapes": shapes,
        });
        println!("{report}");
    }
    Ok(())
}

/// Returns neighbours together while they stay below the budget of padded tokens. The worker, which sees a window
/// at a time, cuts where padding and runs cost least.
fn batches(sorted: &[Encoded], tokens_max: usize) -> Vec<Vec<&Encoded>> {
    let mut batches: Vec<Vec<&Encoded>> = Vec::new();
    for text in sorted {
        match batches.last_mut() {
            // Sorted by length, so this text is the longest of its batch.
            Some(batch) if (batch.len() + 1) * text.ids.len() <= tokens_max => batch.push(text),
            Some(_) | None => batches.push(vec![text]),
        }
    }
    batches
}
