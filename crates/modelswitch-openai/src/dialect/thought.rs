//! Reasoning between tags at the beginning of a text, such as `<think>…</think>`, told from the answer while it streams in.

/// One text. What is said before the first word of the answer is looked at; the rest passes.
#[derive(Debug)]
pub(super) struct Thought {
    open: String,
    close: String,
    place: Place,
    /// Read and not told apart yet: white space, or what may be the beginning of a tag.
    held: String,
    /// How much of it is known to begin no closing tag.
    looked: usize,
    thought: bool,
}

#[derive(Debug)]
enum Place {
    /// Before the first word, or right after a thought.
    Before,
    /// In a thought, so many tags deep; `begun` once something of it was said.
    Inside { depth: u32, begun: bool },
    /// After a thought was closed that had opened another: what comes is a part of it only if it is closed once more. Models
    /// name the tag while they think, and their answer must not be taken for a thought.
    Unsure { depth: u32 },
    /// In the answer.
    After,
}

/// What of a text is reasoning and what is the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) reasoning: String,
    pub(super) text: String,
}

/// A thought that goes on for so long without being closed once more is one.
const MOST_HELD: usize = 1 << 20;
/// White space that goes on for so long belongs to the answer, whatever comes after it.
const MOST_BLANK: usize = 4 << 10;

impl Thought {
    pub(super) fn new((open, close): &(String, String)) -> Self {
        let place = if open.is_empty() || close.is_empty() { Place::After } else { Place::Before };
        let (open, close) = (open.clone(), close.clone());
        Self { open, close, place, held: String::new(), looked: 0, thought: false }
    }

    /// True when all that comes is the answer.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::After)
    }

    /// Takes in the next piece and gives back what is certain.
    pub(super) fn push(&mut self, piece: &str) -> Told {
        let mut told = Told::default();
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let mut rest = Rest { text: &text, at: 0, looked: self.looked, open: None, close: None };
        while self.step(&mut rest, &mut told) {}
        let at = rest.at;
        text.drain(..at);
        let is_unsure = matches!(self.place, Place::Unsure { .. });
        self.looked = if is_unsure { (text.len() + 1).saturating_sub(self.close.len()) } else { 0 };
        self.held = text;
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

    /// False when nothing more can be told of what is left.
    fn step(&mut self, rest: &mut Rest<'_>, told: &mut Told) -> bool {
        match self.place {
            Place::Before => self.before(rest),
            Place::Inside { depth, begun } => self.inside(depth, begun, rest, told),
            Place::Unsure { depth } => self.unsure(depth, rest, told),
            Place::After => {
                told.text.push_str(rest.take_to(rest.text.len()));
                false
            }
        }
    }

    fn before(&mut self, rest: &mut Rest<'_>) -> bool {
        let word = rest.left().trim_start();
        let blank = rest.left().len() - word.len();
        let is_answer = !self.thought && blank > MOST_BLANK;
        if !is_answer && word.starts_with(&self.open) {
            rest.at += blank + self.open.len();
            self.thought = true;
            self.place = Place::Inside { depth: 1, begun: false };
            return true;
        }
        if self.thought {
            // What stands between thoughts, and between the last one and the answer, is nobody's.
            rest.at += blank;
            if word.starts_with(&self.close) {
                rest.at += self.close.len();
                return true;
            }
        }
        if !is_answer && (self.open.starts_with(word) || (self.thought && self.close.starts_with(word))) {
            return false;
        }
        self.place = Place::After;
        true
    }

    fn inside(&mut self, depth: u32, begun: bool, rest: &mut Rest<'_>, told: &mut Told) -> bool {
        if !begun {
            rest.at += rest.left().len() - rest.left().trim_start().len();
        }
        let begun = begun || !rest.left().is_empty();
        let Some((at, is_open)) = self.next_tag(rest) else {
            let certain = rest.text.len() - self.tail(rest.left());
            told.reasoning.push_str(rest.take_to(certain));
            self.place = Place::Inside { depth, begun };
            return false;
        };
        // A closing tag may be the last one, and then it is no word of the thought.
        told.reasoning.push_str(rest.take_to(if is_open { at + self.open.len() } else { at }));
        if !is_open {
            rest.at += self.close.len();
        }
        self.place = match (is_open, depth) {
            (true, _) => Place::Inside { depth: depth.saturating_add(1), begun },
            (false, 0 | 1) => Place::Before,
            (false, _) => Place::Unsure { depth: depth - 1 },
        };
        true
    }

    fn unsure(&mut self, depth: u32, rest: &mut Rest<'_>, told: &mut Told) -> bool {
        let is_closed_again = rest.close(&self.close).is_some();
        if !is_closed_again && rest.left().len() < MOST_HELD {
            return false;
        }
        told.reasoning.push_str(&self.close);
        self.place = Place::Inside { depth, begun: true };
        true
    }

    /// Where the next tag begins, and whether it opens.
    fn next_tag(&self, rest: &mut Rest<'_>) -> Option<(usize, bool)> {
        match (rest.open(&self.open), rest.close(&self.close)) {
            (Some(open), Some(close)) => Some((open.min(close), open < close)),
            (Some(open), None) => Some((open, true)),
            (None, Some(close)) => Some((close, false)),
            (None, None) => None,
        }
    }

    /// The length of what may be the beginning of a tag at the end.
    fn tail(&self, text: &str) -> usize {
        let may_begin = |tag: &str| {
            let lengths = tag.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
            lengths.filter(|at| tag.get(..*at).is_some_and(|start| text.ends_with(start))).max()
        };
        may_begin(&self.open).max(may_begin(&self.close)).unwrap_or_default()
    }
}

/// A text while it is told apart. Where its next tags are is looked up once for each: a text may be made of nothing else.
struct Rest<'a> {
    text: &'a str,
    /// How much of it was told apart.
    at: usize,
    looked: usize,
    open: Option<Next>,
    close: Option<Next>,
}

/// Where the next tag of a kind begins; `None` when there is none.
type Next = Option<usize>;

impl<'a> Rest<'a> {
    fn left(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take_to(&mut self, end: usize) -> &'a str {
        let taken = self.text.get(self.at..end).unwrap_or_default();
        self.at = end;
        taken
    }

    fn open(&mut self, tag: &str) -> Next {
        let next = self.next(self.open, tag, self.at);
        self.open = Some(next);
        next
    }

    fn close(&mut self, tag: &str) -> Next {
        let next = self.next(self.close, tag, self.at.max(self.looked));
        self.close = Some(next);
        next
    }

    fn next(&self, known: Option<Next>, tag: &str, from: usize) -> Next {
        match known {
            Some(None) => None,
            Some(Some(at)) if at >= self.at => Some(at),
            Some(Some(_)) | None => {
                let unseen = self.text.as_bytes().get(from..).unwrap_or_default();
                memchr::memmem::find(unseen, tag.as_bytes()).map(|at| from + at)
            }
        }
    }
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
    fn a_thought_is_handed_on_while_it_comes() {
        let mut thought = Thought::new(&tags());
        assert_eq!(thought.push("<think>one ").reasoning, "one ");
        assert_eq!(thought.push("two</th").reasoning, "two");
        assert_eq!(thought.push("ird ").reasoning, "</third ");
        assert_eq!(thought.push("</think>yes").text, "yes");
        assert!(thought.is_over());
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
        pieces.resize(MOST_HELD / 2, "x");
        assert_eq!(told(&pieces).1.len(), pieces.len() - 1);
    }

    #[test]
    fn white_space_without_end_is_not_held_without_end() {
        let mut thought = Thought::new(&tags());
        let blank = " ".repeat(1000);
        let said: usize = (0..100).map(|_| thought.push(&blank).text.len()).sum();
        assert!(said > 90_000 && thought.is_over());
        let blank = " ".repeat(MOST_BLANK);
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
