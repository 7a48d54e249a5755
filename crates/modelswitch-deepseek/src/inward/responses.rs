//! A request of the Responses API, put as DeepSeek takes it. After <https://api-docs.deepseek.com/guides/responses_api>, read on
//! 2026-11-21: the endpoint keeps no state, ignores what it doesn't know without a word, and wants calls of tools side by side.

use std::collections::{HashMap, VecDeque};

use modelswitch_openai::Profile;
use modelswitch_provider::{Document, Endpoint, Error, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use super::parameters;
use super::{Plan, Terms};
use modelswitch_openai::adapter::Notes;
use modelswitch_openai::adapter::has_member;

/// What the endpoint ignores although an app relies on it.
const STATE: [(&str, &str); 4] = [
    ("previous_response_id", "send the whole conversation in `input`"),
    ("conversation", "send the whole conversation in `input`"),
    ("prompt", "send the text of the prompt in `instructions` or `input`"),
    ("background", "leave it out and wait for the answer"),
];

/// What the endpoint ignores and an app can do without.
const IGNORED: [&str; 10] = [
    "metadata",
    "include",
    "truncation",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "max_tool_calls",
    "stream_options",
    "context_management",
    "store",
];

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what the endpoint would ignore although the answer hangs on it.
pub(crate) fn adapt(body: &mut Document, terms: Terms<'_>) -> Result<Plan> {
    let mut notes = Notes::new(terms.policies);
    let retired = parameters::model(body, &Endpoint::RESPONSES, terms.profile, &mut notes)?;
    refuse_state(body)?;
    refuse_tools(body)?;
    refuse_images(body, terms.profile)?;
    effort(body, &mut notes)?;
    for name in IGNORED.into_iter().filter(|name| body.has(name) && body.bool(name) != Some(false)) {
        notes.no_effect(name, "DeepSeek's Responses endpoint ignores it");
    }
    put_calls_together(body, &mut notes)?;
    Ok(Plan { adaptations: notes.finish()?, retired, ..Plan::default() })
}

fn refuse_state(body: &Document) -> Result<()> {
    let asked = STATE.into_iter().find(|(name, _)| body.has(name) && body.bool(name) != Some(false));
    match asked {
        Some((name, instead)) => Err(Error::unsupported(format!(
            "DeepSeek's Responses endpoint keeps nothing between calls, and `{name}` asks for it"
        ))
        .with_param(name)
        .with_hint(instead)),
        None => Ok(()),
    }
}

/// Of custom tools it knows `apply_patch` alone. Whether it searches the web itself is told both ways, so that is left to it.
fn refuse_tools(body: &Document) -> Result<()> {
    if !body.get_raw("tools").is_some_and(|tools| has_member(tools, "type", "\"custom\"")) {
        return Ok(());
    }
    let tools = body.get::<Vec<Value>>("tools")?.unwrap_or_default();
    let is_unknown = |tool: &Value| {
        tool.get("type") == Some(&"custom".into()) && tool.get("name") != Some(&"apply_patch".into())
    };
    if tools.iter().any(is_unknown) {
        return Err(Error::unsupported("of custom tools DeepSeek knows `apply_patch` alone")
            .with_param("tools")
            .with_hint("describe the tool as a function"));
    }
    Ok(())
}

fn refuse_images(body: &Document, profile: &Profile) -> Result<()> {
    let model = body.str("model").unwrap_or_default();
    let has_image = body.get_raw("input").is_some_and(|input| has_member(input, "type", "\"input_image\""));
    if has_image && !parameters::sees(profile, &model) {
        return Err(Error::unsupported(format!("`{model}` takes no images"))
            .with_param("input")
            .with_hint("ask deepseek-flash, which sees"));
    }
    Ok(())
}

fn effort(body: &mut Document, notes: &mut Notes) -> Result<()> {
    let Some(Value::Object(mut reasoning)) = body.get::<Value>("reasoning")? else { return Ok(()) };
    let effort = reasoning.get("effort").and_then(Value::as_str).unwrap_or_default().to_owned();
    if reasoning.get("summary").is_some_and(|summary| !summary.is_null()) {
        notes.no_effect("reasoning.summary", "DeepSeek shows the reasoning itself");
    }
    let Some(sent) = parameters::effort_of(&effort) else { return Ok(()) };
    notes.change("reasoning.effort", format!("`{effort}` sent as `{sent}`"), "send low, high or max");
    reasoning.insert("effort".to_owned(), sent.into());
    body.set("reasoning", reasoning)
}

/// What an item of the conversation is to the order of calls.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// The model's, but no call.
    Said,
    Call(String),
    Result(String),
    /// Everybody else's.
    Other,
}

/// DeepSeek puts calls together to one message as long as nothing stands between them, and then wants their results: an item
/// between two calls of a turn is refused (400 `No tool output found for tool call …`).
fn put_calls_together(body: &mut Document, notes: &mut Notes) -> Result<()> {
    if !body.get_raw("input").is_some_and(|input| has_member(input, "type", "\"function_call\"")) {
        return Ok(());
    }
    let Ok(Some(items)) = body.get::<Vec<Box<RawValue>>>("input") else { return Ok(()) };
    let parts: Vec<Part> = items.iter().map(|item| part_of(item)).collect();
    let order = order_of(&parts);
    if order.iter().enumerate().all(|(place, index)| place == *index) {
        return Ok(());
    }
    notes.same_meaning(
        "input",
        "calls of tools put side by side with their results behind them, as DeepSeek wants them",
    );
    let mut items: Vec<Option<Box<RawValue>>> = items.into_iter().map(Some).collect();
    let sorted: Vec<Box<RawValue>> =
        order.into_iter().filter_map(|index| items.get_mut(index).and_then(Option::take)).collect();
    body.set("input", sorted)
}

fn part_of(item: &RawValue) -> Part {
    let Ok(item) = serde_json::from_str::<Value>(item.get()) else { return Part::Other };
    let id = || item.get("call_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    match item.get("type").and_then(Value::as_str) {
        Some("function_call" | "custom_tool_call") => Part::Call(id()),
        Some("function_call_output" | "custom_tool_call_output") => Part::Result(id()),
        Some("reasoning") => Part::Said,
        _ if item.get("role").and_then(Value::as_str) == Some("assistant") => Part::Said,
        _ => Part::Other,
    }
}

/// The places of the items in the order in which DeepSeek takes them.
fn order_of(parts: &[Part]) -> Vec<usize> {
    let mut order = Vec::with_capacity(parts.len());
    let mut done = vec![false; parts.len()];
    let mut results = results_by_id(parts);
    let mut start = 0;
    while start < parts.len() {
        // A run of the model's own items: what it says first, then its calls.
        let is_own = |part: &Part| matches!(part, Part::Said | Part::Call(_));
        let end = parts
            .iter()
            .skip(start)
            .position(|part| !is_own(part))
            .map_or(parts.len(), |length| start + length);
        let run: Vec<usize> = (start..end.max(start + 1)).filter(|index| !is_done(&done, *index)).collect();
        let (calls, said): (Vec<usize>, Vec<usize>) =
            run.into_iter().partition(|index| matches!(parts.get(*index), Some(Part::Call(_))));
        for index in said.into_iter().chain(calls.iter().copied()) {
            take(index, &mut order, &mut done);
        }
        // Their results, wherever they stand behind.
        for call in calls {
            let Some(Part::Call(id)) = parts.get(call) else { continue };
            let waiting = results.get_mut(id.as_str());
            let result = waiting
                .and_then(|waiting| std::iter::from_fn(|| waiting.pop_front()).find(|index| *index >= end));
            if let Some(index) = result.filter(|index| !is_done(&done, *index)) {
                take(index, &mut order, &mut done);
            }
        }
        start = end.max(start + 1);
    }
    order
}

/// Where the results of each call stand, the first one first.
fn results_by_id(parts: &[Part]) -> HashMap<&str, VecDeque<usize>> {
    let mut results: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        if let Part::Result(id) = part {
            results.entry(id).or_default().push_back(index);
        }
    }
    results
}

fn is_done(done: &[bool], index: usize) -> bool {
    done.get(index).copied().unwrap_or(true)
}

fn take(index: usize, order: &mut Vec<usize>, done: &mut [bool]) {
    if let Some(done) = done.get_mut(index) {
        *done = true;
        order.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &[Part], wanted: &[usize]) {
        assert_eq!(order_of(parts), wanted, "{parts:?}");
    }

    #[test]
    fn calls_of_a_turn_come_side_by_side_and_then_their_results() {
        let call = |id: &str| Part::Call(id.to_owned());
        let result = |id: &str| Part::Result(id.to_owned());
        let (said, other) = (Part::Said, Part::Other);
        check(&[other.clone(), said.clone(), call("a"), result("a"), said.clone()], &[0, 1, 2, 3, 4]);
        check(&[call("a"), said.clone(), call("b"), result("a"), result("b")], &[1, 0, 2, 3, 4]);
        check(&[call("a"), call("b"), result("b"), other.clone(), result("a")], &[0, 1, 4, 2, 3]);
        // Two turns, each with its own call, stay as they are.
        check(&[call("a"), result("a"), said.clone(), call("b"), result("b")], &[0, 1, 2, 3, 4]);
        check(&[result("x"), other.clone(), call("a")], &[0, 1, 2]);
        check(&[], &[]);
    }

    #[test]
    fn many_calls_are_put_in_order_without_looking_at_each_again_and_again() {
        let count = 20_000;
        let calls = (0..count).map(|number| Part::Call(number.to_string()));
        let results = (0..count).rev().map(|number| Part::Result(number.to_string()));
        let order = order_of(&calls.chain(results).collect::<Vec<_>>());
        assert_eq!((order.len(), order[count], order[2 * count - 1]), (2 * count, 2 * count - 1, count));
    }
}
