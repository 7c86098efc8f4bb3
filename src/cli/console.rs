//! What commands print. Control characters of others never reach the terminal.

use std::io::{IsTerminal, Write};

/// Prints text to standard output. Who reads it may have gone; then it is not printed.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", harmless(text, &['\n', '\t']));
}

/// Prints one line to standard output, whatever line breaks are in it.
pub(super) fn say_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", harmless(line, &[]));
}

/// Prints text to standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text, &['\n', '\t']));
}

/// Whether a person reads what is printed.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

fn harmless(text: &str, but: &[char]) -> String {
    text.chars().map(|c| if c.is_control() && !but.contains(&c) { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{9b}", &['\n']), "a\u{FFFD}[31mb\nc\u{FFFD}");
        assert_eq!(harmless("one\ntwo", &[]), "one\u{FFFD}two");
    }
}
