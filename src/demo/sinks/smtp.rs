//! What a mail server says to each line: enough of SMTP (RFC 5321) for a client that sends mail. No I/O.

use super::Mail;

/// The largest mail, in bytes.
const SIZE_MAX: usize = 10 << 20;

/// One conversation.
#[derive(Debug, Default)]
pub(super) struct Session {
    from: Option<String>,
    to: Vec<String>,
    /// The mail's lines while they come, and whether they are too many.
    data: Option<(String, bool)>,
}

/// What is said to a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// Nothing yet.
    Nothing,
    /// This.
    Reply(&'static str),
    /// This, and a mail was taken.
    Taken(&'static str, Mail),
    /// This, and the conversation is over.
    Bye(&'static str),
}

/// What it says first.
pub(super) const GREETING: &str = "220 callboard demo";

impl Session {
    /// Takes a line, without its end.
    pub(super) fn line(&mut self, line: &str) -> Said {
        if self.data.is_some() {
            return self.data(line);
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                Said::Reply("250-callboard demo\r\n250-8BITMIME\r\n250 SMTPUTF8")
            }
            "HELO" => {
                self.reset();
                Said::Reply("250 callboard demo")
            }
            "MAIL" => match path(rest, "FROM:") {
                Some(from) => {
                    self.reset();
                    self.from = Some(from);
                    Said::Reply("250 sender taken")
                }
                None => Said::Reply("501 write MAIL FROM:<address>"),
            },
            "RCPT" => match (path(rest, "TO:").filter(|to| !to.is_empty()), &self.from) {
                (_, None) => Said::Reply("503 MAIL comes first"),
                (None, _) => Said::Reply("501 write RCPT TO:<address>"),
                (Some(to), Some(_)) => {
                    self.to.push(to);
                    Said::Reply("250 recipient taken")
                }
            },
            "DATA" if self.to.is_empty() => Said::Reply("503 RCPT comes first"),
            "DATA" => {
                self.data = Some((String::new(), false));
                Said::Reply("354 end with a line that is a dot")
            }
            "RSET" => {
                self.reset();
                Said::Reply("250 forgotten")
            }
            "NOOP" => Said::Reply("250 nothing done"),
            "QUIT" => Said::Bye("221 bye"),
            _ => Said::Reply("502 this server does not know that"),
        }
    }

    fn data(&mut self, line: &str) -> Said {
        if line != "." {
            if let Some((text, too_large)) = &mut self.data {
                // A dot at the beginning of a line is doubled on the way.
                let line = line.strip_prefix('.').unwrap_or(line);
                *too_large |= text.len() + line.len() > SIZE_MAX;
                if !*too_large {
                    text.push_str(line);
                    text.push_str("\r\n");
                }
            }
            return Said::Nothing;
        }
        let (from, to, data) = (self.from.take(), std::mem::take(&mut self.to), self.data.take());
        match data {
            Some((text, false)) => Said::Taken("250 taken", Mail { from: from.unwrap_or_default(), to, text }),
            _ => Said::Reply("552 the mail is too large"),
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The address between `<` and `>` behind `FROM:` or `TO:`; what follows it are options.
fn path(rest: &str, before: &str) -> Option<String> {
    let (word, address) = rest.split_at_checked(before.len())?;
    if !word.eq_ignore_ascii_case(before) {
        return None;
    }
    let (address, _) = address.trim_start().strip_prefix('<')?.split_once('>')?;
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(lines: &[&str]) -> Vec<Said> {
        let mut session = Session::default();
        lines.iter().map(|line| session.line(line)).collect()
    }

    fn code(said: &Said) -> &str {
        match said {
            Said::Nothing => "",
            Said::Reply(text) | Said::Taken(text, _) | Said::Bye(text) => &text[..3],
        }
    }

    #[test]
    fn a_mail_is_taken_with_its_dots_as_they_were_written() {
        let said = replies(&[
            "EHLO here",
            "MAIL FROM:<a@example.com> BODY=8BITMIME",
            "rcpt to:<b@example.com>",
            "RCPT TO: <c@example.com>",
            "DATA",
            "Subject: x",
            "",
            "..dot",
            ".",
            "QUIT",
        ]);
        let codes: Vec<&str> = said.iter().map(code).collect();
        assert_eq!(codes, ["250", "250", "250", "250", "354", "", "", "", "250", "221"]);
        let mail = Mail {
            from: "a@example.com".into(),
            to: vec!["b@example.com".into(), "c@example.com".into()],
            text: "Subject: x\r\n\r\n.dot\r\n".into(),
        };
        assert_eq!(said[8], Said::Taken("250 taken", mail));
    }

    #[test]
    fn what_comes_out_of_turn_is_refused() {
        for (lines, expected) in [
            (vec!["RCPT TO:<b@example.com>"], "503"),
            (vec!["DATA"], "503"),
            (vec!["MAIL FROM:<a@example.com>", "DATA"], "503"),
            (vec!["MAIL FROM:<a@example.com>", "RCPT TO:<>"], "501"),
            (vec!["MAIL a@example.com"], "501"),
            (vec!["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "RSET", "DATA"], "503"),
            (vec!["AUTH PLAIN"], "502"),
            (vec!["é"], "502"),
        ] {
            assert_eq!(code(replies(&lines).last().unwrap()), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_mail_that_is_too_large_is_refused_and_the_next_one_taken() {
        let mut session = Session::default();
        let begin = ["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"];
        let line = "x".repeat(1 << 20);
        for (lines, expected) in [(11, "552"), (1, "250")] {
            begin.iter().for_each(|line| drop(session.line(line)));
            (0..lines).for_each(|_| drop(session.line(&line)));
            assert_eq!(code(&session.line(".")), expected);
        }
    }
}
