//! The program `simile`.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// glibc keeps an arena a thread and gives little of what is freed in one of them back: what a server holds
/// would grow with every kind of work that it has ever done at once.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    simile::cli::run(std::env::args_os())
}
