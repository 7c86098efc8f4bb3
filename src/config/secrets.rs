//! `$CALLBOARD_SECRETS_KEY` and `$CALLBOARD_SECRETS_KEY_FILE`: variables and not settings, so that the key stands in
//! no file beside what it opens.

use super::{Env, Mistake};
use crate::domain::seal::SealKey;

const VARIABLE: &str = "CALLBOARD_SECRETS_KEY";
const FILE_VARIABLE: &str = "CALLBOARD_SECRETS_KEY_FILE";

/// The keys, separated by commas or line ends while one is changed: the first seals.
pub(super) fn keys(env: &Env) -> Result<Vec<SealKey>, Mistake> {
    let given = |name| env.get(name).filter(|text| !text.trim().is_empty());
    match (given(VARIABLE), given(FILE_VARIABLE)) {
        (None, None) => Ok(Vec::new()),
        (Some(text), None) => parse(text, VARIABLE),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(wrong(FILE_VARIABLE, format!("the file {path} is empty"))),
            Ok(text) => parse(&text, FILE_VARIABLE),
            Err(error) => Err(wrong(FILE_VARIABLE, format!("the file {path} cannot be read: {error}"))),
        },
        (Some(_), Some(_)) => {
            let suggestion = Some("set one of them".to_owned());
            Err(Mistake { suggestion, ..wrong(FILE_VARIABLE, format!("{VARIABLE} is set as well")) })
        }
    }
}

fn parse(text: &str, variable: &str) -> Result<Vec<SealKey>, Mistake> {
    let texts = text.split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
    let keys: Option<Vec<SealKey>> = texts.map(SealKey::parse).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| wrong(variable, "a key must be 32 bytes in base64".to_owned()))
}

fn wrong(variable: &str, problem: String) -> Mistake {
    let suggestion = Some("make one with `openssl rand -base64 32`".to_owned());
    Mistake { file: None, line: None, place: variable.to_owned(), problem, suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn keys_are_read_and_a_wrong_one_is_not_shown() {
        let read = |value: &str| keys(&Env::from_iter([(VARIABLE, value)]));
        assert_eq!(read("").unwrap().len(), 0);
        assert_eq!(keys(&Env::default()).unwrap().len(), 0);
        assert_eq!(read(&format!("{KEY}, {KEY}")).unwrap().len(), 2);
        let mistake = read(&format!("{KEY},secret")).unwrap_err().to_string();
        assert!(
            mistake.contains(VARIABLE) && mistake.contains("32 bytes") && !mistake.contains("secret,"),
            "{mistake}"
        );
    }

    #[test]
    fn keys_may_be_in_a_file() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("keys");
        let path = file.to_str().unwrap();
        let read = || keys(&Env::from_iter([(FILE_VARIABLE, path)]));
        assert!(read().unwrap_err().to_string().contains("cannot be read"));
        for (text, many) in [(KEY.to_owned(), 1), (format!("{KEY}\n{KEY}\n"), 2)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read().unwrap().len(), many);
        }
        for text in ["", "\n", "secret"] {
            std::fs::write(&file, text).unwrap();
            let mistake = read().unwrap_err().to_string();
            assert!(mistake.contains(FILE_VARIABLE) && !mistake.contains("secret"), "{mistake}");
        }
        let both = keys(&Env::from_iter([(VARIABLE, KEY), (FILE_VARIABLE, path)]));
        assert!(both.unwrap_err().to_string().contains("set one of them"));
    }
}
