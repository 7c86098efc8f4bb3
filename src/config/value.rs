//! How single values are written: durations, sizes, names, networks, tokens, and variables in them.
//! The API reads the same fields with the same functions.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::Env;

/// Ten years: more than that is a slip of the pen.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// Reads a duration: a whole or decimal number with `ms`, `s`, `m`, `h` or `d`; at most ten years.
///
/// # Errors
/// A sentence that says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration: write a number with ms, s, m, h or d, as in \"30s\" or \"1.5h\"");
    let (number, unit) = number_and_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * seconds) {
        // Whole milliseconds are the finest that is kept anywhere; this also rounds 0.1 s to what it says.
        Ok(duration) if duration <= DURATION_MAX => {
            Ok(Duration::from_millis(u64::try_from((duration.as_micros() + 500) / 1000).unwrap_or(u64::MAX)))
        }
        _ => Err(format!("`{text}` is too long: at most 3650d are allowed")),
    }
}

/// Writes a duration as [`duration`] reads it, in the largest unit that gives a whole number.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    let (unit, word) = unit.unwrap_or((1, "ms"));
    format!("{}{word}", millis / unit)
}

/// Reads a duration as [`duration`] does, which may not be zero.
///
/// # Errors
/// A sentence that says what is expected.
pub fn positive(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("it must be more than zero".to_owned()) } else { Ok(duration) }
}

/// Reads where a provider's API is: an http or https URL, given without a slash at its end.
///
/// # Errors
/// A sentence that says what is expected, without a password.
pub fn base_url(text: &str) -> Result<String, String> {
    let no_user = "it has a user or a password in it: leave them out, the key goes into `api_key`";
    url_to_extend(text, "https://api.example.com", no_user)
}

/// A URL without a slash at its end, so that a path can be put behind it. `no_user` says why there may be no
/// user in it.
pub(super) fn url_to_extend(text: &str, example: &str, no_user: &str) -> Result<String, String> {
    // What has a user in it may have a password in it, and a query a key.
    let shown = if text.contains(['@', '?']) { "it".to_owned() } else { format!("`{text}`") };
    let wrong = |why: &str| format!("{shown} {why}: write it as in \"{example}\"");
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(wrong("is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(no_user.to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment, and a path is put behind it"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Reads a size in bytes: a whole number, alone or with `B`, `KB`, `MB` (thousands), `KiB` or `MiB` (1,024s).
///
/// # Errors
/// A sentence that says what is expected.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write a number with B, KB, MB, KiB or MiB, as in \"1MiB\"");
    let (number, unit) = number_and_unit(text);
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "KB" => 1000,
        "MB" => 1_000_000,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).ok_or_else(wrong)
}

/// `1.5h` as `1.5` and `h`; one space may stand between.
fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.strip_prefix(' ').unwrap_or(unit))
}

/// The longest name: one label of a host name, so that a name can become one.
const NAME_MAX: usize = 63;

/// Checks the name of a source, destination or team. Names are parts of URLs.
///
/// # Errors
/// A sentence that says what is expected.
pub fn name(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if first && rest && text.len() <= NAME_MAX {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is not a name: write 1 to {NAME_MAX} of a-z, 0-9, `-` and `_`, beginning with a letter or digit"
    ))
}

/// Reads an address range (`10.0.0.0/8`) or one address.
///
/// # Errors
/// A sentence that says what is expected.
pub fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(one).ok_or_else(|| {
        format!("`{text}` is not an address range: write one as in \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\"")
    })
}

/// The shortest callback token or key that cannot be guessed.
pub const SECRET_MIN: usize = 16;
/// The longest callback token: URLs beyond 2,000 characters are cut by some providers.
const TOKEN_MAX: usize = 256;

/// Checks a callback token. It is part of a URL.
///
/// # Errors
/// A sentence that says what is expected, without the token.
pub fn callback_token(text: &str) -> Result<String, String> {
    let url_safe = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if url_safe && (SECRET_MIN..=TOKEN_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "it is part of a URL and must not be guessed: write {SECRET_MIN} to {TOKEN_MAX} of A-Z, a-z, 0-9, `-` and `_`"
    ))
}

/// Fills `${VAR}` and `${VAR:-default}` from the environment; the default stands in for a variable that
/// is not set or empty. `$${` is a literal `${`.
///
/// # Errors
/// Which variable is missing, or what is not a variable. Never a value.
pub fn fill(text: &str, env: &Env) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err("a `${` is not closed: write ${NAME}, or $${ for the two characters themselves".to_owned());
        };
        filled.push_str(variable(&rest[at + 2..at + end], env)?);
        rest = &rest[at + end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn variable<'a>(inner: &'a str, env: &'a Env) -> Result<&'a str, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err("what stands in `${…}` is not the name of a variable: write ${NAME} or ${NAME:-default}, or $${ \
                    for the two characters themselves"
            .to_owned());
    }
    match (env.get(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default),
        (None, None) => Err(format!("the variable `{name}` is not set: set it, or write ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0ms", "1500ms", "15s", "90s", "5m", "36h", "2d"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        assert_eq!(duration_text(duration("24h").unwrap()), "1d");
    }

    #[test]
    fn durations() {
        for (text, millis) in
            [("250ms", 250), ("15s", 15_000), ("1.5h", 5_400_000), ("0.1s", 100), ("2m", 120_000), ("5 d", 432_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5sec", "5S", "1..5s", ".s", "1e3s", "5s ", "infs", "٣s", "5  s"] {
            assert!(duration(text).is_err_and(|error| error.contains("as in")), "{text}");
        }
        assert!(duration("3651d").is_err_and(|error| error.contains("too long")));
        assert!(duration(&("9".repeat(400) + "d")).is_err_and(|error| error.contains("too long")));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("17B", 17), ("2KB", 2000), ("1 KiB", 1024), ("1MiB", 1_048_576)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1mib", "1.5MiB", "-1", "1GiB", "99999999999999999999", "99999999999999MiB"] {
            assert!(size(text).is_err_and(|error| error.contains("is not a size")), "{text}");
        }
    }

    #[test]
    fn names_and_tokens() {
        for good in ["a", "0", "ads-slack", "a_b", &"x".repeat(63)] {
            assert_eq!(name(good), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "_a", "Ads", "a b", "a/b", "é", "a.b", &"x".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(callback_token("0123456789abcdeF").is_ok());
        for bad in ["", "0123456789abcde", "0123456789abcdef/", "0123456789abcdefé", &"x".repeat(257)] {
            let error = callback_token(bad).expect_err(bad);
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(network("127.0.0.1").map(|net| net.to_string()), Ok("127.0.0.1/32".to_owned()));
        assert_eq!(network("fd00::/8").map(|net| net.to_string()), Ok("fd00::/8".to_owned()));
        assert!(network("10.0.0.0/33").is_err());
        assert!(network("localhost").is_err());
    }

    #[test]
    fn variables_are_filled_in() {
        let env: Env = [("A", "one"), ("EMPTY", ""), ("_b2", "two")].into_iter().collect();
        for (text, filled) in [
            ("plain $A {A}", "plain $A {A}"),
            ("x${A}y${_b2}", "xoneytwo"),
            ("${EMPTY}", ""),
            ("${EMPTY:-d}${NONE:-e f}${NONE:-}${A:-g}", "de fone"),
            ("$${A} $$${A}", "${A} $${A}"),
            ("${NONE:-http://x:-y}", "http://x:-y"),
        ] {
            assert_eq!(fill(text, &env), Ok(filled.to_owned()), "{text}");
        }
        assert!(fill("a ${NONE}", &env).is_err_and(|error| error.contains("`NONE` is not set")));
        for bad in ["${", "${A", "${}", "${1A}", "${A B}", "${A-x}", "${:-x}"] {
            assert!(fill(bad, &env).is_err(), "{bad}");
        }
    }
}
