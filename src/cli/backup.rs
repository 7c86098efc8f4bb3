//! `callboard backup`.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Done, Failure, console, load};
use crate::config::{Config, Database, Env};
use crate::store::{Contents, copy_sqlite, inspect_sqlite};

/// Copy the SQLite database while it is served, consistent as of one moment, and verify the copy.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard backup /var/backups/callboard-$(date +%F).db\n\nThe key file callboard.secrets beside the database is not in the copy: without it nobody opens the secrets in it. Keep it\nelsewhere. With PostgreSQL use pg_dump."
)]
pub(super) struct Arguments {
    /// Where the copy goes; nothing is overwritten
    file: PathBuf,
}

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    let config = load(file, env)?;
    let database = sqlite(&config, "pg_dump --format=custom")?;
    if !database.is_file() {
        return Err(Failure::Wrong(format!(
            "there is no database at {}: `database.url` says where it is",
            database.display()
        )));
    }
    if arguments.file.exists() {
        return Err(Failure::Wrong(format!(
            "{} is there already: a backup overwrites nothing",
            arguments.file.display()
        )));
    }
    let part = Part::beside(&arguments.file)?;
    let contents = tokio::select! {
        contents = copied(database, &part) => contents?,
        _ = tokio::signal::ctrl_c() => return Err(anyhow!("stopped; the half-made copy is removed").into()),
    };
    part.become_file(&arguments.file)?;
    console::say(&format!("{}: {}", arguments.file.display(), told(&contents)));
    console::say("It is verified. What opens the secrets in it, `callboard.secrets` beside the database (or");
    console::say("CALLBOARD_SECRETS_KEY), belongs to it and is not in it: keep a copy of that elsewhere.");
    Ok(())
}

/// The SQLite file of a configuration; of PostgreSQL, what to use instead.
pub(super) fn sqlite<'a>(config: &'a Config, instead: &str) -> Result<&'a Path, Failure> {
    match &config.database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) => Err(Failure::Wrong(format!(
            "the database is PostgreSQL, which has its own tools for this: use `{instead}`"
        ))),
    }
}

async fn copied(database: &Path, part: &Part) -> anyhow::Result<Contents> {
    let bar = ProgressBar::with_draw_target(
        std::fs::metadata(database).ok().map(|about| about.len()),
        ProgressDrawTarget::stderr(),
    );
    bar.set_style(ProgressStyle::with_template("copying {bar:30} {bytes}/{total_bytes}")?);
    let mut copying = Box::pin(copy_sqlite(database, &part.path));
    loop {
        tokio::select! {
            done = &mut copying => break done?,
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                bar.set_position(std::fs::metadata(&part.path).map_or(0, |about| about.len()));
            }
        }
    }
    bar.set_style(ProgressStyle::with_template("{spinner} verifying")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let contents = inspect_sqlite(&part.path).await?;
    bar.finish_and_clear();
    Ok(contents)
}

/// What is in a copy, in words.
pub(super) fn told(contents: &Contents) -> String {
    let Contents { tasks, events, callbacks, deliveries, .. } = contents;
    format!("{tasks} tasks, {events} events, {callbacks} callbacks, {deliveries} deliveries")
}

/// A file that is being made, for its owner alone. It is removed unless it becomes what it is for.
pub(super) struct Part {
    pub(super) path: PathBuf,
}

impl Part {
    /// An empty one in the directory of `file`.
    pub(super) fn beside(file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().ok_or_else(|| anyhow!("{} names no file", file.display()))?;
        let path = file.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.with_context(|| format!("nothing can be written beside {}", file.display()))?;
        Ok(Self { path })
    }

    /// Makes it durable, under the name of `file`, if there is still nothing of that name.
    pub(super) fn become_file(self, file: &Path) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be written", file.display());
        File::open(&self.path).and_then(|part| part.sync_all()).with_context(cannot)?;
        match std::fs::hard_link(&self.path, file) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error).with_context(cannot)?,
            // A file system without links: nobody else is expected to write this name at this moment.
            Err(_) => std::fs::rename(&self.path, file).with_context(cannot)?,
            Ok(()) => {}
        }
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).with_context(cannot)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        // SQLite's own, where it was cut off.
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-journal");
        let _ = std::fs::remove_file(PathBuf::from(journal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_removed_unless_it_becomes_the_file_and_overwrites_nothing() {
        let place = tempfile::tempdir().unwrap();
        let left = || std::fs::read_dir(place.path()).unwrap().count();
        let file = place.path().join("copy.db");
        drop(Part::beside(&file).unwrap());
        assert_eq!(left(), 0);
        Part::beside(&file).unwrap().become_file(&file).unwrap();
        assert_eq!(left(), 1);
        std::fs::write(&file, "mine").unwrap();
        assert!(Part::beside(&file).unwrap().become_file(&file).is_err());
        assert_eq!((left(), std::fs::read_to_string(&file).unwrap().as_str()), (1, "mine"));
    }
}
