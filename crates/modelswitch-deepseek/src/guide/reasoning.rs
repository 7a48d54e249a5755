//! # How reasoning gets back to DeepSeek
//!
//! DeepSeek answers with `reasoning_content` beside `content`. When a request carries tools, it wants the reasoning of **all**
//! earlier turns back with the history, and refuses the request otherwise (400, `The reasoning_content in the thinking mode must
//! be passed back to the API`, <https://api-docs.deepseek.com/guides/thinking_mode>, read on 2026-11-21). Reports differ on how
//! strictly it does so, and an empty text is taken for a turn whose reasoning isn't known. Without tools it isn't wanted, and does
//! no harm.
//!
//! ## Three ways to give it back
//!
//! **In the message**, where your types have the field. On the provider trait nothing has to be done: put
//! [`message()`](modelswitch_provider::ChatCompletion::message) of the answer into the next request.
//!
//! ```no_run
//! # use modelswitch_provider::{ChatRequest, Message, Provider, ProviderExt, Result, Tool};
//! # async fn run(llm: &dyn Provider, weather: Tool, look_up: impl Fn(&str) -> String) -> Result<()> {
//! let mut request = ChatRequest::user("What's the weather in Paris?").tool(weather);
//! loop {
//!     let reply = llm.chat(request.clone()).await?;
//!     request.messages.extend(reply.message().cloned());      // with its reasoning and its calls
//!     if reply.tool_calls().is_empty() {
//!         break;
//!     }
//!     for call in reply.tool_calls() {
//!         request.messages.push(Message::tool(&call.id, look_up(&call.function.arguments)));
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! **By the adapter's memory**, where they haven't, as in async-openai's. What passes in answers to requests with tools is
//! remembered and put back where it is missing. An answer is known again
//!
//! * by its first tool call: id, name and arguments (however they are written: spaces and order make no difference), since some
//!   services give an id twice;
//! * where nothing was called, by its text and everything before it, pictures, calls and results included, so that the same words
//!   in another conversation bring nothing back;
//! * where `functions` stand for tools, which have no ids, by name, arguments and the conversation;
//! * and only among the requests of the same `user_id`, or of none.
//!
//! **Attached by you**, for what no memory knows: after a restart, on another machine, from a database. The number is that of the
//! message in the request.
//!
//! ```no_run
//! # async fn run(client: modelswitch_openai::Client, request: async_openai::types::chat::CreateChatCompletionRequest, kept: String) -> Result<(), Box<dyn std::error::Error>> {
//! use async_openai::traits::RequestOptionsBuilder;
//! use modelswitch_openai::{Extra, ReasoningExt};
//!
//! let attached = Extra::new().reasoning_content(1, kept);
//! let reply = client.chat().headers(attached.headers()?).create(request).await?;
//! let to_keep = reply.reasoning_content();            // for the next time
//! # Ok(()) }
//! ```
//!
//! A [`ReasoningMemory`](crate::ReasoningMemory) of your own can also be told what was said before, with
//! [`remember`](crate::ReasoningMemory::remember), and be shared by several providers of one account with
//! [`DeepSeek::with_memory`](crate::DeepSeek::with_memory).
//!
//! What stands in a message counts most, then what is attached, then what is remembered, then the empty text.
//!
//! ## What the memory doesn't do
//!
//! * It lives in this process and as long as the provider or client does: make one and clone it.
//! * It is bounded: 4000 answers and 32 MiB unless you say otherwise; what wasn't asked for longest goes first. Switch it off with
//!   `with_memory(None)`, or in a configuration file with `reasoning_memory = false`.
//! * It begins with the first request that carries tools. Turns made before that go back with the empty text.
//! * It knows a conversation only as long as the app leaves it as it was: where the app shortens its history or rewords an answer,
//!   a turn without calls isn't known again and goes back with the empty text. A turn with calls still is.
//! * A stream is remembered with its finish reason. Half a thought is none.
//! * What goes back empty is told on the head of the answer, as an adaptation of `reasoning_content`.
//! * Ids of calls come from DeepSeek. Behind a gateway that gives the same id, name and arguments in two conversations of one user,
//!   the later thought would be put into both.
//!
//! ## The rule is data
//!
//! It has changed twice, so it stands in the profile, per model where models differ: `pass_back` is `never` (2025: reasoning in a
//! request is an error), `tool_turns` (V3.2: turns that call tools), `with_tools` (now) or `always`, and `empty` is the text for
//! what isn't known. See [`PassBack`](modelswitch_openai::PassBack).
//!
//! ## Nobody else reads it
//!
//! Each provider has its own memory. And in a registry the layer [`ReasoningOrigin`](modelswitch_layers::ReasoningOrigin) stands
//! around all providers: reasoning that one of them gave is taken out of a request to another, also when a conversation moves after
//! a failure. What DeepSeek doesn't know (`reasoning`, `reasoning_details`, `reasoning_signature` in a message) is taken out here.
