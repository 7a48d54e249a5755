//! About how many tokens a text or a request is.

use modelswitch_provider::{ChatRequest, Content, Message, Result, Role, ToolCall};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::models;

/// How many tokens something probably is, and between which figures it nearly always is. Never a count.
///
/// ```
/// let estimate = modelswitch_deepseek::estimate_tokens("Which is larger, 9.11 or 9.8?");
/// assert!(estimate.low <= estimate.likely && estimate.likely <= estimate.high);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenEstimate {
    /// Seldom fewer.
    pub low: u64,
    /// The best guess.
    pub likely: u64,
    /// Seldom more.
    pub high: u64,
}

impl TokenEstimate {
    /// True when a count is within the range.
    pub fn contains(&self, tokens: u64) -> bool {
        (self.low..=self.high).contains(&tokens)
    }
}

/// About how many tokens a text is, for DeepSeek's tokenizer.
///
/// DeepSeek has no endpoint that counts. It publishes a rule of thumb, 0.3 tokens for an English character and 0.6 for a
/// Chinese one (<https://api-docs.deepseek.com/quick_start/token_usage>), and a tokenizer to download, which is larger than
/// this whole workspace. This is finer than the rule and needs no download: it counts words, numbers, marks and scripts,
/// with weights that were fitted to the tokenizer of V4.
///
/// ```
/// use modelswitch_deepseek::estimate_tokens;
///
/// let estimate = estimate_tokens("Rust is a systems programming language.");
/// assert!(estimate.contains(8));                          // DeepSeek's tokenizer makes 8 of it
/// assert_eq!(estimate_tokens("").high, 0);
/// ```
///
/// # How far it is off
///
/// Measured against DeepSeek's tokenizer of V4 over 773 texts of up to 4000 characters: manuals in 23 languages, source code,
/// Markdown, JSON, answers of models. 98.6 % are within the range, which is from four fifths of the guess to 1.35 times it,
/// and wider where not much is Latin script. For English, code and JSON the guess is off by 4 % at the middle; for other
/// European languages it is some 15 % too low. Far too low is it for manuals in traditional Chinese (by half), and for a text
/// that is nothing but symbols. What V4.1 makes of a text is assumed to be the same.
///
/// # When not to use it
///
/// For what was spent: every answer says that ([`Usage`](modelswitch_provider::Usage)), and [`cost`](crate::cost()) makes
/// money of it. For a prompt that must just fit into the context: leave the range's width as a margin, or use DeepSeek's
/// tokenizer. For other services' models, which count otherwise.
pub fn estimate_tokens(text: &str) -> TokenEstimate {
    let mut weight = Weight::default();
    weight.text(text);
    weight.estimate(Structure::default())
}

/// About how many tokens the prompt of a chat request is: messages, tools, and what DeepSeek puts around them. It takes
/// anything that serialises to a request: a [`ChatRequest`], a [`Document`](modelswitch_provider::Document), async-openai's
/// struct, `json!`.
///
/// ```
/// use modelswitch_deepseek::estimate_prompt;
/// use modelswitch_provider::ChatRequest;
///
/// let estimate = estimate_prompt(&ChatRequest::user("9.11 or 9.8?").model("deepseek-chat"))?;
/// assert!(estimate.likely < 20);
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
///
/// What stands around the texts was measured in recorded traffic of V4 Flash from June to August 2026: 4 tokens for one
/// question, some 220 as soon as there are tools (with a tool's own definition about 280 for the first), 34 and more for a
/// tool's call and its answer, 20 for JSON mode, 79 for thinking with an effort above `low` in the latest recordings. Tools
/// count for nothing with `tool_choice: none`, and a named choice counts the named tool alone. Reasoning in the conversation
/// counts only when the request carries tools. That V4.1 does the same is assumed.
///
/// All 189 recorded prompts (9 to 5153 tokens, none with an image) are within the range. Where the effort's 79 tokens are
/// taken as they were, the guess is off by 2 % at the middle, by 10 % for nine in ten, and by 17 % at most. Older
/// recordings don't have those tokens, which is why the range begins without them.
///
/// An image is taken for up to 1024 tokens, the most that DeepSeek makes of one
/// (<https://api-docs.deepseek.com/guides/vision>); its size decides, which isn't looked at. The request is taken as it is:
/// what the adapter would still put into it isn't counted.
///
/// # Errors
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what is no chat request.
pub fn estimate_prompt(request: &(impl Serialize + ?Sized)) -> Result<TokenEstimate> {
    let request = ChatRequest::from_wire(request)?;
    let tools = tools_in_prompt(&request);
    let mut weight = Weight::default();
    let mut structure = Structure { fixed: BEGINNING, ..Structure::default() };
    for message in &request.messages {
        weight.message(message, !tools.is_empty());
        structure.message(message);
    }
    for tool in &tools {
        weight.text(tool);
    }
    structure.parameters(&request.extra, tools.len());
    if thinks_hard(&request) {
        structure.effort = EFFORT;
    }
    Ok(weight.estimate(structure))
}

// What DeepSeek puts around the texts, in tokens.
const BEGINNING: u64 = 1;
/// Who speaks, that the model answers, and that it thinks or doesn't.
const USER: u64 = 3;
const ASSISTANT: u64 = 1;
const TOOL_RESULT: u64 = 9;
/// How tools are to be called.
const TOOLS: u64 = 219;
const TOOL: u64 = 1;
const CALLS: u64 = 15;
const CALL: u64 = 10;
const ARGUMENT: u64 = 14;
const FORCED: u64 = 7;
const JSON_MODE: u64 = 20;
const EFFORT: u64 = 79;
const IMAGE: u64 = 1024;

/// The tokens around the texts.
#[derive(Clone, Copy, Debug, Default)]
struct Structure {
    fixed: u64,
    effort: u64,
    images: u64,
}

impl Structure {
    fn message(&mut self, message: &Message) {
        self.fixed += match message.role {
            Role::User => USER,
            Role::Assistant => ASSISTANT,
            Role::Tool => TOOL_RESULT,
            _ => 0,
        };
        if !message.tool_calls.is_empty() {
            self.fixed += CALLS;
        }
        for call in &message.tool_calls {
            self.fixed += CALL + ARGUMENT * arguments(call);
        }
        if let Some(Content::Parts(parts)) = &message.content {
            let is_text = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("text");
            self.images +=
                u64::try_from(parts.iter().filter(|part| !is_text(part)).count()).unwrap_or(u64::MAX);
        }
    }

    fn parameters(&mut self, extra: &Map<String, Value>, tools: usize) {
        if tools > 0 {
            self.fixed += TOOLS + TOOL * u64::try_from(tools).unwrap_or(u64::MAX);
            let choice = extra.get("tool_choice");
            let is_forced = choice.is_some_and(|choice| choice.is_object() || choice == "required");
            self.fixed += if is_forced { FORCED } else { 0 };
        }
        let format = extra.get("response_format").and_then(|format| format.get("type"));
        if format.is_some_and(|format| format == "json_object") {
            self.fixed += JSON_MODE;
        }
    }
}

fn arguments(call: &ToolCall) -> u64 {
    let arguments = serde_json::from_str::<Map<String, Value>>(&call.function.arguments);
    arguments.map_or(0, |arguments| u64::try_from(arguments.len()).unwrap_or(u64::MAX))
}

/// The definitions that the prompt will hold, as JSON.
fn tools_in_prompt(request: &ChatRequest) -> Vec<String> {
    let choice = request.extra.get("tool_choice");
    if choice.is_some_and(|choice| choice == "none") {
        return Vec::new();
    }
    let named = choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str);
    let definitions = request.tools.iter().filter_map(|tool| serde_json::to_value(tool).ok());
    definitions
        .filter_map(|mut tool| tool.get_mut("function").map(Value::take))
        .filter(|function| named.is_none() || function.get("name").and_then(Value::as_str) == named)
        .map(|function| function.to_string())
        .collect()
}

/// Thinking is on unless it is switched off, and its effort is high unless it is lowered.
fn thinks_hard(request: &ChatRequest) -> bool {
    let thinking = request.extra.get("thinking").and_then(|thinking| thinking.get("type"));
    if let Some(thinking) = thinking.and_then(Value::as_str)
        && thinking == "disabled"
    {
        return false;
    }
    if let Some(effort) = request.extra.get("reasoning_effort").and_then(Value::as_str) {
        return !matches!(effort, "none" | "minimal" | "low");
    }
    let retired = request.model.as_deref().and_then(|model| models::profile().retired(model));
    thinking.is_some() || !retired.is_some_and(models::did_not_think)
}

/// The tokens of texts, in hundredths, apart by how well they can be guessed.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    latin: u64,
    other: u64,
}

impl Weight {
    fn message(&mut self, message: &Message, has_tools: bool) {
        self.text(&message.text());
        for call in &message.tool_calls {
            self.text(&call.function.name);
            self.text(&call.function.arguments);
        }
        if has_tools && let Some(reasoning) = &message.reasoning_content {
            self.text(reasoning);
        }
    }

    fn text(&mut self, text: &str) {
        let mut rest = text.chars().peekable();
        while let Some(first) = rest.next() {
            let script = Script::of(first);
            let mut run = Run { length: 1, accents: u64::from(!first.is_ascii()) };
            while let Some(next) = rest.next_if(|next| Script::of(*next) == script) {
                run.length += 1;
                run.accents += u64::from(!next.is_ascii());
            }
            let weight = run.weight(script);
            if script.is_latin() { self.latin += weight } else { self.other += weight }
        }
    }

    fn estimate(self, structure: Structure) -> TokenEstimate {
        let Self { latin, other } = self;
        let Structure { fixed, effort, images } = structure;
        // A few words vary by more than a book does.
        let slack = if latin + other + fixed == 0 { 0 } else { 3 };
        let low = (latin * 80 + other * 60) / 10_000 + fixed * 9 / 10;
        let likely = (latin + other + 50) / 100 + fixed + effort + images * IMAGE / 2;
        let high = (latin * 135 + other * 160).div_ceil(10_000) + fixed * 11 / 10 + effort + images * IMAGE;
        TokenEstimate { low: low.saturating_sub(slack).max(slack.min(1)), likely, high: high + slack }
    }
}

/// Characters of one kind beside each other.
struct Run {
    length: u64,
    accents: u64,
}

impl Run {
    /// In hundredths of a token.
    fn weight(&self, script: Script) -> u64 {
        let Self { length, accents } = *self;
        // Most words of up to nine letters are one token, the space before them included; of a longer one, some three
        // letters are a token. A word with an accent is seldom English, and falls into more.
        let long = 7 * length.saturating_sub(5).min(4) + 37 * length.saturating_sub(9);
        match script {
            Script::Word if accents > 0 => 250 + 50 * accents + long,
            Script::Word => 100 + long,
            Script::Number => 150 * length.div_ceil(3),
            Script::Mark => 64 + 38 * (length - 1),
            Script::Line => 103,
            // A space alone goes with the word after it.
            Script::Space if length == 1 => 1,
            Script::Space => 60,
            Script::Han | Script::Kana => 60 * length,
            Script::Hangul => 89 * length,
            Script::Alphabet => 42 * length,
            Script::Wide => 40 * length,
            Script::Symbol => 130 * length,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Word,
    Number,
    Mark,
    Line,
    Space,
    Han,
    Kana,
    Hangul,
    /// Greek, Cyrillic, Arabic and the like.
    Alphabet,
    /// Punctuation beyond ASCII's.
    Wide,
    Symbol,
}

impl Script {
    fn of(character: char) -> Self {
        match character {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Word,
            '0'..='9' => Self::Number,
            '\n' | '\r' => Self::Line,
            ' ' | '\t' => Self::Space,
            '\0'..='\u{7f}' => Self::Mark,
            '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => Self::Han,
            '\u{3040}'..='\u{30ff}' => Self::Kana,
            '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' => Self::Wide,
            other if other.is_alphabetic() => Self::Alphabet,
            _ => Self::Symbol,
        }
    }

    fn is_latin(self) -> bool {
        match self {
            Self::Word | Self::Number | Self::Mark | Self::Line | Self::Space => true,
            Self::Han | Self::Kana | Self::Hangul | Self::Alphabet | Self::Wide | Self::Symbol => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    /// Texts and what DeepSeek's tokenizer of V4 makes of them.
    const COUNTED: [(&str, u64); 10] = [
        ("Rust is a systems programming language.", 8),
        (
            "A provider takes one request and gives back one response. A service on the network is a provider; a retry around a provider is a provider, and so is a router over many of them.",
            40,
        ),
        (
            "pub fn checked_base_url(url: &str) -> Result<String> {\n    let url = check(Some(url))?;\n    Ok(url.as_str().trim_end_matches('/').to_owned())\n}\n",
            43,
        ),
        (
            r#"{"location":"San Francisco","unit":"celsius","days":[1,2,3],"detail":{"wind":true,"pressure":1013.25}}"#,
            32,
        ),
        ("这是一个关于中国历史与文化的简短介绍，请用简体中文回答问题，并说明资料来源。", 19),
        ("這是一個關於臺灣歷史與文化的簡短介紹，請用繁體中文回答問題，並說明資料來源。", 23),
        ("Объясни, пожалуйста, почему безопасность памяти важна для системного программирования.", 22),
        ("Erkläre bitte in zwei Sätzen, warum Speichersicherheit für Systemprogrammierung wichtig ist.", 26),
        ("ありがとうございます。この文章を短くまとめてください。", 15),
        ("오늘 날씨가 어떤지 서울 기준으로 알려 주세요.", 15),
    ];

    #[test]
    fn counted_texts_are_within_the_range() {
        for (text, tokens) in COUNTED {
            let estimate = estimate_tokens(text);
            assert!(estimate.contains(tokens), "{text}: {tokens} in {estimate:?}");
        }
    }

    #[test]
    fn nothing_is_nothing_and_a_character_is_at_least_a_token() {
        assert_eq!(estimate_tokens(""), TokenEstimate::default());
        for text in [" ", "a", "é", "中", "🚀", "\n", "7", "."] {
            let estimate = estimate_tokens(text);
            assert!(estimate.contains(1), "{text:?}: {estimate:?}");
        }
    }

    #[test]
    fn tools_count_only_where_they_are_in_the_prompt() {
        let tool =
            |name: &str| json!({"type":"function","function":{"name":name,"parameters":{"type":"object"}}});
        let likely = |choice: Value| {
            let body = json!({"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"disabled"},
                "tools":[tool("a"), tool("b")],"tool_choice":choice});
            estimate_prompt(&body).unwrap().likely
        };
        assert!(likely(json!("none")) < 10);
        assert!(likely(json!("auto")) > 220);
        assert!(likely(json!({"type":"function","function":{"name":"a"}})) < likely(json!("required")));
    }

    #[test]
    fn reasoning_counts_only_when_the_request_carries_tools() {
        let likely = |tools: Value| {
            let body = json!({"messages":[{"role":"user","content":"hi"},
                {"role":"assistant","content":"hello","reasoning_content":"a long thought ".repeat(1000)}],"tools":tools});
            estimate_prompt(&body).unwrap().likely
        };
        let tool = json!([{"type":"function","function":{"name":"a"}}]);
        assert!(likely(json!([])) < 200 && likely(tool) > 2000);
    }

    #[test]
    fn thinking_widens_the_range_unless_it_is_off_or_of_low_effort() {
        let likely = |more: Value| {
            let mut body = json!({"messages":[{"role":"user","content":"hi"}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            estimate_prompt(&body).unwrap().likely
        };
        let plain = likely(json!({"thinking":{"type":"disabled"}}));
        for (more, extra) in [
            (json!({}), EFFORT),
            (json!({"model":"deepseek-chat"}), 0),
            (json!({"model":"deepseek-reasoner"}), EFFORT),
            (json!({"model":"deepseek-chat","thinking":{"type":"enabled"}}), EFFORT),
            (json!({"reasoning_effort":"low"}), 0),
            (json!({"reasoning_effort":"max"}), EFFORT),
            (json!({"reasoning_effort":"max","thinking":{"type":"disabled"}}), 0),
        ] {
            assert_eq!(likely(more.clone()), plain + extra, "{more}");
        }
    }

    #[test]
    fn an_image_makes_the_range_wide() {
        let body = json!({"messages":[{"role":"user","content":[
            {"type":"text","text":"what is it?"},{"type":"image_url","image_url":{"url":"https://x.example/1.png"}}]}]});
        let estimate = estimate_prompt(&body).unwrap();
        assert!(estimate.low < 20 && estimate.high > IMAGE);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        assert!(estimate_prompt(&json!([1])).is_err());
        assert!(estimate_prompt(&json!({"messages": 5})).is_err());
    }

    /// Recorded requests with the tokens that DeepSeek counted; none where there is no folder of recordings.
    fn recorded() -> Vec<(Value, u64)> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/deepseek.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let exchange = |line: &str| {
            let exchange: Value = serde_json::from_str(line).ok()?;
            let tokens = exchange["body"].as_str()?.rsplit_once("\"prompt_tokens\":")?.1;
            let digits: String = tokens.trim_start().chars().take_while(char::is_ascii_digit).collect();
            let request = exchange["request"].clone();
            let is_chat = exchange["status"] == 200 && request.get("messages").is_some();
            (is_chat && !request.to_string().contains("image_url")).then_some((request, digits.parse().ok()?))
        };
        text.lines().filter_map(exchange).collect()
    }

    #[test]
    fn recorded_prompts_are_within_the_range() {
        let recorded = recorded();
        if recorded.is_empty() {
            return;
        }
        let mut errors = Vec::new();
        let mut outside = Vec::new();
        for (request, tokens) in &recorded {
            let estimate = estimate_prompt(request).unwrap();
            if !estimate.contains(*tokens) {
                outside.push((estimate, *tokens));
            }
            // Whether the effort's tokens are in it is known when the smaller error says so.
            let off = |likely: u64| likely.abs_diff(*tokens) * 1000 / tokens;
            let effort = if estimate.likely > EFFORT { off(estimate.likely - EFFORT) } else { u64::MAX };
            errors.push(off(estimate.likely).min(effort));
        }
        errors.sort_unstable();
        let at = |percent: usize| errors[(errors.len() - 1) * percent / 100];
        println!("{} prompts, {} outside: {outside:?}", recorded.len(), outside.len());
        println!("errors in thousandths: {} {} {} {}", at(50), at(90), at(95), at(100));
        assert!(outside.len() * 20 <= recorded.len(), "{outside:?}");
        assert!(at(50) <= 100, "the guess is off by {} thousandths at the middle", at(50));
    }
}
