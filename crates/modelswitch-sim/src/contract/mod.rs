//! The contract suite: named cases that any [`Provider`] can be run through, your own too.
//!
//! A case holds a provider to one promise of the contract: an answer whole and as a stream, tools, reasoning, errors of the
//! right kind, cancellation, limits, and no key in anything that is shown. The suite controls the service behind the
//! provider ([`Sim`]), so it also sees what was sent: one request a call, nothing after a cancellation, the key in one
//! header and nowhere else.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use modelswitch_provider::{Body, Provider, Request, Response, Result};
//! use modelswitch_sim::contract::{Contract, Outcome, Upstream};
//!
//! /// Asks over HTTP, in haste: whatever comes back is an answer.
//! #[derive(Debug)]
//! struct Hasty {
//!     base_url: String,
//!     key: String,
//! }
//!
//! #[async_trait]
//! impl Provider for Hasty {
//!     fn name(&self) -> &str {
//!         "hasty"
//!     }
//!     async fn send(&self, request: Request) -> Result<Response> {
//!         let url = format!("{}{}", self.base_url, request.endpoint.path());
//!         let body = request.document().map(|body| body.to_bytes()).unwrap_or_default();
//!         let asked = reqwest::Client::new().post(url).bearer_auth(&self.key).header("content-type", "application/json");
//!         let answer = asked.body(body).send().await.unwrap().bytes().await.unwrap();
//!         Ok(Response::new(Body::Json(answer)))
//!     }
//! }
//!
//! # #[tokio::main] async fn main() {
//! let build = |at: &Upstream| Arc::new(Hasty { base_url: at.base_url.clone(), key: at.key.clone() });
//! let report = Contract::new(build).run_only(&["unary-text", "error-402", "redact-debug"]).await;
//! println!("{report}");
//! assert_eq!(report.outcome("unary-text"), Some(&Outcome::Passed));
//! // A refusal was taken for an answer, and `#[derive(Debug)]` shows the key.
//! assert_eq!(report.failures().map(|(case, _)| case).collect::<Vec<_>>(), ["error-402", "redact-debug"]);
//! # }
//! ```
//!
//! In a test of your own, `Contract::new(build).run().await.assert_passed()` is all: it ends the test with every failure and
//! why. What your provider can't do is declared with [`Capabilities`], and the cases for it are skipped and reported so. With
//! [`Contract::personality`] the same cases run against a service that deviates: reasoning elsewhere, another form of errors,
//! another place for the usage.
//!
//! | the names begin with | about |
//! |---|---|
//! | `unary-` | whole answers, the head, the list of models, vectors |
//! | `request-` | what this service doesn't take is changed, or refused before it is sent |
//! | `stream-` | what a stream holds and how it ends |
//! | `tools-`, `reasoning-` | both whole and in pieces, and in the conversation that follows |
//! | `error-` | the kind of every failure, what is kept of it, one try |
//! | `cancel-`, `concurrent-` | calls that are dropped, and fifty at once |
//! | `limit-` | services that never stop |
//! | `redact-` | keys and prompts in what is shown |
//!
//! A name means the same in all versions; new cases come with minor versions.
//!
//! # When a case fails
//!
//! The report names the case and its promise, the place of the check in the suite's source, what was expected and what came:
//!
//! ```text
//! `hasty` over the simulated service openai breaks the contract:
//!   error-402 (402 is `insufficient_balance`): expected an error, got a whole answer
//!   redact-debug (`Debug` of the provider shows no key): contract/cases/redaction.rs:44: expected `Debug` of the
//!   provider to hide the key, got the key in it
//! ```
//!
//! Run it alone with [`Contract::run_only`]; the file that is named shows what was sent and asked before the check.
//!
//! # Bounds
//!
//! | what | how much |
//! |---|---|
//! | one wait for an answer, a chunk, an error or an end | [`Contract::patience`], a minute unless set |
//! | one case | four times as long |
//! | a request that must arrive whole, `limit-large-request` | 2 MiB |
//! | an answer that must come whole, `limit-large-answer` | 4 MiB |
//! | JSON that must be refused, `limit-deep-json` | 200 000 open brackets |
//! | an event or a head that must be refused before it ends, `limit-endless-…` | 160 MiB |
//! | the body that an error may keep, `limit-endless-failure` | 1 MiB |
//! | what may be read ahead of a stream that nobody asks on, `stream-pulls` | 128 MiB |
//! | calls at once, `concurrent-calls` | 50 |
//!
//! Nothing is asserted on how fast anything is.
//!
//! A provider that can't be pointed at the simulator, a mock or one of a foreign protocol, is run with
//! [`Contract::without_service`]; cases that must control the service are then skipped.

mod capability;
mod cases;
mod flood;
mod report;
mod stage;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use modelswitch_provider::Provider;

pub use capability::{Capabilities, Capability};
pub use report::{Outcome, Report, Row};

use crate::{Personality, Sim};
use cases::Case;
use stage::Stage;

/// The suite, ready to be run over one provider.
///
/// ```
/// use modelswitch_provider::mock::MockProvider;
/// use modelswitch_sim::contract::{Capabilities, Capability, Contract, Outcome};
/// use std::sync::Arc;
///
/// # #[tokio::main] async fn main() {
/// let can = Capabilities::none().with(Capability::Streams);
/// let mock = Contract::without_service(Arc::new(MockProvider::reply("It rains."))).capabilities(can);
/// let report = mock.run().await;
/// report.assert_passed();
/// assert_eq!(report.outcome("stream-text"), Some(&Outcome::Passed));
/// assert!(matches!(report.outcome("error-429"), Some(Outcome::Skipped(_))));
/// # }
/// ```
#[derive(Clone)]
pub struct Contract {
    subject: Subject,
    personality: Personality,
    can: Option<Capabilities>,
    patience: Duration,
}

type Build = dyn Fn(&Upstream) -> Arc<dyn Provider> + Send + Sync;

#[derive(Clone)]
enum Subject {
    Built(Arc<Build>),
    Given(Arc<dyn Provider>),
}

/// Where the provider under test is to send its requests, and with which key.
///
/// `Debug` doesn't show the key.
#[derive(Clone)]
#[non_exhaustive]
pub struct Upstream {
    /// The URL that endpoints are appended to.
    pub base_url: String,
    /// The key that the service takes.
    pub key: String,
}

impl Contract {
    /// The suite over a provider of a simulated service. `build` is called anew for each case.
    pub fn new<P: Provider>(build: impl Fn(&Upstream) -> Arc<P> + Send + Sync + 'static) -> Self {
        Self::of_dyn(move |upstream| build(upstream))
    }

    /// [`new`](Self::new) for what is built as an `Arc<dyn Provider>` already.
    pub fn of_dyn(build: impl Fn(&Upstream) -> Arc<dyn Provider> + Send + Sync + 'static) -> Self {
        Self::over(Subject::Built(Arc::new(build)))
    }

    /// The suite over a provider whose service nobody controls. Cases that must are skipped.
    pub fn without_service(provider: Arc<dyn Provider>) -> Self {
        Self::over(Subject::Given(provider))
    }

    fn over(subject: Subject) -> Self {
        Self {
            subject,
            personality: Personality::OpenAi,
            can: None,
            patience: Duration::from_secs(60), // A machine that builds something else at the same time is slow.
        }
    }

    /// Whom the service takes after; OpenAI's form unless set.
    #[must_use]
    pub fn personality(mut self, personality: Personality) -> Self {
        self.personality = personality;
        self
    }

    /// What the provider can do; unless set, [what the personality can](Capabilities::of).
    #[must_use]
    pub fn capabilities(mut self, can: Capabilities) -> Self {
        self.can = Some(can);
        self
    }

    /// How long a case waits for what must come. A minute unless set; only a failure takes as long.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The names of all cases, in the order in which they run.
    ///
    /// ```
    /// use modelswitch_sim::contract::Contract;
    ///
    /// assert!(Contract::names().any(|name| name == "stream-cut"));
    /// ```
    pub fn names() -> impl Iterator<Item = &'static str> {
        cases::all().map(|case| case.name)
    }

    /// Runs all cases, one after the other.
    pub async fn run(&self) -> Report {
        self.run_cases(|_| true, Vec::new()).await
    }

    /// Runs the cases of these names. A name that no case has is a failure in the report.
    pub async fn run_only(&self, names: &[&str]) -> Report {
        let unknown = names.iter().filter(|name| !Self::names().any(|known| known == **name));
        let wrong = unknown.map(|name| misspelt(name)).collect();
        self.run_cases(|case| names.contains(&case.name), wrong).await
    }

    async fn run_cases(&self, wanted: impl Fn(&Case) -> bool, mut rows: Vec<Row>) -> Report {
        let mut tested = None;
        for case in cases::all().filter(|case| wanted(case)) {
            let (outcome, name) = self.run_case(case).await;
            rows.push(Row { name: case.name, promise: case.promise, outcome });
            tested = tested.or(name);
        }
        let tested = tested.map_or("a provider".to_owned(), |name| format!("`{name}`"));
        let of = match &self.subject {
            Subject::Given(provider) => format!("`{}`", provider.name()),
            Subject::Built(_) => format!("{tested} over the simulated service {}", self.personality.name()),
        };
        Report::new(of, rows)
    }

    fn can(&self) -> Capabilities {
        self.can.clone().unwrap_or_else(|| Capabilities::of(self.personality))
    }

    /// What came of it, and the name of the provider that was built for it.
    async fn run_case(&self, case: &Case) -> (Outcome, Option<String>) {
        let can = self.can();
        if let Some(why) = case.skipped(&can, matches!(self.subject, Subject::Built(_))) {
            return (Outcome::Skipped(why), None);
        }
        let stage = match self.stage(can).await {
            Ok(stage) => stage,
            Err(why) => return (Outcome::Failed(why), None),
        };
        let name = stage.provider.name().to_owned();
        // A provider that panics breaks the contract like any other.
        let run = AssertUnwindSafe((case.run)(&stage)).catch_unwind();
        // Within a case each wait has its own limit; this one is for what never yields a result.
        let verdict = match tokio::time::timeout(self.patience * PATIENCES, run).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err("expected a verdict, got a panic of the provider".to_owned()),
            Err(_) => {
                Err(format!("expected the case to end, got no end within {:?}", self.patience * PATIENCES))
            }
        };
        let outcome = match verdict {
            Ok(()) => Outcome::Passed,
            Err(why) => Outcome::Failed(shortened(&stage.without_key(&why))),
        };
        (outcome, Some(name))
    }

    async fn stage(&self, can: Capabilities) -> Result<Stage, String> {
        let build = match &self.subject {
            Subject::Given(provider) => {
                return Ok(Stage::without_service(provider.clone(), can, self.patience));
            }
            Subject::Built(build) => build.clone(),
        };
        // A word of its own, so that it is found wherever it leaks.
        let key = "sk-contract-7f3a9c51e8d24b60";
        let started = Sim::builder().personality(self.personality).key(key).start().await;
        let sim = started.map_err(|error| format!("the simulated service could not start: {error}"))?;
        Ok(Stage::over(sim, build, can, self.patience))
    }
}

fn misspelt(name: &str) -> Row {
    let nearest = Contract::names().min_by_key(|known| strsim::osa_distance(known, name));
    let why = format!("there is no case `{name}`; did you mean `{}`?", nearest.unwrap_or_default());
    Row {
        name: "run-only",
        promise: "every name that is asked for is a case's",
        outcome: Outcome::Failed(why),
    }
}

/// A case waits up to three times for something, one after the other.
const PATIENCES: u32 = 4;

/// Enough for a person; what a case compares may be megabytes.
fn shortened(why: &str) -> String {
    let mut letters = why.chars();
    let mut short: String = letters.by_ref().take(600).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract")
            .field("personality", &self.personality)
            .field("capabilities", &self.can)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
