#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| targets::run("files", data));

fn begin() {
    // The fuzzer's hook ends the process at each panic, also at one of a decoder, which `decode` answers as an
    // error of the file. Without it, the fuzzer still sees those that nothing answers.
    drop(std::panic::take_hook());
    targets::plant("files", std::env::args());
}
