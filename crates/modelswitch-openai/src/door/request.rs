//! What async-openai built, as a request for a provider.

use async_openai::config::Config;
use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use modelswitch_provider::{Document, Endpoint, Error, Payload, Request, Result};
use reqwest::Url;

use super::extra;
use super::header;

/// The request, and the number of the capture that wants to know about it.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what can't be a request.
pub(super) async fn read(home: &Home, built: reqwest::Request) -> Result<(Request, Option<u64>)> {
    let endpoint = home.endpoint(&built)?;
    let mut built = built;
    let Headers { content_type, capture, extra, others } = Headers::of(built.headers());
    let capture = capture.and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = match built.body_mut().take() {
        None => None,
        Some(body) => Some(collect(body).await?),
    };
    let mut request = Request::new(endpoint, payload(content_type, bytes)?);
    request.headers = others;
    if let Some(extra) = extra {
        extra::apply(&extra, &mut request)?;
    }
    Ok((request, capture))
}

/// What a client puts around each of its requests, for the service that it was built for: it is taken off again.
#[derive(Clone, Debug, Default)]
pub(super) struct Home {
    path: String,
    query: Vec<(String, String)>,
}

impl Home {
    /// Of a client with this configuration.
    pub(super) fn of(config: &impl Config) -> Self {
        let mut query: Vec<(String, String)> =
            config.query().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let Ok(base) = Url::parse(&config.url("")) else { return Self { path: String::new(), query } };
        query.extend(base.query_pairs().into_owned());
        Self { path: base.path().trim_end_matches('/').to_owned(), query }
    }

    fn endpoint(&self, built: &reqwest::Request) -> Result<Endpoint> {
        let url = built.url();
        let path = url.path().strip_prefix(self.path.as_str()).unwrap_or(url.path());
        // A base URL with a slash at its end makes two of them.
        let path = path.trim_start_matches('/');
        if url.query().is_none() && *built.method() == Method::POST && path == "chat/completions" {
            return Ok(Endpoint::CHAT_COMPLETIONS);
        }
        let mut path = format!("/{path}");
        // A query of the client's own may hold the key or the version of another service.
        let own = |pair: &(String, String)| !self.query.contains(pair) && pair.0 != "api-version";
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().filter(own).collect();
        if !pairs.is_empty() {
            let mut kept = url.clone();
            kept.query_pairs_mut().clear().extend_pairs(pairs);
            path = format!("{path}?{}", kept.query().unwrap_or_default());
        }
        Endpoint::new(built.method().clone(), path)
    }
}

async fn collect(body: reqwest::Body) -> Result<Bytes> {
    if let Some(bytes) = body.as_bytes().filter(|bytes| bytes.len() <= CHEAP_TO_COPY) {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    // JSON is one piece, which is handed over and not copied. A form is collected, since a retry or a fallback needs it
    // again.
    let collected = body.collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        Error::invalid_request("the request's form can't be read").with_source(error.without_url())
    })
}

/// To take a body apart costs as much as to copy so many bytes.
const CHEAP_TO_COPY: usize = 4096;

fn payload(content_type: Option<HeaderValue>, bytes: Option<Bytes>) -> Result<Payload> {
    let Some(bytes) = bytes else { return Ok(Payload::Empty) };
    let content_type = content_type.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
    if content_type.as_bytes().starts_with(b"application/json") && bytes.trim_ascii().starts_with(b"{") {
        return Ok(Payload::Json(Document::parse(bytes)?));
    }
    Ok(Payload::Raw { content_type, bytes })
}

/// What an app says in headers.
#[derive(Default)]
struct Headers {
    content_type: Option<HeaderValue>,
    capture: Option<HeaderValue>,
    extra: Option<HeaderValue>,
    /// For the provider.
    others: HeaderMap,
}

impl Headers {
    /// In one way over them, since to look one up costs as much as to compare it with all of a few.
    fn of(all: &HeaderMap) -> Self {
        let mut headers = Self::default();
        for (name, value) in all {
            let place = if *name == CONTENT_TYPE {
                &mut headers.content_type
            } else if *name == header::CAPTURE {
                &mut headers.capture
            } else if *name == header::EXTRA {
                &mut headers.extra
            } else {
                if !value.is_sensitive() && goes_along(name) {
                    headers.others.append(name.clone(), value.clone());
                }
                continue;
            };
            place.get_or_insert_with(|| value.clone());
        }
        headers
    }
}

/// False for whatever lets somebody in at the service that a client was built for, and for what the transport says.
fn goes_along(name: &HeaderName) -> bool {
    if *name == AUTHORIZATION {
        return false;
    }
    let name = name.as_str();
    let is_credential = ["auth", "key", "token", "secret", "cookie", "password", "credential"]
        .iter()
        .any(|word| name.contains(word) && name != "idempotency-key");
    let is_openai = matches!(name, "openai-organization" | "openai-project");
    let is_transport =
        matches!(name, "host" | "content-length" | "transfer-encoding" | "connection" | "accept");
    !(is_credential || is_openai || is_transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_the_client_goes_along() {
        let headers: HeaderMap = [
            ("authorization", "hush"),
            ("api-key", "hush"),
            ("x-api-key", "hush"),
            ("openai-organization", "hush"),
            ("openai-project", "hush"),
            ("cookie", "hush"),
            ("x-auth-token", "hush"),
            ("x-team", "blue"),
            ("idempotency-key", "1"),
            ("openai-beta", "assistants=v2"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let kept = Headers::of(&headers).others;
        assert_eq!(
            kept.keys().map(HeaderName::as_str).collect::<std::collections::BTreeSet<_>>(),
            ["idempotency-key", "openai-beta", "x-team"].into()
        );
    }

    #[test]
    fn what_the_client_puts_around_its_requests_is_taken_off() {
        let path = |base: &str, url: &str| {
            let config = async_openai::config::OpenAIConfig::new().with_api_base(base);
            let built = reqwest::Client::new().get(url).build().unwrap();
            Home::of(&config).endpoint(&built).unwrap().path_and_query().to_owned()
        };
        for (base, url, wanted) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/models", "/models"),
            ("https://x.example/v1/", "https://x.example/v1//chat/completions", "/chat/completions"),
            ("https://x.example", "https://x.example/files?limit=3&after=a%20b", "/files?limit=3&after=a+b"),
            (
                "https://r.example/openai/deployments/d",
                "https://r.example/openai/deployments/d/chat/completions?api-version=1",
                "/chat/completions",
            ),
            (
                "https://x.example/v1?key=hush",
                "https://x.example/v1/files?key=hush&limit=3",
                "/files?limit=3",
            ),
        ] {
            assert_eq!(path(base, url), wanted);
        }
    }
}
