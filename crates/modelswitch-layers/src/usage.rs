//! The tokens that a call took, when its answer has ended.

use modelswitch_provider::{Body, Ending, Follow, Response, Usage, UsageWatch};

use crate::on_end;

/// Runs `act` once when an answer has ended, with the tokens that it told of until then.
#[inline]
pub(crate) fn on_usage(
    mut response: Response,
    act: impl FnOnce(&Ending, Option<&Usage>) + Send + 'static,
) -> Response {
    match &mut response.body {
        Body::Json(_) => act(&Ending::Finished, response.usage()),
        Body::Events(events) => events.follow(OnUsage(act)),
        _ => return on_end(response, move |ending| act(&ending, None)),
    }
    response
}

struct OnUsage<F>(F);

impl<F: FnOnce(&Ending, Option<&Usage>) + Send + 'static> Follow for OnUsage<F> {
    fn wants_usage(&self) -> bool {
        true
    }

    fn ended(self: Box<Self>, ending: &Ending, usage: Option<&Usage>) {
        (self.0)(ending, usage);
    }
}

/// Hides what only a layer asked for, where it asked.
#[inline]
pub(crate) fn hide(watch: Option<UsageWatch>, response: Response) -> Response {
    match watch {
        Some(watch) => watch.hide(response),
        None => response,
    }
}
