//! `callboard keys rotate-secrets`.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;

use super::{Done, Failure, console, load};
use crate::app::open_store;
use crate::config::{Config, Database, Env};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::seal::Seal;
use crate::flow::secrets::reseal;
use crate::store::{lock_sqlite, renew_seal_beside, seal_file};

pub(super) async fn run(file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let (seal, _lock) = seal(&config)?;
    let store = open_store(&config).await?;
    let sealed = reseal(&store, &seal, SystemClock.now()).await;
    store.close().await;
    let many = sealed.context("not all secrets are sealed with the new key yet; the old one is still needed")?;
    console::say(&format!("{many} secrets are sealed anew, with the key {}", seal.key_id()));
    match &config.database {
        Database::Sqlite(path) if config.secrets_keys.is_empty() => {
            let file = seal_file(path);
            console::say(&format!("It is the first line of {}: keep a new copy of that file.", file.display()));
            console::say("The lines below it open older backups; without such you may take them out.");
        }
        _ => console::say("The other keys of CALLBOARD_SECRETS_KEY are only needed for older backups now."),
    }
    Ok(())
}

/// What is sealed with from now on. With SQLite that is a new key, of which a running service knows nothing: it is locked out.
fn seal(config: &Config) -> Result<(Seal, Option<File>), Failure> {
    if let Some(seal) = Seal::new(config.secrets_keys.clone()) {
        return Ok((seal, None));
    }
    match &config.database {
        Database::Sqlite(path) if path.is_file() => {
            let lock = lock_sqlite(path)?;
            Ok((renew_seal_beside(path)?, Some(lock)))
        }
        Database::Sqlite(path) => Err(Failure::Wrong(format!("there is no database at {}", path.display()))),
        Database::Postgres(_) => Err(Failure::Wrong(
            "no key is there to seal with: set CALLBOARD_SECRETS_KEY (`openssl rand -base64 32` makes one), a new one before \
             the old with a comma between them"
                .to_owned(),
        )),
    }
}
