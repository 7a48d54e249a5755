use modelswitch_openai::fuzz;

use crate::input::{Input, texts};

/// Tags as profiles name them, and letters that begin alike. A tag that begins with the other one is none: which of the two it is
/// isn't known before more has come.
const TAGS: [(&str, &str); 4] =
    [("<think>", "</think>"), ("◁think▷", "◁/think▷"), ("aa", "ab"), ("[THINK]", "[/THINK]")];

/// A text is told apart the same way however it is split, and nothing of it is made up.
pub fn thought(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (Some(tags), seed) = (input.one_of(&TAGS), input.byte()) else { return };
    let text = String::from_utf8_lossy(input.rest());
    let whole = fuzz::thought(tags, &[&text]);
    assert_eq!(fuzz::thought(tags, &texts(&text, 1)), whole, "letter by letter");
    assert_eq!(fuzz::thought(tags, &texts(&text, seed)), whole, "with the seed {seed}");
    for split in (0..text.len().min(64)).filter(|split| text.is_char_boundary(*split)) {
        let (one, two) = text.split_at(split);
        assert_eq!(fuzz::thought(tags, &[one, two]), whole, "split at {split}");
    }
    assert!(whole.0.len() + whole.1.len() <= text.len(), "more came out than went in");
    if !text.contains(tags.0) {
        assert_eq!(whole, (String::new(), text.into_owned()), "without a tag all is the answer");
    }
}
