//! Simulated tokens and small things about text.

/// The longest token in characters.
const LONGEST: usize = 8;

/// Cuts a text into tokens: words with the blank before them, long ones in parts.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut length = LONGEST;
    let mut in_blank = false;
    for letter in text.chars() {
        let blank = letter.is_whitespace();
        let starts = length >= LONGEST || (blank && !in_blank);
        match out.last_mut() {
            Some(token) if !starts => token.push(letter),
            _ => {
                out.push(letter.to_string());
                length = 0;
            }
        }
        length += 1;
        in_blank = blank;
    }
    out
}

/// What a prompt's text counts: about four characters a token.
pub(crate) fn prompt_tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

/// The first 200 characters, with an ellipsis if there were more.
pub(crate) fn shortened(text: &str) -> String {
    let mut letters = text.trim().chars();
    let mut short: String = letters.by_ref().take(200).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_put_together_are_the_text() {
        let text = "  A  simulated antidisestablishmentarianism,\nfür 東京都千代田区丸の内 alle. ";
        assert_eq!(tokens(text).concat(), text);
        assert!(tokens(text).iter().all(|token| token.chars().count() <= LONGEST));
        assert!(tokens("").is_empty());
    }

    #[test]
    fn a_shortened_text_says_so() {
        assert_eq!(shortened(" short "), "short");
        assert_eq!(shortened(&"é".repeat(300)).chars().count(), 201);
    }
}
