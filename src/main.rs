//! `callboard`: arguments, one command, an exit code.

use std::process::ExitCode;

use callboard::cli;

// Texts are made on one thread and freed on another: see PERFORMANCE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
