//! Words that people mistype.

/// The known word most like `text`, if one is like it at all.
pub fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), *word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        assert_eq!(nearest("timout", &["timeout", "url"]), Some("timeout"));
        assert_eq!(nearest("banana", &["timeout", "url"]), None);
    }
}
