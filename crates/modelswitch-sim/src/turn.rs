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
    /// The stop sequence that ended it.
    pub(crate) stopped_by: Option<String>,
}

pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// The arguments are text of a grammar of its own.
    pub(crate) custom: bool,
}

impl Turn {
    /// The answer of `speaker` to `ask`, within its limits.
    pub(crate) fn compose(ask: &Ask, speaker: &str, thinking: bool) -> Self {
        let calls = calls(ask);
        let said = shortened(&ask.last_user);
        let whole = if calls.is_empty() { content(ask, speaker, &said) } else { String::new() };
        let (content, stopped_by) = stopped(whole, &ask.stop);
        let mut turn = Self {
            reasoning: thinking.then(|| tokens(&reasoning(ask, &said, &calls))),
            content: tokens(&content),
            finish: if calls.is_empty() { "stop" } else { "tool_calls" },
            calls,
            stopped_by,
        };
        turn.cap(ask.max_tokens);
        match ask.mode {
            Some(Mode::Resource) => turn.break_off("insufficient_system_resource"),
            Some(Mode::Aborted) => turn.break_off("aborted"),
            _ => {}
        }
        turn
    }

    /// Ends in the middle of what is said.
    fn break_off(&mut self, finish: &'static str) {
        self.content.truncate(self.content.len().div_ceil(2));
        if let Some(call) = self.calls.last_mut() {
            call.arguments.truncate(call.arguments.len().div_ceil(2));
        }
        self.finish = finish;
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
    let arguments = |tool: &Tool| match (ask.mode, &tool.parameters) {
        _ if tool.custom => PATCH.to_owned(),
        (Some(Mode::BadJson), _) => MISFIT.to_owned(),
        // As measured once in two thousand calls: a brace is missing.
        (Some(Mode::NotJson), _) => "{\"simulated\": ".to_owned(),
        (_, Value::Null) => "{}".to_owned(),
        (_, schema) => schema::example(schema, word).to_string(),
    };
    chosen
        .into_iter()
        .map(|tool| Call {
            name: tool.name.clone(),
            arguments: tokens(&arguments(tool)),
            custom: tool.custom,
        })
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
    if let Some(json) = formatted(ask, said) {
        return json;
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

/// What `apply_patch` takes.
const PATCH: &str = "*** Begin Patch\n*** Add File: simulated.txt\n+[simulated] a line\n*** End Patch\n";

/// JSON that no schema with required members takes.
const MISFIT: &str = r#"{"simulated_misfit":true}"#;

/// The answer in JSON, if JSON was asked for.
fn formatted(ask: &Ask, said: &str) -> Option<String> {
    let schema = match &ask.format {
        Format::Text => return None,
        Format::JsonObject => ask.prompted_schema.as_ref(),
        Format::JsonSchema(schema) => Some(schema),
    };
    Some(match (ask.mode, schema) {
        (Some(Mode::BadJson), _) => MISFIT.to_owned(),
        (Some(Mode::NotJson), _) => "[simulated] This is not JSON.".to_owned(),
        (_, Some(schema)) => schema::example(schema, schema::argument_word(&ask.last_user)).to_string(),
        (_, None) => json!({"simulated": true, "you_said": said}).to_string(),
    })
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

/// The text up to the first of the stop sequences, and which that was.
fn stopped(mut text: String, stops: &[String]) -> (String, Option<String>) {
    let first = stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min();
    if let Some((end, _)) = first {
        text.truncate(end);
    }
    (text, first.map(|(_, stop)| stop.clone()))
}
