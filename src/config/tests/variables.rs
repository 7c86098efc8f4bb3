//! What the environment overrides.

use super::*;

#[test]
fn variables_override_single_values() {
    let env = [
        ("CALLBOARD_SERVER__LISTEN", "0.0.0.0:1"),
        ("CALLBOARD_SERVER__MAX_BODY", "4096"),
        ("CALLBOARD_SERVER__ADMIN_KEY", "${not-filled-in-here}"),
        ("CALLBOARD_DATABASE__URL", "sqlite:other.db"),
        ("CALLBOARD_SOURCES__MY_EVO__RATE", "3/m"),
        ("CALLBOARD_SOURCES__MY_EVO__CALLBACK_TOKEN", "0123456789abcdef"),
        ("CALLBOARD_EMAIL__SMTP", "smtp://h"),
        ("CALLBOARD_EMAIL__FROM", "a@b.c"),
        ("CALLBOARD_DELIVERY__TIMEOUT", "9s"),
        ("CALLBOARD_KEY", "not a setting"),
    ];
    let text =
        "[server]\nlisten = 'overridden, so not looked at'\n[sources.my-evo]\nprovider = 'evolink'\nrate = '1/s'";
    let config = read_with(text, &env).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((config.server.listen.to_string(), config.server.max_body), ("0.0.0.0:1".to_owned(), 4096));
    assert_eq!(config.server.admin_key.as_ref().map(Secret::expose), Some("${not-filled-in-here}"));
    assert!(matches!(&config.database, Database::Sqlite(file) if file == Path::new("other.db")));
    assert_eq!(config.sources[0].rate, Some(Rate { count: 3, per: seconds(60) }));
    assert_eq!(config.sources[0].callback_tokens.len(), 1);
    assert_eq!(config.email.map(|email| email.from), Some("a@b.c".to_owned()));
    assert_eq!(config.delivery.timeout, seconds(9));
    // Of the sources that are there by default too.
    let config = read_with("", &[("CALLBOARD_SOURCES__EVOLINK__RATE", "3/m")]).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!((config.sources.len(), config.sources[0].rate.is_some()), (3, true));
}

#[test]
fn a_wrong_variable_is_named_with_the_nearest() {
    for (variable, value, wanted) in [
        (
            "CALLBOARD_SERVER__LISTN",
            "x",
            "CALLBOARD_SERVER__LISTN: unknown key; did you mean `CALLBOARD_SERVER__LISTEN`?",
        ),
        ("CALLBOARD_SEVER__LISTEN", "x", "no section `sever`; did you mean `CALLBOARD_SERVER__…`?"),
        (
            "CALLBOARD_SOURCES__EVOLINC__RATE",
            "x",
            "no source is written `EVOLINC` in a variable; did you mean `EVOLINK`?",
        ),
        (
            "CALLBOARD_SOURCES__EVOLINK__RAT",
            "x",
            "CALLBOARD_SOURCES__EVOLINK__RAT: unknown key; did you mean `CALLBOARD_SOURCES__EVOLINK__RATE`?",
        ),
        ("CALLBOARD_SOURCES__EVOLINK", "x", "it names no key of a source"),
        ("CALLBOARD_SOURCES__EVOLINK__API_KEY", "", "it is empty"),
        ("CALLBOARD_SOURCES__EVOLINK__API_KEY", "hush hush", "it has a space"),
        (
            "CALLBOARD_SOURCES__HOMELESS__API_KEY",
            "hush",
            "`base_url` is missing beside it, and no document names the host of `homeless`; set \
             CALLBOARD_SOURCES__HOMELESS__BASE_URL=https://…",
        ),
        ("CALLBOARD_SOURCES__EVOLINK__CONFIRM", "always", "there is no `api_key` to ask with"),
        ("CALLBOARD_SOURCES__EVOLINK__POLL", "5m", "a table cannot be set by a variable"),
        ("CALLBOARD_SOURCES__EVOLINK__POLL__EVERY", "99ms", "it must be at least 100ms"),
        ("CALLBOARD_SOURCES__EVOLINK__POLL__DISCOVER", "yes", "write true or false"),
        (
            "CALLBOARD_SOURCES__EVOLINK__POLL__EVRY",
            "1m",
            "unknown key; did you mean `CALLBOARD_SOURCES__EVOLINK__POLL__EVERY`?",
        ),
        (
            "CALLBOARD_SOURCES__EVOLINK__POL__EVERY",
            "1m",
            "unknown key; did you mean `CALLBOARD_SOURCES__EVOLINK__POLL__…`?",
        ),
        ("CALLBOARD_SOURCES__EVOLINC__POLL__EVERY", "1m", "no source is written `EVOLINC` in a variable; did you mean"),
        ("CALLBOARD_SOURCES__EVOLINK__PROVIDER__X", "x", "`provider` is no table, so that it has no keys"),
        ("CALLBOARD_SERVER__LISTEN", "x", "CALLBOARD_SERVER__LISTEN: `x` is not an address"),
        ("CALLBOARD_SERVER__ADMIN_KEY", "hush", "CALLBOARD_SERVER__ADMIN_KEY: write at least 16"),
        ("CALLBOARD_SERVER__TLS", "x", "a table cannot be set by a variable"),
        ("CALLBOARD_SERVER__TRUSTED_PROXIES", "10.0.0.0/8", "a list cannot be set by a variable"),
        ("CALLBOARD_DELIVERY__RETRY", "5s", "a list cannot be set by a variable"),
        ("CALLBOARD_SOURCES__EVOLINK__TEAMS", "ads", "a list cannot be set by a variable"),
        ("CALLBOARD_DESTINATIONS__A__URL", "x", "`destinations` are not set by variables; write ${NAME} in the file"),
        ("CALLBOARD_SERVER__", "x", "unknown key"),
    ] {
        let found = mistake_with("", &[(variable, value)]);
        assert!(found.starts_with(variable) && found.contains(wanted), "{found}");
        assert!(!found.contains("hush"), "{found}");
    }
}

#[test]
fn variables_reach_into_a_table_of_a_source() {
    let env = [
        ("CALLBOARD_SOURCES__A__API_KEY", "hush"),
        ("CALLBOARD_SOURCES__A__CONFIRM", "always"),
        ("CALLBOARD_SOURCES__A__POLL__EVERY", "2s"),
        ("CALLBOARD_SOURCES__A__POLL__DISCOVER", "true"),
        ("CALLBOARD_SOURCES__A__B__POLL__AFTER", "3s"),
        ("CALLBOARD_SOURCES__A__B__RATE", "3/m"),
        ("CALLBOARD_SERVER__TLS__CERT", "Cargo.toml"),
        ("CALLBOARD_SERVER__TLS__KEY", "Cargo.toml"),
    ];
    let text = "[sources.a]\nprovider = 'evolink'\npoll = { every = '9s', after = '8s' }\n\
        [sources.a__b]\nprovider = 'evolink'";
    let config = read_with(text, &env).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let [a, b] = config.sources.as_slice() else { panic!("{:?}", config.sources) };
    assert_eq!(a.api_key.as_ref().map(Secret::expose), Some("hush"));
    assert_eq!((a.poll.every, a.poll.after, a.poll.discover), (seconds(2), seconds(8), true));
    assert_eq!((b.poll.after, b.rate.is_some(), b.api_key.is_some()), (seconds(3), true, false));
    assert_eq!(config.server.tls.map(|tls| tls.cert), Some("Cargo.toml".into()));
}
