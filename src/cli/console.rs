//! What commands print. Control characters of others never reach the terminal.

use std::io::{IsTerminal, Write};

/// Prints a line to standard output. Who reads it may have gone; then it is not printed.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", harmless(line));
}

/// Prints a line to standard error.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(line));
}

/// Whether a person reads what is printed.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{9b}"), "a\u{FFFD}[31mb\nc\u{FFFD}");
    }
}
