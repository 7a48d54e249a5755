//! What is answered without asking the service.

use std::sync::Arc;

use http::StatusCode;
use modelswitch_provider::{Body, Error, Head, Request, Response, Result};
use serde_json::json;

use crate::Profile;
use crate::dialect::Kind;

/// The answer to a request that needn't be sent: to an endpoint that the service no longer has, and for the list of models
/// of one that has none.
pub(crate) fn answer(name: &Arc<str>, profile: &Profile, request: &Request) -> Option<Result<Response>> {
    if let Some(instead) = profile.gone_endpoints.get(request.endpoint.path()) {
        return Some(Err(gone(profile, request.endpoint.path(), instead)));
    }
    let lists = profile.response.lists_models != Some(false);
    (!lists && Kind::of(&request.endpoint) == Kind::Models).then(|| Ok(own_models(name, profile)))
}

fn gone(profile: &Profile, path: &str, instead: &str) -> Error {
    Error::unsupported(format!("{} no longer has the endpoint {path}", profile.title))
        .with_hint(instead.to_owned())
}

fn own_models(name: &Arc<str>, profile: &Profile) -> Response {
    // No time is known; it is what a list that lacks the times is filled in with too.
    let model = |id: &String| json!({ "id": id, "object": "model", "created": 0, "owned_by": profile.name });
    let models: Vec<_> = profile.models.iter().map(model).collect();
    let mut head = Head::default();
    head.provider = Some(name.clone());
    head.status = StatusCode::OK;
    let body = json!({ "object": "list", "data": models }).to_string();
    Response { head, body: Body::Json(body.into()) }
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::{ErrorKind, ProviderExt};

    use crate::{OpenAiProvider, Profile};

    /// A provider of whom nobody listens.
    fn provider(text: &str) -> OpenAiProvider {
        let text = format!("base_url = 'http://127.0.0.1:1/v1'\nauth = {{ required = false }}\n{text}");
        OpenAiProvider::builder(Profile::from_toml("mine", &text).unwrap()).build().unwrap()
    }

    #[tokio::test]
    async fn an_endpoint_that_is_gone_is_refused_with_what_to_use_instead() {
        let mine = provider("[gone_endpoints]\n'/chat/completions' = 'ask at /responses'");
        let error = mine.ask("?").await.unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Unsupported, "ask at /responses"));
        assert_eq!(error.provider(), Some("mine"));
        let error = mine.models().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection, "the rest is asked for");
    }

    #[tokio::test]
    async fn the_models_of_a_service_without_a_list_are_those_of_its_profile() {
        let mine = provider("models = ['large', 'small']\nresponse = { lists_models = false }");
        let models = mine.models().await.unwrap();
        assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["large", "small"]);
        let error = provider("models = ['large']").models().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection);
    }
}
