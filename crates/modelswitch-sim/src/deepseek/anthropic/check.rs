//! What the Messages endpoint refuses.

use serde_json::Value;

use crate::ask::{Ask, role};
use crate::deepseek::check::images::{Images, address, inline, uploaded};
use crate::deepseek::check::{About, Refusal, context, limits, tools};

/// The parts of a message that are understood.
const PARTS: [&str; 7] =
    ["text", "image", "thinking", "tool_use", "tool_result", "server_tool_use", "web_search_tool_result"];

pub(super) fn messages(body: &Value, ask: &Ask, model: &str, about: &About<'_>) -> Result<(), Refusal> {
    let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages =
        messages.ok_or_else(|| Refusal::simulated("messages must be a list with a message in it"))?;
    let mut images = Images::default();
    for (index, message) in messages.iter().enumerate() {
        parts(index, message, model == "deepseek-flash", about, &mut images)?;
    }
    for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
        let name = tool.get("name").and_then(Value::as_str);
        // A built-in tool has a type of its own and no schema.
        if tool.get("type").is_none_or(|kind| kind == "custom") {
            tools::function(name.unwrap_or_default(), tool.get("input_schema"))?;
        }
    }
    limits::tokens(body, "max_tokens")?;
    limits::number(body, "temperature", 2.0)?;
    limits::number(body, "top_p", 1.0)?;
    limits::stop(body.get("stop_sequences"))?;
    limits::user(body.pointer("/metadata/user_id"))?;
    if about.thinking && ask.choice.is_forced() {
        return Err(Refusal::octets("Thinking mode does not support this tool_choice"));
    }
    pairs(messages)?;
    if about.thinking && !ask.tools.is_empty() {
        thoughts(messages)?;
    }
    context(ask)
}

fn parts(
    index: usize,
    message: &Value,
    vision: bool,
    about: &About<'_>,
    images: &mut Images,
) -> Result<(), Refusal> {
    let role = role(message);
    if !matches!(role, "user" | "assistant") {
        let what =
            format!("messages[{index}].role: unknown variant `{role}`, expected `user` or `assistant`");
        return Err(Refusal::octets(what));
    }
    for part in blocks(message) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if !PARTS.contains(&kind) {
            return Err(Refusal::simulated(format!("messages[{index}]: unknown variant `{kind}`")));
        }
        let inner = part.get("content").and_then(Value::as_array).into_iter().flatten();
        let pictures =
            inner.chain([part]).filter(|part| part.get("type").is_some_and(|kind| kind == "image"));
        for picture in pictures {
            if !vision || role != "user" {
                return Err(Refusal::simulated(format!("messages[{index}]: an image is not supported here")));
            }
            image(picture, about, images)?;
        }
    }
    Ok(())
}

fn image(part: &Value, about: &About<'_>, images: &mut Images) -> Result<(), Refusal> {
    let field = |name: &str| part.get("source").and_then(|source| source.get(name)).and_then(Value::as_str);
    match (field("type"), field("url"), field("file_id")) {
        (Some("base64"), _, _) => {
            let (kind, data) = (field("media_type").unwrap_or_default(), field("data").unwrap_or_default());
            inline(&format!("data:{kind};base64,{data}"), images)
        }
        (Some("url"), Some(url), _) => address(url, images),
        (Some("file"), _, Some(id)) => uploaded(id, about.has_file, images),
        _ => Err(Refusal::simulated("an image's source must be base64, url or file")),
    }
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message.get("content").and_then(Value::as_array).into_iter().flatten()
}

/// A tool's use is followed by its result, and nothing else is.
fn pairs(messages: &[Value]) -> Result<(), Refusal> {
    let ids = |message: &Value, kind: &str, field: &str| -> Vec<String> {
        let blocks = blocks(message).filter(|block| block.get("type").is_some_and(|found| found == kind));
        blocks.filter_map(|block| block.get(field)?.as_str().map(str::to_owned)).collect()
    };
    let mut used: Vec<String> = Vec::new();
    for message in messages {
        let results = ids(message, "tool_result", "tool_use_id");
        if let Some(open) = used.iter().find(|id| !results.contains(id)) {
            return Err(Refusal::simulated(format!(
                "`tool_use` without a `tool_result` right after it: {open}"
            )));
        }
        if let Some(odd) = results.iter().find(|id| !used.contains(id)) {
            return Err(Refusal::simulated(format!(
                "`tool_result` without a `tool_use` right before it: {odd}"
            )));
        }
        used = ids(message, "tool_use", "id");
    }
    match used.first() {
        Some(open) => {
            Err(Refusal::simulated(format!("`tool_use` without a `tool_result` right after it: {open}")))
        }
        None => Ok(()),
    }
}

/// With tools, each turn of the assistant that called one comes back with its thoughts.
fn thoughts(messages: &[Value]) -> Result<(), Refusal> {
    let has = |message: &Value, kind: &str| {
        blocks(message).any(|block| block.get("type").is_some_and(|k| k == kind))
    };
    let turns = messages.iter().filter(|message| role(message) == "assistant");
    if turns.into_iter().any(|turn| has(turn, "tool_use") && !has(turn, "thinking")) {
        return Err(Refusal::octets(
            "The `content[].thinking` in the thinking mode must be passed back to the API.",
        ));
    }
    Ok(())
}
