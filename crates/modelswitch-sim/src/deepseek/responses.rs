//! `POST /responses` of DeepSeek: stateless, and particular about calls and their outputs.
//!
//! <https://api-docs.deepseek.com/guides/responses_api>

use serde_json::Value;

use super::check::images::{Images, address, uploaded};
use super::check::{self, Refusal, limits, tools};
use super::trouble::{Failure, trouble};
use super::{has_image, serving};
use crate::answer::Answer;
use crate::ask::{Ask, items, role};
use crate::recorded::Recorded;
use crate::responses::{self, Form};
use crate::state::Shared;

pub(super) fn answer(shared: &Shared, request: &Recorded) -> Answer {
    let checked = check::parse(request).and_then(|body| {
        // A developer speaks as the user does.
        let ask = Ask::responses(&body, &["user", "developer"]);
        let has_file = |id: &str| has_image(shared, request.bearer(), id);
        check(&body, &ask, &has_file).map(|model| (body, ask, model))
    });
    let (body, ask, model) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    if let Some(trouble) = trouble(&ask) {
        return trouble;
    }
    let form = Form { deepseek: true, thinking: thinks(&body), model };
    let mut ids = shared.ids(request);
    responses::answer(shared, &ask, &body, &mut ids, &form, |status| Failure::of(status).answer())
}

fn thinks(body: &Value) -> bool {
    body.pointer("/reasoning/effort").and_then(Value::as_str) != Some("none")
}

fn check(body: &Value, ask: &Ask, has_file: &dyn Fn(&str) -> bool) -> Result<&'static str, Refusal> {
    let serving = serving(&ask.model).ok_or_else(|| Refusal::no_model(&ask.model))?;
    limits::tokens(body, "max_output_tokens")?;
    limits::number(body, "temperature", 2.0)?;
    limits::number(body, "top_p", 1.0)?;
    limits::user(body.get("user"))?;
    body.get("tools").and_then(Value::as_array).into_iter().flatten().try_for_each(tool)?;
    let items = items(body);
    if items.is_empty() {
        return Err(Refusal::simulated("input must be a text or a list of items"));
    }
    let mut images = Images::default();
    for item in &items {
        parts(item, serving == "deepseek-flash", has_file, &mut images)?;
    }
    outputs(&items)?;
    if thinks(body) && ask.choice.is_forced() {
        return Err(Refusal::octets("Thinking mode does not support this tool_choice"));
    }
    check::context(ask)?;
    Ok(serving)
}

/// Functions as on chat, one custom tool; built-in tools are ignored.
fn tool(tool: &Value) -> Result<(), Refusal> {
    let field = |name: &str| tool.get(name).and_then(Value::as_str).unwrap_or_default();
    match field("type") {
        "function" => {
            let parameters = tool.get("parameters").filter(|parameters| !parameters.is_null());
            tools::function(field("name"), parameters)
        }
        "custom" if field("name") != "apply_patch" => Err(Refusal::simulated(format!(
            "custom tool '{}' is not supported, expected 'apply_patch'",
            field("name")
        ))),
        _ => Ok(()),
    }
}

fn parts(
    item: &Value,
    vision: bool,
    has_file: &dyn Fn(&str) -> bool,
    images: &mut Images,
) -> Result<(), Refusal> {
    let lists = [item.get("content"), item.get("output")];
    let parts = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    for part in parts.filter(|part| part.get("type").and_then(Value::as_str) == Some("input_image")) {
        let field = |name: &str| part.get(name).and_then(Value::as_str);
        match (field("image_url"), field("file_id")) {
            (Some(_), Some(_)) => {
                return Err(Refusal::octets("input_image cannot have both image_url and file_id"));
            }
            (None, None) => return Err(Refusal::octets("input_image must have image_url or file_id")),
            _ if !vision => return Err(Refusal::simulated("this model takes no images")),
            _ if matches!(role(item), "system" | "assistant") => {
                return Err(Refusal::simulated(
                    "images are only for messages of the user and outputs of tools",
                ));
            }
            (Some(url), None) => address(url, images)?,
            (None, Some(id)) => uploaded(id, has_file, images)?,
        }
    }
    Ok(())
}

/// Calls belong to the assistant's message beside them: all of them stand together, their outputs after.
fn outputs(items: &[Value]) -> Result<(), Refusal> {
    let mut waiting: Vec<&str> = Vec::new();
    let mut answering = false;
    for item in items {
        let id = item.get("call_id").and_then(Value::as_str).unwrap_or_default();
        match item.get("type").and_then(Value::as_str).unwrap_or("message") {
            "function_call" | "custom_tool_call" => {
                if answering {
                    answered(&waiting)?;
                }
                answering = false;
                waiting.push(id);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let place = waiting.iter().position(|open| *open == id);
                let place = place
                    .ok_or_else(|| Refusal::simulated(format!("No tool call found for tool output {id}.")))?;
                waiting.remove(place);
                answering = true;
            }
            "message" => answered(&waiting)?,
            // Thoughts go with the calls beside them; other items are ignored.
            _ => {}
        }
    }
    answered(&waiting)
}

fn answered(waiting: &[&str]) -> Result<(), Refusal> {
    match waiting.first() {
        None => Ok(()),
        Some(id) => Err(Refusal::octets(format!("No tool output found for tool call {id}."))),
    }
}
