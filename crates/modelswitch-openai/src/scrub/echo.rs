//! Pieces of what the user wrote in a service's sentence: cut, in other case, wrapped or escaped.
//!
//! Both are looked at as their letters and digits alone, so white space, case, punctuation and the escapes of JSON make no
//! difference.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::SHORTEST_PROMPT;

/// A piece that is shorter may well be the service's own words. In bytes: eight letters of Chinese say as much as two dozen
/// of Latin.
const SHORTEST_PIECE: usize = 24;

/// The letters and digits of a text, in lower case.
pub(super) fn letters(text: &str) -> Vec<u8> {
    let mut letters = Vec::with_capacity(text.len());
    each_letter(text, |letter, _| push(letter, &mut letters));
    letters
}

/// The sentence with `[…]` for each piece that the user wrote. A text that is shorter than a piece counts as a whole.
/// `prompts` are the [`letters`] of the texts; the work grows with their length.
pub(super) fn without_pieces(sentence: &str, prompts: &[Vec<u8>]) -> String {
    let (mut said, mut places) = (Vec::new(), Vec::new());
    each_letter(sentence, |letter, place| {
        push(letter, &mut said);
        places.resize(said.len(), place);
    });
    let mut struck = vec![false; said.len()];
    let mut strike = |from: usize, length: usize| {
        struck.iter_mut().skip(from).take(length).for_each(|struck| *struck = true);
    };
    for prompt in prompts.iter().filter(|prompt| (SHORTEST_PROMPT..SHORTEST_PIECE).contains(&prompt.len())) {
        memmem::find_iter(&said, prompt).for_each(|from| strike(from, prompt.len()));
    }
    for from in pieces(&said, prompts) {
        strike(from, SHORTEST_PIECE);
    }
    blank(sentence, places.into_iter().zip(struck))
}

/// Where the sentence has a piece of the shortest length that stands in what was written. A longer one is many that overlap.
fn pieces(said: &[u8], prompts: &[Vec<u8>]) -> Vec<usize> {
    let mut open: HashMap<&[u8], Vec<usize>> = HashMap::new();
    // Of a long prompt most is told apart by four letters, without looking at two dozen.
    let mut beginnings = vec![false; 1 << 16];
    for (from, piece) in said.windows(SHORTEST_PIECE).enumerate() {
        open.entry(piece).or_default().push(from);
        beginnings.get_mut(beginning(piece)).into_iter().for_each(|known| *known = true);
    }
    let mut found = Vec::new();
    for piece in prompts.iter().flat_map(|prompt| prompt.windows(SHORTEST_PIECE)) {
        if open.is_empty() {
            break;
        }
        if beginnings.get(beginning(piece)) == Some(&true) {
            // Each is found once: a prompt of nothing but repetitions costs no more than another.
            found.extend(open.remove(piece).into_iter().flatten());
        }
    }
    found
}

/// A number below 2¹⁶ for the first four letters.
fn beginning(piece: &[u8]) -> usize {
    let four = piece.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
    usize::try_from(four.wrapping_mul(0x9E37_79B1) >> 16).unwrap_or_default()
}

/// `letters` are those of the sentence: where each stands, and whether it is struck.
fn blank(sentence: &str, letters: impl Iterator<Item = (Range<usize>, bool)>) -> String {
    let (mut shown, mut done, mut goes_on) = (String::with_capacity(sentence.len()), 0, false);
    for (place, is_struck) in letters {
        if is_struck && !goes_on {
            shown.push_str(sentence.get(done..place.start).unwrap_or_default());
            shown.push_str("[…]");
        }
        if is_struck {
            done = place.end;
        }
        goes_on = is_struck;
    }
    shown.push_str(sentence.get(done..).unwrap_or_default());
    shown
}

/// Tells each letter and digit of a text, in lower case, with its place.
fn each_letter(text: &str, mut tell: impl FnMut(char, Range<usize>)) {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (meant, end) = match found {
            '\\' => unescaped(text, at),
            other => (Some(other), at + other.len_utf8()),
        };
        let meant = meant.filter(|found| found.is_alphanumeric());
        meant.into_iter().flat_map(char::to_lowercase).for_each(|letter| tell(letter, at..end));
        at = end;
    }
}

/// What an escape means that begins here, and where it ends. JSON in JSON escapes the backslashes, too.
fn unescaped(text: &str, at: usize) -> (Option<char>, usize) {
    let rest = text.get(at..).unwrap_or_default().trim_start_matches('\\');
    let from = text.len() - rest.len();
    if rest.starts_with(['n', 'r', 't', 'b', 'f']) {
        return (None, from + 1);
    }
    let digits = rest.strip_prefix('u').and_then(|rest| rest.get(..4));
    match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(code) => (char::from_u32(code), from + "u0000".len()),
        None => (None, from),
    }
}

fn push(letter: char, letters: &mut Vec<u8>) {
    letters.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(prompts: &[&str], sentence: &str) -> String {
        without_pieces(sentence, &prompts.iter().map(|prompt| letters(prompt)).collect::<Vec<_>>())
    }

    const PLAN: &str = "My very secret plan number one is to buy all the tulips in Amsterdam.\n\
        Then I sell \"them\" again, at ten times the price — über Nacht.";

    #[test]
    fn a_piece_of_what_the_user_wrote_is_struck_however_it_is_repeated() {
        for (said, wanted) in [
            (
                "Invalid prompt: My very secret plan number one is to buy all the tulips in A...",
                "Invalid prompt: […]...",
            ),
            ("bad: …number one is to buy all the tu… (cut)", "bad: …[…]… (cut)"),
            ("BAD: MY VERY SECRET PLAN NUMBER ONE IS TO BUY ALL", "BAD: […]"),
            ("bad: My very secret\n> plan number one is to buy\n> all", "bad: […]"),
            (r"bad: My\u0020very\u0020secret\u0020plan\u0020number\u0020one", "bad: […]"),
            (r"bad: tulips in Amsterdam.\nThen I sell \u0022them\u0022 again, at", "bad: […]"),
            (r#"bad: tulips in Amsterdam.\\nThen I sell \\\"them\\\" again, at"#, "bad: […]"),
            ("bad: at ten times the price - \\u00fcber Nacht!", "bad: […]!"),
            ("bad: AT TEN TIMES THE PRICE - ÜBER NACHT!", "bad: […]!"),
            (
                "one: My very secret plan number one; two: I sell them again, at ten times",
                "one: […]; two: […]",
            ),
        ] {
            assert_eq!(shown(&["x", PLAN], said), wanted);
        }
    }

    #[test]
    fn a_short_text_is_struck_as_a_whole_and_a_few_letters_never() {
        assert_eq!(shown(&["A secret plan", "hi"], "you said: a SECRET  plan, hi"), "you said: […], hi");
        assert_eq!(shown(&["A secret plan"], "you said: a secret pla"), "you said: a secret pla");
    }

    #[test]
    fn eight_letters_of_chinese_are_a_piece() {
        assert_eq!(
            shown(&["我的秘密计划是把阿姆斯特丹的郁金香全部买下来"], "错误: 计划是把阿姆斯特丹的郁…"),
            "错误: […]…"
        );
        assert_eq!(shown(&["模型不存在怎么办,请告诉我应该如何处理"], "模型不存在"), "模型不存在");
    }

    #[test]
    fn a_services_own_words_stay_although_the_user_knows_some_of_them() {
        let prompt = "I got: rate limit reached. What is a maximum context length, and why is the model not found? \
            My account has Insufficient Balance, says https://api.example.com/v1.";
        for said in [
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
            "Rate limit reached for gpt-oss in organization org-1: limit 8000, used 7990.",
            "Insufficient Balance",
            "The model `x` is not found.",
            "Incorrect API key provided. You can find your key at https://platform.example.com/account.",
            "[{'type': 'string_type', 'loc': ('body', 'messages', 0, 'content')}]",
            r"C:\nowhere\new isn't there",
            "",
        ] {
            assert_eq!(shown(&[prompt], said), said);
        }
    }

    #[test]
    fn a_long_prompt_that_repeats_itself_is_looked_at_once() {
        let long = "abc ".repeat(100_000);
        assert_eq!(shown(&[&long], &format!("no: {}", "abc".repeat(600))), "no: […]");
    }
}
