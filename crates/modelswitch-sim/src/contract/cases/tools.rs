//! Tool calls, whole and in pieces.

use modelswitch_provider::{
    ChatChunk, ChatCompletion, ChatRequest, Collector, FinishReason, Message, Tool, ToolCall, ToolCallDelta,
};
use serde_json::{Value, json};

use super::Case;
use super::stream::finished;
use crate::Script;
use crate::contract::Capability::{Streams, Tools};
use crate::contract::stage::{Stage, Verdict, answer, event, go_on, same, want};

pub(super) const CASES: &[Case] = &[
    Case::new("tools-sent", "the tools reach the service as they are", |s| Box::pin(sent(s))).needs(&[Tools]),
    Case::new("tools-unary", "a call has an id, a name and arguments in JSON", |s| Box::pin(unary(s)))
        .needs(&[Tools]),
    Case::new("tools-stream", "a streamed call is the same call", |s| Box::pin(stream(s)))
        .needs(&[Tools, Streams]),
    Case::new("tools-parallel", "two calls have two ids", |s| Box::pin(parallel(s))).needs(&[Tools]),
    Case::new("tools-parallel-stream", "two streamed calls are told apart by their index", |s| {
        Box::pin(parallel_stream(s))
    })
    .needs(&[Tools, Streams]),
    Case::new("tools-interleaved", "pieces of two calls may alternate", |s| Box::pin(interleaved(s)))
        .needs(&[Tools, Streams]),
    Case::new("tools-cut-by-length", "arguments cut by the limit come as they are", |s| Box::pin(cut(s)))
        .needs(&[Tools]),
    Case::new("tools-beside-text", "text beside a call is kept", |s| Box::pin(beside_text(s)))
        .needs(&[Tools]),
    Case::new("tools-result", "a result reaches the service with the id of its call", |s| {
        Box::pin(result(s))
    })
    .needs(&[Tools]),
];

/// Two tools, so that one can be left out.
fn asking(stage: &Stage, text: &str) -> ChatRequest {
    stage.ask(text).tool(tool("get_weather", "city")).tool(tool("get_time", "zone"))
}

fn tool(name: &str, argument: &str) -> Tool {
    let schema =
        json!({"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]});
    Tool::function(name, "Looks something up.", schema)
}

async fn sent(stage: &Stage) -> Verdict {
    stage.chat(asking(stage, "no tools")).await?;
    let body = stage.one_body()?;
    let name =
        |number: usize| body.pointer(&format!("/tools/{number}/function/name")).and_then(Value::as_str);
    same("the tools", (name(0), name(1)), (Some("get_weather"), Some("get_time")))?;
    let schema = body.pointer("/tools/0/function/parameters/properties/city/type");
    same("the schema", schema, Some(&json!("string")))
}

async fn unary(stage: &Stage) -> Verdict {
    let reply = stage.chat(asking(stage, "Weather in \"Oslo\"?")).await?;
    same("the finish reason", reply.finish_reason(), Some(&FinishReason::ToolCalls))?;
    same("the calls", names(reply.tool_calls()), vec!["get_weather"])?;
    reply.tool_calls().iter().try_for_each(usable)
}

async fn stream(stage: &Stage) -> Verdict {
    let whole = stage.chat(asking(stage, "Weather in \"Oslo\"?")).await?;
    let chunks = stage.chunks(asking(stage, "Weather in \"Oslo\"?")).await?;
    let first = pieces(&chunks).next().ok_or("expected a tool call, got none")?;
    want(first.index == Some(0) && first.id.is_some(), || {
        "expected index and id in the first piece of a call, got a piece without".to_owned()
    })?;
    let streamed = collect(chunks);
    same("the finish reason", streamed.finish_reason(), Some(&FinishReason::ToolCalls))?;
    same("the calls", names(streamed.tool_calls()), names(whole.tool_calls()))?;
    same("the arguments", arguments(streamed.tool_calls()), arguments(whole.tool_calls()))?;
    streamed.tool_calls().iter().try_for_each(usable)
}

async fn parallel(stage: &Stage) -> Verdict {
    let reply = stage.chat(asking(stage, "both, please")).await?;
    let calls = reply.tool_calls();
    same("the calls", names(calls), vec!["get_weather", "get_time"])?;
    calls.iter().try_for_each(usable)?;
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    want(ids.first() != ids.last(), || "expected an id of its own for each call, got one for two".to_owned())
}

async fn parallel_stream(stage: &Stage) -> Verdict {
    let chunks = stage.chunks(asking(stage, "both, please")).await?;
    let mut indices: Vec<Option<u32>> = pieces(&chunks).map(|piece| piece.index).collect();
    indices.dedup();
    same("the indices", indices, vec![Some(0), Some(1)])?;
    let reply = collect(chunks);
    same("the calls", names(reply.tool_calls()), vec!["get_weather", "get_time"])?;
    reply.tool_calls().iter().try_for_each(usable)
}

async fn interleaved(stage: &Stage) -> Verdict {
    let begin = |index: u32, id: &str, name: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                               "function": {"name": name, "arguments": ""}}]})
    };
    let more =
        |index: u32, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    let deltas = [
        begin(0, "call_a", "get_weather"),
        begin(1, "call_b", "get_time"),
        more(0, "{\"city\":"),
        more(1, "{\"zone\":"),
        more(0, "\"Oslo\"}"),
        more(1, "\"CET\"}"),
    ];
    stage.script(finished(deltas.iter().map(|delta| event(delta, None))))?;
    let reply = collect(stage.chunks(asking(stage, "Go")).await?);
    same("the arguments", arguments(reply.tool_calls()), vec![r#"{"city":"Oslo"}"#, r#"{"zone":"CET"}"#])?;
    same("the calls", names(reply.tool_calls()), vec!["get_weather", "get_time"])
}

async fn cut(stage: &Stage) -> Verdict {
    let call = json!({"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Os"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    stage.script(Script::status(200).json(answer(&message, "length")))?;
    let reply = stage.chat(asking(stage, "Weather?")).await?;
    same("the finish reason", reply.finish_reason(), Some(&FinishReason::Length))?;
    same("the arguments", arguments(reply.tool_calls()), vec!["{\"city\": \"Os"])
}

async fn beside_text(stage: &Stage) -> Verdict {
    let call =
        json!({"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "I look.", "tool_calls": [call]});
    stage.script(Script::status(200).json(answer(&message, "tool_calls")))?;
    let reply = stage.chat(asking(stage, "Weather?")).await?;
    same("the text", reply.text().as_str(), "I look.")?;
    same("the calls", names(reply.tool_calls()), vec!["get_weather"])
}

async fn result(stage: &Stage) -> Verdict {
    let called = stage.chat(asking(stage, "Weather?")).await?;
    let id = called.tool_calls().first().ok_or("expected a tool call, got none")?.id.clone();
    let messages = go_on("Weather?", &called, &[Message::tool(id, "marker-result")]);
    let mut next = asking(stage, "");
    next.messages = messages;
    let reply = stage.chat(next).await?;
    want(reply.text().contains("marker-result"), || {
        "expected the tool's result in what the service answers, got an answer without".to_owned()
    })?;
    let body = stage.sent()?.last().map(|request| request.json()).unwrap_or_default();
    let (asked, answered) =
        (body.pointer("/messages/1/tool_calls/0/id"), body.pointer("/messages/2/tool_call_id"));
    want(asked.is_some() && asked == answered, || {
        "expected one id in the call and in its result at the service, got two, or none".to_owned()
    })
}

fn usable(call: &ToolCall) -> Verdict {
    want(!call.id.is_empty(), || {
        format!("expected an id in the call of {}, got an empty one", call.function.name)
    })?;
    let parsed: Result<Value, _> = serde_json::from_str(&call.function.arguments);
    want(parsed.is_ok_and(|value| value.is_object()), || {
        format!("expected a JSON object as arguments of {}, got something else", call.function.name)
    })
}

fn names(calls: &[ToolCall]) -> Vec<&str> {
    calls.iter().map(|call| call.function.name.as_str()).collect()
}

fn arguments(calls: &[ToolCall]) -> Vec<&str> {
    calls.iter().map(|call| call.function.arguments.as_str()).collect()
}

fn pieces(chunks: &[ChatChunk]) -> impl Iterator<Item = &ToolCallDelta> {
    chunks.iter().flat_map(|chunk| &chunk.choices).flat_map(|choice| &choice.delta.tool_calls)
}

pub(super) fn collect(chunks: Vec<ChatChunk>) -> ChatCompletion {
    let mut collector = Collector::new();
    chunks.into_iter().for_each(|chunk| collector.push(chunk));
    collector.finish()
}
