//! Which requests may be sent twice, and which may have cost something when they failed.

use http::Method;
use modelswitch_provider::{Endpoint, Error, ErrorKind, Request};

/// POSTs to these want an answer and nothing else; all others make something that stays at the service.
const ANSWERS: [Endpoint; 4] =
    [Endpoint::CHAT_COMPLETIONS, Endpoint::COMPLETIONS, Endpoint::EMBEDDINGS, Endpoint::RESPONSES];

/// Anthropic's chat, which some services have on the side. Its batches, one path further, stay.
const MESSAGES: [&str; 3] = ["/anthropic/v1/messages", "/v1/messages", "/messages"];

/// Families of paths whose POSTs want an answer and nothing else.
const ANSWERING_PATHS: [&str; 3] = ["/audio/", "/images/", "/moderations"];

/// True for a request that makes something which stays at the service: a second one would make a second one.
pub(crate) fn leaves_something(request: &Request) -> bool {
    !request.endpoint.method().is_idempotent() && !wants_an_answer(request)
}

/// True for a question to a model, which any provider could answer.
pub(crate) fn wants_an_answer(request: &Request) -> bool {
    let in_background = request.endpoint.path() == Endpoint::RESPONSES.path()
        && request.document().is_some_and(|body| body.bool("background") == Some(true));
    asks_a_model(request) && !in_background
}

/// True for whatever a model works on at once, and is paid for: also where the answer is fetched later.
pub(crate) fn asks_a_model(request: &Request) -> bool {
    let endpoint = &request.endpoint;
    let answers = ANSWERS.iter().any(|known| known.path() == endpoint.path())
        || MESSAGES.contains(&endpoint.path())
        || ANSWERING_PATHS.iter().any(|family| endpoint.path().starts_with(family));
    endpoint.method() == Method::POST && answers
}

/// True when the service refused the request before it acted on it. A broken connection doesn't tell how far it got.
pub(crate) fn did_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded)
}

/// True when a service may charge for a call that ended so, be it for the last try or for one before it.
pub(crate) fn may_be_billed(error: &Error) -> bool {
    let earlier = error.failures().iter().map(|failed| failed.kind);
    earlier.chain([error.kind()]).any(may_have_worked)
}

/// True for a try of which a service may have done its work, and what it made was lost on the way. One that refused, broke or
/// was never reached charges nothing.
fn may_have_worked(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Timeout | ErrorKind::Interrupted | ErrorKind::Decode => true,
        ErrorKind::InvalidRequest
        | ErrorKind::ContextLength
        | ErrorKind::ContentFiltered
        | ErrorKind::ModelNotFound
        | ErrorKind::Authentication
        | ErrorKind::InsufficientBalance
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Upstream
        | ErrorKind::Connection
        | ErrorKind::Rejected
        | ErrorKind::Unsupported
        | ErrorKind::Config => false,
    }
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::Payload;

    use super::*;

    #[test]
    fn only_what_stays_at_the_service_counts_as_something_made() {
        for (method, path, leaves) in [
            ("POST", "/chat/completions", false),
            ("POST", "/chat/completions?trace=1", false),
            ("POST", "/responses", false),
            ("POST", "/audio/speech", false),
            ("POST", "/anthropic/v1/messages", false),
            ("POST", "/anthropic/v1/messages/batches", true),
            ("POST", "/anthropic/v1/files", true),
            ("POST", "/images/generations", false),
            ("POST", "/moderations", false),
            ("GET", "/files", false),
            ("DELETE", "/files/file-1", false),
            ("POST", "/files", true),
            ("POST", "/batches", true),
            ("POST", "/responses/r1/cancel", true),
            ("POST", "/fine_tuning/jobs", true),
        ] {
            let endpoint = Endpoint::new(method.parse().unwrap(), path).unwrap();
            let request = Request::new(endpoint, Payload::Empty);
            assert_eq!(leaves_something(&request), leaves, "{method} {path}");
        }
    }
}
