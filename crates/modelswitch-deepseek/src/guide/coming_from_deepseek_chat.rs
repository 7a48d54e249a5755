//! # Coming from `deepseek-chat`
//!
//! An app of 2025 asked for `deepseek-chat` or `deepseek-reasoner`. Both names were switched off on 2026-07-24, and more has
//! changed than the names. This page takes such an app to today, in the order in which it would stumble.
//!
//! ## 1. One line, and it runs again
//!
//! ```no_run
//! # use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // before: async_openai::Client::with_config(OpenAIConfig::new().with_api_base("https://api.deepseek.com/v1").with_api_key(key))
//! let client = modelswitch_deepseek::client(std::env::var("DEEPSEEK_API_KEY")?)?;
//!
//! let request = CreateChatCompletionRequestArgs::default()
//!     .model("deepseek-chat")                        // still written here: sent as deepseek-flash, thinking off
//!     .messages([ChatCompletionRequestUserMessage::from("9.11 or 9.8?").into()])
//!     .build()?;
//! let reply = client.chat().create(request).await?;
//! # Ok(()) }
//! ```
//!
//! Without the line the service answers 400: `The supported API model names are … but you passed deepseek-chat`. With it the
//! log warns once, and each answer's head says what was sent. An app that would rather be told than helped sets
//! [`Policies::strict`](crate::Policies::strict).
//!
//! | then | now | what the adapter does |
//! |---|---|---|
//! | `deepseek-chat` | `deepseek-flash` with thinking off | sends that |
//! | `deepseek-reasoner` | `deepseek-flash` with thinking on | sends that |
//! | `deepseek-v4-flash`, `deepseek-v4-flash-vision-exp` | served by `deepseek-flash` | passes them on: DeepSeek still takes them |
//! | `/v1` behind the base URL | an alias of the same place | keeps it |
//! | `/beta` behind the base URL | only for prefixes, strict tools and fill-in-the-middle | goes there by itself |
//!
//! ## 2. Thinking is on unless it is switched off
//!
//! The new models think before they answer, and **the thought is paid and counted first**: with `max_tokens: 100` a thinking
//! model may use all of them up and answer with empty content and the finish reason `length`. So when the name changes in your
//! code too, say which you want:
//!
//! ```
//! use modelswitch_deepseek::{DeepSeekParameters, Effort, Thinking};
//! use modelswitch_openai::Extra;
//! use modelswitch_provider::ChatRequest;
//!
//! // On the trait:
//! let quick = ChatRequest::user("Say ok.").model("deepseek-flash").thinking(Thinking::Off);
//! let careful = ChatRequest::user("Prove it.").model("deepseek-flash").effort(Effort::Max);
//! // With async-openai's types: client.chat().headers(extra.headers()?).create(request)
//! let extra = Extra::new().thinking(Thinking::Off);
//! # let _ = (quick, careful, extra);
//! ```
//!
//! OpenAI's `reasoning_effort` works as well, all its values. Where `max_tokens` isn't set DeepSeek takes 8K without thinking,
//! 64K with it and 128K with the effort `max`. `max_completion_tokens` is sent as `max_tokens`: the service ignores the other
//! name without a word.
//!
//! ## 3. Parameters that do nothing any more
//!
//! While thinking, `temperature` has no effect; without thinking, `top_p` has none; the penalties never have. None of them
//! is an error there, so the head of the answer tells of each in
//! [`adaptations`](modelswitch_provider::Head::adaptations).
//!
//! ## 4. Reasoning goes back, where it once had to be taken out
//!
//! In 2025 a `reasoning_content` in the history was an error. Now its absence is one, when the request carries tools: 400 `The
//! reasoning_content in the thinking mode must be passed back to the API`. If your code strips it, stop. If your types have no
//! field for it, as async-openai's, the adapter remembers it for you; [`reasoning`](super::reasoning) tells how and how far.
//!
//! ## 5. Answers in JSON
//!
//! | you send | DeepSeek | what the adapter does |
//! |---|---|---|
//! | `json_object` and the word JSON in the prompt | takes it | nothing |
//! | `json_object` without the word | 400 | adds a system message that says it |
//! | `json_schema` | 400 | [`JsonSchema`](crate::JsonSchema): JSON mode with the schema in the prompt and the answer checked, or a strict tool, or refused |
//!
//! In JSON mode an answer may be empty now and then; [`EmptyAnswer::Error`](crate::EmptyAnswer::Error) makes that an error, which
//! is tried again.
//!
//! ## 6. Tools
//!
//! `strict` is enforced on `/beta` alone, and only when all tools of a request are strict and their schemas such as it takes
//! ([`strict_problems`](crate::strict_problems)); the adapter goes there then, and otherwise says on the head that it isn't
//! enforced. A forced `tool_choice` is refused while thinking; the adapter switches thinking off for such a call, or does what
//! [`ForcedToolChoice`](crate::ForcedToolChoice) says. `functions` and `function_call`, of before tools, are sent as tools and
//! come back as they were. Custom tools are refused here, since the service would refuse them.
//!
//! ## 7. What it costs
//!
//! Prices depend on the time of day: twice as much from 01:00 to 04:00 and from 06:00 to 10:00 UTC on working days in China.
//! [`cost`](crate::cost) knows them; the discount at night of 2025 is gone.
//!
//! ## 8. Errors
//!
//! | then | now | kind |
//! |---|---|---|
//! | 400 `Model Not Exist` | 400 that lists the names | [`ModelNotFound`](modelswitch_provider::ErrorKind::ModelNotFound) |
//! | 422 for a body that can't be read | 400; 422 is still documented | [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) |
//! | 402 | 402 | [`InsufficientBalance`](modelswitch_provider::ErrorKind::InsufficientBalance) |
//! | 429 | 429, and the limit shrinks with the balance | [`RateLimited`](modelswitch_provider::ErrorKind::RateLimited), the numbers in [`DeepSeekErrorExt`](crate::DeepSeekErrorExt) |
//! | 503 | 503 | [`Overloaded`](modelswitch_provider::ErrorKind::Overloaded) |
//! | the finish reason `insufficient_system_resource` | that, or `aborted` | [`BrokenOff`](crate::BrokenOff) |
//!
//! ## 9. The list
//!
//! 1. Change the line that makes the client.
//! 2. Write `deepseek-flash` and say thinking on or off.
//! 3. Raise `max_tokens` where you think, or leave it out.
//! 4. Keep `reasoning_content` in your history, or let the adapter do it.
//! 5. Run with [`Policies::strict`](crate::Policies::strict) once: what it refuses, all of a request at once, is what you would
//!    rather have written otherwise.
//!
//! In Python's SDK what OpenAI's types have no field for went into `extra_body`; here it goes into
//! [`Extra`](modelswitch_openai::Extra): `extra_body={"thinking": {"type": "disabled"}}` is `Extra::new().thinking(Thinking::Off)`.
//!
//! An app that depends on the facade finds this crate as `modelswitch::deepseek`, and `Extra` in `modelswitch::prelude`.
