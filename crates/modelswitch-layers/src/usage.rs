//! The tokens that a call took, when its answer has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use modelswitch_provider::{Body, Event, Response, Usage, UsageSeen, UsageWatch};

use crate::ending::{Ending, watch};

/// Runs `act` once when an answer has ended, with the tokens that it told of until then.
pub(crate) fn on_usage(
    response: Response,
    act: impl FnOnce(Ending, Option<Usage>) + Send + 'static,
) -> Response {
    let seen = Arc::new(Mutex::new(UsageSeen::default()));
    if let Body::Json(json) = &response.body {
        let _ = locked(&seen).hear(json);
    }
    let told = seen.clone();
    let look = move |event: &Event| {
        let _ = locked(&told).hear_event(event);
    };
    watch(response, look, move |ending| {
        let usage = locked(&seen).usage();
        act(ending, usage);
    })
}

fn locked(seen: &Mutex<UsageSeen>) -> MutexGuard<'_, UsageSeen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hides what only a layer asked for, where it asked.
pub(crate) fn hide(watch: Option<UsageWatch>, response: Response) -> Response {
    match watch {
        Some(watch) => watch.hide(response),
        None => response,
    }
}
