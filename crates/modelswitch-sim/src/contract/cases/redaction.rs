//! Keys and prompts: where they belong, and nowhere else.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use modelswitch_provider::{ProviderExt, Request};
use serde_json::json;

use super::Case;
use super::errors::clean;
use super::stream_end::failed;
use crate::contract::Capability::Streams;
use crate::contract::stage::{Stage, Verdict, answer, texts, want};
use crate::{Recorded, Script, Sim};

pub(super) const CASES: &[Case] = &[
    Case::new("redact-debug", "`Debug` of the provider shows no key", |s| Box::pin(debug(s))),
    Case::new("redact-key-in-one-header", "the key is sent in one header and nowhere else", |s| {
        Box::pin(one_header(s))
    }),
    Case::new("redact-error", "a key that the service repeats is struck out of the error", |s| {
        Box::pin(error(s))
    }),
    Case::new(
        "redact-error-body",
        "a key that the service repeats is struck out of the body that an error keeps",
        |s| Box::pin(body(s)),
    ),
    Case::new("redact-error-page", "a key in a failure that is no JSON is struck out of the error", |s| {
        Box::pin(page(s))
    }),
    Case::new("redact-error-stream", "a key in an error inside a stream is struck out of it", |s| {
        Box::pin(stream(s))
    })
    .needs(&[Streams]),
    Case::new("redact-head", "a key that the service repeats in a header is struck out", |s| {
        Box::pin(head(s))
    }),
    Case::new("redact-prompt", "what the user wrote is in nothing that is shown of an error", |s| {
        Box::pin(prompt(s))
    }),
    Case::new("redact-redirect", "the key does not follow a redirect to another place", |s| {
        Box::pin(redirect(s))
    }),
    Case::new("redact-callers-key", "credentials of the caller don't reach the service", |s| {
        Box::pin(callers(s))
    }),
    Case::new("redact-answer", "`Debug` of an answer shows no text", |s| Box::pin(answered(s))),
];

async fn debug(stage: &Stage) -> Verdict {
    let shown = format!("{:?} {:#?}", stage.provider, stage.provider);
    want(!shown.contains(stage.key()), || {
        "expected `Debug` of the provider to hide the key, got the key in it".to_owned()
    })
}

async fn one_header(stage: &Stage) -> Verdict {
    stage.chat(stage.ask("Hello")).await?;
    let sent = stage.one_sent()?;
    let places = headers_with(&sent, stage.key());
    want(places == 1, || format!("expected the key in one header, got it in {places}"))?;
    want(!sent.path.contains(stage.key()), || {
        "expected the key in a header alone, got it in the URL too".to_owned()
    })?;
    let body = String::from_utf8_lossy(&sent.body).into_owned();
    want(!body.contains(stage.key()), || {
        "expected the key in a header alone, got it in the body too".to_owned()
    })
}

async fn error(stage: &Stage) -> Verdict {
    for status in [401, 400] {
        stage.script(repeated_key(stage, status))?;
        clean(&stage.error(stage.ask("Hello")).await?, "the key", stage.key())?;
    }
    Ok(())
}

async fn body(stage: &Stage) -> Verdict {
    stage.script(repeated_key(stage, 401))?;
    let error = stage.error(stage.ask("Hello")).await?;
    let body = error.upstream_body().map(|body| String::from_utf8_lossy(body).into_owned());
    want(!body.unwrap_or_default().contains(stage.key()), || {
        "expected the key struck out of `upstream_body`, got it in there".to_owned()
    })
}

async fn page(stage: &Stage) -> Verdict {
    let page = format!("Invalid key {} given", stage.key());
    stage.script(Script::status(401).content_type("text/plain").body(page))?;
    clean(&stage.error(stage.ask("Hello")).await?, "the key", stage.key())
}

async fn stream(stage: &Stage) -> Verdict {
    let message = format!("the key {} has expired", stage.key());
    let mut events = texts(["one "]);
    events.push(json!({"error": {"message": message, "type": "invalid_api_key"}}).to_string());
    stage.script(Script::sse(events))?;
    let (_, error) = stage.drained(stage.ask("Hello")).await?;
    clean(&failed(error)?, "the key", stage.key())
}

async fn head(stage: &Stage) -> Verdict {
    stage.script(Script::normal().header("x-echo", format!("Bearer {}", stage.key())))?;
    let reply = stage.chat(stage.ask("Hello")).await?;
    let held = reply.head.headers.values().any(|value| contains(value, stage.key()));
    want(!held, || "expected the key struck out of the head's `headers`, got it in one of them".to_owned())
}

async fn prompt(stage: &Stage) -> Verdict {
    let secret = "marker-confidential-prompt";
    for status in [400, 422] {
        let message = format!("Invalid input: {secret} is not allowed here");
        let error = json!({"message": message, "type": "invalid_request_error"});
        stage.script(Script::status(status).json(json!({"error": error})))?;
        clean(&stage.error(stage.ask(secret)).await?, "the prompt", secret)?;
    }
    Ok(())
}

async fn redirect(stage: &Stage) -> Verdict {
    let start = Sim::builder().personality(stage.sim()?.personality()).any_key(true).start();
    let elsewhere = start.await.map_err(|error| error.to_string())?;
    let url = format!("{}/chat/completions", elsewhere.base_url());
    for status in [301, 307, 308] {
        stage.sim()?.clear_scripts();
        stage.script(Script::redirect(status, &url).times(9))?;
        // What comes of it is the provider's affair, as long as the key stays.
        let _ = stage.within("an end", stage.provider.chat(stage.ask("Hello"))).await?;
    }
    let followed = elsewhere.requests().iter().any(|request| headers_with(request, stage.key()) > 0);
    want(!followed, || "expected no key at the place that a redirect leads to, got it there".to_owned())
}

async fn callers(stage: &Stage) -> Verdict {
    let body = json!({"model": stage.can.model, "messages": [{"role": "user", "content": "Hello"}]});
    let mut request = Request::chat(&body).map_err(|error| error.to_string())?;
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer sk-of-the-caller"));
    let answered = stage.within("an answer", stage.provider.send(request)).await?;
    answered.map_err(|error| format!("expected an answer, got {error}"))?;
    want(headers_with(&stage.one_sent()?, "sk-of-the-caller") == 0, || {
        "expected the caller's `Authorization` to be left out, the service got it".to_owned()
    })
}

async fn answered(stage: &Stage) -> Verdict {
    let message = json!({"role": "assistant", "content": "marker-private-answer"});
    stage.script(Script::status(200).json(answer(&message, "stop")))?;
    let reply = stage.chat(stage.ask("Hello")).await?;
    want(!format!("{reply:?}").contains("marker-private-answer"), || {
        "expected `Debug` of an answer to hide its text, got the text in it".to_owned()
    })
}

fn repeated_key(stage: &Stage, status: u16) -> Script {
    let message = format!("Incorrect API key provided: {}", stage.key());
    Script::status(status).json(json!({"error": {"message": message, "type": "invalid_request_error",
                                                 "code": stage.key(), "param": stage.key()}}))
}

fn headers_with(request: &Recorded, secret: &str) -> usize {
    request.headers.values().filter(|value| contains(value, secret)).count()
}

fn contains(value: &HeaderValue, secret: &str) -> bool {
    String::from_utf8_lossy(value.as_bytes()).contains(secret)
}
