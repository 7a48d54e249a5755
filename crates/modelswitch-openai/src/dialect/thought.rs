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
        self.held.push_str(piece);
        while self.step(&mut told) {}
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
            Place::Unsure { depth } => self.unsure(depth, told),
            Place::After => {
                told.text.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }

    fn before(&mut self, told: &mut Told) -> bool {
        let text = self.held.trim_start();
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
        if self.thought {
            self.held = text.to_owned();
        }
        self.place = Place::After;
        told.text.push_str(&std::mem::take(&mut self.held));
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
            (false, _) => Place::Unsure { depth: depth - 1 },
        };
        if let Place::Unsure { .. } = self.place {
            // The tag may be the last one, and then it is no word of the thought.
            let end = told.reasoning.len() - tag;
            told.reasoning.truncate(end);
        }
        true
    }

    fn unsure(&mut self, depth: u32, told: &mut Told) -> bool {
        let is_closed_again = self.held.contains(&self.close);
        if !is_closed_again && self.held.len() < MOST_HELD {
            return false;
        }
        told.reasoning.push_str(&self.close);
        self.place = Place::Inside { depth, begun: true };
        true
    }

    /// Where the next tag begins, and whether it opens.
    fn next_tag(&self) -> Option<(usize, bool)> {
        let (open, close) = (self.held.find(&self.open), self.held.find(&self.close));
        match (open, close) {
            (Some(open), Some(close)) => Some((open.min(close), open < close)),
            (Some(open), None) => Some((open, true)),
            (None, Some(close)) => Some((close, false)),
            (None, None) => None,
        }
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
