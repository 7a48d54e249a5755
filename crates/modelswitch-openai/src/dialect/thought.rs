//! Reasoning between tags at the beginning of a text, such as `<think>…</think>`, told from the answer while it streams in.

/// One text. What is said before the first word of the answer is looked at; the rest passes.
#[derive(Debug)]
pub(super) struct Thought {
    open: String,
    close: String,
    place: Place,
    /// Read and not told apart yet: white space, or what may be the beginning of a tag.
    held: String,
    thought: bool,
}

#[derive(Debug)]
enum Place {
    /// Before the first word, or right after a thought.
    Before,
    /// In a thought, so many tags deep; `begun` once something of it was said.
    Inside { depth: u32, begun: bool },
    /// After a thought was closed that had opened another: what comes is a part of it only if it is closed once more. Models
    /// name the tag while they think, and their answer must not be taken for a thought. So much was searched for it.
    Unsure { depth: u32, searched: usize },
    /// In the answer.
    After,
}

/// What of a text is reasoning and what is the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) reasoning: String,
    pub(super) text: String,
}

/// Bytes that are held back at most until a thought is closed once more, or a word comes after white space. What isn't
/// told apart by then is the answer: an app waits for it.
const MOST_HELD: usize = 4096;

impl Thought {
    pub(super) fn new((open, close): &(String, String)) -> Self {
        let place = if open.is_empty() || close.is_empty() { Place::After } else { Place::Before };
        Self { open: open.clone(), close: close.clone(), place, held: String::new(), thought: false }
    }

    /// True when all that comes is the answer.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::After)
    }

    /// Takes in the next piece and gives back what is certain.
    pub(super) fn push(&mut self, piece: &str) -> Told {
        let mut told = Told::default();
        let mut rest = piece;
        // Each tag moves what is held, so a long text is taken in by pieces too.
        while !rest.is_empty() {
            let length = if self.is_over() { rest.len() } else { boundary_within(rest, MOST_HELD) };
            let (now, later) = rest.split_at_checked(length).unwrap_or((rest, ""));
            self.held.push_str(now);
            while self.step(&mut told) {}
            rest = later;
        }
        told
    }

    /// What is left when the text has ended. A thought that was never closed is one.
    pub(super) fn finish(&mut self) -> Told {
        let mut told = Told::default();
        let rest = std::mem::take(&mut self.held);
        match self.place {
            Place::Before if self.thought && rest.trim().is_empty() => {}
            Place::Before | Place::After => told.text = rest,
            Place::Inside { .. } => told.reasoning = rest,
            Place::Unsure { .. } => rest.trim_start().clone_into(&mut told.text),
        }
        self.place = Place::After;
        told
    }

    /// False when nothing more can be told of what is held.
    fn step(&mut self, told: &mut Told) -> bool {
        match self.place {
            Place::Before => self.before(told),
            Place::Inside { depth, begun } => self.inside(depth, begun, told),
            Place::Unsure { depth, searched } => self.unsure(depth, searched, told),
            Place::After => {
                told.text.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }

    fn before(&mut self, told: &mut Told) -> bool {
        if self.thought {
            self.held = self.held.trim_start().to_owned();
        }
        let text = self.held.trim_start();
        if self.held.len() - text.len() >= MOST_HELD {
            return self.begin_answer(told);
        }
        if let Some(rest) = text.strip_prefix(self.open.as_str()) {
            self.held = rest.to_owned();
            self.thought = true;
            self.place = Place::Inside { depth: 1, begun: false };
            return true;
        }
        if self.thought
            && let Some(rest) = text.strip_prefix(self.close.as_str())
        {
            self.held = rest.to_owned();
            return true;
        }
        if self.open.starts_with(text) || (self.thought && self.close.starts_with(text)) {
            return false;
        }
        self.begin_answer(told)
    }

    /// What is held is text. White space between a thought and the answer is part of neither.
    fn begin_answer(&mut self, told: &mut Told) -> bool {
        let held = std::mem::take(&mut self.held);
        let text = held.trim_start();
        let is_trimmed = self.thought && held.len() - text.len() < MOST_HELD;
        told.text.push_str(if is_trimmed { text } else { &held });
        self.place = Place::After;
        false
    }

    fn inside(&mut self, depth: u32, begun: bool, told: &mut Told) -> bool {
        if !begun {
            self.held = self.held.trim_start().to_owned();
        }
        let begun = begun || !self.held.is_empty();
        let Some((at, is_open)) = self.next_tag() else {
            let certain = self.held.len() - self.tail();
            let rest = self.held.split_off(certain);
            told.reasoning.push_str(&std::mem::replace(&mut self.held, rest));
            self.place = Place::Inside { depth, begun };
            return false;
        };
        let tag = if is_open { self.open.len() } else { self.close.len() };
        let rest = self.held.split_off(at + tag);
        let said = std::mem::replace(&mut self.held, rest);
        let is_last = !is_open && depth == 1;
        let kept = if is_last { said.get(..at).unwrap_or_default() } else { &said };
        told.reasoning.push_str(kept);
        self.place = match (is_open, depth) {
            (true, _) => Place::Inside { depth: depth.saturating_add(1), begun },
            (false, 0 | 1) => Place::Before,
            (false, _) => Place::Unsure { depth: depth - 1, searched: 0 },
        };
        if let Place::Unsure { .. } = self.place {
            // The tag may be the last one, and then it is no word of the thought.
            let end = told.reasoning.len() - tag;
            told.reasoning.truncate(end);
        }
        true
    }

    /// Decides by the first bytes alone, so that a text means the same however it is split.
    fn unsure(&mut self, depth: u32, searched: usize, told: &mut Told) -> bool {
        let looked_at = self.held.len().min(MOST_HELD);
        let new = self.held.as_bytes().get(searched..looked_at).unwrap_or_default();
        if memchr::memmem::find(new, self.close.as_bytes()).is_some() {
            told.reasoning.push_str(&self.close);
            self.place = Place::Inside { depth, begun: true };
            return true;
        }
        if looked_at == MOST_HELD {
            return self.begin_answer(told);
        }
        // The tag may have begun.
        let searched = looked_at.saturating_sub(self.close.len());
        self.place = Place::Unsure { depth, searched };
        false
    }

    /// Where the next tag begins, and whether it opens.
    fn next_tag(&self) -> Option<(usize, bool)> {
        let held = self.held.as_bytes();
        let (open, close) = (self.open.as_bytes(), self.close.as_bytes());
        // One way through the text, since there may be many of the one kind before the first of the other.
        memchr::memchr2_iter(*open.first()?, *close.first()?, held).find_map(|at| {
            let rest = held.get(at..)?;
            let closes = rest.starts_with(close);
            (closes || rest.starts_with(open)).then_some((at, !closes))
        })
    }

    /// The length of what may be the beginning of a tag at the end.
    fn tail(&self) -> usize {
        let may_begin = |tag: &str| {
            let lengths = tag.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
            lengths.filter(|at| tag.get(..*at).is_some_and(|start| self.held.ends_with(start))).max()
        };
        may_begin(&self.open).max(may_begin(&self.close)).unwrap_or_default()
    }
}

/// A whole text. Where no thought is known, a closing tag alone ends one too: then the model's template opened it, and nobody
/// sent that tag. In a stream that isn't known before the thought has been handed on as the answer.
pub(super) fn tell(tags: &(String, String), text: &str, is_known: bool) -> Told {
    if !is_known && let Some(told) = closed_alone(tags, text) {
        return told;
    }
    let mut thought = Thought::new(tags);
    let mut told = thought.push(text);
    let rest = thought.finish();
    told.reasoning.push_str(&rest.reasoning);
    told.text.push_str(&rest.text);
    told
}

/// `None` when the text has no closing tag before an opening one. One in quotes is only named.
fn closed_alone((open, close): &(String, String), text: &str) -> Option<Told> {
    if open.is_empty() || close.is_empty() {
        return None;
    }
    let begins = memchr::memmem::find(text.as_bytes(), open.as_bytes()).unwrap_or(text.len());
    let before = text.get(..begins)?;
    let is_named = |at: usize| before.get(..at).is_some_and(|said| said.ends_with(['`', '"', '\'']));
    let at = memchr::memmem::find_iter(before.as_bytes(), close.as_bytes()).find(|at| !is_named(*at))?;
    Some(Told {
        reasoning: text.get(..at)?.trim_start().to_owned(),
        text: text.get(at + close.len()..)?.trim_start().to_owned(),
    })
}

/// The longest beginning of at most so many bytes that ends between two letters.
fn boundary_within(text: &str, most: usize) -> usize {
    let mut ends = (0..=most.min(text.len())).rev();
    ends.find(|end| text.is_char_boundary(*end)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags() -> (String, String) {
        ("<think>".to_owned(), "</think>".to_owned())
    }

    fn told(pieces: &[&str]) -> (String, String) {
        let mut thought = Thought::new(&tags());
        let mut whole = Told::default();
        for piece in pieces {
            let told = thought.push(piece);
            whole.reasoning += &told.reasoning;
            whole.text += &told.text;
        }
        let last = thought.finish();
        (whole.reasoning + &last.reasoning, whole.text + &last.text)
    }

    /// A text, what of it is reasoning, and what is the answer.
    const CASES: &[(&str, &str, &str)] = &[
        ("<think>hm</think>yes", "hm", "yes"),
        ("\n<think>\nhm\n</think>\n\nyes é", "hm\n", "yes é"),
        ("yes", "", "yes"),
        ("  yes", "", "  yes"),
        ("", "", ""),
        ("  ", "", "  "),
        ("yes <think>no</think>", "", "yes <think>no</think>"),
        ("<thin", "", "<thin"),
        ("<thing>", "", "<thing>"),
        ("<think>hm", "hm", ""),
        ("<think>hm</thin", "hm</thin", ""),
        ("<think></think>yes", "", "yes"),
        ("<think>a < b </ c</think>yes", "a < b </ c", "yes"),
        ("<think>a<think>b</think>c</think>yes", "a<think>b</think>c", "yes"),
        ("<think>the tag <think> opens</think>\nyes", "the tag <think> opens", "yes"),
        ("<think>a</think>\n<think>b</think>yes", "ab", "yes"),
        ("<think>a</think></think>yes", "a", "yes"),
        ("<think>a</think>yes </think> <think>", "a", "yes </think> <think>"),
    ];

    #[test]
    fn a_thought_is_told_from_the_answer_wherever_the_text_is_split() {
        for (text, reasoning, answer) in CASES {
            let wanted = ((*reasoning).to_owned(), (*answer).to_owned());
            assert_eq!(told(&[text]), wanted, "{text}");
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (one, two) = text.split_at(at);
                assert_eq!(told(&[one, two]), wanted, "{text} at {at}");
            }
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            assert_eq!(told(&letters), wanted, "{text} letter by letter");
        }
    }

    #[test]
    fn a_closing_tag_alone_ends_the_thought_of_a_whole_text() {
        for (text, reasoning, answer) in [
            ("hm</think>hi", "hm", "hi"),
            ("\nhm\n</think>\n\nhi </think> <think>", "hm\n", "hi </think> <think>"),
            ("</think>hi", "", "hi"),
            ("it ends with `</think>` hm</think>hi", "it ends with `</think>` hm", "hi"),
            ("it ends with `</think>`", "", "it ends with `</think>`"),
            ("{\"tag\":\"</think>\"}", "", "{\"tag\":\"</think>\"}"),
            ("yes <think>no</think>", "", "yes <think>no</think>"),
        ] {
            let told = tell(&tags(), text, false);
            assert_eq!((told.reasoning.as_str(), told.text.as_str()), (reasoning, answer), "{text}");
            assert_eq!(tell(&tags(), text, true).text, text, "the thought is known");
        }
        for (text, reasoning, answer) in CASES.iter().filter(|(text, ..)| text.contains("<think>")) {
            let told = tell(&tags(), text, false);
            assert_eq!((told.reasoning.as_str(), told.text.as_str()), (*reasoning, *answer), "{text}");
        }
    }

    #[test]
    fn a_thought_is_handed_on_while_it_comes() {
        let mut thought = Thought::new(&tags());
        assert_eq!(thought.push("<think>one ").reasoning, "one ");
        assert_eq!(thought.push("two</th").reasoning, "two");
        assert_eq!(thought.push("ird ").reasoning, "</third ");
        assert_eq!(thought.push("</think>yes").text, "yes");
        assert!(thought.is_over());
    }

    #[test]
    fn an_answer_after_a_thought_that_names_its_tag_is_held_back_for_a_bounded_length() {
        let mut thought = Thought::new(&tags());
        assert_eq!(thought.push("<think>the tag <think> opens</think>").reasoning, "the tag <think> opens");
        let mut text = String::new();
        let mut longest_held = 0;
        for _ in 0..20_000 {
            text += &thought.push("word ").text;
            longest_held = longest_held.max(thought.held.len());
        }
        text += &thought.finish().text;
        assert_eq!(text, "word ".repeat(20_000));
        assert!(longest_held <= MOST_HELD, "{longest_held}");
    }

    #[test]
    fn long_texts_mean_the_same_however_they_are_split() {
        let named = "<think>the tag <think> opens</think>";
        let long = "é word ".repeat(1_000);
        let blank = " ".repeat(2 * MOST_HELD);
        for text in [
            format!("{named}{long}</think>{long}"),
            format!("{named}{long}"),
            format!("{named}{}</think>{long}", &blank[..MOST_HELD - 8]),
            format!("{named}{}</think>{long}", &blank[..MOST_HELD - 7]),
            format!("{blank}<think>hm</think>yes"),
            format!("<think>hm</think>{blank}yes"),
            format!("<think>{blank}hm</think>yes"),
            format!("{}{}{long}", "<think>".repeat(3_000), "</think>".repeat(3_000)),
        ] {
            let wanted = told(&[&text]);
            for size in [1, 7, 1_000, MOST_HELD + 1] {
                let letters: Vec<char> = text.chars().collect();
                let pieces: Vec<String> = letters.chunks(size).map(|piece| piece.iter().collect()).collect();
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert!(told(&pieces) == wanted, "by {size}: {}", text.get(..60).unwrap_or_default());
            }
        }
    }

    /// Some seconds where each tag is searched through all that comes after it, or is held and copied; a blink where it isn't.
    #[test]
    fn a_text_of_nothing_but_tags_is_told_apart_in_a_time_that_grows_with_it() {
        let many = 200_000;
        for text in [
            tags().0.repeat(many),
            format!("{}{}", tags().0, "<think></think>".repeat(many)),
            tags().0 + &tags().1.repeat(many),
        ] {
            let whole = told(&[&text]);
            assert!(whole.0.len() + whole.1.len() <= text.len());
        }
        let mut pieces = vec!["<think><think></think>"];
        pieces.resize(many, "x");
        assert_eq!(told(&pieces).1.len(), pieces.len() - 1);
    }

    #[test]
    fn white_space_without_end_is_not_held_without_end() {
        let mut thought = Thought::new(&tags());
        let blank = " ".repeat(1000);
        let said: usize = (0..100).map(|_| thought.push(&blank).text.len()).sum();
        assert!(said > 90_000 && thought.is_over());
        let blank = " ".repeat(MOST_HELD - 1);
        assert_eq!(told(&[&blank, "<think>a</think>b"]), ("a".to_owned(), "b".to_owned()));
        let answer = format!(" {blank}<think>a</think>b");
        assert_eq!(told(&[&answer]), (String::new(), answer.clone()));
        assert_eq!(told(&answer.split_inclusive(' ').collect::<Vec<_>>()), (String::new(), answer));
    }

    proptest! {
        #[test]
        fn any_text_means_the_same_however_it_is_split(
            pieces in proptest::collection::vec(prop_oneof![
                Just("<think>"), Just("</think>"), Just("<th"), Just("ink>"), Just("</"), Just("think>"), Just(" "), Just("\n"), Just("x"), Just("é"),
            ], 0..16),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(told(&pieces), told(&[text.as_str()]));
        }
    }
}
