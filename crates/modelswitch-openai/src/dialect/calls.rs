//! Tool calls in one shape: each with an id that no other has, an index, a type, and its arguments as JSON text. Results
//! pair up by the id, so one that is made up is the same in all pieces and another in every answer.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use modelswitch_provider::{Result, ToolCallSlots};
use serde_json::{Map, Value};

use super::repair;
use crate::adapter::to_json;

/// The calls of a whole message.
pub(super) fn repair_whole(message: &mut Map<String, Value>, ids: Ids) {
    let Some(calls) = list_of_calls(message) else { return };
    let mut known: HashSet<String> = HashSet::new();
    for (position, call) in calls.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        repair_call(call);
        repair::string_or(call, "id", String::new);
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let mut id = id.to_owned();
        if id.is_empty() || known.contains(&id) {
            id = ids.of(u32::try_from(position).unwrap_or(u32::MAX));
            call.insert("id".to_owned(), id.clone().into());
        }
        known.insert(id);
    }
}

/// The calls as a list without holes; one call alone is one too.
pub(super) fn list_of_calls(message: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    match message.get_mut("tool_calls")? {
        Value::Array(calls) => calls.retain(|call| !call.is_null()),
        call @ Value::Object(_) => *call = Value::Array(vec![call.take()]),
        // Nothing else is a call.
        _ => {
            message.remove("tool_calls");
        }
    }
    message.get_mut("tool_calls")?.as_array_mut()
}

fn repair_call(call: &mut Map<String, Value>) {
    if call.get("type").and_then(Value::as_str) == Some("custom") {
        // async-openai reads it under another name than the one OpenAI documents.
        if let Some(custom) = call.get("custom").cloned() {
            call.entry("custom_tool").or_insert(custom);
        }
        return;
    }
    call.insert("type".to_owned(), "function".into());
    nest_function(call);
    if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
        repair_arguments(function);
    }
}

/// An answer that calls a function in the way before tools, for an app that offered tools.
pub(super) fn from_function_call(message: &mut Map<String, Value>) {
    let has_calls =
        message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    if has_calls || !message.get("function_call").is_some_and(Value::is_object) {
        return;
    }
    let Some(function) = message.remove("function_call") else { return };
    let call = serde_json::json!({ "index": 0, "type": "function", "function": function });
    message.insert("tool_calls".to_owned(), Value::Array(vec![call]));
}

/// A piece of a custom tool's call. async-openai has a type for such calls in whole answers only: in a stream name and input
/// go on as those of a function, without a type, and the service's own words stay beside. True for a piece with that type.
pub(super) fn custom_as_function(piece: &mut Map<String, Value>) -> bool {
    let is_custom = piece.get("type").and_then(Value::as_str) == Some("custom");
    if is_custom && let Some(kind) = piece.remove("type") {
        piece.insert("native_type".to_owned(), kind);
    }
    let has_name =
        |function: &Value| function.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if let Some(Value::Object(custom)) = piece.get("custom")
        && !piece.get("function").is_some_and(has_name)
    {
        let members = [("name", "name"), ("input", "arguments")].into_iter();
        let function = members.filter_map(|(name, ours)| Some((ours.to_owned(), custom.get(name)?.clone())));
        let function = Value::Object(function.collect());
        piece.insert("function".to_owned(), function);
    }
    is_custom
}

/// The same for all calls of a chunk that was a whole answer.
///
/// # Errors
/// When it can't be written again.
pub(super) fn without_custom(chunk: Bytes) -> Result<Bytes> {
    if memchr::memmem::find(&chunk, b"\"custom\"").is_none() {
        return Ok(chunk);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&chunk) else { return Ok(chunk) };
    for choice in value.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        let calls = choice.pointer_mut("/delta/tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            custom_as_function(call);
        }
    }
    to_json(&value)
}

/// Arguments as the JSON text that OpenAI sends; an object becomes its text.
pub(super) fn repair_arguments(function: &mut Map<String, Value>) {
    match function.get("arguments") {
        Some(Value::String(_)) => {}
        Some(Value::Null) | None => {
            function.insert("arguments".to_owned(), "".into());
        }
        Some(other) => {
            let text = other.to_string();
            function.insert("arguments".to_owned(), text.into());
        }
    }
}

/// Name and arguments beside the id instead of under `function`, as some services write a call.
pub(super) fn nest_function(call: &mut Map<String, Value>) {
    if call.contains_key("function") || !call.get("name").is_some_and(Value::is_string) {
        return;
    }
    let members = ["name", "arguments"].into_iter();
    let function = members.filter_map(|name| Some((name.to_owned(), call.remove(name)?))).collect();
    call.insert("function".to_owned(), Value::Object(function));
}

/// Where made-up ids come from: for one choice of one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    /// Another for every answer, so that an id is never met again in the same conversation.
    pub(super) salt: u64,
    pub(super) choice: u32,
}

impl Ids {
    fn of(self, slot: u32) -> String {
        format!("call_{:016x}_{}_{slot}", self.salt, self.choice)
    }
}

/// The calls of one choice of a stream, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Calls {
    slots: ToolCallSlots,
    calls: BTreeMap<u32, Call>,
    last: Option<u32>,
    made_up: u32,
}

/// One call.
#[derive(Debug)]
struct Call {
    /// The id that goes out.
    id: String,
    /// It was made up, so an id that the service names later is its own.
    is_made_up: bool,
    name: String,
    arguments: Progress,
    /// The number of the last delta that had a piece of it.
    delta: u64,
}

/// A piece of a call as it came.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) index: Option<u32>,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
    pub(super) has_type: bool,
}

/// What a piece is like when it goes out.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) slot: u32,
    /// The id, on the first piece of a call only: whoever joins texts would join it too.
    pub(super) id: Option<String>,
    /// It repeats a name that is known.
    pub(super) repeats_name: bool,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Says where a piece belongs that came with the `delta`th delta, and keeps it in mind.
    pub(super) fn place(&mut self, ids: Ids, delta: u64, piece: Piece<'_>) -> Placed {
        let piece = Piece {
            id: piece.id.filter(|id| !id.is_empty()),
            name: piece.name.filter(|name| !name.is_empty()),
            ..piece
        };
        let given = self.given_id(delta, piece);
        let slot = match given {
            Some(id) => self.slots.slot(piece.index, Some(id)),
            None if self.opens(delta, piece) => {
                let id = self.make_up(ids);
                self.slots.slot(piece.index, Some(&id))
            }
            None => self.slots.slot(piece.index, None),
        };
        self.last = Some(slot);
        self.note(slot, ids, delta, Piece { id: given, ..piece })
    }

    /// True for a piece that leaves as it came, with what `place` said of it.
    pub(super) fn is_in_shape(placed: &Placed, piece: Piece<'_>) -> bool {
        let is_first = placed.id.is_some();
        piece.index == Some(placed.slot)
            && piece.id.filter(|id| !id.is_empty()) == placed.id.as_deref()
            && !placed.repeats_name
            && (!is_first || piece.has_type)
    }

    /// The id of the piece, where it tells calls apart: not one that a call without an id gets later, not one of several that
    /// a call gets, and not one that two calls of a delta share.
    fn given_id<'a>(&self, delta: u64, piece: Piece<'a>) -> Option<&'a str> {
        let id = piece.id?;
        let is_late =
            self.target(piece).is_some_and(|call| call.is_made_up && !begins_another(call, delta, piece));
        let is_shared = self
            .calls
            .values()
            .any(|call| call.id == id && call.delta == delta && begins_another(call, delta, piece));
        (!is_late && !is_shared && !self.is_renewed(delta, piece, id)).then_some(id)
    }

    /// True when an id is new and the call isn't that the piece would go on with: some services make one up for each delta.
    fn is_renewed(&self, delta: u64, piece: Piece<'_>, id: &str) -> bool {
        // Without an index only a call without a name can't be another.
        let may_go_on = piece.index.is_some() || piece.name.is_none();
        may_go_on
            && self.target(piece).is_some_and(|call| !is_next(call, delta, piece))
            && !self.calls.values().any(|call| call.id == id)
    }

    /// True when a piece without an id of its own begins a call.
    fn opens(&self, delta: u64, piece: Piece<'_>) -> bool {
        let shares_id = piece.id.is_some_and(|id| self.calls.values().any(|call| call.id == id));
        shares_id || self.target(piece).is_none_or(|call| begins_another(call, delta, piece))
    }

    /// The call that the piece would go on with.
    fn target(&self, piece: Piece<'_>) -> Option<&Call> {
        let slot = piece.index.map_or(self.last, |index| Some(self.slots.of_index(index)))?;
        self.calls.get(&slot)
    }

    fn make_up(&mut self, ids: Ids) -> String {
        let id = ids.of(self.made_up);
        self.made_up = self.made_up.saturating_add(1);
        id
    }

    fn note(&mut self, slot: u32, ids: Ids, delta: u64, piece: Piece<'_>) -> Placed {
        let mut first = None;
        if !self.calls.contains_key(&slot) {
            let is_taken = |id: &str| self.calls.values().any(|call| call.id == id);
            let given = piece.id.filter(|id| !is_taken(id)).map(str::to_owned);
            let is_made_up = given.is_none();
            let id = given.unwrap_or_else(|| ids.of(slot));
            first = Some(id.clone());
            let call = Call { id, is_made_up, name: String::new(), arguments: Progress::default(), delta };
            self.calls.insert(slot, call);
        }
        let Some(call) = self.calls.get_mut(&slot) else {
            return Placed { slot, id: first, repeats_name: false };
        };
        call.delta = delta;
        call.arguments.take(piece.arguments.unwrap_or_default());
        let repeats_name = piece.name.is_some_and(|name| name == call.name);
        if let Some(name) = piece.name
            && call.name.is_empty()
        {
            name.clone_into(&mut call.name);
        }
        Placed { slot, id: first, repeats_name }
    }
}

/// A call that has its name and all of its arguments is over: a name after it is the next call's, unless it only repeats it.
/// Two names in one delta are two calls, with arguments or without.
fn begins_another(call: &Call, delta: u64, piece: Piece<'_>) -> bool {
    let Some(name) = piece.name.filter(|_| !call.name.is_empty()) else { return false };
    let has_arguments = piece.arguments.is_some_and(|text| !text.is_empty());
    let is_another = piece.id.is_none_or(|id| id != call.id);
    (call.delta == delta && (has_arguments || is_another))
        || (call.arguments.is_whole() && (has_arguments || name != call.name))
}

/// A piece with another id is another call if the one before it is over, or if it begins one: with another name, or with the
/// same and nothing said of either's arguments. A delta has no two pieces of one call.
fn is_next(call: &Call, delta: u64, piece: Piece<'_>) -> bool {
    let has_arguments = piece.arguments.is_some_and(|text| !text.is_empty());
    let names_another = !call.name.is_empty() && piece.name.is_some_and(|name| name != call.name);
    let opens = piece.name.is_some() && !has_arguments && !call.arguments.began;
    let is_over = call.arguments.is_whole() && (piece.name.is_some() || has_arguments);
    call.delta == delta || is_over || names_another || opens
}

/// How far a JSON text has come, without keeping it.
#[derive(Debug, Default)]
struct Progress {
    depth: u32,
    in_text: bool,
    escaped: bool,
    began: bool,
}

impl Progress {
    fn take(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.began = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.began && self.depth == 0 && !self.in_text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const IDS: Ids = Ids { salt: 7, choice: 0 };

    type Sent = (u64, Option<u32>, Option<&'static str>, Option<&'static str>, &'static str);

    /// The delta, index, id, name and arguments of each piece, and the slot that it belongs to.
    #[track_caller]
    fn slots(pieces: &[Sent]) -> Vec<u32> {
        let mut calls = Calls::default();
        let place = |(delta, index, id, name, arguments): &Sent| {
            let piece =
                Piece { index: *index, id: *id, name: *name, arguments: Some(arguments), has_type: true };
            calls.place(IDS, *delta, piece).slot
        };
        pieces.iter().map(place).collect()
    }

    #[test]
    fn pieces_pair_up_however_they_are_numbered() {
        let f = Some("f");
        // As OpenAI does.
        assert_eq!(
            slots(&[
                (0, Some(0), Some("a"), f, ""),
                (1, Some(0), None, None, "{}"),
                (2, Some(1), Some("b"), f, ""),
                (3, Some(1), None, None, "{}")
            ]),
            [0, 0, 1, 1]
        );
        // No index, no ids, whole calls in one delta.
        assert_eq!(slots(&[(0, None, None, f, "{}"), (0, None, None, f, "{}")]), [0, 1]);
        // The same without arguments.
        assert_eq!(slots(&[(0, None, None, f, ""), (0, None, None, f, "")]), [0, 1]);
        assert_eq!(
            slots(&[(0, None, None, f, ""), (0, None, None, Some("g"), ""), (1, None, None, None, "{}")]),
            [0, 1, 1]
        );
        assert_eq!(slots(&[(0, Some(0), None, f, ""), (0, Some(0), None, Some("g"), "")]), [0, 1]);
        // Another name after a whole call.
        assert_eq!(slots(&[(0, None, None, f, "{}"), (1, None, None, Some("g"), "")]), [0, 1]);
        // The same in two deltas, under one index.
        assert_eq!(
            slots(&[(0, Some(0), None, f, "{\"a\":1}"), (1, Some(0), Some(""), f, "{\"a\":2}")]),
            [0, 1]
        );
        // The name in every delta is no other call.
        assert_eq!(
            slots(&[
                (0, Some(0), None, f, ""),
                (1, Some(0), None, f, "{\"a\""),
                (2, Some(0), None, f, ":1}"),
                (3, Some(0), None, f, "")
            ]),
            [0, 0, 0, 0]
        );
        // Arguments that come late.
        assert_eq!(
            slots(&[
                (0, Some(0), Some("a"), f, ""),
                (1, Some(1), Some("b"), f, ""),
                (2, Some(0), None, None, "{}"),
                (3, Some(1), None, None, "{}")
            ]),
            [0, 1, 0, 1]
        );
        // An id that comes after the first piece.
        assert_eq!(
            slots(&[
                (0, Some(0), None, f, ""),
                (1, Some(0), Some("a"), None, "{}"),
                (2, Some(0), Some("a"), None, "")
            ]),
            [0, 0, 0]
        );
        // Two ids under one index.
        assert_eq!(
            slots(&[
                (0, Some(0), Some("a"), f, "{}"),
                (1, Some(0), Some("b"), f, "{"),
                (2, Some(0), None, None, "}")
            ]),
            [0, 1, 1]
        );
    }

    #[test]
    fn a_call_whose_id_is_another_in_each_delta_is_one_call() {
        let f = Some("f");
        let at = |delta, id, name, arguments| (delta, Some(0), Some(id), name, arguments);
        let (begin, end) = ("{\"a\":", "1}");
        assert_eq!(
            slots(&[at(0, "a", f, ""), at(1, "b", None, begin), at(2, "c", None, end), at(3, "d", None, "")]),
            [0; 4]
        );
        assert_eq!(slots(&[at(0, "a", f, ""), at(1, "b", f, begin), at(2, "c", f, end)]), [0; 3]);
        assert_eq!(slots(&[at(0, "a", None, ""), at(1, "b", f, begin), at(2, "c", f, end)]), [0; 3]);
        let bare = |delta, id, name, arguments| (delta, None, Some(id), name, arguments);
        assert_eq!(slots(&[bare(0, "a", f, begin), bare(1, "b", None, end)]), [0; 2]);
        // What comes after it, or beside it, is another.
        assert_eq!(
            slots(&[at(0, "a", f, begin), at(1, "b", None, end), at(2, "c", f, ""), at(3, "d", None, "{}")]),
            [0, 0, 1, 1]
        );
        assert_eq!(slots(&[at(0, "a", f, begin), at(1, "b", Some("g"), "")]), [0, 1]);
        assert_eq!(slots(&[at(0, "a", f, ""), at(0, "b", f, begin)]), [0, 1]);
        assert_eq!(slots(&[bare(0, "a", f, begin), bare(1, "b", f, end)]), [0, 1]);
        // An id that is known already leads to its call.
        assert_eq!(
            slots(&[
                at(0, "a", f, ""),
                at(1, "b", Some("g"), begin),
                at(2, "a", None, "{}"),
                at(3, "b", None, end)
            ]),
            [0, 1, 0, 1]
        );
    }

    #[test]
    fn the_first_of_several_ids_is_the_calls() {
        let mut calls = Calls::default();
        let mut place = |delta, id, name, arguments| {
            calls.place(
                IDS,
                delta,
                Piece { index: Some(0), id: Some(id), name, arguments: Some(arguments), has_type: true },
            )
        };
        assert_eq!(place(0, "a", Some("f"), "{").id.as_deref(), Some("a"));
        assert_eq!(place(1, "b", None, "}").id, None);
    }

    #[test]
    fn an_id_goes_out_once_and_no_two_calls_have_the_same() {
        let mut calls = Calls::default();
        let piece = |index, id| Piece { index, id, name: Some("f"), arguments: Some("{}"), has_type: true };
        let mut place = |delta, index, id| calls.place(IDS, delta, piece(index, id)).id;
        let one = place(0, Some(0), None).unwrap();
        let two = place(0, Some(1), Some("a")).unwrap();
        let three = place(1, Some(2), Some("a")).unwrap();
        assert_eq!(two, "a");
        assert!(one.starts_with("call_") && three.starts_with("call_") && one != three);
        assert_eq!(place(2, Some(1), Some("a")), None);
        assert!(one != Ids { salt: 8, choice: 0 }.of(0));
    }

    #[test]
    fn calls_of_a_message_get_what_they_lack() {
        let mut message = json!({"tool_calls":[
            {"function":{"name":"f","arguments":{"a":1}}},
            {"id":"a","type":"x","name":"g","arguments":"{}"},
            null,
            {"id":"a","function":{"name":"h","arguments":null}},
            {"id":7,"type":"custom","custom":{"name":"c","input":"i"}}]});
        repair_whole(message.as_object_mut().unwrap(), IDS);
        let calls = &message["tool_calls"];
        assert_eq!(calls.as_array().unwrap().len(), 4);
        assert_eq!(calls[0]["function"]["arguments"], "{\"a\":1}");
        assert_eq!((&calls[1]["id"], &calls[1]["function"]["name"]), (&json!("a"), &json!("g")));
        assert_eq!(
            (&calls[2]["id"], &calls[2]["function"]["arguments"]),
            (&json!("call_0000000000000007_0_2"), &json!(""))
        );
        assert_eq!((&calls[3]["id"], &calls[3]["custom_tool"]["input"]), (&json!("7"), &json!("i")));
    }

    #[test]
    fn a_custom_call_of_a_whole_answer_is_a_function_in_a_chunk() {
        let call = json!({"id":"a","type":"custom","function":{"name":"","arguments":""},"custom":{"name":"f","input":"x"}});
        let chunk = json!({"choices":[{"delta":{"tool_calls":[call]}}]}).to_string();
        let out: Value = serde_json::from_slice(&without_custom(chunk.into()).unwrap()).unwrap();
        let call = &out["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!(call["function"], json!({"name":"f","arguments":"x"}));
        assert!(call.get("type").is_none() && call["native_type"] == "custom");
    }

    #[test]
    fn one_call_alone_and_a_call_in_the_old_way_are_calls_too() {
        let mut message = json!({"tool_calls":{"function":{"name":"f","arguments":"{}"}}});
        repair_whole(message.as_object_mut().unwrap(), IDS);
        assert_eq!(message["tool_calls"][0]["function"]["name"], "f");
        let mut message = json!({"tool_calls":null,"function_call":{"name":"f","arguments":"{}"}});
        from_function_call(message.as_object_mut().unwrap());
        assert_eq!(message["tool_calls"][0]["function"]["name"], "f");
        assert_eq!(message.get("function_call"), None);
    }
}
