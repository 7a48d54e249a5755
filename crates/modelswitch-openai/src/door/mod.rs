//! Door 1: an app on async-openai, its types and call sites unchanged.

mod capture;
mod error;
mod extra;
mod reasoning;
mod request;
mod response;
mod service;

pub use capture::Capture;
pub use error::OpenAiErrorExt;
pub use extra::{ATTACHED_PREFIX, ATTACHED_REASONING, Extra};
pub use reasoning::ReasoningExt;
pub use service::{Client, HttpService};

/// Headers between an app and this door; none of them goes out on the wire.
pub(crate) mod header {
    use http::HeaderName;

    /// Which [`Capture`](super::Capture) wants to know about a call.
    pub(crate) static CAPTURE: HeaderName = HeaderName::from_static("x-modelswitch-capture");
    /// Fields to put into the request's JSON.
    pub(crate) static EXTRA: HeaderName = HeaderName::from_static("x-modelswitch-extra");
}
