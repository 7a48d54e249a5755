//! Many calls at once.

use futures_util::future::join_all;

use super::Case;
use crate::contract::Capability::Streams;
use crate::contract::stage::{Stage, Verdict, same, text_of, want};

pub(super) const CASES: &[Case] = &[
    Case::new("concurrent-calls", "fifty calls at once have each their own answer", |s| Box::pin(calls(s))),
    Case::new("concurrent-streams", "so have fifty streams", |s| Box::pin(streams(s))).needs(&[Streams]),
    Case::new("concurrent-failure", "one call's failure is no other's", |s| Box::pin(failure(s))),
];

const MANY: usize = 50;

/// A marker that is no part of another one.
fn marker(number: usize) -> String {
    format!("marker-{number:03}-of-fifty")
}

async fn calls(stage: &Stage) -> Verdict {
    let ask = async |number: usize| {
        let text = stage.chat(stage.ask(marker(number))).await?.text();
        want(text.contains(&marker(number)), || {
            format!("expected the answer to call {number}, got another's")
        })
    };
    join_all((0..MANY).map(ask)).await.into_iter().collect::<Verdict>()?;
    same("the requests", stage.sent()?.len(), MANY)
}

async fn streams(stage: &Stage) -> Verdict {
    let ask = async |number: usize| {
        let text = text_of(&stage.chunks(stage.ask(marker(number))).await?);
        want(text.contains(&marker(number)), || {
            format!("expected the text of stream {number}, got another's")
        })
    };
    join_all((0..MANY).map(ask)).await.into_iter().collect()
}

async fn failure(stage: &Stage) -> Verdict {
    let ask = async |number: usize| {
        if number.is_multiple_of(2) {
            return stage.error(stage.ask("[sim:400]")).await.map(|_| ());
        }
        let text = stage.chat(stage.ask(marker(number))).await?.text();
        want(text.contains(&marker(number)), || {
            format!("expected the answer to call {number}, got another's")
        })
    };
    join_all((0..10).map(ask)).await.into_iter().collect()
}
