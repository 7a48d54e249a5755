//! Simulated OpenAI-compatible services on a real socket, for tests, demos and benches.
//!
//! [`Sim::start`] listens on a free local port and answers as DeepSeek does on the wire: its error
//! bodies and content types, its stream chunks, its reasoning, its keep-alives. With
//! [`Personality::OpenAi`] it is a plain service under `/v1`, and [`Personality::named`] knows some
//! thirty other services by how they deviate from that. Answers depend on the request alone and
//! say that they are simulated; nothing leaves the machine.
//!
//! ```
//! use modelswitch_sim::{Script, Sim};
//! use serde_json::json;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = Sim::start().await?;
//! // The first request is refused; after that the service is itself again.
//! sim.script(Script::status(429).header("retry-after", "1").json(json!({"error": {"message": "slow down"}})));
//!
//! let client = reqwest::Client::new();
//! let ask = || client.get(format!("{}/models", sim.base_url())).bearer_auth(sim.key()).send();
//! assert_eq!(ask().await?.status(), 429);
//! assert_eq!(ask().await?.status(), 200);
//! assert_eq!(sim.requests().len(), 2);
//! # Ok(()) }
//! ```
//!
//! # Errors without a script
//!
//! A tag in the last user message, or behind the model's name, asks for trouble; so one can try a
//! client from the command line. Scripts ([`Script`]) can do more.
//!
//! | tag | answer |
//! |---|---|
//! | `[sim:402]`, `[sim:422]`, `[sim:429]`, `[sim:500]`, `[sim:503]`, any other from 400 to 599 | that status, with the body the service is known to send |
//! | `[sim:429-tpm]` | 429 `Rate limit reached for TPM` (DeepSeek) |
//! | `[sim:risk]` | 400: the prompt was refused for its content |
//! | `[sim:context]` | 400: the prompt is too long |
//! | `[sim:cut]` | the connection is dropped inside the answer |
//! | `[sim:stall]` | the answer begins, then nothing comes and the connection stays open |
//! | `[sim:resource]` | half an answer with `finish_reason` `insufficient_system_resource` (DeepSeek) |
//! | `[sim:aborted]` | the same with `finish_reason` `aborted` (DeepSeek) |
//! | `[sim:error-in-stream]` | a stream with an `error` event in place of its end; 503 without a stream |
//! | `[sim:long]` | 200 sentences |
//! | `[sim:empty]` | an answer with empty content |
//! | `[sim:blank]` | 200 with nothing but blank lines (a comment, in a stream) |
//! | `[sim:bad-json]` | JSON mode, a JSON schema or a tool call answered with JSON that has none of the wanted members |
//! | `[sim:not-json]` | the same answered with what is no JSON |
//!
//! | key | answer |
//! |---|---|
//! | `sk-no-balance` | 402 `Insufficient Balance`; `GET /user/balance` shows nothing left |
//! | `sk-rate-limited` | 429 |
//! | `sk-overloaded` | 503 |
//!
//! [`SimBuilder::concurrency`] sets how many calls of a model may run at once; one more is answered 429,
//! with the numbers in DeepSeek's sentence. [`SimBuilder::balance`] sets what `GET /user/balance` shows;
//! with nothing left every call is answered 402.
//!
//! # What else is in an answer
//!
//! The content repeats the last user message. A message with `9.11` and `9.8` in it is told which is
//! larger. With tools in the request the first one is called, its required arguments filled from its
//! schema; with `both` in the message two are called, with `no tools` none. After tool results the
//! answer quotes them. A last message with `prefix` (DeepSeek's beta) is said to be continued. JSON mode
//! is answered with an example for the JSON schema that stands in the prompt, if there is one.
//!
//! # How far it is DeepSeek
//!
//! | path | what is there |
//! |---|---|
//! | `/chat/completions`, also under `/v1` and `/beta` | whole and streamed; everything that is refused with a 400 |
//! | `/beta/completions` | text in the middle, with the older form of `logprobs` |
//! | `/responses` | whole and streamed, without `[DONE]`; built-in tools are ignored |
//! | `/anthropic/v1/messages` | whole and streamed, with `x-api-key` or a bearer key |
//! | `/files`, `/files/{id}` | uploads of one key; contents are looked at and forgotten |
//! | `/models`, `/user/balance` | as documented |
//!
//! A refusal has DeepSeek's own words where they are published; a rule whose words are not known is
//! enforced in words that begin with `[simulated]`. Where it is not known how strict the service is:
//!
//! - `reasoning_content` is demanded of every assistant's message (an empty one counts) when a chat
//!   request carries tools and thinks. `/anthropic` demands it of turns that called a tool, `/responses`
//!   never.
//! - A strict schema with a keyword that the guide does not name is refused, `null` as a type is not.
//! - Names that begin with `claude-` and are not Opus are served by Flash; other unknown names are
//!   refused.
//! - The context cache knows a prompt again as far as whole messages agree with an earlier prompt and its
//!   answer, in multiples of 128 tokens, for the same `user_id`. Ids and thoughts in it are of no account.
//! - Uploads are bounded by [`SimBuilder::body_limit`] before any limit of the service.

mod answer;
mod ask;
mod body;
#[cfg(feature = "contract")]
pub mod contract;
mod deepseek;
mod files;
mod mode;
mod multipart;
mod nobody;
mod openai;
mod personality;
mod recorded;
mod responses;
mod schema;
mod script;
mod server;
mod service;
mod sim;
mod state;
mod text;
mod turn;

pub use nobody::Nobody;
pub use personality::Personality;
pub use recorded::Recorded;
pub use script::Script;
pub use service::Service;
pub use sim::{Sim, SimBuilder};
