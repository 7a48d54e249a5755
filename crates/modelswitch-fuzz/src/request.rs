use bytes::Bytes;
use modelswitch_deepseek::fuzz as deepseek;
use modelswitch_openai::{Policies, Profile, fuzz};
use modelswitch_provider::{Document, Error, ErrorKind, Request};
use serde_json::{Map, Value};

use crate::input::Input;

/// A request is put as a service takes it or refused, and what nobody is told of hasn't changed.
pub fn request(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (profile, endpoint, policies) = (input.profile(), input.endpoint(), input.policies());
    let Ok(body) = Document::parse(Bytes::copy_from_slice(input.rest())) else { return };
    let request = Request::new(endpoint, body);
    if profile.name == "deepseek" {
        of_deepseek(&profile, policies, request.clone());
    }
    match fuzz::inward(&profile, policies, request.clone()) {
        Ok((sent, told)) if told.is_empty() => is_same(&request, &sent),
        Ok((sent, _)) => drop(members(&sent)),
        Err(error) => is_refusal(&error),
    }
}

fn of_deepseek(profile: &Profile, policies: Policies, mut request: Request) {
    match deepseek::inward(profile, policies, &mut request) {
        Ok(_) => drop(members(&request)),
        Err(error) => is_refusal(&error),
    }
}

/// Nothing has changed but that the provider's default model stands where there was none.
fn is_same(request: &Request, sent: &Request) {
    let (Some(mut before), Some(mut after)) = (members(request), members(sent)) else { return };
    if before.get("model").is_none_or(|model| model.is_null() || model == "") {
        before.remove("model");
        after.remove("model");
    }
    assert_eq!(before, after, "it was changed, and nothing is told");
}

/// `None` for what nests deeper than serde_json goes.
fn members(request: &Request) -> Option<Map<String, Value>> {
    let bytes = request.document().map(Document::to_bytes).unwrap_or_default();
    match serde_json::from_slice(&bytes) {
        Ok(members) => Some(members),
        Err(error) => {
            assert!(Document::parse(bytes).is_ok(), "what is sent is no JSON: {error}");
            None
        }
    }
}

fn is_refusal(error: &Error) {
    let kinds = [ErrorKind::InvalidRequest, ErrorKind::Unsupported, ErrorKind::ModelNotFound];
    assert!(kinds.contains(&error.kind()), "{:?}", error.kind());
    assert!(!error.message().is_empty());
}
