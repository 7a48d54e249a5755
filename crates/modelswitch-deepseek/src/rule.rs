//! The rule by which a model wants its thoughts back.

use modelswitch_openai::Profile;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "no model of today's has another rule")]
pub(crate) enum PassBack {
    Never,
    ToolTurns,
    WithTools,
    Always,
}

pub(crate) fn pass_back(_: &Profile, _: &str) -> PassBack {
    PassBack::WithTools
}

pub(crate) fn empty_reasoning<'a>(_: &'a Profile, _: &str) -> Option<&'a str> {
    Some("")
}
