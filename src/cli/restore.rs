//! `callboard restore`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::backup::{Part, sqlite, told};
use super::{Done, Failure, console, load};
use crate::config::Env;
use crate::store::{inspect_sqlite, lock_sqlite};

/// Put a backup where the configured SQLite database is to be; one that is there is never overwritten.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard restore /var/backups/callboard-2026-11-21.db\n\nStop the service first, and move the old database away. Bring back callboard.secrets as well: it opens the secrets."
)]
pub(super) struct Arguments {
    /// A copy that `callboard backup` made
    file: PathBuf,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let database = sqlite(&config, "pg_restore")?;
    let copy = &arguments.file;
    if !copy.is_file() {
        return Err(Failure::Wrong(format!("there is no file {}", copy.display())));
    }
    if beside(copy, "-wal").exists() {
        let text = "it was copied by hand from a database in use, and what is in its -wal would be lost: use what \
                    `callboard backup` made";
        return Err(Failure::Wrong(format!("{}: {text}", copy.display())));
    }
    // Held until the end: no service begins meanwhile.
    let _lock = lock_sqlite(database)?;
    let in_the_way =
        ["", "-wal", "-shm", "-journal"].map(|end| beside(database, end)).into_iter().find(|path| path.exists());
    if let Some(path) = in_the_way {
        return Err(anyhow!("{} is there: move it away first; nothing is overwritten", path.display()).into());
    }
    let part = Part::beside(database)?;
    std::fs::copy(copy, &part.path).with_context(|| format!("{} cannot be copied", copy.display()))?;
    for_us_alone(&part.path)?;
    let contents = inspect_sqlite(&part.path).await.with_context(|| format!("{} is not restored", copy.display()))?;
    if !contents.is_known() {
        let text =
            format!("was made by a newer Callboard (its schema is {}): upgrade this one first", contents.version);
        return Err(anyhow!("{} {text}", copy.display()).into());
    }
    part.become_file(database)?;
    console::say(&format!("{}: {}", database.display(), told(&contents)));
    if !database.with_file_name("callboard.secrets").exists() {
        console::say(
            "Bring back `callboard.secrets` beside it before you start the service, or set CALLBOARD_SECRETS_KEY:",
        );
        console::say("it does not start without the key that the secrets in it are sealed with.");
    }
    let key = config.database.key_file();
    if config.server.admin_key.is_none() && !key.exists() {
        console::say(&format!(
            "A new administrator's key is made at the next start, unless {} is brought back.",
            key.display()
        ));
    }
    Ok(())
}

/// A file that SQLite keeps beside a database.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A copy has the mode of what it was copied from.
fn for_us_alone(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}
