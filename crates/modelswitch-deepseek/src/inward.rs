//! A chat request as OpenAI's apps send it, put as DeepSeek takes it. What the profile's data can say (token limit, roles)
//! is done below; this is the rest. Facts are from <https://api-docs.deepseek.com/api/create-chat-completion> and
//! <https://api-docs.deepseek.com/guides/thinking_mode>, read on 2026-11-21.

use std::sync::Arc;

use modelswitch_provider::{Adaptation, Document, Error, Message, Result};
use serde_json::{Value, json};

use crate::memory::{ReasoningMemory, Trace};
use crate::models;
use crate::policy::{ForcedToolChoice, Policies};

/// What a request became.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) adaptations: Vec<Adaptation>,
    /// Chat prefix completion and strict tools live under `/beta`.
    pub(crate) beta: bool,
    /// The conversation so far, where its answer is worth remembering.
    pub(crate) trace: Option<Trace>,
}

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what DeepSeek can't do, before anything is sent.
pub(crate) fn adapt(
    body: &mut Document,
    policies: Policies,
    memory: Option<&ReasoningMemory>,
) -> Result<Plan> {
    let mut plan = Plan::default();
    retired_name(body, policies, &mut plan)?;
    refuse_several_answers(body)?;
    refuse_unknown_media(body)?;
    effort(body, policies, &mut plan)?;
    user(body, policies, &mut plan)?;
    forced_tool_choice(body, policies, &mut plan)?;
    messages(body, memory, &mut plan)?;
    plan.beta |= all_tools_are_strict(body)?;
    Ok(plan)
}

impl Plan {
    fn note(
        &mut self,
        policies: Policies,
        parameter: &str,
        change: impl Into<String>,
        instead: &str,
    ) -> Result<()> {
        let change = change.into();
        if policies.strict {
            return Err(Error::unsupported(format!("`{parameter}` would have to be changed: {change}"))
                .with_param(parameter)
                .with_hint(instead.to_owned()));
        }
        self.adaptations.push(Adaptation::new(parameter, change));
        Ok(())
    }
}

/// `deepseek-chat` and `deepseek-reasoner` were switched off on 2026-07-24; apps that hard-code them keep running.
fn retired_name(body: &mut Document, policies: Policies, plan: &mut Plan) -> Result<()> {
    let Some(retired) = body.str("model").and_then(|model| models::retired(&model)) else { return Ok(()) };
    let thinking = if retired.thinks { "enabled" } else { "disabled" };
    let says_itself = body.has("thinking") || body.has("reasoning_effort");
    let with = if says_itself { String::new() } else { format!(" with thinking {thinking}") };
    let change = format!(
        "`{}` was switched off on {}; sent as `{}`{with}",
        retired.name, retired.off_since, retired.instead
    );
    plan.note(policies, "model", change, "ask for deepseek-flash, and say thinking on or off")?;
    body.set("model", retired.instead)?;
    if says_itself { Ok(()) } else { body.set("thinking", json!({ "type": thinking })) }
}

fn refuse_several_answers(body: &mut Document) -> Result<()> {
    if body.get::<f64>("n")?.is_some_and(|n| n > 1.0) {
        return Err(Error::unsupported("DeepSeek gives one answer a call, and `n` asks for more")
            .with_param("n")
            .with_hint("make several calls; their common prefix is cached"));
    }
    Ok(())
}

fn refuse_unknown_media(body: &mut Document) -> Result<()> {
    let messages = body.get_raw("messages").unwrap_or_default();
    let has_part = |kind: &str| has_member(messages, "type", &format!("\"{kind}\""));
    if has_part("input_audio") {
        return Err(Error::unsupported("DeepSeek takes no audio")
            .with_param("messages")
            .with_hint("send a transcript"));
    }
    let model = body.str("model").unwrap_or_default();
    if has_part("image_url") && models::sees(&model) == Some(false) {
        return Err(Error::unsupported(format!("`{model}` takes no images"))
            .with_param("messages")
            .with_hint("ask deepseek-flash, which sees"));
    }
    Ok(())
}

/// OpenAI's scale to DeepSeek's `low`, `high` and `max`; `none` is thinking off.
fn effort(body: &mut Document, policies: Policies, plan: &mut Plan) -> Result<()> {
    let Some(effort) = body.str("reasoning_effort").map(std::borrow::Cow::into_owned) else { return Ok(()) };
    let sent = match effort.as_str() {
        "none" => {
            plan.note(
                policies,
                "reasoning_effort",
                "`none` sent as thinking off",
                "send thinking: {\"type\":\"disabled\"}",
            )?;
            body.remove("reasoning_effort");
            return if body.has("thinking") {
                Ok(())
            } else {
                body.set("thinking", json!({ "type": "disabled" }))
            };
        }
        "minimal" => "low",
        "medium" | "xhigh" => "high",
        "ultra" => "max",
        _ => return Ok(()),
    };
    plan.note(policies, "reasoning_effort", format!("`{effort}` sent as `{sent}`"), "send low, high or max")?;
    body.set("reasoning_effort", sent)
}

/// DeepSeek's `user_id` keeps safety, caches and scheduling of users apart; it takes letters, digits, `-` and `_`.
fn user(body: &mut Document, policies: Policies, plan: &mut Plan) -> Result<()> {
    const LONGEST: usize = 512;
    let Some(user) = body.str("user").map(std::borrow::Cow::into_owned) else { return Ok(()) };
    if body.has("user_id") || user.is_empty() {
        return Ok(());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Two users must not become one: what doesn't fit goes as the number of its byte.
    let one =
        |byte: u8| if fits(char::from(byte)) { char::from(byte).to_string() } else { format!("_{byte:02x}") };
    let id: String = user.bytes().map(one).collect::<String>().chars().take(LONGEST).collect();
    plan.note(policies, "user", "sent as `user_id`, in the characters that DeepSeek takes", "send user_id")?;
    body.remove("user");
    body.set("user_id", id)
}

fn forced_tool_choice(body: &mut Document, policies: Policies, plan: &mut Plan) -> Result<()> {
    let choice = body.get::<Value>("tool_choice")?.unwrap_or_default();
    let forces = match choice.get("type").and_then(Value::as_str) {
        Some("allowed_tools") => {
            choice.get("mode").or_else(|| choice.pointer("/allowed_tools/mode")) == Some(&json!("required"))
        }
        Some(_) => true,
        None => choice == "required",
    };
    if !forces || !thinks(body) {
        return Ok(());
    }
    let because = "DeepSeek can't be forced to call a tool while it thinks";
    match policies.forced_tool_choice {
        ForcedToolChoice::DisableThinking => {
            let change = format!("{because}; thinking switched off for this call");
            plan.note(policies, "tool_choice", change, "switch thinking off, or send auto")?;
            body.remove("reasoning_effort");
            body.set("thinking", json!({ "type": "disabled" }))
        }
        ForcedToolChoice::Auto => {
            plan.note(
                policies,
                "tool_choice",
                format!("{because}; sent as `auto`"),
                "switch thinking off, or send auto",
            )?;
            body.set("tool_choice", "auto")
        }
        ForcedToolChoice::Refuse => Err(Error::unsupported(because)
            .with_param("tool_choice")
            .with_hint("switch thinking off, or send auto")),
    }
}

/// What must be looked at inside the conversation, each found by a look before anything is parsed.
fn messages(body: &mut Document, memory: Option<&ReasoningMemory>, plan: &mut Plan) -> Result<()> {
    let text = body.get_raw("messages").unwrap_or_default();
    let has_tools = body.get_raw("tools").is_some_and(|tools| tools != "[]" && tools != "null");
    let passes_back = has_tools && thinks(body);
    let has_lists = has_member(text, "type", "\"text\"");
    let has_prefix = has_member(text, "prefix", "true");
    if !passes_back && !has_lists && !has_prefix {
        return Ok(());
    }
    let Some(mut messages) = body.get::<Vec<Value>>("messages")? else { return Ok(()) };
    let mut changed = false;
    let mut trace = Trace::default();
    for message in &mut messages {
        changed |= has_lists && collapse_text(message);
        if passes_back {
            let typed = Message::from_wire(message).unwrap_or_default();
            changed |= pass_back(message, || memory?.recall_after(trace, &typed));
            trace = memory.map(|memory| memory.follow(trace, &typed)).unwrap_or_default();
        }
    }
    plan.trace = passes_back.then_some(trace);
    plan.beta |= messages.last().is_some_and(|last| last.get("prefix") == Some(&Value::Bool(true)));
    if changed { body.set("messages", messages) } else { Ok(()) }
}

/// The beta wants every function strict and refuses the rest; the normal base takes the flag and doesn't enforce it.
fn all_tools_are_strict(body: &Document) -> Result<bool> {
    if !body.get_raw("tools").is_some_and(|tools| has_member(tools, "strict", "true")) {
        return Ok(false);
    }
    let tools = body.get::<Vec<Value>>("tools")?.unwrap_or_default();
    Ok(tools.iter().all(|tool| tool.pointer("/function/strict") == Some(&Value::Bool(true))))
}

/// A list of nothing but text parts as one text: DeepSeek refused lists for long, and some gateways still do.
fn collapse_text(message: &mut Value) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else { return false };
    let text = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("text") => part.get("text").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let Some(texts) = parts.iter().map(text).collect::<Option<Vec<_>>>() else { return false };
    if let Some(message) = message.as_object_mut() {
        message.insert("content".to_owned(), texts.join("\n").into());
    }
    true
}

/// Puts back what the model thought. An empty text says that nothing is known of it, and is taken.
fn pass_back(message: &mut Value, recall: impl FnOnce() -> Option<Arc<str>>) -> bool {
    let Some(message) = message.as_object_mut() else { return false };
    // In a prefix to be gone on with, reasoning is a beginning of the thought and not a memory of one.
    let is_prefix = message.get("prefix") == Some(&Value::Bool(true));
    let is_answer = message.get("role").and_then(Value::as_str) == Some("assistant") && !is_prefix;
    if !is_answer || message.get("reasoning_content").is_some_and(Value::is_string) {
        return false;
    }
    message.insert("reasoning_content".to_owned(), recall().as_deref().unwrap_or_default().into());
    true
}

/// Thinking is on unless it is switched off.
fn thinks(body: &Document) -> bool {
    let off = body.get_raw("thinking").is_some_and(|thinking| has_member(thinking, "type", "\"disabled\""));
    !off && body.str("reasoning_effort").as_deref() != Some("none")
}

/// True when a JSON text has a member of this name and value at any depth, white space aside. Text inside of strings is no
/// member: its quotes are escaped.
fn has_member(text: &str, name: &str, value: &str) -> bool {
    let quoted = format!("\"{name}\"");
    text.match_indices(&quoted).any(|(at, _)| {
        let rest = text.get(at + quoted.len()..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;

    fn adapted(body: Value, policies: Policies) -> Result<(Value, Plan)> {
        let mut document = Document::from_serialize(&body)?;
        let plan = adapt(&mut document, policies, None)?;
        Ok((serde_json::from_slice(&document.to_bytes()).unwrap(), plan))
    }

    #[test]
    fn what_openais_apps_send_is_put_as_deepseek_takes_it() {
        let off = json!({"type":"disabled"});
        let table = [
            (json!({"model":"deepseek-chat"}), json!({"model":"deepseek-flash","thinking":off}), "model"),
            (
                json!({"model":"deepseek-reasoner"}),
                json!({"model":"deepseek-flash","thinking":{"type":"enabled"}}),
                "model",
            ),
            (
                json!({"model":"deepseek-chat","thinking":{"type":"enabled"}}),
                json!({"model":"deepseek-flash","thinking":{"type":"enabled"}}),
                "model",
            ),
            (json!({"reasoning_effort":"none"}), json!({"thinking":off}), "reasoning_effort"),
            (json!({"reasoning_effort":"minimal"}), json!({"reasoning_effort":"low"}), "reasoning_effort"),
            (json!({"reasoning_effort":"xhigh"}), json!({"reasoning_effort":"high"}), "reasoning_effort"),
            (json!({"reasoning_effort":"max"}), json!({"reasoning_effort":"max"}), ""),
            (json!({"user":"mail@x.example"}), json!({"user_id":"mail_40x_2eexample"}), "user"),
            (
                json!({"tool_choice":"required"}),
                json!({"tool_choice":"required","thinking":off}),
                "tool_choice",
            ),
            (
                json!({"tool_choice":"required","thinking":off}),
                json!({"tool_choice":"required","thinking":off}),
                "",
            ),
            (json!({"tool_choice":"auto"}), json!({"tool_choice":"auto"}), ""),
            (
                json!({"tool_choice":{"type":"allowed_tools","mode":"auto"}}),
                json!({"tool_choice":{"type":"allowed_tools","mode":"auto"}}),
                "",
            ),
            (json!({"n":1}), json!({"n":1}), ""),
        ];
        for (sent, wanted, parameter) in table {
            let (got, plan) = adapted(sent.clone(), Policies::default()).unwrap();
            assert_eq!(got, wanted, "{sent}");
            let noted: Vec<&str> = plan.adaptations.iter().map(|one| one.parameter.as_str()).collect();
            assert_eq!(noted.join(","), parameter, "{sent}");
            if !parameter.is_empty() {
                let strict = adapted(sent, Policies { strict: true, ..Policies::default() }).unwrap_err();
                assert_eq!((strict.kind(), strict.param()), (ErrorKind::Unsupported, Some(parameter)));
            }
        }
    }

    #[test]
    fn what_deepseek_cannot_do_is_refused_before_it_is_sent() {
        let image = json!([{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]);
        let audio = json!([{"role":"user","content":[{"type" : "input_audio","input_audio":{}}]}]);
        for body in [
            json!({"n":2}),
            json!({"model":"deepseek-v4-pro","messages":image}),
            json!({"model":"deepseek-flash","messages":audio}),
        ] {
            assert_eq!(adapted(body, Policies::default()).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert!(adapted(json!({"model":"deepseek-flash","messages":image}), Policies::default()).is_ok());
        let refuse = Policies { forced_tool_choice: ForcedToolChoice::Refuse, ..Policies::default() };
        assert!(adapted(json!({"tool_choice":{"type":"function"}}), refuse).is_err());
        let auto = Policies { forced_tool_choice: ForcedToolChoice::Auto, ..Policies::default() };
        assert_eq!(
            adapted(json!({"tool_choice":"required"}), auto).unwrap().0,
            json!({"tool_choice":"auto"})
        );
    }

    #[test]
    fn the_beta_is_chosen_by_what_the_request_needs() {
        let beta = |body: Value| adapted(body, Policies::default()).unwrap().1.beta;
        assert!(beta(json!({"messages":[{"role":"assistant","content":"x","prefix":true}]})));
        assert!(beta(json!({"tools":[{"type":"function","function":{"name":"f","strict":true}}]})));
        assert!(!beta(
            json!({"messages":[{"role":"user","content":"\"prefix\":true"}],"tools":[{"function":{"strict":false}}]})
        ));
    }

    #[test]
    fn lists_of_text_become_text_and_lists_with_images_stay() {
        let list = json!([{"type":"text","text":"a"},{"type":"text","text":"b"}]);
        let mixed = json!([{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]);
        let (got, _) = adapted(
            json!({"messages":[{"role":"user","content":list},{"role":"user","content":mixed}]}),
            Policies::default(),
        )
        .unwrap();
        assert_eq!(
            (&got["messages"][0]["content"], &got["messages"][1]["content"]),
            (&json!("a\nb"), &mixed)
        );
    }

    #[test]
    fn reasoning_is_put_back_only_where_tools_and_thinking_ask_for_it() {
        let history = json!([{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"assistant","content":"z","reasoning_content":"kept"}]);
        let tools = json!([{"type":"function","function":{"name":"f"}}]);
        let (got, _) = adapted(json!({"messages":history,"tools":tools}), Policies::default()).unwrap();
        assert_eq!(got["messages"][1]["reasoning_content"], "");
        assert_eq!(got["messages"][2]["reasoning_content"], "kept");
        for body in [
            json!({"messages":history}),
            json!({"messages":history,"tools":[]}),
            json!({"messages":history,"tools":tools,"thinking":{"type":"disabled"}}),
        ] {
            assert_eq!(adapted(body.clone(), Policies::default()).unwrap().0, body);
        }
    }
}
