//! `default.toml` against the code.

use super::*;

/// The reference with its examples switched on.
fn reference_with_examples() -> String {
    let example = |line: &'static str| {
        let code = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
        code.unwrap_or(line)
    };
    REFERENCE.lines().map(example).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_says_the_defaults_and_its_examples_hold() {
    let mut defaults = read("");
    let mut reference = read(REFERENCE);
    for config in [&mut defaults, &mut reference] {
        config.lines.clear();
    }
    assert_eq!(format!("{reference:?}"), format!("{defaults:?}"));

    let examples = reference_with_examples().replace("cert.pem", "Cargo.toml").replace("key.pem", "Cargo.toml");
    let env = [
        ("CALLBOARD_ADMIN_KEY", "0123456789abcdef"),
        ("EVOLINK_CALLBACK_TOKEN", "0123456789abcdef"),
        ("EVOLINK_API_KEY", "key"),
        ("REPLICATE_SIGNING_SECRET", "whsec_a"),
        ("REPLICATE_OLD_SIGNING_SECRET", "whsec_b"),
        ("SLACK_ADS_URL", "https://slack.example"),
        ("BACKEND_WEBHOOK_SECRET", "whsec_c"),
        ("SMTP_PASSWORD", "pw"),
    ];
    let config = read_with(&examples, &env).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((config.sources.len(), config.destinations.len(), config.subscriptions.len()), (2, 3, 1));
    assert!(config.email.is_some() && config.server.tls.is_some());
}

/// Each section is asked for its keys by an unknown one, so that no key can be left out of the reference.
#[test]
fn the_reference_has_every_key() {
    let examples = reference_with_examples();
    let probe = "\"?\" = 1\n";
    let text = format!(
        "{probe}[server]\n{probe}[server.tls]\n{probe}[database]\n{probe}[sources.a]\n{probe}provider='evolink'\n\
         [sources.a.poll]\n{probe}[destinations.a]\n{probe}channel='webhook'\n[[subscriptions]]\n{probe}[email]\n{probe}[delivery]\n{probe}\
         [egress]\n{probe}[retention]\n{probe}"
    );
    let mistakes = read_with(&text, &[]).map(|_| ()).expect_err("unknown keys");
    let hints: Vec<&str> =
        mistakes.lines().filter_map(|line| line.split_once("unknown key; it can be ")).map(|(_, keys)| keys).collect();
    assert_eq!(hints.len(), 12, "{mistakes}");
    let keys: Vec<&str> = hints.iter().flat_map(|hint| hint.split(", ")).map(|key| key.trim_matches('`')).collect();
    assert!(keys.len() > 50, "{keys:?}");
    for key in keys {
        let written = [format!("\n{key} = "), format!("[{key}"), format!("{{ {key} = "), format!(", {key} = ")];
        assert!(written.iter().any(|form| examples.contains(form)), "`{key}` is not in default.toml");
    }
}
