//! What an app reads when a service can't be reached, or takes no key because it was sent none.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use modelswitch::prelude::*;
use modelswitch::provider::ErrorKind;
use modelswitch::{Error, OpenAiProvider, Profile};
use modelswitch_sim::{Nobody, Sim};

async fn ask(base_url: &str) -> Error {
    let llm = OpenAiProvider::builder(Profile::compatible("mine", base_url)).build().unwrap();
    llm.chat(ChatRequest::user("Hi").model("m")).await.unwrap_err()
}

/// No name server knows it: a label has 63 letters at most (RFC 1035, 2.3.4).
fn nowhere() -> String {
    format!("http://{}.invalid", "a".repeat(64))
}

#[tokio::test]
async fn a_connection_that_fails_says_where_and_why_but_not_the_path() {
    let nobody = Nobody::new().unwrap();
    let address = nobody.address();
    let error = ask(&nobody.base_url("/hush")).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(
        error.to_string(),
        format!("mine: no connection to http://{address}: connection refused: nothing listens there")
    );
    assert!(!format!("{error:?}{error:#?}").contains("hush"));

    let error = ask(&format!("{}/v1", nowhere())).await;
    assert!(error.message().starts_with(&format!("no connection to {}", nowhere())), "{error}");
}

#[tokio::test]
async fn tls_at_a_port_that_speaks_none_is_told_as_that() {
    let sim = Sim::start().await.unwrap();
    let error = ask(&sim.base_url().replace("http://", "https://")).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().starts_with("no connection to https://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_service_that_wants_a_key_and_was_sent_none_is_not_said_to_refuse_it() {
    let sim = Sim::start().await.unwrap();
    let error = ask(sim.base_url()).await;
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.hint().starts_with("no key was sent"), "{}", error.report());
}

#[tokio::test]
async fn what_main_prints_of_an_error_is_its_report() {
    let error = ask(&format!("{}/v1", nowhere())).await;
    assert_eq!(format!("{error:?}"), error.report());
    assert!(format!("{error:#?}").starts_with("Error {"));
}
