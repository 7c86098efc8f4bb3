//! `$CALLBOARD_SECRETS_KEY`: a variable and not a setting, so that it stands in no file beside what it opens.

use super::{Env, Mistake};
use crate::domain::seal::SealKey;

const VARIABLE: &str = "CALLBOARD_SECRETS_KEY";

/// The keys, separated by commas while one is changed: the first seals.
pub(super) fn keys(env: &Env) -> Result<Vec<SealKey>, Mistake> {
    let texts = env.get(VARIABLE).unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.map(SealKey::parse).collect::<Option<_>>().ok_or_else(|| Mistake {
        file: None,
        line: None,
        place: VARIABLE.to_owned(),
        problem: "a key must be 32 bytes in base64".to_owned(),
        suggestion: Some("make one with `openssl rand -base64 32`".to_owned()),
    })
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
}
