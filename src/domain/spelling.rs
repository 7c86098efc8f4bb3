//! The nearest valid spelling of a word that is none, for every message that says "did you mean".

/// The candidate that `word` most likely was meant to be. `None` where none is near: more than a third
/// of the letters (at least one) would have to change. Case is let be.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The sentence's end that helps on: the nearest of `candidates`, else all of them.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    if all.is_empty() { "there is none".to_owned() } else { format!("it can be {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_and_the_far_is_not() {
        let keys = ["provider", "callback_token", "rate"];
        assert_eq!(nearest("provder", keys), Some("provider"));
        assert_eq!(nearest("PROVIDER", keys), Some("provider"));
        assert_eq!(nearest("callbak_tokens", keys), Some("callback_token"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_suggestion_names_one_or_all() {
        assert_eq!(suggestion("rat", ["rate", "teams"]), "did you mean `rate`?");
        assert_eq!(suggestion("colour", ["rate", "teams"]), "it can be `rate`, `teams`");
        assert_eq!(suggestion("colour", []), "there is none");
    }
}
