//! The program `simile`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simile::cli::run(std::env::args_os())
}
