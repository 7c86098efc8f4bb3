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

/// Makes a new key, which seals from now on; those that are in the file still open. Nobody may be using it meanwhile.
///
/// # Errors
/// The file cannot be used.
pub fn renew_seal_beside(database: &Path) -> Result<Seal, SealFile> {
    seal_beside(database)?;
    let path = seal_file(database);
    let renewed = || {
        let text = format!("{}\n{}", Secret::random("").expose(), std::fs::read_to_string(&path)?);
        let new = path.with_extension("secrets.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    renewed().map_err(|source| SealFile::Io { path: path.clone(), source })?;
    seal_beside(database)
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

    #[test]
    fn a_renewed_key_seals_and_the_old_one_still_opens() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("callboard.db");
        let old = seal_beside(&database).unwrap();
        let sealed = old.seal(&Secret::new("a"), "p").unwrap();
        let new = renew_seal_beside(&database).unwrap();
        assert_ne!(new.key_id(), old.key_id());
        let again = seal_beside(&database).unwrap();
        assert_eq!((again.key_id(), again.open(&sealed, "p")), (new.key_id(), Ok(Secret::new("a"))));
        let file = seal_file(&database);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing half-made is left");
    }
}
