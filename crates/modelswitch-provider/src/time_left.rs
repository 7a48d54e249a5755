use std::time::Duration;

use http::Extensions;

use crate::Request;

/// In [`Request::extensions`]: how long the caller still waits, from the moment the request is handed on.
///
/// It is a span and not a point in time, so that this crate needs no clock. Whoever spends time before handing a request
/// on shortens it by what was spent; whoever waits for an answer waits no longer than this.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_provider::{ChatRequest, TimeLeft};
///
/// let mut request = ChatRequest::user("Hi").into_request()?;
/// TimeLeft::limit(&mut request, Duration::from_secs(30));
/// TimeLeft::limit(&mut request, Duration::from_secs(60));                 // never longer than it was
/// assert_eq!(TimeLeft::of(&request), Some(Duration::from_secs(30)));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeLeft(pub Duration);

impl TimeLeft {
    /// What is left for a request; `None` when nobody set a limit.
    pub fn of(request: &Request) -> Option<Duration> {
        request.extensions.get::<Self>().map(|left| left.0)
    }

    /// Makes sure that no more than this is left.
    pub fn limit(request: &mut Request, most: Duration) {
        Self::change(&mut request.extensions, |left| left.map_or(most, |left| left.min(most)));
    }

    /// Takes off what was spent. Without a limit nothing changes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use modelswitch_provider::{Request, TimeLeft};
    ///
    /// let mut request = Request::models();
    /// TimeLeft::limit(&mut request, Duration::from_secs(30));
    /// TimeLeft::spend(&mut request, Duration::from_secs(12));
    /// assert_eq!(TimeLeft::of(&request), Some(Duration::from_secs(18)));
    /// ```
    pub fn spend(request: &mut Request, spent: Duration) {
        if Self::of(request).is_some() {
            Self::change(&mut request.extensions, |left| left.unwrap_or_default().saturating_sub(spent));
        }
    }

    fn change(extensions: &mut Extensions, change: impl FnOnce(Option<Duration>) -> Duration) {
        let left = change(extensions.get::<Self>().map(|left| left.0));
        extensions.insert(Self(left));
    }
}
