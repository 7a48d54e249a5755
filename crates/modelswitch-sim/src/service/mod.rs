//! Services that are compatible with OpenAI's and each deviate somewhere: one engine, and a table of how they do.

mod chat;
mod plain;
mod refusal;
mod rest;
mod table;

use std::fmt;
use std::hash::{Hash, Hasher};

use http::{HeaderName, Method};
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::mode::{self, Mode};
use crate::recorded::Recorded;
use crate::state::{Open, Shared};

pub(crate) use table::{named, names};

/// A compatible service other than DeepSeek's and OpenAI's own, from the simulator's table.
///
/// ```
/// use modelswitch_sim::Personality;
///
/// assert_eq!(Personality::named("groq").map(|groq| groq.path()), Some("/openai/v1"));
/// ```
pub struct Service {
    pub(crate) name: &'static str,
    /// The path of its base URL.
    pub(crate) prefix: &'static str,
    pub(crate) auth: Auth,
    /// A parameter that every URL must have.
    pub(crate) query: Option<&'static str>,
    /// The model stands in the path: `/deployments/{model}/chat/completions`.
    pub(crate) deployments: bool,
    pub(crate) models: Models,
    pub(crate) embeds: bool,
    pub(crate) calls: Calls,
    pub(crate) reasoning: Reasoning,
    pub(crate) history: History,
    /// Whether chats are answered; else it has `/responses` alone.
    pub(crate) chats: bool,
    /// Members of a request or of its messages that are answered 400.
    pub(crate) refuses: &'static [&'static str],
    /// Those that only a model that thinks refuses.
    pub(crate) refuses_thinking: &'static [&'static str],
    /// The words of `reasoning_effort` that are taken; with none here, all are.
    pub(crate) efforts: &'static [&'static str],
    /// More than one choice is answered 400.
    pub(crate) one_choice: bool,
    pub(crate) tool_choice: ToolChoice,
    /// Members of an answer or chunk that are not there.
    pub(crate) absent: &'static [&'static str],
    /// Members that only this service has, as JSON.
    pub(crate) extra: &'static str,
    pub(crate) usage: UsageAt,
    /// OpenAI's word for why an answer ended, and the service's.
    pub(crate) finish: &'static [(&'static str, &'static str)],
    pub(crate) stream: Stream,
    pub(crate) envelope: Envelope,
    /// The code of an error that says that there is no money.
    pub(crate) no_money: &'static str,
    pub(crate) request_id: &'static str,
}

/// How the key is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Bearer,
    /// Bearer, or none at all.
    Optional,
    /// In a header of this name; bearer as well.
    Header(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Models {
    List,
    /// Without `created`.
    Undated,
    /// An array where OpenAI has an object around it.
    Bare,
    /// With ids that begin so.
    Prefixed(&'static str),
    /// There is no list.
    Absent,
}

/// What is made of `tool_choice`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// It is kept to.
    Kept,
    /// A tool that is named counts as `auto`.
    Unnamed,
    /// Whatever it says, it counts as `auto`.
    Ignored,
}

/// How tool calls are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// There are none.
    Absent,
    Pieces,
    /// Each whole, all in one delta.
    Whole,
    /// Each whole, without an index.
    Unnumbered,
}

/// Where the reasoning of `sim-reasoner` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Absent,
    Field(&'static str),
    /// In `reasoning`, and again in `reasoning_details`.
    Details,
    /// As a part of a content that is a list.
    Parts,
    /// In the text, between `<think>` and `</think>`.
    Tags,
}

/// What is demanded of reasoning in a conversation that goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    Free,
    /// A turn that called tools must have its `reasoning_content`.
    Needed,
    /// A message with this member is refused.
    Refuses(&'static str),
}

/// Where a stream has its usage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageAt {
    /// In a chunk of its own, when asked for.
    OwnChunk,
    /// In a chunk of its own, always.
    AlwaysOwnChunk,
    /// In the chunk that has the finish reason, always.
    LastChoice,
    /// Under `x_groq` beside the finish reason, always; and in its own chunk when asked for.
    Groq,
    /// In every chunk, as far as it is.
    Cumulative,
}

/// Habits of a stream.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    /// The comment in front.
    pub(crate) comment: &'static str,
    /// A first chunk without choices.
    pub(crate) opens_empty: bool,
    /// The role in every delta.
    pub(crate) repeats_role: bool,
    /// No `finish_reason` where it would be null.
    pub(crate) omits_null_finish: bool,
    /// The last chunk has the whole message once more, under `message`.
    pub(crate) ends_whole: bool,
}

/// The form of an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    OpenAi,
    /// OpenAI's, with the status as `code`.
    Numbered,
    /// What OpenAI has under `error`, by itself.
    Flat,
    /// FastAPI's `detail`.
    Detail,
    /// A sentence under `error`.
    Sentence,
    /// A sentence under `error`, a word under `code`.
    Coded,
    /// No JSON for a refused key, else OpenAI's.
    PlainKeyRefusal,
    /// Google's, in a list.
    GoogleList,
    /// A number and a message at the top, with `data` null.
    Data,
    /// OpenAI's, with a number of its own as text.
    CodeText,
    /// MiniMax's `base_resp`.
    BaseResp,
    /// Anthropic's.
    Anthropic,
}

impl Service {
    /// The parts of its answers to a request for one of its paths.
    pub(crate) fn answer(&'static self, shared: &Shared, request: &Recorded, open: &mut Open) -> Answer {
        let path = request.route().strip_prefix(self.prefix).unwrap_or_default();
        let (deployment, path) = if self.deployments { deployed(path) } else { (None, path) };
        let has_query = self.query.is_none_or(|name| {
            let query = request.path.split_once('?').map_or("", |(_, query)| query);
            query.split('&').any(|pair| pair.split('=').next() == Some(name))
        });
        let (is_list, is_call) = (path == "/models" && self.models != Models::Absent, self.is_call(path));
        if !has_query || !(is_list || is_call) {
            return self.refusal(404, "not_found", "[simulated] Resource not found");
        }
        let method = if is_list { Method::GET } else { Method::POST };
        if request.method != method {
            return self.refusal(405, "method_not_allowed", "[simulated] Method Not Allowed");
        }
        if let Err(refused) = self.authorize(shared, request) {
            return *refused;
        }
        if is_list {
            return self.models();
        }
        if open.begin_call().is_err() {
            return self.failure(429);
        }
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(body) if body.is_object() => match path {
                "/embeddings" => self.embeddings(&body),
                "/responses" => self.respond(shared, request, &body),
                _ => self.chat(shared, request, &body, deployment),
            },
            _ => self.refusal(400, "invalid_request_error", "[simulated] The body is not a JSON object"),
        }
    }

    fn is_call(&self, path: &str) -> bool {
        match path {
            "/chat/completions" => self.chats,
            "/responses" => !self.chats,
            path => path == "/embeddings" && self.embeds,
        }
    }

    fn authorize(&self, shared: &Shared, request: &Recorded) -> Result<(), Box<Answer>> {
        let own = match self.auth {
            Auth::Header(name) => request.header(name),
            Auth::Bearer | Auth::Optional => None,
        };
        let Some(key) = own.or_else(|| request.bearer()) else {
            return match self.auth {
                Auth::Optional => Ok(()),
                Auth::Bearer | Auth::Header(_) => Err(Box::new(self.key_refused("Missing API key"))),
            };
        };
        if let Some(status) = Mode::of_key(key) {
            return Err(Box::new(self.failure(status)));
        }
        if shared.settings.takes(key) {
            return Ok(());
        }
        Err(Box::new(self.key_refused("Invalid API key")))
    }

    /// The name of the model that serves.
    fn serving(&self, asked: &str) -> Option<&'static str> {
        let asked = mode::without_tag(asked);
        let bare = match self.models {
            Models::Prefixed(prefix) => asked.strip_prefix(prefix).unwrap_or(asked),
            Models::List | Models::Undated | Models::Bare | Models::Absent => asked,
        };
        MODELS.into_iter().find(|model| *model == bare)
    }

    fn thinks(&self, ask: &Ask) -> bool {
        self.reasoning != Reasoning::Absent && mode::without_tag(&ask.model).ends_with(REASONER)
    }

    /// The header that has the id of the request.
    pub(crate) fn request_id_header(&self) -> HeaderName {
        // One of somebody's own may be none.
        HeaderName::try_from(self.request_id).unwrap_or(HeaderName::from_static("x-request-id"))
    }
}

/// The model in a path, and what stands behind it.
fn deployed(path: &str) -> (Option<&str>, &str) {
    let rest = path.strip_prefix("/deployments/").unwrap_or_default();
    let end = rest.find('/').unwrap_or(rest.len());
    let (model, path) = rest.split_at(end);
    (Some(model), path)
}

/// The models of every service in the table.
const MODELS: [&str; 4] = ["sim-small", "sim-large", REASONER, "sim-embedding"];

/// The one that thinks.
pub(crate) const REASONER: &str = "sim-reasoner";

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.name).finish()
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Service {}

impl Hash for Service {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
