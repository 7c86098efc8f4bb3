//! What the command line asks for: words that pick rows and databases, numbers of connections, and sizes by their names
//! (`events=5000`).

use std::path::Path;
use std::sync::OnceLock;

use crate::postgres;

/// The words and numbers after `cargo bench --`.
pub(crate) struct Asked {
    words: Vec<String>,
    /// In their order.
    pub(crate) numbers: Vec<u64>,
    sizes: Vec<(String, u64)>,
}

/// SQLite or PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file in a directory of its own.
    Sqlite,
    /// A server that this program starts.
    Postgres,
}

impl Database {
    /// As the command line and the table have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The URL of a new, empty database; a file is made in this directory.
    pub(crate) fn fresh(self, directory: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", directory.join("bench.db").display()),
            Self::Postgres => postgres::fresh(),
        }
    }

    /// Removes a database that nobody uses any more; a file goes with its directory.
    pub(crate) fn remove(self, url: &str) {
        if let (Self::Postgres, Some((server, name))) = (self, url.rsplit_once('/')) {
            postgres::execute(&format!("{server}/postgres"), &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

impl Asked {
    /// Reads the arguments of the process, without the flags that cargo adds.
    pub(crate) fn of_arguments() -> Self {
        let given: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
        let numbers = given.iter().filter_map(|word| word.parse().ok()).collect();
        let size = |word: &String| {
            let (name, size) = word.split_once('=')?;
            Some((name.to_owned(), size.parse().ok()?))
        };
        let sizes: Vec<(String, u64)> = given.iter().filter_map(size).collect();
        let words = given.into_iter().filter(|word| word.parse::<u64>().is_err() && size(word).is_none());
        Self { words: words.collect(), numbers, sizes }
    }

    /// Takes a word for all of these rows.
    pub(crate) fn with_word(mut self, word: &str, rows: &[&str]) -> Self {
        if self.words.iter().any(|asked| asked == word) {
            self.words.retain(|asked| asked != word);
            self.words.extend(rows.iter().map(|&row| row.to_owned()));
        }
        self
    }

    /// The size of this name, unless another is asked for.
    pub(crate) fn size(&self, name: &str, usual: u64) -> u64 {
        self.sizes.iter().find(|(asked, _)| asked == name).map_or(usual, |(_, size)| *size)
    }

    /// Whether this row is wanted: it is named, or none is and it is one of the usual ones.
    pub(crate) fn wants(&self, row: &str, rows: &[&str]) -> bool {
        let named = self.words.iter().any(|word| word == row);
        named || rows.contains(&row) && !self.words.iter().any(|word| !is_database(word))
    }

    /// The databases that are wanted and can be had.
    pub(crate) fn databases(&self) -> Vec<Database> {
        let all = [Database::Sqlite, Database::Postgres];
        let named = self.words.iter().any(|word| is_database(word));
        let wanted = all.into_iter().filter(|one| !named || self.words.iter().any(|word| word == one.name()));
        wanted.filter(|one| *one == Database::Sqlite || is_postgres_there()).collect()
    }

    /// Words that are neither a row nor a database.
    pub(crate) fn unknown(&self, rows: &[&str]) -> Vec<&str> {
        let words = self.words.iter().map(String::as_str);
        words.filter(|word| !rows.contains(word) && !is_database(word)).collect()
    }
}

/// Whether its server starts. Where it does not, it is said why, once, and its rows are left out.
fn is_postgres_there() -> bool {
    static STARTED: OnceLock<bool> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let why = std::thread::spawn(|| drop(postgres::fresh())).join().err();
        if let Some(why) = &why {
            let why = why.downcast_ref::<String>().map(String::as_str).or_else(|| why.downcast_ref::<&str>().copied());
            println!("# no rows of postgres: {}", why.unwrap_or("its server does not start"));
        }
        why.is_none()
    })
}

fn is_database(word: &str) -> bool {
    ["sqlite", "postgres"].contains(&word)
}
