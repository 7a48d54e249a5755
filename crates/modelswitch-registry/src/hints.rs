//! What a single call says of itself, in headers that stay here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use modelswitch_layers::{CacheUse, Layer, Retry, StickyKey, Tag};
use modelswitch_provider::{Error, Provider, Request, Response, Result, TimeLeft};

use crate::router::PROVIDER_HEADER;
use crate::spelling::{did_you_mean, list, nearest};

/// The header that limits the whole of a call: `30s`, `1m 30s`.
pub const TIMEOUT_HEADER: &str = "x-modelswitch-timeout";
/// The header that says how often each target may be asked, in place of `[retry] attempts`.
pub const ATTEMPTS_HEADER: &str = "x-modelswitch-attempts";
/// The header that lets an alias ask only the target that it chooses first: `off`.
pub const FALLBACK_HEADER: &str = "x-modelswitch-fallback";
/// The header that says for whom or for what a call is made: what it cost is counted under it.
pub const TAG_HEADER: &str = "x-modelswitch-tag";
/// The header that says what a call belongs to: calls with the same text go to the same target of an alias that balances.
pub const STICKY_HEADER: &str = "x-modelswitch-sticky";
/// The header that says what a call wants of a cache: `use`, `refresh` or `bypass`.
pub const CACHE_HEADER: &str = "x-modelswitch-cache";

const PREFIX: &str = "x-modelswitch-";

const ALL: [&str; 7] = [
    TIMEOUT_HEADER,
    ATTEMPTS_HEADER,
    FALLBACK_HEADER,
    TAG_HEADER,
    STICKY_HEADER,
    CACHE_HEADER,
    PROVIDER_HEADER,
];

/// Longer ones are no names, and each is kept for as long as its calls are counted.
const LONGEST_NAME: usize = 256;

/// Takes the hints out of a request's headers, and lets the layers know of them.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a hint that there isn't, or whose value can't be
/// one. The value isn't repeated: it may be anything.
pub(crate) fn take(request: &mut Request) -> Result<()> {
    let is_hint = |name: &&HeaderName| name.as_str().starts_with(PREFIX) && *name != PROVIDER_HEADER;
    let names: Vec<HeaderName> = request.headers.keys().filter(is_hint).cloned().collect();
    for name in names {
        if let Some(value) = request.headers.remove(&name) {
            apply(name.as_str(), &value, request)?;
        }
    }
    Ok(())
}

fn apply(name: &str, value: &HeaderValue, request: &mut Request) -> Result<()> {
    let text = value.to_str().unwrap_or_default().trim();
    let wanted = |what: &str| {
        Error::invalid_request(format!("the header {name} must be {what}, which this is not"))
            .with_hint(format!("send {what}, or leave the header out"))
    };
    match name {
        TIMEOUT_HEADER => {
            let limit = humantime::parse_duration(text).ok().filter(|limit| *limit > Duration::ZERO);
            let limit = limit.ok_or_else(|| wanted("a duration above 0 with its unit, such as 30s"))?;
            TimeLeft::limit(request, limit);
        }
        ATTEMPTS_HEADER => {
            let attempts = text.parse().ok().filter(|attempts| *attempts > 0);
            let attempts = attempts.ok_or_else(|| wanted("a whole number of at least 1"))?;
            request.extensions.insert(Attempts(attempts));
        }
        FALLBACK_HEADER => match text {
            "off" => {
                request.extensions.insert(OnlyFirst::default());
            }
            "on" => {}
            _ => return Err(wanted("on or off")),
        },
        TAG_HEADER => {
            request.extensions.insert(Tag(name_in(text).ok_or_else(|| wanted(A_NAME))?));
        }
        STICKY_HEADER => {
            request.extensions.insert(StickyKey(name_in(text).ok_or_else(|| wanted(A_NAME))?));
        }
        CACHE_HEADER => {
            request.extensions.insert(match text {
                "use" => CacheUse::Allowed,
                "refresh" => CacheUse::Refresh,
                "bypass" => CacheUse::Bypass,
                _ => return Err(wanted("use, refresh or bypass")),
            });
        }
        unknown => {
            let near = nearest(unknown, ALL);
            let hint = match near {
                Some(near) => format!("send {near}"),
                None => format!("send one of {}, or leave it out", list(ALL)),
            };
            let what = format!("there is no header `{unknown}`{}", did_you_mean(near));
            return Err(Error::invalid_request(what).with_hint(hint));
        }
    }
    Ok(())
}

const A_NAME: &str = "a text of at most 256 characters";

fn name_in(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= LONGEST_NAME).then(|| text.to_owned())
}

/// How often each target may be asked for this call.
#[derive(Clone, Copy, Debug)]
struct Attempts(u32);

/// Repeats failed tries, as often as the call itself says where it does.
#[derive(Clone, Debug)]
pub(crate) struct Repeats(pub(crate) Retry);

impl Layer for Repeats {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        let usual = self.0.wrap(inner.clone());
        Arc::new(Repeated { retry: self.0.clone(), usual, inner })
    }
}

struct Repeated {
    retry: Retry,
    usual: Arc<dyn Provider>,
    inner: Arc<dyn Provider>,
}

/// As it usually is.
impl std::fmt::Debug for Repeated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.usual.fmt(f)
    }
}

#[async_trait]
impl Provider for Repeated {
    fn name(&self) -> &str {
        self.inner.name()
    }
    async fn send(&self, request: Request) -> Result<Response> {
        match request.extensions.get::<Attempts>() {
            None => self.usual.send(request).await,
            // Clones share what is counted of repeats.
            Some(Attempts(attempts)) => {
                self.retry.clone().attempts(*attempts).wrap(self.inner.clone()).send(request).await
            }
        }
    }
}

/// In a request of which only the target that is chosen first may know. Clones know when one was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnlyFirst(Arc<AtomicBool>);

impl OnlyFirst {
    /// Asks one of several targets, if this call may.
    pub(crate) async fn ask(
        request: Request,
        send: impl AsyncFnOnce(Request) -> Result<Response>,
    ) -> Result<Response> {
        let Some(Self(asked)) = request.extensions.get::<Self>().cloned() else {
            return send(request).await;
        };
        if asked.swap(true, Ordering::Relaxed) {
            // Asked beside one that is slow. That one is waited for, and this is dropped with the call.
            return std::future::pending().await;
        }
        send(request).await.map_err(Error::into_last_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(name: &'static str, value: &str) -> Result<Request> {
        let mut request = Request::models();
        request.headers.insert(name, HeaderValue::from_str(value).unwrap());
        request.headers.insert("x-team", HeaderValue::from_static("search"));
        take(&mut request)?;
        assert_eq!(request.headers.len(), 1, "{name}");
        Ok(request)
    }

    #[test]
    fn hints_become_what_layers_know_and_leave_the_headers() {
        let of = |name, value| taken(name, value).unwrap().extensions;
        assert_eq!(of(TIMEOUT_HEADER, "1m 30s").get(), Some(&TimeLeft(Duration::from_secs(90))));
        assert_eq!(of(TAG_HEADER, "team 7").get(), Some(&Tag("team 7".into())));
        assert_eq!(of(STICKY_HEADER, "u1").get(), Some(&StickyKey("u1".into())));
        assert_eq!(of(CACHE_HEADER, "bypass").get(), Some(&CacheUse::Bypass));
        assert!(of(FALLBACK_HEADER, "on").get::<OnlyFirst>().is_none());
        assert!(of(FALLBACK_HEADER, "off").get::<OnlyFirst>().is_some());
    }

    #[test]
    fn a_hint_that_cannot_be_one_is_refused_without_being_repeated() {
        for (name, value) in [
            (TIMEOUT_HEADER, "17"),
            (TIMEOUT_HEADER, "0m"),
            (ATTEMPTS_HEADER, "0"),
            (ATTEMPTS_HEADER, "-1"),
            (FALLBACK_HEADER, "maybe"),
            (CACHE_HEADER, "no-store"),
            (TAG_HEADER, ""),
            (
                STICKY_HEADER,
                "sk-0123456789abcdef-and-more-of-it-than-any-name-has-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ),
        ] {
            let error = taken(name, value).unwrap_err();
            assert_eq!(error.kind(), modelswitch_provider::ErrorKind::InvalidRequest);
            assert!(error.message().starts_with(&format!("the header {name} must be ")), "{error}");
            assert!(value.is_empty() || !error.message().contains(value), "{error}");
        }
        let error = taken("x-modelswitch-tga", "a").unwrap_err();
        assert!(error.message().ends_with("did you mean `x-modelswitch-tag`?"), "{error}");
    }
}
