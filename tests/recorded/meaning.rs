//! What an answer means, read without any code of the crates: a second opinion.

use serde_json::Value;

/// What a person or a program takes from an answer's first choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Name and arguments, the latter as JSON where they are some.
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) finish: Option<String>,
    pub(crate) tokens: Option<(u64, u64)>,
}

impl Meaning {
    /// `None` for what is neither an answer nor a stream of one.
    pub(crate) fn of_body(body: &str) -> Option<Self> {
        if let Ok(whole) = serde_json::from_str::<Value>(body) {
            return whole["choices"].is_array().then(|| Self::of_whole(&whole));
        }
        let chunks = super::events(body);
        let is_answer = chunks.iter().any(|chunk| chunk["choices"].is_array());
        (is_answer && !chunks.iter().any(|chunk| chunk["error"].is_object()))
            .then(|| Self::of_chunks(&chunks))
    }

    pub(crate) fn of_whole(whole: &Value) -> Self {
        let mut meaning = Self::default();
        let choice = &whole["choices"][0];
        meaning.take(&choice["message"]);
        for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
            let arguments = match &call["function"]["arguments"] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            meaning.calls.push((name_of(call), json_or_text(&arguments)));
        }
        meaning.finish = finish(choice);
        meaning.tokens = tokens(&whole["usage"]);
        meaning
    }

    pub(crate) fn of_chunks(chunks: &[Value]) -> Self {
        let mut meaning = Self::default();
        let mut calls: Vec<(Value, String, String)> = Vec::new();
        for chunk in chunks {
            let choices = chunk["choices"].as_array().into_iter().flatten();
            for choice in choices.filter(|choice| choice["index"].as_u64().unwrap_or_default() == 0) {
                meaning.take(&choice["delta"]);
                for (place, call) in
                    choice["delta"]["tool_calls"].as_array().into_iter().flatten().enumerate()
                {
                    gather(&mut calls, place, call);
                }
                meaning.finish = finish(choice).or(meaning.finish);
            }
            // Groq counts in a member of its own while it streams.
            let told = tokens(&chunk["usage"]).or_else(|| tokens(&chunk["x_groq"]["usage"]));
            meaning.tokens = told.or(meaning.tokens);
        }
        meaning.calls =
            calls.into_iter().map(|(_, name, arguments)| (name, json_or_text(&arguments))).collect();
        meaning
    }

    fn take(&mut self, message: &Value) {
        match &message["content"] {
            Value::String(text) => self.text += text,
            Value::Array(parts) => parts.iter().for_each(|part| self.take_part(part)),
            _ => {}
        }
        // The same thought may stand in several places.
        let place = ["reasoning_content", "reasoning", "thinking"]
            .into_iter()
            .find(|name| message[name].as_str().is_some_and(|text| !text.is_empty()));
        match place {
            Some(name) => self.reasoning += message[name].as_str().unwrap_or_default(),
            None => {
                for detail in message["reasoning_details"].as_array().into_iter().flatten() {
                    let text = detail["text"].as_str().or(detail["summary"].as_str());
                    self.reasoning += text.unwrap_or_default();
                }
            }
        }
    }

    fn take_part(&mut self, part: &Value) {
        match part["type"].as_str() {
            Some("thinking") => match &part["thinking"] {
                Value::Array(inner) => {
                    inner.iter().for_each(|one| self.reasoning += one["text"].as_str().unwrap_or_default());
                }
                other => self.reasoning += other.as_str().unwrap_or_default(),
            },
            _ => self.text += part["text"].as_str().unwrap_or_default(),
        }
    }

    /// What is in this and otherwise in the other, in a sentence.
    pub(crate) fn difference(&self, shown: &Self) -> Option<String> {
        let (this, shown) = (self.settled(), shown.settled());
        let differs = |what: &str, one: String, other: String| {
            (one != other).then(|| format!("{what} was {one}, is {other}"))
        };
        differs("text", format!("{:?}", this.text), format!("{:?}", shown.text))
            .or_else(|| {
                differs("reasoning", format!("{:?}", this.reasoning), format!("{:?}", shown.reasoning))
            })
            .or_else(|| differs("calls", format!("{:?}", this.calls), format!("{:?}", shown.calls)))
            .or_else(|| differs("finish", format!("{:?}", this.finish), format!("{:?}", shown.finish)))
            .or_else(|| differs("tokens", format!("{:?}", this.tokens), format!("{:?}", shown.tokens)))
    }
}

impl Meaning {
    /// With a thought that stands in tags, or before a closing one, taken out of the text. Space around either is nobody's.
    fn settled(&self) -> Self {
        let mut settled = self.clone();
        let text = self.text.trim_start();
        let opened = text.strip_prefix("<think>");
        // A thought that is never closed is one, and so is what comes before a closing tag alone.
        let told = match opened {
            Some(rest) => Some(rest.split_once("</think>").unwrap_or((rest, ""))),
            None => text.split_once("</think>").filter(|_| self.reasoning.is_empty()),
        };
        if let Some((thought, text)) = told {
            settled.reasoning += thought;
            settled.text = text.to_owned();
        }
        settled.reasoning = settled.reasoning.trim().to_owned();
        settled.text = settled.text.trim().to_owned();
        settled
    }
}

fn gather(calls: &mut Vec<(Value, String, String)>, place: usize, call: &Value) {
    // Without an index, an id begins a call.
    let key = match (&call["index"], &call["id"]) {
        (Value::Number(index), _) => Value::Number(index.clone()),
        (_, Value::String(id)) => Value::String(id.clone()),
        _ => calls.last().map_or(place.into(), |(key, _, _)| key.clone()),
    };
    let at = match calls.iter().position(|(known, _, _)| *known == key) {
        Some(at) => at,
        None => {
            calls.push((key, String::new(), String::new()));
            calls.len() - 1
        }
    };
    let name = name_of(call);
    // Some repeat the name with every piece.
    if calls[at].1 != name {
        calls[at].1 += &name;
    }
    match &call["function"]["arguments"] {
        Value::String(piece) => calls[at].2 += piece,
        Value::Null => {}
        whole => calls[at].2 = whole.to_string(),
    }
}

fn name_of(call: &Value) -> String {
    call["function"]["name"].as_str().unwrap_or_default().to_owned()
}

fn json_or_text(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}

fn finish(choice: &Value) -> Option<String> {
    choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()).map(str::to_owned)
}

fn tokens(usage: &Value) -> Option<(u64, u64)> {
    let prompt = usage["prompt_tokens"].as_u64()?;
    Some((prompt, usage["completion_tokens"].as_u64().unwrap_or_default()))
}
