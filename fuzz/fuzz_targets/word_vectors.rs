#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: targets::plant("word_vectors", std::env::args()),
    |data: &[u8]| targets::run("word_vectors", data)
);
