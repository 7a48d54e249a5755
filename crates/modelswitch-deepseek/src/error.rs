//! What DeepSeek's error sentences say, as numbers and names, and what a person should do about each of them. The
//! sentences are from <https://api-docs.deepseek.com/quick_start/error_codes>, its rate-limit page and recorded traffic, as
//! of 2026-11-21. A sentence that reads otherwise gives nothing, and the kind's own advice stands.

use std::borrow::Cow;

use modelswitch_provider::{Body, Error, ErrorKind, Response};

/// What DeepSeek wrote into an error, typed. It reads the message, so it works on errors that came back through
/// [`provider_error`](modelswitch_openai::OpenAiErrorExt::provider_error) too.
///
/// ```
/// use modelswitch_deepseek::DeepSeekErrorExt;
/// use modelswitch_provider::{Error, ErrorKind};
///
/// fn most_at_once(error: &Error) -> Option<u64> {
///     error.concurrency().map(|concurrency| concurrency.limit)
/// }
/// # let error = Error::new(ErrorKind::RateLimited, "Too many requests. Your current concurrency is 26, which exceeds \
/// #     your concurrency limit of 25 based on your remaining balance.");
/// # assert_eq!(most_at_once(&error), Some(25));
/// ```
pub trait DeepSeekErrorExt {
    /// How many calls ran at once and how many may, from a 429. DeepSeek tells the limit nowhere else.
    fn concurrency(&self) -> Option<Concurrency>;

    /// How long the conversation is and how long it may be, from a 400.
    fn context(&self) -> Option<ContextExceeded>;

    /// The models that DeepSeek says it serves, from a 400 about an unknown one; empty for any other error.
    fn supported_models(&self) -> Vec<&str>;
}

/// How many calls ran at once and how many may (<https://api-docs.deepseek.com/quick_start/rate_limit>).
///
/// ```
/// use modelswitch_deepseek::DeepSeekErrorExt;
/// use modelswitch_provider::{Error, ErrorKind};
///
/// let said = "Your current concurrency is 26, which exceeds your concurrency limit of 25 based on your remaining balance.";
/// let error = Error::new(ErrorKind::RateLimited, said);
/// let concurrency = error.concurrency().ok_or("it says so")?;
/// assert_eq!((concurrency.current, concurrency.limit, concurrency.by_balance), (26, 25, true));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// The calls that ran, the refused one included; of all keys of the account.
    pub current: u64,
    /// The calls that may run.
    pub limit: u64,
    /// Whether the limit is lower than the model's because little is left on the account.
    pub by_balance: bool,
}

/// How long a conversation is and how long it may be.
///
/// ```
/// use modelswitch_deepseek::DeepSeekErrorExt;
/// use modelswitch_provider::{Error, ErrorKind};
///
/// let said = "This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens \
///             (1250025 in the messages, 0 in the completion).";
/// let context = Error::new(ErrorKind::ContextLength, said).context().ok_or("it says so")?;
/// assert_eq!((context.limit, context.requested), (1_048_565, 1_250_025));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextExceeded {
    /// The most tokens that the model takes, the answer's included.
    pub limit: u64,
    /// The tokens that were asked for.
    pub requested: u64,
    /// Those of the conversation.
    pub in_messages: Option<u64>,
    /// Those kept for the answer, by `max_tokens`.
    pub in_completion: Option<u64>,
}

impl ContextExceeded {
    /// By how many tokens it is too long.
    ///
    /// ```
    /// use modelswitch_deepseek::DeepSeekErrorExt;
    /// use modelswitch_provider::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::ContextLength, "This model's maximum context length is 1048565 tokens. \
    ///     However, you requested 1250025 tokens (1250025 in the messages, 0 in the completion).");
    /// assert_eq!(error.context().map(|context| context.over()), Some(201_460));
    /// ```
    pub fn over(&self) -> u64 {
        self.requested.saturating_sub(self.limit)
    }
}

impl DeepSeekErrorExt for Error {
    fn concurrency(&self) -> Option<Concurrency> {
        let text = self.message();
        Some(Concurrency {
            current: number_after(text, "current concurrency is ")?,
            limit: number_after(text, "concurrency limit of ")?,
            by_balance: says(text, "balance"),
        })
    }

    fn context(&self) -> Option<ContextExceeded> {
        let text = self.message();
        Some(ContextExceeded {
            limit: number_after(text, "maximum context length is ")?,
            requested: number_after(text, "you requested ")?,
            in_messages: number_before(text, " in the messages"),
            in_completion: number_before(text, " in the completion"),
        })
    }

    fn supported_models(&self) -> Vec<&str> {
        let text = self.message();
        let Some(list) = rest_after(text, "model names are ") else { return Vec::new() };
        let end = find(list, "but you passed").or_else(|| list.find(". ")).unwrap_or(list.len());
        let names = list.get(..end).unwrap_or_default();
        names
            .split(|c: char| c.is_whitespace() || c == ',')
            .map(|name| name.trim_matches(['`', '\'', '"', '.', ';', ':']))
            .filter(|name| !matches!(*name, "" | "or" | "and") && is_name(name))
            .take(MOST_NAMES)
            .collect()
    }
}

/// More than DeepSeek has ever served, and a hint that can still be read.
const MOST_NAMES: usize = 16;

/// The error with advice that fits what DeepSeek says in it. Of the message only numbers and names of models go into it.
/// Errors that no service has answered keep the advice they have.
pub(crate) fn explain(error: Error) -> Error {
    if error.status().is_none() && error.upstream_body().is_none() {
        return error;
    }
    match advice(&error) {
        Some(advice) => error.with_hint(advice),
        None => error,
    }
}

/// The answer with the same advice on whatever its stream fails with.
pub(crate) fn explained(response: Response) -> Response {
    let Response { head, body } = response;
    let body = match body {
        Body::Events(events) => Body::Events(events.map_events(|event| event.map_err(explain))),
        other => other,
    };
    Response { head, body }
}

const STATUS_PAGE: &str = "https://status.deepseek.com";

fn advice(error: &Error) -> Option<Cow<'static, str>> {
    match error.kind() {
        ErrorKind::Authentication => authentication(error),
        ErrorKind::InsufficientBalance => {
            Some(Cow::Borrowed("top up at https://platform.deepseek.com/top_up"))
        }
        ErrorKind::RateLimited => Some(rate_limited(error)),
        ErrorKind::ModelNotFound => model_not_found(error),
        ErrorKind::ContextLength => error.context().map(|context| Cow::Owned(shorten(&context))),
        ErrorKind::ContentFiltered => Some(Cow::Borrowed(
            "change the content: DeepSeek's moderation refused it, and sending it again changes nothing",
        )),
        ErrorKind::InvalidRequest => invalid_request(error),
        ErrorKind::Overloaded => Some(Cow::Owned(format!(
            "try again in a while, or use another provider; {STATUS_PAGE} tells of outages"
        ))),
        ErrorKind::Upstream => Some(Cow::Owned(format!(
            "try again: the failure is DeepSeek's own; if it stays, look at {STATUS_PAGE}"
        ))),
        ErrorKind::Decode if says(error.message(), "is empty") => {
            Some(Cow::Borrowed("try again: under load DeepSeek may answer with nothing but blank lines"))
        }
        ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::Interrupted
        | ErrorKind::Decode
        | ErrorKind::Rejected
        | ErrorKind::Unsupported
        | ErrorKind::Config => None,
    }
}

/// Whoever knows where the key came from has said so in the error's advice already; that stays in it.
fn authentication(error: &Error) -> Option<Cow<'static, str>> {
    const MAKE_ONE: &str = "check that DEEPSEEK_API_KEY is whole and of DeepSeek, or make a new one at https://platform.deepseek.com/api_keys";
    const NOT_THERE: &str = "no key reached DeepSeek, perhaps since a proxy takes it off";
    let (text, known) = (error.message(), error.hint());
    if says(text, "(a web page") {
        // Somebody else answered, and that advice is there already.
        return None;
    }
    if error.status().is_some_and(|status| status.as_u16() == 403) {
        return Some(Cow::Borrowed(
            "a firewall, DeepSeek's or one on the way, refused the call; check the network and base_url before the key",
        ));
    }
    let names_page = known.contains("platform.deepseek.com");
    if says(text, "governor") {
        let rest = if names_page { known } else { MAKE_ONE };
        return (!known.starts_with(NOT_THERE)).then(|| Cow::Owned(format!("{NOT_THERE}; {rest}")));
    }
    (!names_page).then_some(Cow::Borrowed(MAKE_ONE))
}

fn rate_limited(error: &Error) -> Cow<'static, str> {
    if let Some(Concurrency { limit, by_balance, .. }) = error.concurrency() {
        return Cow::Owned(if by_balance {
            format!(
                "send at most {limit} at once, or top up at https://platform.deepseek.com/top_up: the limit is {limit} \
                 now and shrinks with the balance"
            )
        } else {
            format!(
                "send at most {limit} at once, with all keys of the account together; DeepSeek raises the limit on request"
            )
        });
    }
    let text = error.message();
    Cow::Borrowed(if says(text, "tpm") || says(text, "tokens per minute") {
        "wait a minute: too many tokens were sent in the last one; send shorter prompts, or fewer at once"
    } else if says(text, "per minute") || says(text, "rpm") {
        "wait a minute: too many requests were sent in the last one"
    } else {
        "send less at once; DeepSeek's limit shrinks with the remaining balance, so topping up raises it"
    })
}

fn model_not_found(error: &Error) -> Option<Cow<'static, str>> {
    let text = error.message();
    let retired =
        ["deepseek-chat", "deepseek-reasoner"].iter().any(|name| says(text, &format!("passed {name}")));
    let names = error.supported_models();
    if names.is_empty() && !says(text, "model not exist") {
        // The base URL may be wrong instead, and that advice is there already.
        return None;
    }
    let ask = "ask for deepseek-flash or deepseek-v4-pro; `modelswitch models` shows what there is";
    let mut advice = match names.as_slice() {
        [] => ask.to_owned(),
        names => format!(
            "ask for {}, which DeepSeek says it serves, or for deepseek-flash, its newest",
            names.join(" or ")
        ),
    };
    if retired {
        advice += "; deepseek-chat and deepseek-reasoner were switched off in July 2026";
    }
    Some(Cow::Owned(advice))
}

fn shorten(context: &ContextExceeded) -> String {
    let ContextExceeded { limit, requested, .. } = context;
    let mut advice = format!(
        "shorten the conversation by {} tokens: the model takes {limit}, and {requested} were asked for",
        context.over()
    );
    if let Some(tokens) = context.in_completion.filter(|tokens| *tokens > 0) {
        advice += &format!("; {tokens} of them are kept for the answer, and a smaller max_tokens frees them");
    }
    advice
}

fn invalid_request(error: &Error) -> Option<Cow<'static, str>> {
    let text = error.message();
    if let Some((least, most)) = max_tokens_range(text) {
        return Some(Cow::Owned(format!(
            "set max_tokens to a number from {least} to {most}, or leave it out"
        )));
    }
    let row = SENTENCES.iter().find(|(phrases, _)| phrases.iter().all(|phrase| says(text, phrase)));
    let unreadable = || {
        error
            .status()
            .is_some_and(|status| status.as_u16() == 422)
            .then_some("mend the field that the message names: DeepSeek can't read the request as it is")
    };
    row.map(|(_, advice)| *advice).or_else(unreadable).map(Cow::Borrowed)
}

/// What a message says in lower case, all of it, and what to do about it. The first that fits counts.
const SENTENCES: &[(&[&str], &str)] = &[
    (
        &["does not support this tool_choice"],
        "switch thinking off for this call (thinking: {\"type\":\"disabled\"}), or send tool_choice auto",
    ),
    (&["max_tokens value"], "set max_tokens to a number from 1 to 393216, or leave it out"),
    (
        &["response_format", "unavailable"],
        "send response_format json_object with the schema in the prompt, or a strict tool: DeepSeek's chat takes no \
         json_schema",
    ),
    (
        &["must contain the word 'json'"],
        "write the word json into the prompt, and show the form that you want",
    ),
    (
        &["must be followed by tool messages"],
        "answer each tool call: right behind the assistant message, a tool message with its tool_call_id",
    ),
    (
        &["must be a response to a preceding message"],
        "put each tool message right behind the assistant message that made the call; don't cut a history between them",
    ),
    (
        &["no tool output found"],
        "put the output of each call behind the calls, which must stand next to each other",
    ),
    (
        &["must be passed back"],
        "send the reasoning of earlier answers back with them, \"\" where there was none; the adapter does so where it \
         has seen the answer (ReasoningMemory)",
    ),
    (
        &["missing", "reasoning_content"],
        "send the reasoning_content of earlier answers back with them, \"\" where there was none; the adapter does so \
         where it has seen the answer (ReasoningMemory)",
    ),
    (
        &["only available when using beta api"],
        "ask at https://api.deepseek.com/beta; the adapter goes there by itself when base_url is DeepSeek's own",
    ),
    (
        &["must be a user message", "prefix mode"],
        "end with a user message, or set prefix: true on the assistant message that is to be continued",
    ),
    (
        &["invalid schema for function"],
        "give the function's parameters a JSON Schema of type object, or leave parameters out",
    ),
    (
        &["content or tool_calls must be set"],
        "send content \"\" instead of null in assistant messages without tool calls",
    ),
    (&["stream_options"], "leave stream_options out, or ask for a stream"),
    (&["unknown variant `developer`"], "send the role system; DeepSeek has no developer"),
    (
        &["unknown variant `image_url`"],
        "ask deepseek-flash, which sees images in user and tool messages, or leave the image out",
    ),
    (
        &["unknown variant `none`"],
        "switch thinking off with thinking: {\"type\":\"disabled\"} instead of reasoning_effort none",
    ),
    (&["unknown variant"], "send one of the values that the message names; DeepSeek doesn't know the other"),
    (
        &["failed to deserialize"],
        "mend the field that the message names: DeepSeek can't read the request as it is",
    ),
];

fn max_tokens_range(text: &str) -> Option<(u64, u64)> {
    let list = rest_after(text, "range of max_tokens is [")?;
    let (least, most) = list.split(']').next()?.split_once(',')?;
    Some((least.trim().parse().ok()?, most.trim().parse().ok()?))
}

fn says(text: &str, phrase: &str) -> bool {
    find(text, phrase).is_some()
}

/// Where a phrase in lower case stands in a text in any.
fn find(text: &str, phrase: &str) -> Option<usize> {
    // Lower case of ASCII alone keeps each byte in its place.
    text.to_ascii_lowercase().find(phrase)
}

fn rest_after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    text.get(find(text, phrase)? + phrase.len()..)
}

fn number_after(text: &str, phrase: &str) -> Option<u64> {
    let rest = rest_after(text, phrase)?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn number_before(text: &str, phrase: &str) -> Option<u64> {
    let before = text.get(..find(text, phrase)?)?;
    let start = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    before.get(start..)?.parse().ok()
}

/// Names of models have a number or a hyphen in them; words of a sentence don't.
fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && name.contains(|c: char| c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use modelswitch_openai::{Client, HttpService, OpenAiErrorExt};
    use modelswitch_provider::Response;
    use modelswitch_provider::{Event, EventStream, Provider, Request, Result};

    fn answered(kind: ErrorKind, status: u16, message: &str) -> Error {
        Error::new(kind, message).with_status(StatusCode::from_u16(status).unwrap()).with_upstream_body("{}")
    }

    const BY_BALANCE: &str = "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 \
        based on your remaining balance. Please top up your balance to restore your concurrency.";
    const CONTEXT: &str = "This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens \
        (1250000 in the messages, 25 in the completion). Please reduce the length of the messages or completion.";
    const UNKNOWN_MODEL: &str = "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed deepseek-chat.";

    /// Every row of what DeepSeek is known to answer, and what must be in the advice.
    #[test]
    fn every_error_that_deepseek_is_known_to_send_has_advice_that_fits() {
        use ErrorKind::*;
        let rows: &[(ErrorKind, u16, &str, &[&str])] = &[
            (
                ModelNotFound,
                400,
                UNKNOWN_MODEL,
                &["deepseek-v4-pro or deepseek-v4-flash", "deepseek-flash", "July 2026"],
            ),
            (ModelNotFound, 400, "Model Not Exist", &["deepseek-flash", "deepseek-v4-pro"]),
            (
                InvalidRequest,
                400,
                "Thinking mode does not support this tool_choice",
                &["thinking off", "auto"],
            ),
            (ContextLength, 400, CONTEXT, &["201460", "1048565", "1250025", "25 of them", "max_tokens"]),
            (
                InvalidRequest,
                400,
                "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, \
                 expected `text` at line 1 column 216",
                &["deepseek-flash"],
            ),
            (
                InvalidRequest,
                400,
                "messages[0].role: unknown variant `developer`, expected one of `system`, `user`",
                &["role system"],
            ),
            (InvalidRequest, 400, "unknown variant `none`, expected one of `high`, `low`", &["thinking"]),
            (InvalidRequest, 400, "unknown variant `input_audio`, expected `text`", &["one of the values"]),
            (InvalidRequest, 400, "Failed to deserialize the JSON body: missing field `model`", &["field"]),
            (
                InvalidRequest,
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
                 'tool_call_id'. (insufficient tool messages following tool_calls message)",
                &["tool_call_id"],
            ),
            (
                InvalidRequest,
                400,
                "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                &["right behind the assistant message"],
            ),
            (
                InvalidRequest,
                400,
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
                &["ReasoningMemory", "\"\""],
            ),
            (
                InvalidRequest,
                400,
                "The `content[].thinking` in the thinking mode must be passed back to the API.",
                &["reasoning"],
            ),
            (
                InvalidRequest,
                400,
                "Missing `reasoning_content` field in the assistant message at message index 3",
                &["reasoning_content"],
            ),
            (ContentFiltered, 400, "Content Exists Risk", &["content", "moderation"]),
            (
                InvalidRequest,
                400,
                "Invalid max_tokens value, the valid range of max_tokens is [1, 65536]",
                &["from 1 to 65536"],
            ),
            (InvalidRequest, 400, "Invalid max_tokens value", &["from 1 to 393216"]),
            (InvalidRequest, 400, "This response_format type is unavailable now", &["json_object"]),
            (InvalidRequest, 400, "response_format.type `json_schema` is unavailable now", &["json_object"]),
            (
                InvalidRequest,
                400,
                "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
                &["word json"],
            ),
            (
                InvalidRequest,
                400,
                "Invalid schema for function 'hush': schema must be a JSON Schema of 'type: \"object\"', got 'type: null'.",
                &["type object"],
            ),
            (InvalidRequest, 400, "No tool output found for tool call hush.", &["output"]),
            (
                InvalidRequest,
                400,
                "Invalid assistant message: content or tool_calls must be set",
                &["\"\" instead of null"],
            ),
            (
                InvalidRequest,
                400,
                "prefix is only available when using beta api (set base_url=\"https://api.deepseek.com/beta\")",
                &["/beta"],
            ),
            (
                InvalidRequest,
                400,
                "The last message of deepseek-reasoner must be a user message, or an assistant message with prefix mode on",
                &["prefix: true"],
            ),
            (
                InvalidRequest,
                400,
                "stream_options should be set along with stream = true",
                &["stream_options"],
            ),
            (
                Authentication,
                401,
                "Authentication Fails, Your api key: ****-key is invalid",
                &["https://platform.deepseek.com/api_keys", "DEEPSEEK_API_KEY"],
            ),
            (
                Authentication,
                401,
                "Authentication Fails (governor)",
                &["no key reached", "https://platform.deepseek.com/api_keys"],
            ),
            (Authentication, 403, "HTTP 403 Forbidden", &["firewall"]),
            (
                InsufficientBalance,
                402,
                "Insufficient Balance",
                &["top up", "https://platform.deepseek.com/top_up"],
            ),
            (InvalidRequest, 422, "Invalid Parameters", &["field"]),
            (
                RateLimited,
                429,
                BY_BALANCE,
                &["at most 25 at once", "https://platform.deepseek.com/top_up", "shrinks with the balance"],
            ),
            (
                RateLimited,
                429,
                "Your current concurrency is 2501, which exceeds your concurrency limit of 2500.",
                &["at most 2500 at once"],
            ),
            (RateLimited, 429, "Rate limit reached for TPM", &["tokens", "minute"]),
            (RateLimited, 429, "Rate limit reached for 60 requests per minute", &["requests", "minute"]),
            (RateLimited, 429, "HTTP 429 Too Many Requests", &["balance"]),
            (Upstream, 500, "HTTP 500 Internal Server Error", &["https://status.deepseek.com"]),
            (
                Overloaded,
                503,
                "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers.",
                &["https://status.deepseek.com", "another provider"],
            ),
            (Overloaded, 200, "the answer ended with insufficient_system_resource", &["another provider"]),
            (Decode, 200, "the answer is empty", &["blank lines"]),
        ];
        for (kind, status, message, parts) in rows {
            let error = explain(answered(*kind, *status, message));
            for part in *parts {
                assert!(error.hint().contains(part), "{message}\n{part}\n{}", error.hint());
            }
            assert!(!error.hint().contains("hush") && !error.hint().ends_with('.'), "{}", error.hint());
            assert_eq!((error.kind(), error.message()), (*kind, *message));
            assert_eq!(explain(error.clone()).hint(), error.hint(), "twice is once");
        }
    }

    #[test]
    fn what_no_service_answered_and_what_a_page_answered_keep_their_own_advice() {
        let own = Error::unsupported("no").with_hint("mine");
        assert_eq!(explain(own).hint(), "mine");
        let page = answered(ErrorKind::Authentication, 403, "HTTP 403 Forbidden (a web page: Stop)")
            .with_hint("mine");
        assert_eq!(explain(page).hint(), "mine");
        let known = "check the key from $MINE; keys are made at https://platform.deepseek.com/api_keys";
        let key = answered(
            ErrorKind::Authentication,
            401,
            "Authentication Fails, Your api key: ****-key is invalid",
        );
        assert_eq!(explain(key.with_hint(known)).hint(), known);
        let none =
            answered(ErrorKind::Authentication, 401, "Authentication Fails (governor)").with_hint(known);
        assert!(explain(none).hint().ends_with(known));
        let path = answered(ErrorKind::ModelNotFound, 404, "HTTP 404 Not Found").with_hint("mine");
        assert_eq!(explain(path).hint(), "mine");
        let new = answered(ErrorKind::InvalidRequest, 400, "something that nobody has seen yet");
        assert_eq!(explain(new.clone()).hint(), new.hint());
    }

    #[test]
    fn numbers_and_names_are_read_out_of_deepseeks_sentences() {
        let error = |message: &str| Error::new(ErrorKind::RateLimited, message);
        assert_eq!(
            error(BY_BALANCE).concurrency(),
            Some(Concurrency { current: 26, limit: 25, by_balance: true })
        );
        assert_eq!(
            error(CONTEXT).context(),
            Some(ContextExceeded {
                limit: 1_048_565,
                requested: 1_250_025,
                in_messages: Some(1_250_000),
                in_completion: Some(25)
            })
        );
        assert_eq!(error(UNKNOWN_MODEL).supported_models(), ["deepseek-v4-pro", "deepseek-v4-flash"]);
        assert_eq!(
            error("the supported api model names are `a.1`, `b_2`, and c-3, but you passed x")
                .supported_models(),
            ["a.1", "b_2", "c-3"]
        );
        assert_eq!(error("The supported API model names are a-1 or b-1.").supported_models(), ["a-1", "b-1"]);
    }

    #[test]
    fn a_sentence_that_reads_otherwise_gives_nothing() {
        for message in [
            "",
            "slow down",
            "current concurrency is high, concurrency limit of 25",
            "current concurrency is 99999999999999999999999, concurrency limit of 25",
            "maximum context length is",
            "maximum context length is 5 tokens",
            "The supported API model names are ",
            "model names are <script>, but you passed x",
            "The supported API model names are listed in the docs, but you passed x",
            "über Über ÜBER 日本 model names are 日本, but you passed x",
        ] {
            let error = Error::new(ErrorKind::RateLimited, message);
            assert_eq!((error.concurrency(), error.context()), (None, None), "{message}");
            assert!(error.supported_models().is_empty(), "{message}");
        }
    }

    #[test]
    fn only_what_looks_like_the_name_of_a_model_gets_into_advice() {
        let message = "The supported API model names are good-1 or <b>bad</b> or ключ, but you passed hush.";
        let error = explain(answered(ErrorKind::ModelNotFound, 400, message));
        assert!(error.hint().contains("good-1"));
        assert!(!error.hint().contains("bad") && !error.hint().contains("hush"), "{}", error.hint());
    }

    /// Fails in the middle of a stream, as the provider does.
    #[derive(Debug)]
    struct Breaks;

    #[async_trait::async_trait]
    impl Provider for Breaks {
        fn name(&self) -> &str {
            "deepseek"
        }
        async fn send(&self, _request: Request) -> Result<Response> {
            let events = [
                Ok(Event::new(r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#)),
                Err(answered(ErrorKind::RateLimited, 429, BY_BALANCE)),
            ];
            let events = EventStream::new(futures_util::stream::iter(events));
            Ok(explained(Response::new(Body::Events(events))))
        }
    }

    #[tokio::test]
    async fn what_a_stream_fails_with_is_explained_and_typed_through_door_one_too() {
        use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
        use futures_util::StreamExt;
        let client: Client = HttpService::new(std::sync::Arc::new(Breaks)).client().unwrap();
        let request = CreateChatCompletionRequestArgs::default()
            .model("m")
            .messages([ChatCompletionRequestUserMessage::from("x").into()])
            .build()
            .unwrap();
        let chunks: Vec<_> = client.chat().create_stream(request).await.unwrap().collect().await;
        let error = chunks.last().unwrap().as_ref().unwrap_err().provider_error().unwrap();
        assert_eq!(error.concurrency().map(|concurrency| concurrency.limit), Some(25));
        assert!(error.hint().contains("at most 25 at once"));
    }
}
