//! Mistakes in what the operator wrote. All are collected, so that one run of `check` shows them all.

use std::fmt;
use std::path::PathBuf;

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The file it is in; `None` where an environment variable is wrong.
    pub file: Option<PathBuf>,
    /// The line in the file, the first is 1; `None` where the file as a whole or a variable is wrong.
    pub line: Option<usize>,
    /// The path of the key, or the name of the variable.
    pub place: String,
    /// What is wrong. Never the value of a secret.
    pub problem: String,
    /// What to write instead, where that is known.
    pub suggestion: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

/// Every mistake that was found, at least one; those of the file first, in the order of its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Puts mistakes in order.
    pub fn of(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.file.is_none(), mistake.line));
        Self(mistakes)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, mistake)| {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")
        })
    }
}

impl std::error::Error for Mistakes {}
