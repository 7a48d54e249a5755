//! Whom the simulator takes after.

use crate::service::{self, Service};

/// Whom the simulator takes after.
///
/// ```
/// use modelswitch_sim::{Personality, Sim};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let groq = Personality::named("groq").ok_or("there is one")?;
/// let sim = Sim::builder().personality(groq).start().await?;
/// assert!(sim.base_url().ends_with("/openai/v1"));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Personality {
    /// DeepSeek's service as its public documentation and recorded traffic show it.
    #[default]
    DeepSeek,
    /// A plain service in OpenAI's form under `/v1`.
    OpenAi,
    /// Another service, from [`named`](Self::named): where its paths, its reasoning and its usage are, what its errors look
    /// like, what it leaves out and what it refuses. It serves `sim-small`, `sim-large`, `sim-embedding` and `sim-reasoner`,
    /// which thinks.
    Compatible(&'static Service),
}

impl Personality {
    /// The personality of a service, by the name that its profile has: `deepseek`, `openai`, `groq`, `mistral`, …
    /// `None` for a service that isn't simulated.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "deepseek" => Some(Self::DeepSeek),
            "openai" => Some(Self::OpenAi),
            _ => service::named(name).map(Self::Compatible),
        }
    }

    /// A service that is not in the table, from [`Service::plain`].
    ///
    /// ```
    /// use modelswitch_sim::{Personality, Service};
    ///
    /// assert_eq!(Personality::of(Service::plain("acme", "/v1")).name(), "acme");
    /// ```
    pub fn of(service: Service) -> Self {
        Self::Compatible(Box::leak(Box::new(service)))
    }

    /// All names that [`named`](Self::named) knows.
    ///
    /// ```
    /// use modelswitch_sim::Personality;
    ///
    /// assert!(Personality::names().all(|name| Personality::named(name).is_some()));
    /// ```
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["deepseek", "openai"].into_iter().chain(service::names())
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeepSeek => "deepseek",
            Self::OpenAi => "openai",
            Self::Compatible(service) => service.name,
        }
    }

    /// The header that has the id of a request.
    #[cfg(feature = "contract")]
    pub(crate) fn request_id_header(self) -> &'static str {
        match self {
            Self::DeepSeek => "x-ds-trace-id",
            Self::OpenAi => "x-request-id",
            Self::Compatible(service) => service.request_id,
        }
    }

    /// The path of its base URL: empty, or with a slash in front and none behind.
    pub fn path(self) -> &'static str {
        match self {
            Self::DeepSeek => "",
            Self::OpenAi => "/v1",
            Self::Compatible(service) => service.prefix,
        }
    }
}
