//! The states of a breaker and what leads from one to another. It knows no clock: each step is told what time it is.

use std::fmt;
use std::time::Duration;

use modelswitch_provider::ErrorKind;
use tokio::time::Instant;

use super::BreakerState;
use crate::health::Outcome;
use crate::window::Window;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) window: Duration,
    pub(super) minimum_calls: u32,
    pub(super) failure_rate: f64,
    pub(super) rest: Duration,
    pub(super) max_rest: Duration,
    pub(super) max_retry_after: Duration,
    pub(super) probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Answers take seconds: in less there are too few of them to tell.
            window: Duration::from_secs(30),
            // A few calls that fail together are bad luck.
            minimum_calls: 10,
            // What fails every other call costs more than it gives, when there is another target.
            failure_rate: 0.5,
            // A restart or a lost connection is over by then.
            rest: Duration::from_secs(5),
            // A probe a minute costs nothing, and what is well again shouldn't be left alone for longer.
            max_rest: Duration::from_secs(60),
            // Services also send what is left of a day. One probe an hour costs nothing.
            max_retry_after: Duration::from_secs(3600),
            // One alone may be a request that takes minutes.
            probes: 2,
        }
    }
}

/// While others are probing: they will know soon.
const PROBES_TAKE: Duration = Duration::from_secs(1);
/// So many times as many may probe at a time when nobody else could answer: they would fail at once instead.
const LAST_CHANCES: u32 = 10;
/// The window moves on in so many steps.
const STEPS: u32 = 30;

/// What a call got when it passed. It counts only while the breaker is as it was then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pass {
    generation: u64,
    is_probe: bool,
}

/// Why a call didn't pass, and when one may.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Why {
    Rate { calls: u32, failures: u32, kind: ErrorKind },
    Asked(ErrorKind),
    Probe(ErrorKind),
    Probing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { calls, failures, kind } => {
                write!(
                    f,
                    "the target rests, since {failures} of {calls} calls failed, the last one as {kind}"
                )
            }
            Self::Asked(kind) => write!(f, "the target rests as long as it asked for ({kind})"),
            Self::Probe(kind) => write!(f, "the target rests, since it failed again ({kind})"),
            Self::Probing => f.write_str("other calls are finding out whether the target is up again"),
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) from: BreakerState,
    pub(super) to: BreakerState,
    pub(super) kind: Option<ErrorKind>,
    pub(super) rest: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Instant, why: Why },
    HalfOpen { probing: u32 },
}

#[derive(Debug, Default)]
struct Counts {
    calls: u32,
    failures: u32,
}

#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    state: State,
    generation: u64,
    window: Window<Counts>,
    answered_at: Option<Instant>,
    /// How often in a row it opened because of failures.
    openings: u32,
    closed_at: Option<Instant>,
}

impl Machine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed,
            generation: 0,
            window: Window::new(settings.window, settings.window / STEPS),
            answered_at: None,
            openings: 0,
            closed_at: None,
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until, .. } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(super) fn rests_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until.duration_since(now)),
            State::Open { .. } | State::HalfOpen { .. } | State::Closed => None,
        }
    }

    /// Lets a call pass, or not. When nobody else could answer it, it may be a probe before the rest is over.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        is_last_chance: bool,
    ) -> (Result<Pass, Refusal>, Option<Change>) {
        let mut change = None;
        if let State::Open { until, why } = self.state {
            let is_rested = now >= until || (is_last_chance && !matches!(why, Why::Asked(_)));
            if !is_rested {
                return (Err(Refusal { why, wait: until.duration_since(now) }), None);
            }
            change = Some(self.become_half_open());
        }
        let generation = self.generation;
        let more = if is_last_chance { LAST_CHANCES } else { 1 };
        let most = self.settings.probes.saturating_mul(more);
        let admitted = match &mut self.state {
            State::HalfOpen { probing } if *probing < most => {
                *probing += 1;
                Ok(Pass { generation, is_probe: true })
            }
            State::HalfOpen { .. } => Err(Refusal { why: Why::Probing, wait: PROBES_TAKE }),
            State::Closed | State::Open { .. } => Ok(Pass { generation, is_probe: false }),
        };
        (admitted, change)
    }

    /// An answer began. A probe need not be over for that: a stream may take minutes.
    pub(super) fn answered(&mut self, pass: &mut Pass, now: Instant) -> Option<Change> {
        self.answered_at = Some(now);
        if !pass.is_probe || pass.generation != self.generation {
            return None;
        }
        let change = self.close(now);
        *pass = Pass { generation: self.generation, is_probe: false };
        Some(change)
    }

    /// A call ended, and its pass with it.
    pub(super) fn ended(&mut self, pass: Pass, outcome: Outcome, now: Instant) -> Option<Change> {
        let is_current = pass.generation == self.generation;
        let outcome = match outcome {
            Outcome::Good => {
                self.answered_at = Some(now);
                Outcome::Good
            }
            // One that answers others is only slow. One that never does, or not when it is tried, is as good as down.
            Outcome::Outrun if pass.is_probe || !self.has_answered(now) => {
                Outcome::Fault { kind: ErrorKind::Timeout, rest: None }
            }
            Outcome::Outrun => Outcome::Unclear,
            other => other,
        };
        match (outcome, is_current && pass.is_probe) {
            (Outcome::Fault { kind, rest }, true) => {
                self.openings = self.openings.saturating_add(1);
                Some(self.open(now, self.rest().max(self.asked(rest)), Why::Probe(kind), kind))
            }
            (Outcome::Fault { kind, rest: rest @ Some(_) }, false) => {
                self.rest_as_asked(now, self.asked(rest), kind)
            }
            (Outcome::Good, true) => Some(self.close(now)),
            (Outcome::Outrun | Outcome::Unclear, true) => {
                self.give_back_probe();
                None
            }
            (Outcome::Fault { kind, rest: None }, false) if is_current => {
                self.count(now, true);
                self.open_by_rate(now, kind)
            }
            (Outcome::Good, false) if is_current => {
                self.count(now, false);
                None
            }
            (Outcome::Fault { .. } | Outcome::Good | Outcome::Outrun | Outcome::Unclear, false) => None,
        }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        self.window.count(now, |counts| {
            counts.calls = counts.calls.saturating_add(1);
            counts.failures = counts.failures.saturating_add(u32::from(failed));
        });
    }

    fn open_by_rate(&mut self, now: Instant, kind: ErrorKind) -> Option<Change> {
        let (calls, failures) =
            self.window.recent(now).fold((0_u32, 0_u32), |(calls, failures), (_, more)| {
                (calls.saturating_add(more.calls), failures.saturating_add(more.failures))
            });
        let too_many = f64::from(failures) >= f64::from(calls) * self.settings.failure_rate;
        if calls < self.settings.minimum_calls || !too_many {
            return None;
        }
        self.begin_anew_after_long(now);
        self.openings = self.openings.saturating_add(1);
        Some(self.open(now, self.rest(), Why::Rate { calls, failures, kind }, kind))
    }

    fn has_answered(&self, now: Instant) -> bool {
        self.answered_at.is_some_and(|at| now.duration_since(at) < self.settings.window)
    }

    /// The service said how long, so neither the rate nor the doubling has a say.
    fn rest_as_asked(&mut self, now: Instant, wait: Duration, kind: ErrorKind) -> Option<Change> {
        if let State::Open { until, .. } = self.state
            && now.checked_add(wait).is_none_or(|asked| asked <= until)
        {
            return None;
        }
        if matches!(self.state, State::Closed) {
            self.begin_anew_after_long(now);
        }
        let change = self.open(now, wait, Why::Asked(kind), kind);
        (change.from != BreakerState::Open).then_some(change)
    }

    /// A target that was closed for a whole window was well again.
    fn begin_anew_after_long(&mut self, now: Instant) {
        if self.closed_at.is_none_or(|closed| now.duration_since(closed) >= self.settings.window) {
            self.openings = 0;
        }
    }

    fn asked(&self, wait: Option<Duration>) -> Duration {
        wait.unwrap_or_default().min(self.settings.max_retry_after)
    }

    fn rest(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.openings.saturating_sub(1)).unwrap_or(u32::MAX);
        self.settings.rest.saturating_mul(doubled).min(self.settings.max_rest)
    }

    fn give_back_probe(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = probing.saturating_sub(1);
        }
    }

    fn open(&mut self, now: Instant, rest: Duration, why: Why, kind: ErrorKind) -> Change {
        // A rest that no clock can hold ends at once, and a probe finds out.
        let until = now.checked_add(rest).unwrap_or(now);
        let from = self.turn(State::Open { until, why }, now);
        Change { from, to: BreakerState::Open, kind: Some(kind), rest: Some(rest) }
    }

    fn become_half_open(&mut self) -> Change {
        self.generation = self.generation.wrapping_add(1);
        self.state = State::HalfOpen { probing: 0 };
        Change { from: BreakerState::Open, to: BreakerState::HalfOpen, kind: None, rest: None }
    }

    fn close(&mut self, now: Instant) -> Change {
        self.closed_at = Some(now);
        self.window.clear();
        let from = self.turn(State::Closed, now);
        Change { from, to: BreakerState::Closed, kind: None, rest: None }
    }

    /// What passed before counts no longer.
    fn turn(&mut self, to: State, now: Instant) -> BreakerState {
        let from = self.state(now);
        self.generation = self.generation.wrapping_add(1);
        self.state = to;
        from
    }

    /// How many probes are under way.
    #[cfg(test)]
    pub(super) fn probing(&self) -> u32 {
        match self.state {
            State::HalfOpen { probing } => probing,
            State::Closed | State::Open { .. } => 0,
        }
    }
}
