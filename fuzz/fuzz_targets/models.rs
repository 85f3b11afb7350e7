#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: targets::plant("models", std::env::args()),
    |data: &[u8]| targets::run("models", data)
);
