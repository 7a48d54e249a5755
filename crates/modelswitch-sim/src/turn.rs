//! The simulated model: one deterministic turn for one request.

use serde_json::{Value, json};

use crate::ask::{Ask, Choice, Format, Tool};
use crate::mode::Mode;
use crate::schema;
use crate::text::{shortened, tokens};

/// What the model says, in tokens.
pub(crate) struct Turn {
    pub(crate) reasoning: Option<Vec<String>>,
    pub(crate) content: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: &'static str,
}

pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
}

impl Turn {
    /// The answer of `speaker` to `ask`, within its limits.
    pub(crate) fn compose(ask: &Ask, speaker: &str, thinking: bool) -> Self {
        let calls = calls(ask);
        let said = shortened(&ask.last_user);
        let content =
            if calls.is_empty() { stopped(content(ask, speaker, &said), &ask.stop) } else { String::new() };
        let mut turn = Self {
            reasoning: thinking.then(|| tokens(&reasoning(ask, &said, &calls))),
            content: tokens(&content),
            finish: if calls.is_empty() { "stop" } else { "tool_calls" },
            calls,
        };
        turn.cap(ask.max_tokens);
        if ask.mode == Some(Mode::Resource) {
            turn.content.truncate(turn.content.len().div_ceil(2));
            turn.finish = "insufficient_system_resource";
        }
        turn
    }

    pub(crate) fn reasoning_tokens(&self) -> u64 {
        self.reasoning.as_ref().map_or(0, Vec::len) as u64
    }

    pub(crate) fn completion_tokens(&self) -> u64 {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len() + 1).sum();
        self.reasoning_tokens() + (self.content.len() + calls) as u64
    }

    /// Spends the budget in the order of speaking: reasoning first.
    fn cap(&mut self, most: Option<u64>) {
        let Some(most) = most.filter(|most| *most < self.completion_tokens()) else { return };
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        for tokens in self.reasoning.iter_mut().chain([&mut self.content]) {
            tokens.truncate(left);
            left -= tokens.len();
        }
        let mut reached = 0;
        for call in &mut self.calls {
            let Some(rest) = left.checked_sub(1) else { break };
            left = rest;
            call.arguments.truncate(left);
            left -= call.arguments.len();
            reached += 1;
        }
        self.calls.truncate(reached);
        self.finish = "length";
    }
}

fn calls(ask: &Ask) -> Vec<Call> {
    let said = ask.last_user.to_lowercase();
    let chosen: Vec<&Tool> = match &ask.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Auto if !ask.tool_results.is_empty() || ask.prefix.is_some() || said.contains("no tools") => {
            Vec::new()
        }
        Choice::Auto | Choice::Required if said.contains("both") => {
            // A lone tool is called twice.
            ask.tools.iter().cycle().take(if ask.tools.is_empty() { 0 } else { 2 }).collect()
        }
        Choice::Auto | Choice::Required => ask.tools.iter().take(1).collect(),
    };
    let word = schema::argument_word(&ask.last_user);
    let arguments = |tool: &Tool| match &tool.parameters {
        Value::Null => "{}".to_owned(),
        schema => schema::example(schema, word).to_string(),
    };
    chosen
        .into_iter()
        .map(|tool| Call { name: tool.name.clone(), arguments: tokens(&arguments(tool)) })
        .collect()
}

fn content(ask: &Ask, speaker: &str, said: &str) -> String {
    if ask.mode == Some(Mode::Empty) {
        return String::new();
    }
    if let Some(prefix) = &ask.prefix {
        return format!(" [simulated {speaker}] This continues \"{}\".", shortened(prefix));
    }
    if !ask.tool_results.is_empty() {
        let quoted = ask.tool_results.iter().map(|result| format!("\"{}\"", shortened(result)));
        return format!("[simulated {speaker}] The tool answered: {}", quoted.collect::<Vec<_>>().join(", "));
    }
    match &ask.format {
        Format::JsonObject => return json!({"simulated": true, "you_said": said}).to_string(),
        Format::JsonSchema(schema) => {
            return schema::example(schema, schema::argument_word(&ask.last_user)).to_string();
        }
        Format::Text => {}
    }
    if ask.mode == Some(Mode::Long) {
        let sentences = (1..=200).map(|n| format!(" Sentence {n} of 200 of a long simulated answer."));
        return format!("[simulated {speaker}]{}", sentences.collect::<String>());
    }
    if compares(&ask.last_user) {
        return format!("[simulated {speaker}] 9.8 is larger than 9.11.");
    }
    format!("[simulated {speaker}] You said: \"{said}\"")
}

fn reasoning(ask: &Ask, said: &str, calls: &[Call]) -> String {
    let rest = if let Some(call) = calls.first() {
        format!("The tool {} can help.", call.name)
    } else if !ask.tool_results.is_empty() {
        "The tool has answered.".to_owned()
    } else if compares(&ask.last_user) {
        "9.8 is 9.80, and 80 hundredths are more than 11.".to_owned()
    } else {
        "I repeat it.".to_owned()
    };
    format!("[simulated reasoning] The user asks about \"{said}\". {rest}")
}

fn compares(text: &str) -> bool {
    text.contains("9.11") && text.contains("9.8")
}

fn stopped(mut text: String, stops: &[String]) -> String {
    if let Some(end) = stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(end);
    }
    text
}
