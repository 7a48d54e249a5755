//! Reasoning: in one place, whole, and never in the text.

use modelswitch_provider::{ChatRequest, ErrorKind, Message, Tool};
use serde_json::json;

use super::Case;
use super::stream_end::failed;
use super::tools::collect;
use crate::Script;
use crate::contract::Capability::{DropsReasoning, Reasoning, Streams, Tools};
use crate::contract::stage::{Stage, Verdict, event, go_on, kind_is, reasoning_of, same, text_of, want};

pub(super) const CASES: &[Case] = &[
    Case::new("reasoning-unary", "reasoning comes beside the text", |s| Box::pin(unary(s)))
        .needs(&[Reasoning]),
    Case::new("reasoning-not-in-text", "the text is free of reasoning and its marks", |s| Box::pin(apart(s)))
        .needs(&[Reasoning, Streams]),
    Case::new("reasoning-stream", "streamed reasoning is the same, and comes before the text", |s| {
        Box::pin(stream(s))
    })
    .needs(&[Reasoning, Streams]),
    Case::new("reasoning-with-tools", "a turn that calls a tool keeps its reasoning", |s| Box::pin(tools(s)))
        .needs(&[Reasoning, Tools]),
    Case::new("reasoning-with-tools-stream", "so does a streamed one", |s| Box::pin(tools_stream(s)))
        .needs(&[Reasoning, Tools, Streams]),
    Case::new("reasoning-cut", "a stream cut inside its reasoning is `interrupted`", |s| Box::pin(cut(s)))
        .needs(&[Reasoning, Streams]),
    Case::new("reasoning-passed-back", "a conversation with reasoning in it goes on", |s| Box::pin(back(s)))
        .needs(&[Reasoning]),
    Case::new("reasoning-passed-back-with-tools", "so does one in which tools were called", |s| {
        Box::pin(back_with_tools(s))
    })
    .needs(&[Reasoning, Tools]),
    Case::new("reasoning-kept-from-others", "a service that has no place for reasoning gets none", |s| {
        Box::pin(kept(s))
    })
    .needs(&[DropsReasoning]),
];

/// What the simulator's reasoning begins with.
const MARK: &str = "[simulated reasoning]";

fn asking(stage: &Stage, text: &str) -> ChatRequest {
    ChatRequest::user(text).model(&stage.can.reasoning_model)
}

fn with_tool(request: ChatRequest) -> ChatRequest {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    request.tool(Tool::function("get_weather", "Looks it up.", schema))
}

async fn unary(stage: &Stage) -> Verdict {
    let reply = stage.chat(asking(stage, "marker-thought")).await?;
    let reasoning = reply.reasoning().unwrap_or_default();
    want(reasoning.contains(MARK) && reasoning.contains("marker-thought"), || {
        format!("{} bytes of reasoning, not the service's", reasoning.len())
    })
}

async fn apart(stage: &Stage) -> Verdict {
    let whole = stage.chat(asking(stage, "marker-apart")).await?.text();
    let streamed = text_of(&stage.chunks(asking(stage, "marker-apart")).await?);
    for text in [whole, streamed] {
        want(text.contains("marker-apart"), || {
            "expected the answer's text, with `marker-apart` in it, got another".to_owned()
        })?;
        let clean = !text.contains(MARK) && !text.contains("think>") && !text.contains("\"thinking\"");
        want(clean, || "expected reasoning beside the text, got some of it in the text".to_owned())?;
    }
    Ok(())
}

async fn stream(stage: &Stage) -> Verdict {
    let whole = stage.chat(asking(stage, "marker-thought")).await?;
    let chunks = stage.chunks(asking(stage, "marker-thought")).await?;
    let streamed = reasoning_of(&chunks);
    want(streamed.contains(MARK), || {
        "expected the service's reasoning in the chunks' `reasoning_content`, got none".to_owned()
    })?;
    same("the reasoning", streamed.trim(), whole.reasoning().unwrap_or_default().trim())?;
    let text = chunks.iter().position(|chunk| !chunk.text().trim().is_empty());
    let last = chunks.iter().rposition(|chunk| chunk.reasoning().is_some());
    want(last < text, || "expected all reasoning before the text, got some after it had begun".to_owned())
}

async fn tools(stage: &Stage) -> Verdict {
    let reply = stage.chat(with_tool(asking(stage, "Weather?"))).await?;
    same("the calls", reply.tool_calls().len(), 1)?;
    want(reply.reasoning().is_some_and(|text| text.contains(MARK)), || {
        "expected the service's reasoning in `reasoning_content`, got none or another".to_owned()
    })
}

async fn tools_stream(stage: &Stage) -> Verdict {
    let reply = collect(stage.chunks(with_tool(asking(stage, "Weather?"))).await?);
    same("the calls", reply.tool_calls().len(), 1)?;
    want(reply.reasoning().is_some_and(|text| text.contains(MARK)), || {
        "expected the service's reasoning in `reasoning_content`, got none or another".to_owned()
    })
}

async fn cut(stage: &Stage) -> Verdict {
    let opening = event(&json!({"role": "assistant", "content": null}), None);
    // Each service has its own field; those that read another one still have the same end.
    let thought = event(&json!({"reasoning_content": "I wonder", "reasoning": "I wonder"}), None);
    stage.script(Script::sse([opening, thought]).cut_after_events(2))?;
    let (_, error) = stage.drained(asking(stage, "Hello")).await?;
    kind_is(&failed(error)?, ErrorKind::Interrupted)
}

async fn back(stage: &Stage) -> Verdict {
    let first = stage.chat(asking(stage, "First?")).await?;
    let next = ChatRequest::new(go_on("First?", &first, &[Message::user("marker-next")]));
    let reply = stage.chat(next.model(&stage.can.reasoning_model)).await?;
    want(reply.text().contains("marker-next"), || {
        "expected the service's answer to the next turn, got another".to_owned()
    })
}

async fn back_with_tools(stage: &Stage) -> Verdict {
    let first = stage.chat(with_tool(asking(stage, "Weather?"))).await?;
    let id = first.tool_calls().first().ok_or("expected a tool call, got none")?.id.clone();
    let next = ChatRequest::new(go_on("Weather?", &first, &[Message::tool(id, "marker-rain")]));
    let reply = stage.chat(with_tool(next.model(&stage.can.reasoning_model))).await?;
    want(reply.text().contains("marker-rain"), || {
        "expected the service's answer to the next turn, got another".to_owned()
    })?;
    if stage.can.has(DropsReasoning) || !stage.has_service() {
        return Ok(());
    }
    // An empty thought would do for the service, and the model would begin anew.
    let last = stage.sent()?.pop().map(|request| request.json().to_string()).unwrap_or_default();
    want(last.contains(MARK), || {
        "expected what was thought in the history that the service gets, got a history without".to_owned()
    })
}

async fn kept(stage: &Stage) -> Verdict {
    let mut thought = Message::assistant("Yes.");
    thought.reasoning_content = Some("marker-secret-thought".to_owned());
    let messages = [Message::user("Well?"), thought, Message::user("And?")];
    stage.chat(ChatRequest::new(messages).model(&stage.can.model)).await?;
    let body = stage.one_body()?.to_string();
    want(!body.contains("marker-secret-thought"), || {
        "expected no reasoning in the history that the service gets, got it there".to_owned()
    })
}
