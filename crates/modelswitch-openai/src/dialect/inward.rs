//! A request, put as the service takes it.

use modelswitch_provider::{Adaptation, Document, Error, Request, Result};
use serde_json::Value;

use super::Kind;
use crate::Profile;
use crate::profile::History;

/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for a body that can't be read.
pub(super) fn adapt(
    profile: &Profile,
    kind: Kind,
    mut request: Request,
) -> Result<(Request, Vec<Adaptation>)> {
    let mut adaptations = Vec::new();
    let names_model = request.checked_model()?.is_some();
    let Some(document) = request.document_mut() else { return Ok((request, adaptations)) };
    if !names_model && matches!(kind, Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Responses) {
        let Some(model) = &profile.default_model else {
            return Err(Error::invalid_request(
                "the request names no model, and this provider has no default one",
            )
            .with_param("model")
            .with_hint("set the request's model, or default_model of the provider"));
        };
        document.set("model", model)?;
    }
    if kind == Kind::Chat {
        // For adapters that know what to do with them. Whoever this is, it isn't one.
        document.remove(crate::ATTACHED_REASONING);
        document.remove(crate::ATTACHED_PREFIX);
        rename_token_limit(profile, document, &mut adaptations);
        adapt_messages(profile, document, &mut adaptations)?;
    }
    Ok((request, adaptations))
}

fn rename_token_limit(profile: &Profile, document: &mut Document, adaptations: &mut Vec<Adaptation>) {
    let Some(wanted) = profile.request.max_tokens.as_deref() else { return };
    for other in ["max_tokens", "max_completion_tokens"] {
        if other == wanted || !document.has(other) {
            continue;
        }
        if document.has(wanted) {
            document.remove(other);
            adaptations.push(Adaptation::new(
                other,
                format!("left out: the request has `{wanted}` too, which the service knows"),
            ));
        } else {
            document.rename(other, wanted);
            adaptations
                .push(Adaptation::new(other, format!("sent as `{wanted}`, the name that the service knows")));
        }
    }
}

fn adapt_messages(
    profile: &Profile,
    document: &mut Document,
    adaptations: &mut Vec<Adaptation>,
) -> Result<()> {
    let Some(text) = document.get_raw("messages") else { return Ok(()) };
    let role = profile.request.developer_role.as_deref().filter(|_| contains(text, "\"developer\""));
    let history = Some(profile.reasoning.history)
        .filter(|history| *history != History::ReasoningContent && contains(text, "\"reasoning_content\""));
    if role.is_none() && history.is_none() {
        return Ok(());
    }
    let Some(mut messages) = document.get::<Vec<Value>>("messages")? else { return Ok(()) };
    let mut changed = false;
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(role) = role
            && message.get("role").and_then(Value::as_str) == Some("developer")
        {
            message.insert("role".to_owned(), role.into());
            changed = true;
            note(adaptations, "role", &format!("`developer` sent as `{role}`, which the service knows"));
        }
        if let Some(history) = history
            && let Some(reasoning) = message.remove("reasoning_content")
        {
            changed = true;
            if history == History::Reasoning {
                message.insert("reasoning".to_owned(), reasoning);
                note(adaptations, "reasoning_content", "sent as `reasoning`, where the service looks for it");
            } else {
                note(
                    adaptations,
                    "reasoning_content",
                    "left out of the history: the service has no place for it",
                );
            }
        }
    }
    if changed { document.set("messages", messages) } else { Ok(()) }
}

fn note(adaptations: &mut Vec<Adaptation>, parameter: &str, change: &str) {
    let adaptation = Adaptation::new(parameter, change);
    if !adaptations.contains(&adaptation) {
        adaptations.push(adaptation);
    }
}

fn contains(text: &str, word: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn adapted(profile: &str, body: Value) -> (Value, Vec<String>) {
        let profile = Profile::embedded(profile).unwrap();
        let (request, notes) = adapt(&profile, Kind::Chat, Request::chat(&body).unwrap()).unwrap();
        let body = serde_json::from_slice(&request.document().unwrap().to_bytes()).unwrap();
        (body, notes.into_iter().map(|note| note.parameter).collect())
    }

    #[test]
    fn the_token_limit_goes_out_under_the_name_that_the_service_knows() {
        let ask = |limit: &str| json!({"model":"m","messages":[],limit:5});
        assert_eq!(adapted("deepseek", ask("max_completion_tokens")).0, ask("max_tokens"));
        assert_eq!(adapted("openai", ask("max_tokens")).0, ask("max_completion_tokens"));
        assert_eq!(adapted("openai-compatible", ask("max_tokens")), (ask("max_tokens"), vec![]));
        let both = json!({"model":"m","messages":[],"max_tokens":5,"max_completion_tokens":9});
        assert_eq!(adapted("deepseek", both), (ask("max_tokens"), vec!["max_completion_tokens".to_owned()]));
    }

    #[test]
    fn the_developer_role_is_mapped_where_it_is_unknown_and_text_that_mentions_it_is_not_touched() {
        let ask = |role: &str| json!({"model":"m","messages":[{"role":role,"content":"the \"developer\""}]});
        assert_eq!(adapted("deepseek", ask("developer")), (ask("system"), vec!["role".to_owned()]));
        assert_eq!(adapted("deepseek", ask("user")), (ask("user"), vec![]));
        assert_eq!(adapted("openai", ask("developer")), (ask("developer"), vec![]));
    }

    #[test]
    fn reasoning_in_the_history_goes_where_the_service_looks_for_it() {
        let ask = |extra: Value| {
            let mut message = json!({"role":"assistant","content":"x"});
            message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            json!({"model":"m","messages":[message]})
        };
        let history = || ask(json!({"reasoning_content":"r"}));
        assert_eq!(adapted("deepseek", history()).0, history());
        assert_eq!(adapted("vllm", history()).0, ask(json!({"reasoning":"r"})));
        assert_eq!(adapted("openai", history()).0, ask(json!({})));
    }

    #[test]
    fn a_request_without_a_model_gets_the_default_one_or_an_error_that_says_how() {
        assert_eq!(
            adapted("deepseek", json!({"messages":[]})).0,
            json!({"messages":[],"model":"deepseek-flash"})
        );
        let profile = Profile::compatible("mine", "https://x.example");
        let error = adapt(&profile, Kind::Chat, Request::chat(&json!({"messages":[]})).unwrap()).unwrap_err();
        assert!(error.hint().contains("default_model"));
    }
}
