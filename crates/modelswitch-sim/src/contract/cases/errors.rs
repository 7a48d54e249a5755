//! Failures: the right kind, and nothing of what is known about them lost.

use std::time::Duration;

use futures_util::future::BoxFuture;
use modelswitch_provider::{ChatRequest, Error, ErrorKind, ProviderExt};
use serde_json::json;

use super::Case;
use crate::contract::Capability::{ModelNames, OneTry, RequestId, Retries};
use crate::contract::stage::{Stage, Verdict, answer, kind_is, same, unexpected, want};
use crate::{Nobody, Script};

pub(super) const CASES: &[Case] = &[
    Case::new("error-400", "400 is `invalid_request`", |s| status(s, 400, ErrorKind::InvalidRequest)),
    Case::new("error-401", "401 is `authentication`", |s| status(s, 401, ErrorKind::Authentication)),
    Case::new("error-402", "402 is `insufficient_balance`", |s| {
        status(s, 402, ErrorKind::InsufficientBalance)
    }),
    Case::new("error-403", "403 is `authentication`", |s| status(s, 403, ErrorKind::Authentication)),
    Case::new("error-404", "404 is `model_not_found`", |s| status(s, 404, ErrorKind::ModelNotFound)),
    Case::new("error-408", "408 is `timeout`", |s| status(s, 408, ErrorKind::Timeout)),
    Case::new("error-409", "409 is `invalid_request`", |s| status(s, 409, ErrorKind::InvalidRequest)),
    Case::new("error-413", "413 is `invalid_request`", |s| status(s, 413, ErrorKind::InvalidRequest)),
    Case::new("error-422", "422 is `invalid_request`", |s| status(s, 422, ErrorKind::InvalidRequest)),
    Case::new("error-429", "429 is `rate_limited`", |s| status(s, 429, ErrorKind::RateLimited)),
    Case::new("error-500", "500 is `upstream`", |s| status(s, 500, ErrorKind::Upstream)),
    Case::new("error-502", "502 is `upstream`", |s| status(s, 502, ErrorKind::Upstream)),
    Case::new("error-503", "503 is `overloaded`", |s| status(s, 503, ErrorKind::Overloaded)),
    Case::new("error-504", "504 is `timeout`", |s| status(s, 504, ErrorKind::Timeout)),
    Case::new("error-529", "529 is `overloaded`", |s| status(s, 529, ErrorKind::Overloaded)),
    Case::new("error-wrong-key", "a key that the service refuses is `authentication`", |s| {
        Box::pin(wrong_key(s))
    }),
    Case::new("error-unknown-model", "a model that isn't there is `model_not_found`", |s| {
        Box::pin(unknown_model(s))
    })
    .needs(&[ModelNames]),
    Case::new("error-context-length", "a conversation that is too long is `context_length`", |s| {
        Box::pin(tagged(s, "[sim:context]", ErrorKind::ContextLength))
    }),
    Case::new("error-moderation", "moderated content is `content_filtered`", |s| {
        Box::pin(tagged(s, "[sim:risk]", ErrorKind::ContentFiltered))
    }),
    Case::new("error-quota", "a 429 for want of money is `insufficient_balance`", |s| Box::pin(quota(s))),
    Case::new("error-message", "the service's sentence is the error's", |s| Box::pin(message(s))),
    Case::new("error-retry-after", "`Retry-After` is kept", |s| Box::pin(retry_after(s))).needs(&[OneTry]),
    Case::new("error-request-id", "the service's id of the request is kept", |s| Box::pin(request_id(s)))
        .needs(&[RequestId]),
    Case::new("error-provider", "the error names the provider and the model", |s| Box::pin(provider(s))),
    Case::new("error-once", "a bare provider tries once", |s| Box::pin(once(s))).needs(&[OneTry]),
    Case::new("error-no-second-try", "what can't be better the second time is tried once", |s| {
        Box::pin(no_second_try(s))
    }),
    Case::new("error-second-try", "what may pass is tried again", |s| Box::pin(second_try(s)))
        .needs(&[Retries]),
    Case::new("error-web-page", "a web page in place of an answer is told in a sentence", |s| {
        Box::pin(web_page(s))
    }),
    Case::new("error-empty-body", "a failure without a body is a failure", |s| Box::pin(empty_body(s))),
    Case::new("error-half-body", "a failure with a broken body is a failure", |s| Box::pin(half_body(s))),
    Case::new("error-under-200", "an error under 200 is an error", |s| Box::pin(under_200(s)))
        .needs(&[OneTry]),
    Case::new("error-blank-200", "an empty 200 is `decode`", |s| Box::pin(blank_200(s))).needs(&[OneTry]),
    Case::new("error-not-json", "a 200 that is no JSON is `decode`", |s| Box::pin(not_json(s)))
        .needs(&[OneTry]),
    Case::new("error-half-answer", "half an answer is `interrupted`", |s| Box::pin(half_answer(s)))
        .needs(&[OneTry]),
    Case::new("error-reset", "a connection that breaks before the answer is `connection`", |s| {
        Box::pin(reset(s))
    })
    .needs(&[OneTry]),
    Case::new("error-refused", "a service that isn't there is `connection`", |s| Box::pin(refused(s))),
    Case::new("error-then-well", "a failure leaves nothing behind for the next call", |s| {
        Box::pin(then_well(s))
    }),
];

/// The service answers with this status in its own form.
fn status(stage: &Stage, status: u16, kind: ErrorKind) -> BoxFuture<'_, Verdict> {
    Box::pin(async move {
        let error = stage.error(stage.ask(format!("[sim:{status}]"))).await?;
        kind_is(&error, kind)?;
        same("the status", error.status().map(|status| status.as_u16()), Some(status))?;
        want(!error.message().is_empty(), || {
            "expected an error whose `message` says something, got an empty one".to_owned()
        })
    })
}

async fn tagged(stage: &Stage, tag: &str, kind: ErrorKind) -> Verdict {
    kind_is(&stage.error(stage.ask(tag)).await?, kind)
}

async fn wrong_key(stage: &Stage) -> Verdict {
    let provider = stage.provider_at(stage.sim()?.base_url().to_owned(), "sk-another-key-9c1d")?;
    let answered = stage.within("an error", provider.chat(stage.ask("Hello"))).await?;
    let error = answered
        .err()
        .ok_or("expected an error of kind authentication for a wrong key, got a whole answer")?;
    kind_is(&error, ErrorKind::Authentication)?;
    clean(&error, "the key", "sk-another-key-9c1d")
}

async fn unknown_model(stage: &Stage) -> Verdict {
    let name = match stage.can.model.rsplit_once('/') {
        Some((provider, _)) => format!("{provider}/no-such-model-7"),
        None => "no-such-model-7".to_owned(),
    };
    kind_is(&stage.error(ChatRequest::user("Hello").model(name)).await?, ErrorKind::ModelNotFound)
}

async fn quota(stage: &Stage) -> Verdict {
    let error = json!({"message": "You exceeded your current quota", "type": "insufficient_quota",
                       "param": null, "code": "insufficient_quota"});
    stage.script(Script::status(429).json(json!({"error": error})))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::InsufficientBalance)
}

async fn message(stage: &Stage) -> Verdict {
    let error = json!({"message": "the temperature is too high", "type": "invalid_request_error",
                       "param": "temperature", "code": "out_of_range"});
    stage.script(Script::status(400).json(json!({"error": error})))?;
    let error = stage.error(stage.ask("Hello")).await?;
    want(error.to_string().contains("the temperature is too high"), || {
        format!("expected the service's sentence `the temperature is too high` in the error, got: {error}")
    })?;
    same("the code", error.code(), Some("out_of_range"))?;
    same("the parameter", error.param(), Some("temperature"))?;
    want(error.upstream_body().is_some(), || {
        "expected `upstream_body` to keep the body of the failure, got none".to_owned()
    })
}

async fn retry_after(stage: &Stage) -> Verdict {
    stage.script(Script::normal().header("retry-after", "7"))?;
    let error = stage.error(stage.ask("[sim:429]")).await?;
    same("the wait", error.retry_after(), Some(Duration::from_secs(7)))
}

async fn request_id(stage: &Stage) -> Verdict {
    let header = stage.sim()?.personality().request_id_header();
    stage.script(Script::normal().header(header, "req-contract-2"))?;
    let error = stage.error(stage.ask("[sim:400]")).await?;
    same("the request id", error.request_id(), Some("req-contract-2"))
}

async fn provider(stage: &Stage) -> Verdict {
    let error = stage.error(stage.ask("[sim:400]")).await?;
    want(error.provider().is_some_and(|name| !name.is_empty()), || {
        "expected `provider` to name who failed, got nothing".to_owned()
    })?;
    let model = error.model();
    want(model.is_some_and(|model| stage.can.model.ends_with(model)), || {
        format!("expected `model` to name what was asked for, {:?}, got {model:?}", stage.can.model)
    })?;
    same("the attempts", error.attempts(), 1)
}

async fn once(stage: &Stage) -> Verdict {
    for (number, status) in [500, 503, 429, 408, 402].into_iter().enumerate() {
        stage.error(stage.ask(format!("[sim:{status}]"))).await?;
        same("the requests after so many calls", stage.sent()?.len(), number + 1)?;
    }
    Ok(())
}

async fn no_second_try(stage: &Stage) -> Verdict {
    for status in [400, 401, 402, 422] {
        stage.sim()?.clear_requests();
        let error = stage.error(stage.ask(format!("[sim:{status}]"))).await?;
        let count = stage.sent()?.len();
        want(count == 1, || {
            format!("expected one request for a call that is answered {status}, the service got {count}")
        })?;
        want(!error.is_retryable(), || {
            format!("expected `is_retryable` to be false for a {status}, got true")
        })?;
    }
    Ok(())
}

async fn second_try(stage: &Stage) -> Verdict {
    stage.script(Script::status(503))?;
    let reply = stage.chat(stage.ask("Hello")).await?;
    same("the requests", stage.sent()?.len(), 2)?;
    same("the attempts", reply.head.attempts(), 2)
}

async fn web_page(stage: &Stage) -> Verdict {
    let page =
        "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>";
    stage.script(Script::status(502).content_type("text/html").body(page).times(9))?;
    let error = stage.error(stage.ask("Hello")).await?;
    kind_is(&error, ErrorKind::Upstream)?;
    want(!error.to_string().contains('<'), || {
        "expected a sentence without HTML, got a `<` in it".to_owned()
    })?;
    stage.sim()?.clear_scripts();
    stage.script(Script::status(200).content_type("text/html").body(page).times(9))?;
    let error = stage.error(stage.ask("Hello")).await?;
    kind_is(&error, ErrorKind::Decode)?;
    want(!error.to_string().contains('<'), || "expected a sentence without HTML, got a `<` in it".to_owned())
}

async fn empty_body(stage: &Stage) -> Verdict {
    stage.script(Script::status(400))?;
    let error = stage.error(stage.ask("Hello")).await?;
    kind_is(&error, ErrorKind::InvalidRequest)?;
    want(!error.message().is_empty(), || {
        "expected an error whose `message` says something, got an empty one".to_owned()
    })
}

async fn half_body(stage: &Stage) -> Verdict {
    stage.script(Script::status(402).json(json!({"error": {"message": "no money"}})).cut_after(12))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::InsufficientBalance)
}

async fn under_200(stage: &Stage) -> Verdict {
    let body = json!({"error": {"message": "the engine broke", "type": "server_error", "code": null}});
    stage.script(Script::status(200).json(body))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Upstream)
}

async fn blank_200(stage: &Stage) -> Verdict {
    for body in ["", "\n\n"] {
        stage.script(Script::status(200).content_type("application/json").body(body))?;
        kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Decode)?;
    }
    Ok(())
}

async fn not_json(stage: &Stage) -> Verdict {
    for body in ["all is well", "[]", "7", r#"{"choices": []}"#, r#"{"hello": "world"}"#] {
        stage.script(Script::status(200).content_type("application/json").body(body))?;
        kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Decode)?;
    }
    Ok(())
}

async fn half_answer(stage: &Stage) -> Verdict {
    let body = answer(&json!({"role": "assistant", "content": "a whole answer"}), "stop");
    stage.script(Script::status(200).json(&body).cut_after(60))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Interrupted)?;
    stage.script(Script::status(200).json(&body).end_after(60))?;
    let error = stage.error(stage.ask("Hello")).await?;
    want(matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Decode), || {
        unexpected("`interrupted` or `decode`", &error)
    })
}

async fn reset(stage: &Stage) -> Verdict {
    // A client may send a request again that a pooled connection never took.
    stage.script(Script::reset().times(4))?;
    kind_is(&stage.error(stage.ask("Hello")).await?, ErrorKind::Connection)
}

async fn refused(stage: &Stage) -> Verdict {
    let nobody = Nobody::new().map_err(|error| error.to_string())?;
    let provider = stage.provider_at(nobody.base_url(stage.sim()?.personality().path()), stage.key())?;
    let answered = stage.within("an error", provider.chat(stage.ask("marker-prompt-never-sent"))).await?;
    let error = answered.err().ok_or("expected an error, got a whole answer")?;
    kind_is(&error, ErrorKind::Connection)?;
    clean(&error, "the prompt", "marker-prompt-never-sent")
}

async fn then_well(stage: &Stage) -> Verdict {
    stage.error(stage.ask("[sim:400]")).await?;
    let reply = stage.chat(stage.ask("marker-well")).await?;
    want(reply.text().contains("marker-well"), || {
        "expected the next call's own answer, with `marker-well` in it, got another's".to_owned()
    })
}

/// Nothing that is shown of an error may hold this secret of whoever's it is: `what` says whose.
#[track_caller]
pub(super) fn clean(error: &Error, what: &str, secret: &str) -> Verdict {
    let shown = [
        ("`Display`", error.to_string()),
        ("`Debug`", format!("{error:?}")),
        ("`{:#?}`", format!("{error:#?}")),
        ("`report`", error.report()),
        ("`hint`", error.hint().to_owned()),
    ];
    let holds = shown.iter().find(|(_, text)| text.contains(secret)).map(|(place, _)| place);
    want(holds.is_none(), || {
        let place = holds.unwrap_or(&"");
        format!("expected {what} struck out of all that is shown of an error, got it in {place}")
    })
}
