//! How secrets lie in the database, in words: for `check` and `serve`.

use crate::config::{Config, Database};
use crate::store::seal_file;

/// What seals them, and what to do about it.
pub(super) fn how_secrets_rest(config: &Config) -> String {
    match &config.database {
        _ if !config.secrets_keys.is_empty() => {
            "sealed in the database, with the key that the environment names".into()
        }
        Database::Sqlite(path) => {
            let file = seal_file(path);
            let made = if file.exists() { "the key in" } else { "a key that the first start makes (mode 0600) in" };
            let shown = file.display();
            format!("sealed in the database, with {made} {shown}: keep a copy of it, and not where the database's are")
        }
        Database::Postgres(_) => {
            "NOT sealed: whoever reads the database can sign in your name, and the keys of clients that relay are \
             forgotten. Set CALLBOARD_SECRETS_KEY, the same at every instance (`openssl rand -base64 32` makes one)"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Registries};

    #[test]
    fn it_is_said_what_seals_secrets_and_where_nothing_does() {
        let place = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite:{}", place.path().join("callboard.db").display());
        let said = |url: &str, key: &str| {
            let text = format!("[database]\nurl = '{url}'");
            let env = Env::from_iter([("CALLBOARD_SECRETS_KEY", key)]);
            how_secrets_rest(&Config::read(&text, None, &env, Registries::built_in()).unwrap())
        };
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert!(said(&sqlite, "").contains("that the first start makes"));
        std::fs::write(place.path().join("callboard.secrets"), key).unwrap();
        assert!(said(&sqlite, "").contains("the key in"));
        assert!(said("postgres://a@b/c", "").contains("NOT sealed"));
        for url in [sqlite.as_str(), "postgres://a@b/c"] {
            assert!(said(url, key).contains("the environment names"));
        }
    }
}
