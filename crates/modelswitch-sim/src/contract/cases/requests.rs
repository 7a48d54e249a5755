//! Parameters that some services don't take.

use modelswitch_provider::{ChatRequest, Message, ProviderExt, Role};
use serde_json::{Value, json};

use super::Case;
use crate::contract::Capability::{AdaptsRequests, Reasoning, Tools};
use crate::contract::stage::{Stage, Verdict, want};

pub(super) const CASES: &[Case] = &[
    Case::new("request-parameters", "a parameter is taken, changed, or refused before it is sent", |s| {
        Box::pin(parameters(s))
    })
    .needs(&[AdaptsRequests]),
    Case::new("request-thinking", "so is one that only a model that thinks refuses", |s| {
        Box::pin(thinking(s))
    })
    .needs(&[AdaptsRequests, Reasoning]),
    Case::new("request-efforts", "so is each effort of OpenAI's scale", |s| Box::pin(efforts(s)))
        .needs(&[AdaptsRequests]),
    Case::new("request-roles", "so are the roles and names of messages", |s| Box::pin(roles(s)))
        .needs(&[AdaptsRequests]),
    Case::new("request-tool-choice", "so is each way to choose a tool", |s| Box::pin(tool_choice(s)))
        .needs(&[AdaptsRequests, Tools]),
];

/// Each as an app of OpenAI's sends it.
fn each() -> Vec<(&'static str, Value)> {
    vec![
        ("max_tokens", json!(50)),
        ("max_completion_tokens", json!(50)),
        ("temperature", json!(2.0)),
        ("temperature", json!(0.0)),
        ("top_p", json!(0.5)),
        ("stop", json!(["never"])),
        ("n", json!(2)),
        ("seed", json!(7)),
        ("logit_bias", json!({"50256": -100})),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(-0.5)),
        ("user", json!("user-1")),
        ("metadata", json!({"purpose": "contract"})),
        ("store", json!(false)),
        ("service_tier", json!("auto")),
    ]
}

async fn parameters(stage: &Stage) -> Verdict {
    for (name, value) in each() {
        is_dealt_with(stage, name, stage.ask("Well?").set(name, value)).await?;
    }
    let together = stage.ask("Well?").set("logprobs", true).set("top_logprobs", 2);
    is_dealt_with(stage, "top_logprobs", together).await
}

async fn thinking(stage: &Stage) -> Verdict {
    for (name, value) in each() {
        let request = stage.ask("Well?").model(&stage.can.reasoning_model).set(name, value);
        is_dealt_with(stage, name, request).await?;
    }
    Ok(())
}

async fn efforts(stage: &Stage) -> Verdict {
    for effort in ["none", "minimal", "low", "medium", "high", "xhigh"] {
        let thinker = stage.can.has(Reasoning).then_some(&stage.can.reasoning_model);
        for model in std::iter::once(&stage.can.model).chain(thinker) {
            let request = stage.ask("How hard?").model(model).set("reasoning_effort", effort);
            is_dealt_with(stage, &format!("reasoning_effort = {effort}"), request).await?;
        }
    }
    Ok(())
}

async fn roles(stage: &Stage) -> Verdict {
    let mut developer = Message::system("Be brief.");
    developer.role = Role::Developer;
    let request = ChatRequest::new([developer, Message::user("Well?")]).model(&stage.can.model);
    is_dealt_with(stage, "the role developer", request).await?;
    let mut named = Message::user("Well?");
    named.extra.insert("name".to_owned(), json!("ada"));
    is_dealt_with(stage, "messages[].name", ChatRequest::new([named]).model(&stage.can.model)).await
}

async fn tool_choice(stage: &Stage) -> Verdict {
    let tool = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]);
    let one = json!({"type": "function", "function": {"name": "look"}});
    for choice in [json!("auto"), json!("none"), json!("required"), one] {
        let request = stage.ask("Look!").set("tools", tool.clone()).set("tool_choice", choice.clone());
        is_dealt_with(stage, &format!("tool_choice = {choice}"), request).await?;
    }
    let request = stage.ask("Look!").set("tools", tool).set("parallel_tool_calls", false);
    is_dealt_with(stage, "parallel_tool_calls", request).await
}

/// What the service says no to should never have reached it: the app would have to know whom it talks to.
async fn is_dealt_with(stage: &Stage, what: &str, request: ChatRequest) -> Verdict {
    let before = stage.sent()?.len();
    let answer = stage.within("an answer", stage.provider.chat(request)).await?;
    let is_sent = stage.sent()?.len() > before;
    let Err(error) = answer else { return Ok(()) };
    want(!is_sent, || {
        format!(
            "expected {what} to be taken, changed or refused beforehand, got the service's refusal: {error}"
        )
    })
}
