//! `callboard completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Done;

/// Print a script that completes this command's words in a shell.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  callboard completions bash > /etc/bash_completion.d/callboard")]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: Arguments) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "callboard", &mut script);
    super::console::say(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
