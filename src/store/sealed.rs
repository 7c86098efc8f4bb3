//! The key that seals what is in the database: in a file of its own beside it, so that a copy of the database
//! alone opens nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::seal::{Seal, SealKey};
use crate::domain::secret::Secret;

/// The file's name.
const FILE: &str = "callboard.secrets";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealFile {
    /// It cannot be made or read.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else than keys.
    #[error(
        "{} holds no key of 32 bytes in base64: bring it back from where it was, or take it away; what was sealed \
         with it is then lost",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// Where the key lies of what seals for this SQLite database.
pub fn seal_file(database: &Path) -> PathBuf {
    database.with_file_name(FILE)
}

/// What seals for this SQLite database: the keys of the file beside it, a line each, the first seals. One is made
/// if there is no file.
///
/// # Errors
/// The file cannot be used.
pub fn seal_beside(database: &Path) -> Result<Seal, SealFile> {
    let path = seal_file(database);
    let text = match kept(&path) {
        Ok(text) => text,
        Err(source) => return Err(SealFile::Io { path, source }),
    };
    let keys: Option<Vec<SealKey>> = text.lines().filter(|line| !line.trim().is_empty()).map(SealKey::parse).collect();
    keys.and_then(Seal::new).ok_or(SealFile::NoKey { path })
}

fn kept(path: &Path) -> io::Result<String> {
    match File::open(path) {
        Ok(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{}\n", Secret::random("").expose());
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            Ok(text)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_us_alone() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("callboard.db");
        let sealed = seal_beside(&database).unwrap().seal(&Secret::new("a"), "p").unwrap();
        assert_eq!(seal_beside(&database).unwrap().open(&sealed, "p"), Ok(Secret::new("a")));
        let file = place.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "nonsense").unwrap();
        assert!(matches!(seal_beside(&database), Err(SealFile::NoKey { .. })));
    }
}
