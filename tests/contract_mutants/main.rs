//! The contract suite held against adapters that are broken on purpose: each is caught by a case of its own.
//!
//! A mutant is the real adapter with one fault in it, over a simulated DeepSeek. The table says which cases must fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod mutant;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use modelswitch::{ApiKey, OpenAiProvider, Profile};
use modelswitch_sim::Personality;
use modelswitch_sim::contract::{Capabilities, Capability, Contract, Outcome, Upstream};

use mutant::{Fault, Mutant};

/// A fault, and the cases that must fail for it.
const TABLE: &[(Fault, &[&str])] = &[
    (Fault::DropsReasoning, &["reasoning-unary", "reasoning-stream", "reasoning-with-tools"]),
    (Fault::DropsReasoningOfStreams, &["reasoning-stream", "reasoning-with-tools-stream"]),
    (Fault::PutsReasoningIntoText, &["reasoning-not-in-text"]),
    (Fault::DropsReasoningOfHistory, &["reasoning-passed-back-with-tools"]),
    (Fault::LosesToolIndex, &["tools-parallel-stream", "tools-interleaved"]),
    (Fault::LosesToolId, &["tools-unary", "tools-stream"]),
    (Fault::MendsToolArguments, &["tools-cut-by-length"]),
    (Fault::SwallowsErrors, &["error-400", "error-402", "error-429", "error-500"]),
    (Fault::SwallowsErrorsInStreams, &["stream-error-inside", "stream-error-named", "stream-error-kind"]),
    (Fault::EndsCutStreamsQuietly, &["stream-cut", "stream-ended-early", "reasoning-cut"]),
    (Fault::Retries402, &["error-no-second-try"]),
    (Fault::RetriesAnything, &["error-once"]),
    (Fault::BeginsCutStreamsAgain, &["stream-cut-once"]),
    (Fault::AsksTwice, &["unary-one-request"]),
    (Fault::ShowsKeyInDebug, &["redact-debug"]),
    (Fault::ShowsKeyInErrors, &["redact-error", "redact-error-stream"]),
    (Fault::KeepsKeyInBodies, &["redact-error-body"]),
    (Fault::KeepsKeyInHead, &["redact-head"]),
    (Fault::SendsKeyAsQuery, &["redact-key-in-one-header"]),
    (Fault::ShowsPromptInErrors, &["redact-prompt", "error-refused"]),
    (Fault::LosesRetryAfter, &["error-retry-after"]),
    (Fault::LosesRequestIdOfErrors, &["error-request-id"]),
    (Fault::LosesRequestId, &["unary-request-id"]),
    (Fault::LosesStatus, &["error-500", "error-422"]),
    (Fault::LosesProvider, &["error-provider", "unary-head"]),
    (Fault::TakesRateLimitForUpstream, &["error-429", "stream-error-kind"]),
    (Fault::TakesEmptyForError, &["unary-empty-content"]),
    (Fault::ShowsWholeBody, &["limit-long-sentence"]),
    (Fault::Panics, &["error-400", "error-503"]),
    (Fault::BuffersStreams, &["stream-as-it-comes", "cancel-stream"]),
    (Fault::TakesStreamsAhead, &["stream-pulls"]),
    (Fault::AsksForNoStream, &["stream-asked-for"]),
    (Fault::GoesOnAfterDrop, &["cancel-before-head", "cancel-inside-body"]),
    (Fault::ReadsOnAfterDrop, &["cancel-stream"]),
    (Fault::MixesConcurrentCalls, &["concurrent-calls"]),
    (Fault::DropsUnknownFields, &["unary-unknown-fields-back", "stream-unknown-fields"]),
    (Fault::DropsUnknownParameters, &["unary-unknown-fields-out"]),
    (Fault::DropsUsage, &["unary-usage", "stream-usage"]),
    (Fault::SwapsChunks, &["stream-order"]),
    (Fault::DropsLastChunk, &["stream-finish-reason"]),
    (Fault::RepeatsChunk, &["stream-order", "stream-text"]),
    (Fault::InventsFinishReason, &["stream-finish-reason", "stream-cut"]),
    (Fault::IgnoresModel, &["unary-model"]),
    (Fault::ReversesMessages, &["unary-conversation"]),
    (Fault::BreaksUnicode, &["unary-unicode", "stream-split-bytes"]),
    (Fault::NeverEnds, &["stream-text", "stream-ends-once"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_mutant_is_caught_by_the_cases_that_the_table_names() {
    assert!(TABLE.len() >= 20);
    let run = |(fault, cases): &'static (Fault, &'static [&'static str])| async move {
        // Some mutants hang: what never comes need not be waited for.
        let contract = contract(Some(*fault)).patience(Duration::from_secs(2));
        (fault, cases, contract.run_only(cases).await)
    };
    let reports: Vec<_> = stream::iter(TABLE).map(run).buffered(4).collect().await;
    let mut missed = Vec::new();
    for (fault, cases, report) in &reports {
        for case in cases.iter() {
            match report.outcome(case) {
                Some(Outcome::Failed(why)) => eprintln!("{fault:?} is caught by {case}: {why}"),
                other => missed.push(format!("{fault:?} is not caught by {case}: {other:?}")),
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Somebody who wrote another adapter has only the report to go by.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_names_the_provider_the_case_the_place_and_what_was_expected_and_came() {
    let report = contract(Some(Fault::ShowsPromptInErrors)).run_only(&["redact-prompt"]).await;
    let (_, why) = report.failures().next().unwrap();
    let place = why.split(": ").next().unwrap();
    assert!(place.starts_with("contract/cases/redaction.rs:"), "{why}");
    assert!(why.contains("expected the prompt struck out") && why.contains("got it in `Display`"), "{why}");
    let shown = report.to_string();
    assert!(shown.starts_with("`deepseek` over the simulated service deepseek: "), "{shown}");
    assert!(shown.contains("redact-prompt") && !shown.contains("openai"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_hands_on_what_it_gets_is_caught_where_the_service_refuses_it() {
    for (service, case) in [
        ("groq", "request-parameters"),
        ("groq", "request-roles"),
        ("xai", "request-thinking"),
        ("moonshot", "request-efforts"),
    ] {
        let build = |at: &Upstream| {
            let profile = Profile::from_toml("mine", "").unwrap();
            let builder = OpenAiProvider::builder(profile).base_url(&*at.base_url);
            Arc::new(builder.api_key(ApiKey::new(&*at.key).unwrap()).build().unwrap())
        };
        let contract = Contract::new(build).personality(Personality::named(service).unwrap());
        let report = contract.run_only(&[case]).await;
        assert!(matches!(report.outcome(case), Some(Outcome::Failed(_))), "{service} {case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_is_misspelt_is_a_failure_and_not_a_run_of_nothing() {
    let report = contract(None).run_only(&["stream-cutt", "unary-text"]).await;
    assert_eq!(report.outcome("unary-text"), Some(&Outcome::Passed));
    let (_, why) = report.failures().next().unwrap();
    assert!(why.contains("no case `stream-cutt`") && why.contains("`stream-cut`?"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_without_a_fault_passes_every_case() {
    let report = contract(None).run().await;
    report.assert_passed();
    let named = TABLE.iter().flat_map(|(_, cases)| cases.iter());
    for case in named {
        assert_eq!(report.outcome(case), Some(&Outcome::Passed), "{case}");
    }
}

fn contract(fault: Option<Fault>) -> Contract {
    // A tool that is forced while it thinks is a matter of DeepSeek's own adapter.
    let can = Capabilities::of(Personality::DeepSeek).without(Capability::AdaptsRequests);
    Contract::new(move |at: &Upstream| Arc::new(Mutant::new(at, fault)))
        .personality(Personality::DeepSeek)
        .capabilities(can)
}
