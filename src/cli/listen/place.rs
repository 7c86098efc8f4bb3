//! How far a listener has come, kept in a file of the user's own, so that a restart goes on there.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::console;
use crate::cli::profile::home;
use crate::config::Env;

/// The longest name (`config::value::name`).
const NAME_MAX: usize = 63;

/// The place of one listener at one service.
pub(super) struct Place {
    /// `None` where the user has no home, or the file cannot be written.
    path: Option<PathBuf>,
    kept: Kept,
}

/// What is in the file.
#[derive(Serialize, Deserialize, Default)]
struct Kept {
    /// The service: another one has other events.
    url: String,
    last_event_id: Option<String>,
}

impl Place {
    /// What is kept of the listener `name` at the service at `url`.
    pub(super) fn open(env: &Env, profile: Option<&str>, name: &str, url: &str) -> Self {
        let file = format!("callboard/listen-{}-{name}", fit(profile.unwrap_or("none")));
        let path = home(env, "XDG_STATE_HOME", ".local/state").map(|home| home.join(file));
        let kept = path.as_ref().and_then(|path| std::fs::read(path).ok());
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()).filter(|kept| kept.url == url);
        Self { path, kept: kept.unwrap_or_else(|| Kept { url: url.to_owned(), last_event_id: None }) }
    }

    /// The event behind which it goes on.
    pub(super) fn last(&self) -> Option<&str> {
        self.kept.last_event_id.as_deref()
    }

    /// This event is done.
    pub(super) fn keep(&mut self, event_id: &str) {
        if self.last() == Some(event_id) {
            return;
        }
        self.kept.last_event_id = Some(event_id.to_owned());
        if let Err(error) = self.write() {
            let path = self.path.take().unwrap_or_default();
            console::complain(&format!("{}: it cannot be written ({error}); a restart begins anew", path.display()));
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let new = path.with_file_name(format!("{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&self.kept)?)?;
        // Whoever is killed here leaves the old place, from which a few events come twice.
        std::fs::rename(new, path)
    }
}

/// The name of a listener that gives itself none: its user's and its machine's.
pub(super) fn name_of(env: &Env) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().split('.').next().unwrap_or_default();
    let user = env.get("USER").or_else(|| env.get("LOGNAME")).unwrap_or("somebody");
    fit(&format!("{user}-{host}"))
}

/// A text as a name: lower case, with hyphens for what names do not have.
fn fit(text: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let text: String = text.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(NAME_MAX).collect();
    let text = text.trim_start_matches(['-', '_']).trim_end_matches('-');
    if text.is_empty() { "somebody".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_for_its_service_and_its_listener() {
        let state = tempfile::tempdir().unwrap();
        let env: Env = [("XDG_STATE_HOME", state.path().to_str().unwrap())].into_iter().collect();
        let open = |name: &str, url: &str| Place::open(&env, Some("work"), name, url);
        assert_eq!(open("ada", "http://a").last(), None);
        open("ada", "http://a").keep("evt_1");
        open("ada", "http://a").keep("evt_2");
        assert_eq!(open("ada", "http://a").last(), Some("evt_2"));
        assert_eq!(open("bob", "http://a").last(), None);
        assert_eq!(open("ada", "http://b").last(), None);
        assert!(state.path().join("callboard/listen-work-ada").is_file());
    }

    #[test]
    fn a_place_that_cannot_be_kept_stops_nothing() {
        let env: Env = [("XDG_STATE_HOME", "/proc/nowhere")].into_iter().collect();
        let mut place = Place::open(&env, None, "ada", "http://a");
        place.keep("evt_1");
        place.keep("evt_2");
        assert_eq!(place.last(), Some("evt_2"));
    }

    #[test]
    fn whatever_a_machine_is_called_its_name_is_one() {
        for (text, name) in
            [("Ada-Laptop", "ada-laptop"), ("-Ärger!-", "rger"), ("", "somebody"), (&"x".repeat(90), &"x".repeat(63))]
        {
            assert_eq!(fit(text), name);
            assert!(crate::config::value::name(&fit(text)).is_ok(), "{text}");
        }
    }
}
