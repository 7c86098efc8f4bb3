//! What commands print. Control characters of others never reach the terminal.

use std::io::{BufRead, IsTerminal, Write};

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

/// Writes bytes to standard output as they are. They are for a file or another program.
pub(super) fn give(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Whether a person reads what is printed.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether a person can be asked.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a person; anything but yes is no.
pub(super) fn agrees(question: &str) -> bool {
    let _ = write!(std::io::stderr().lock(), "{} [y/N] ", harmless(question, &[]));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Empties the screen, for what is drawn anew.
pub(super) fn clear() {
    let _ = write!(std::io::stdout().lock(), "\u{1b}[H\u{1b}[2J\u{1b}[3J");
}

/// Whether a character moves the cursor, changes colours, or has what stands behind it read in another order.
pub(super) fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text without what could do something to a terminal.
pub(super) fn harmless(text: &str, but: &[char]) -> String {
    text.chars().map(|c| if is_harmful(c) && !but.contains(&c) { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{9b}", &['\n']), "a\u{FFFD}[31mb\nc\u{FFFD}");
        assert_eq!(harmless("one\ntwo", &[]), "one\u{FFFD}two");
        assert_eq!(harmless("exe\u{202e}gpj.", &[]), "exe\u{FFFD}gpj.");
    }
}
