//! Which kind an error is, from its status, its names and its words.
//!
//! In this order:
//!
//! 1. **The profile's own patterns.** Whoever wrote them knows the service: they win over any status. Those of `invalid_request`
//!    and `upstream` say no more than that it failed, so they come after the phrases, and where the status says no more either.
//! 2. **Names**, the whole of `code` or `type`: they can't be anything that a user wrote. A status says which of them may
//!    count, see [`may_become`]: a 401 is never a rate limit, and a 429 is never an unknown model.
//! 3. **Phrases** in the message, for fewer kinds: a 500 that speaks of a rate limit remains a failure of the service, since
//!    it may be the limit of somebody behind it. What the user wrote and the service repeats is no phrase.
//! 4. **The status** alone.
//!
//! An error under 200 or in a stream has no status. A number from 400 to 599 in it stands for one (OpenRouter and vLLM write
//! the status that they would have sent); otherwise names, phrases and then the vague names decide.

use http::StatusCode;
use modelswitch_provider::ErrorKind;

use super::said::Said;
use super::words::{Table, WORDS, plain};
use crate::Profile;
use crate::scrub::Cleaner;

/// An error's words, ready to be looked at.
pub(super) struct Heard<'a> {
    profile: &'a Profile,
    cleaner: &'a Cleaner<'a>,
    /// `code`, `type` and further names, in lower case.
    names: Vec<String>,
    /// In lower case, on one line.
    message: String,
    /// Whether the service says when to come again.
    has_wait: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Phrase,
}

impl<'a> Heard<'a> {
    /// `message` is on one line.
    pub(super) fn new(profile: &'a Profile, cleaner: &'a Cleaner<'a>, said: &Said, message: &str) -> Self {
        let names = [&said.code, &said.kind].into_iter().flatten().chain(&said.names);
        Self {
            profile,
            cleaner,
            names: names.map(|name| name.to_lowercase()).collect(),
            message: message.to_lowercase(),
            has_wait: said.wait.or(said.reset).is_some(),
        }
    }

    /// The kind of an error with a status.
    pub(super) fn kind(&self, status: StatusCode, names_model: bool) -> ErrorKind {
        let may = |kind, by| may_become(status.as_u16(), kind, by) && !self.only_waits(status, kind, by);
        let by_status = by_status(status.as_u16(), names_model);
        self.own(|kind| !says_little(kind))
            .or_else(|| self.name(&WORDS.names, |kind| may(kind, By::Name)))
            .or_else(|| self.phrase(&WORDS.phrases, |kind| may(kind, By::Phrase)))
            .or_else(|| self.own(says_little).filter(|_| says_little(by_status)))
            .unwrap_or(by_status)
    }

    /// The kind of an error without one.
    pub(super) fn kind_without_status(&self) -> ErrorKind {
        self.own(|kind| !says_little(kind))
            .or_else(|| self.name(&WORDS.names, |_| true))
            .or_else(|| self.phrase(&WORDS.phrases, |_| true))
            .or_else(|| self.own(says_little))
            .or_else(|| self.name(&WORDS.vague, |_| true))
            .unwrap_or(ErrorKind::Upstream)
    }

    /// Google says of each limit that the quota is exceeded, and when to come again. Money doesn't come by waiting.
    fn only_waits(&self, status: StatusCode, kind: ErrorKind, by: By) -> bool {
        status == StatusCode::TOO_MANY_REQUESTS
            && self.has_wait
            && kind == ErrorKind::InsufficientBalance
            && by == By::Phrase
    }

    /// What the profile's own patterns say. One that begins with `=` is the whole of a name.
    fn own(&self, may: impl Fn(ErrorKind) -> bool) -> Option<ErrorKind> {
        let fits = |pattern: &String| match pattern.strip_prefix('=') {
            Some(name) => self.names.iter().any(|said| *said == name.to_lowercase()),
            None => self.says(&pattern.to_lowercase()),
        };
        // Names are surer than phrases, whichever kind they are of.
        let of = |is_name: bool| {
            let own = self.profile.patterns.iter().filter(|(kind, _)| may(kind.kind()));
            own.filter_map(move |(kind, patterns)| {
                let mut own = patterns.iter().filter(|pattern| pattern.starts_with('=') == is_name);
                own.any(fits).then(|| kind.kind())
            })
            .next()
        };
        of(true).or_else(|| of(false))
    }

    fn name(&self, table: &Table, may: impl Fn(ErrorKind) -> bool) -> Option<ErrorKind> {
        let parts = self.names.iter().flat_map(|name| std::iter::once(&**name).chain(name.split(['.', '#'])));
        let said: Vec<String> = parts.map(plain).collect();
        find(table, may, |name| said.contains(name))
    }

    fn phrase(&self, table: &Table, may: impl Fn(ErrorKind) -> bool) -> Option<ErrorKind> {
        find(table, may, |phrase| self.says(phrase))
    }

    fn says(&self, phrase: &str) -> bool {
        self.names.iter().any(|name| name.contains(phrase))
            || occurrences(&self.message, phrase).any(|(start, end)| !self.is_repeated(start, end))
    }

    /// True when this part of the message stands in quotes, and the user wrote what is quoted. A phrase outside of quotes is
    /// the service's own, although a long conversation may well be about such errors.
    fn is_repeated(&self, start: usize, end: usize) -> bool {
        const AFTER: usize = 12;
        let before = self.message.get(..start).unwrap_or_default();
        let Some(from) = quote_opened(before) else { return false };
        let after = self.message.get(end..).unwrap_or_default();
        let quoted = after.chars().take(AFTER).take_while(|c| !is_quote(*c) && *c != '…');
        let to = end + quoted.map(char::len_utf8).sum::<usize>();
        self.message.get(from..to).is_some_and(|piece| self.cleaner.wrote(piece))
    }
}

/// True for the kinds that stand for every failure of one side.
fn says_little(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidRequest | ErrorKind::Upstream)
}

fn is_quote(c: char) -> bool {
    matches!(c, '`' | '"' | '\'' | '“' | '”' | '‘' | '’' | '«' | '»')
}

/// Where the last quotation of a text begins. The apostrophe of “can't” begins none.
fn quote_opened(text: &str) -> Option<usize> {
    let mut quotes = text.char_indices().rev().filter(|(_, c)| is_quote(*c));
    let opens =
        |position: usize| !text.get(..position).is_some_and(|before| before.ends_with(char::is_alphanumeric));
    quotes.find(|(position, _)| opens(*position)).map(|(position, quote)| position + quote.len_utf8())
}

fn find(table: &Table, may: impl Fn(ErrorKind) -> bool, fits: impl Fn(&String) -> bool) -> Option<ErrorKind> {
    let kinds = table.iter().filter(|(kind, _)| may(kind.kind()));
    kinds.filter(|(_, words)| words.iter().any(&fits)).map(|(kind, _)| kind.kind()).next()
}

/// Where a phrase stands in a text. `…` in it is at most so many letters of anything.
fn occurrences<'a>(text: &'a str, phrase: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    const MOST_BETWEEN: usize = 120;
    let (first, second) = phrase.split_once('…').map_or((phrase, None), |(a, b)| (a, Some(b)));
    text.match_indices(first).filter_map(move |(start, found)| {
        let end = start + found.len();
        let Some(second) = second else { return Some((start, end)) };
        let between = text.get(end..)?.find(second).filter(|between| *between <= MOST_BETWEEN)?;
        Some((start, end + between + second.len()))
    })
}

/// Whether words can make of a status what it doesn't say by itself.
fn may_become(status: u16, kind: ErrorKind, by: By) -> bool {
    use ErrorKind::{
        Authentication, ContentFiltered, ContextLength, InsufficientBalance, ModelNotFound, Overloaded,
        RateLimited, Timeout, Unsupported,
    };
    match status {
        // These say all there is to say.
        300..=399 | 402 | 407 | 408 | 501 | 504 | 522 | 524 | 529 => false,
        // Perplexity refuses keys without money so.
        401 => kind == InsufficientBalance,
        // Together sends it for a prompt that is too long, OpenRouter for moderation, SiliconFlow and Ark for want of money.
        403 => matches!(
            kind,
            ContextLength | ContentFiltered | ModelNotFound | InsufficientBalance | RateLimited
        ),
        429 => matches!(kind, ContextLength | InsufficientBalance | Overloaded),
        503 => by == By::Name && matches!(kind, ModelNotFound | Timeout) || kind == InsufficientBalance,
        500..=599 => match by {
            By::Name => kind != Unsupported,
            By::Phrase => matches!(kind, ContextLength | InsufficientBalance | Overloaded),
        },
        404 | 410 => kind != RateLimited,
        // Groq names it so when one request alone is more than a minute's tokens. Waiting makes it no smaller.
        413 => kind != RateLimited,
        _ => match by {
            By::Name => true,
            By::Phrase => matches!(
                kind,
                ContextLength
                    | ContentFiltered
                    | ModelNotFound
                    | Authentication
                    | InsufficientBalance
                    | Overloaded
            ),
        },
    }
}

/// What a status says by itself. 52x and 530 are Cloudflare's
/// (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>).
fn by_status(status: u16, names_model: bool) -> ErrorKind {
    match status {
        // Nothing was asked for that could be unchanged.
        304 => ErrorKind::Upstream,
        // A proxy on the way wants credentials of its own.
        300..=399 | 407 => ErrorKind::Config,
        401 | 403 => ErrorKind::Authentication,
        402 => ErrorKind::InsufficientBalance,
        404 | 410 if names_model => ErrorKind::ModelNotFound,
        408 | 504 | 522 | 524 => ErrorKind::Timeout,
        // The request was fine; what it was handed on to failed.
        424 => ErrorKind::Upstream,
        429 => ErrorKind::RateLimited,
        501 => ErrorKind::Unsupported,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Upstream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_may_have_a_gap() {
        let at = |text, phrase| occurrences(text, phrase).next();
        assert_eq!(at("the model `x` does not exist", "model…does not exist"), Some((4, 28)));
        assert_eq!(at("model a is slow", "model…does not exist"), None);
        assert_eq!(at("é context window", "context window"), Some((3, 17)));
        let far = format!("model {} does not exist", "x".repeat(500));
        assert_eq!(at(&far, "model…does not exist"), None);
    }

    #[test]
    fn whatever_words_make_of_a_status_the_status_alone_has_a_kind() {
        for status in 100..1000 {
            let kind = by_status(status, true);
            assert!(status != 429 || kind == ErrorKind::RateLimited);
            assert!(!(500..600).contains(&status) || status == 501 || kind.http_status().is_server_error());
        }
    }
}
