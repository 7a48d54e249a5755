//! What makes two questions the same.

use modelswitch_provider::{Document, Endpoint, Request};

use super::canonical::Canonical;
use super::{Cache, SentTemperature};
use crate::Tag;
use crate::repeatable::wants_an_answer;

/// The SHA-256 of a question. Whoever could make two questions with one hash would get one's answer for the other.
pub(super) type Key = [u8; 32];

/// Members that change nothing of an answer: how it is sent, for whom, by which of the provider's caches and queues.
const DONT_MATTER: [&str; 8] = [
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "metadata",
];

/// The key of a question; `None` for what caches aren't for.
pub(super) fn key_of(cache: &Cache, provider: &str, request: &Request) -> Option<Key> {
    let body = request.document().filter(|body| can_be_kept(cache, request, body))?;
    let length: usize = body.members().map(|(name, json)| name.len() + json.len()).sum();
    let mut text = Canonical::with_capacity(2 * length);
    text.text(provider);
    text.text(request.endpoint.path_and_query());
    text.text(request.extensions.get::<Tag>().filter(|_| cache.per_tag).map_or("", |tag| &tag.0));
    let mut members: Vec<_> = body.members().filter(|(name, _)| !DONT_MATTER.contains(name)).collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, json) in members {
        text.text(name);
        // What is nested too deep to be read isn't kept.
        text.value(&serde_json::from_str(json).ok()?);
    }
    Some(text.hash())
}

fn can_be_kept(cache: &Cache, request: &Request, body: &Document) -> bool {
    let kept = [Endpoint::CHAT_COMPLETIONS, Endpoint::COMPLETIONS, Endpoint::EMBEDDINGS];
    let is_kept = kept.iter().any(|one| one.path() == request.endpoint.path()) && wants_an_answer(request);
    let stays = body.bool("store") == Some(true);
    let is_of_a_moment = ["audio", "web_search_options"].iter().any(|name| body.has(name));
    is_kept && !stays && !is_of_a_moment && is_steady(cache, request, body)
}

fn is_steady(cache: &Cache, request: &Request, body: &Document) -> bool {
    let Some(most) = cache.max_temperature else { return true };
    let said = || body.get_raw("temperature").and_then(|text| text.parse::<f64>().ok());
    let sent = request.extensions.get::<SentTemperature>().map(|sent| sent.0);
    sent.or_else(said).unwrap_or(1.0) <= most || request.endpoint.path() == Endpoint::EMBEDDINGS.path()
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::{Document, Payload};

    use super::*;

    fn key(cache: &Cache, body: &str) -> Option<Key> {
        key_of(
            cache,
            "p",
            &Request::new(Endpoint::CHAT_COMPLETIONS, Document::parse(body.to_owned()).unwrap()),
        )
    }

    #[test]
    fn what_says_the_same_is_the_same_and_nothing_else_is() {
        let cache = Cache::new();
        let one =
            key(&cache, r#"{"model":"m","messages":[{"role":"user","content":"a\u0062"}],"n":1}"#).unwrap();
        for same in [
            r#"{ "n" : 1, "messages":[ {"content":"ab", "role":"user"} ], "model":"m" }"#,
            r#"{"model":"m","messages":[{"role":"user","content":"ab"}],"n":1,"stream":true,"user":"u","stream_options":{}}"#,
        ] {
            assert_eq!(key(&cache, same), Some(one), "{same}");
        }
        for other in [
            r#"{"model":"m","messages":[{"role":"user","content":"ac"}],"n":1}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"ab"}],"n":2}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"ab"}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"ab"}],"n":1,"new":null}"#,
            r#"{"model":"M","messages":[{"role":"user","content":"ab"}],"n":1}"#,
        ] {
            assert_ne!(key(&cache, other), Some(one), "{other}");
        }
    }

    #[test]
    fn the_provider_the_endpoint_and_where_wanted_the_tag_count() {
        let cache = Cache::new();
        let mut request = Request::chat(&serde_json::json!({ "model": "m" })).unwrap();
        let plain = key_of(&cache, "p", &request).unwrap();
        assert_ne!(key_of(&cache, "q", &request), Some(plain));
        let body = request.document().unwrap().clone();
        assert_ne!(key_of(&cache, "p", &Request::new(Endpoint::EMBEDDINGS, body)), Some(plain));
        request.extensions.insert(Tag("t".into()));
        assert_eq!(key_of(&cache, "p", &request), Some(plain));
        assert_ne!(key_of(&cache.per_tag(), "p", &request), Some(plain));
    }

    #[test]
    fn what_leaves_something_varies_or_cannot_be_read_has_no_key() {
        let cold = Cache::new().max_temperature(0.0);
        assert!(
            key(&cold, r#"{"temperature":0}"#).is_some() && key(&cold, r#"{"temperature":0.1}"#).is_none()
        );
        assert!(key(&cold, "{}").is_none() && key(&Cache::new(), r#"{"temperature":2}"#).is_some());
        for body in [r#"{"store":true}"#, r#"{"audio":{"voice":"x"}}"#, r#"{"web_search_options":{}}"#] {
            assert!(key(&Cache::new(), body).is_none(), "{body}");
        }
        let deep = format!("{{\"messages\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(key(&Cache::new(), &deep).is_none());
        for (method, path) in [("POST", "/responses"), ("POST", "/files"), ("GET", "/chat/completions")] {
            let endpoint = Endpoint::new(method.parse().unwrap(), path).unwrap();
            let request = Request::new(endpoint, Payload::Json(Document::new()));
            assert!(key_of(&Cache::new(), "p", &request).is_none(), "{method} {path}");
        }
    }
}
