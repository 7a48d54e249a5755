//! The shortest text for a simple regular expression.

/// A text that `pattern` matches: `word` where it does already; `None` for what is not simple (look
/// around, back references, classes by Unicode property).
pub(super) fn example(pattern: &str, word: &str) -> Option<String> {
    let plain = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    if matches!(plain, Some(".*" | ".+" | "\\w+" | "\\S+")) && word.chars().all(char::is_alphanumeric) {
        return Some(word.to_owned());
    }
    let mut reader = Reader { rest: pattern, depth: 0 };
    let text = reader.choice()?;
    reader.rest.is_empty().then_some(text)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

/// Groups nest no deeper, and nothing is repeated more often.
const MOST: usize = 64;

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        self.rest = letters.as_str();
        Some(letter)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let found = self.rest.strip_prefix(mark);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// Alternatives: the first one.
    fn choice(&mut self) -> Option<String> {
        let first = self.sequence()?;
        while self.takes("|") {
            self.sequence()?;
        }
        Some(first)
    }

    fn sequence(&mut self) -> Option<String> {
        let mut out = String::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let atom = self.atom()?;
            let times = self.times()?;
            if out.len() + atom.len() * times > 10_000 {
                return None;
            }
            out.push_str(&atom.repeat(times));
        }
        Some(out)
    }

    fn atom(&mut self) -> Option<String> {
        Some(match self.next()? {
            '^' | '$' => String::new(),
            '.' => "a".to_owned(),
            '(' => return self.group(),
            '[' => self.class()?.to_string(),
            '\\' => return self.escaped(),
            '*' | '+' | '?' | ')' => return None,
            letter => letter.to_string(),
        })
    }

    fn group(&mut self) -> Option<String> {
        self.depth += 1;
        if self.depth > MOST || (self.rest.starts_with('?') && !self.takes("?:")) {
            return None;
        }
        let text = self.choice()?;
        self.depth -= 1;
        self.takes(")").then_some(text)
    }

    fn escaped(&mut self) -> Option<String> {
        Some(match self.next()? {
            'b' => String::new(),
            'B' | 'p' | 'P' | 'u' | 'x' | 'c' | 'k' | '1'..='9' => return None,
            letter => of_class(letter).unwrap_or(letter).to_string(),
        })
    }

    /// The first letter of a class; of a negated one some letter that is not in it.
    fn class(&mut self) -> Option<char> {
        let negated = self.takes("^");
        let mut ranges: Vec<(char, char)> = Vec::new();
        while !self.takes("]") {
            let mut from = self.next()?;
            if from == '\\' {
                let letter = self.next()?;
                ranges.extend(class_ranges(letter));
                from = of_class(letter).unwrap_or(letter);
            }
            let mut to = from;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                to = self.next()?;
            }
            ranges.push((from, to));
        }
        if !negated {
            return ranges.first().map(|(from, _)| *from);
        }
        let outside = |letter: &char| !ranges.iter().any(|(from, to)| (*from..=*to).contains(letter));
        ['a', 'A', '0', ' ', '-', '_', '.', 'é'].into_iter().find(outside)
    }

    /// How often at least.
    fn times(&mut self) -> Option<usize> {
        let times = match self.rest.chars().next() {
            Some('*' | '?') => 0,
            Some('+') => 1,
            Some('{') => {
                let (bounds, _) = self.rest.get(1..)?.split_once('}')?;
                self.rest = self.rest.get(bounds.len() + 1..)?;
                bounds.split(',').next()?.trim().parse().ok().filter(|times| *times <= MOST)?
            }
            _ => return Some(1),
        };
        self.next();
        // Lazy or not is the same here.
        self.takes("?");
        Some(times)
    }
}

/// A letter of an escaped class.
fn of_class(letter: char) -> Option<char> {
    Some(match letter {
        'd' => '0',
        'w' | 'D' | 'S' => 'a',
        's' | 'W' => ' ',
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        _ => return None,
    })
}

fn class_ranges(letter: char) -> Vec<(char, char)> {
    match letter {
        'd' => vec![('0', '9')],
        'w' => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
        's' => vec![(' ', ' '), ('\t', '\r')],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_patterns_have_a_text_and_others_none() {
        for (pattern, text) in [
            ("^.+$", Some("Paris")),
            ("^[a-z]{2,4}$", Some("aa")),
            (r"^\d{4}-(0[1-9]|1[0-2])$", Some("0000-01")),
            (r"^(?:en|de)(-[A-Z]{2})?$", Some("en")),
            (r"^\+?[1-9]\d+$", Some("10")),
            (r"[^a-z]", Some("A")),
            (r"^[^\s@]+@[^\s@]+\.com$", Some("a@a.com")),
            (r"^#[0-9a-fA-F]{6}$", Some("#000000")),
            (r"^(?=x)y$", None),
            (r"^\p{L}+$", None),
            ("a{100000}", None),
            ("(unclosed", None),
        ] {
            assert_eq!(example(pattern, "Paris").as_deref(), text, "{pattern}");
        }
    }
}
