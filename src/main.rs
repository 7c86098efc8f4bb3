//! `callboard`: arguments, one command, an exit code.

use std::process::ExitCode;

use callboard::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
