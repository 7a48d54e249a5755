//! Whole answers.

use modelswitch_provider::{ChatRequest, EmbeddingRequest, FinishReason, Message, ProviderExt, Role};
use serde_json::{Value, json};

use super::Case;
use crate::Script;
use crate::contract::Capability::{Embeddings, ListsModels, ModelNames, RequestId, Usage};
use crate::contract::stage::{Stage, Verdict, answer, same, unexpected, want};

pub(super) const CASES: &[Case] = &[
    Case::new("unary-text", "the text of an answer comes out", |s| Box::pin(text(s))).without_service(),
    Case::new("unary-one-request", "a call is one POST of a chat completion", |s| Box::pin(one_request(s))),
    Case::new("unary-finish-reason", "a finished answer says `stop`", |s| Box::pin(finish_reason(s)))
        .without_service(),
    Case::new("unary-unicode", "text of any script goes there and back", |s| Box::pin(unicode(s))),
    Case::new("unary-empty-content", "an answer without text is an answer", |s| Box::pin(empty(s))),
    Case::new("unary-usage", "the tokens add up", |s| Box::pin(usage(s))).needs(&[Usage]).without_service(),
    Case::new("unary-head", "the head says who was asked for what", |s| Box::pin(head(s))),
    Case::new("unary-request-id", "the head has the service's id of the request", |s| {
        Box::pin(request_id(s))
    })
    .needs(&[RequestId]),
    Case::new("unary-model", "the model that is asked for is asked for", |s| Box::pin(model(s)))
        .needs(&[ModelNames]),
    Case::new("unary-unknown-fields-out", "fields nobody has heard of reach the service", |s| {
        Box::pin(unknown_out(s))
    }),
    Case::new("unary-unknown-fields-back", "fields nobody has heard of come back", |s| {
        Box::pin(unknown_back(s))
    }),
    Case::new("unary-conversation", "roles and texts of a conversation keep their order", |s| {
        Box::pin(conversation(s))
    }),
    Case::new("unary-length", "an answer cut by the token limit says `length`", |s| Box::pin(length(s))),
    Case::new("unary-content-type", "an answer under a wrong content type is an answer", |s| {
        Box::pin(content_type(s))
    }),
    Case::new("unary-blank-lines", "blank lines before the answer do no harm", |s| Box::pin(blank_lines(s))),
    Case::new("unary-slow", "an answer that comes in pieces is put together", |s| Box::pin(slow(s))),
    Case::new("unary-again", "one call leaves nothing behind for the next", |s| Box::pin(again(s))),
    Case::new("unary-models", "the list of models has the model", |s| Box::pin(models(s)))
        .needs(&[ListsModels]),
    Case::new("unary-embeddings", "each text has its vector, in order", |s| Box::pin(embeddings(s)))
        .needs(&[Embeddings]),
];

async fn text(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("marker-unary")).await?;
    want(!reply.text().is_empty(), || "expected an answer with text, got none".to_owned())?;
    same("the role", reply.message().map(|message| message.role.clone()), Some(Role::Assistant))?;
    want(!stage.has_service() || reply.text().contains(r#"You said: "marker-unary""#), || {
        "expected the service's text, with `marker-unary` in it, got another".to_owned()
    })
}

async fn one_request(stage: &Stage) -> Verdict {
    stage.chat(stage.ask("marker-once")).await?;
    let sent = stage.one_sent()?;
    same("the method", sent.method.as_str(), "POST")?;
    want(sent.route().ends_with("/chat/completions"), || {
        format!("expected a request for …/chat/completions, got one for {}", sent.route())
    })?;
    let kind = sent.header("content-type").unwrap_or_default().to_owned();
    want(kind.starts_with("application/json"), || {
        format!("expected the content type application/json, got {kind:?}")
    })?;
    let text = sent.json().pointer("/messages/0/content").cloned();
    // Some services take parts where others take text.
    want(text.is_some_and(|text| text.to_string().contains("marker-once")), || {
        "expected the question, with `marker-once` in it, in the request's first message, got another"
            .to_owned()
    })
}

async fn finish_reason(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("Hello")).await?;
    same("the finish reason", reply.finish_reason(), Some(&FinishReason::Stop))
}

async fn unicode(stage: &Stage) -> Verdict {
    let said = "日本語 🦀 ñ e\u{301} \u{202e}rtl \\ / <b> \u{7f} \u{10ffff} مرحبا";
    let reply = stage.chat(stage.ask(said)).await?;
    want(reply.text().contains(said), || "expected the text back as it was sent, got another".to_owned())
}

async fn empty(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("[sim:empty]")).await?;
    same("the text", reply.text().trim(), "")
}

async fn usage(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("How much?")).await?;
    let usage = reply.usage.ok_or("expected `usage` in the answer, got none")?;
    want(usage.prompt_tokens > 0 && usage.completion_tokens > 0, || {
        format!("expected tokens of prompt and completion, got {usage:?}")
    })?;
    same("the total", usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
}

async fn head(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("Who?")).await?;
    let named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
    want(named(reply.head.provider.as_deref()), || {
        "expected `head.provider` to name who answered, got nothing".to_owned()
    })?;
    let model = reply.head.model.as_deref();
    want(model.is_some_and(|model| stage.can.model.ends_with(model)), || {
        format!("expected `head.model` to name what was asked for, {:?}, got {model:?}", stage.can.model)
    })?;
    same("the attempts", reply.head.attempts(), 1)
}

async fn request_id(stage: &Stage) -> Verdict {
    let header = stage.sim()?.personality().request_id_header();
    stage.script(Script::normal().header(header, "req-contract-1"))?;
    let reply = stage.chat(stage.ask("Which?")).await?;
    same("the request id", reply.head.request_id.as_deref(), Some("req-contract-1"))
}

async fn model(stage: &Stage) -> Verdict {
    for model in [&stage.can.model, &stage.can.other_model] {
        stage.chat(ChatRequest::user("Which model?").model(model)).await?;
    }
    let sent: Vec<Value> = stage.sent()?.iter().map(|request| request.json()).collect();
    let asked =
        |number: usize| sent.get(number).and_then(|body| body.get("model")?.as_str()).unwrap_or_default();
    // A router's `provider/model` reaches the service as `model`.
    let fits = |wanted: &str, asked: &str| wanted == asked || wanted.ends_with(&format!("/{asked}"));
    want(fits(&stage.can.model, asked(0)) && fits(&stage.can.other_model, asked(1)), || {
        format!(
            "expected requests for {:?} and {:?}, got {:?} and {:?}",
            stage.can.model,
            stage.can.other_model,
            asked(0),
            asked(1)
        )
    })
}

async fn unknown_out(stage: &Stage) -> Verdict {
    let value = json!({"deep": [1, null, "x", {"y": 1.5}], "big": 9_007_199_254_740_993_u64});
    stage.chat(stage.ask("Anything else?").set("x_contract", value.clone())).await?;
    same("the field at the service", stage.one_body()?.get("x_contract"), Some(&value))
}

async fn unknown_back(stage: &Stage) -> Verdict {
    let mut body = answer(&json!({"role": "assistant", "content": "yes", "x_inner": [1, 2]}), "stop");
    if let Some(body) = body.as_object_mut() {
        body.insert("x_outer".to_owned(), json!({"kept": true}));
    }
    stage.script(Script::status(200).json(&body))?;
    let reply = stage.chat(stage.ask("Anything else?")).await?;
    same("the answer's field", reply.extra.get("x_outer"), Some(&json!({"kept": true})))?;
    let message = reply.message().ok_or("expected a message in the answer, got none")?;
    same("the message's field", message.extra.get("x_inner"), Some(&json!([1, 2])))
}

async fn conversation(stage: &Stage) -> Verdict {
    let messages = [
        Message::system("marker-0"),
        Message::user("marker-1"),
        Message::assistant("marker-2"),
        Message::user("marker-3"),
    ];
    stage.chat(ChatRequest::new(messages).model(&stage.can.model)).await?;
    let body = stage.one_body()?;
    let sent: Vec<&Value> = body.get("messages").and_then(Value::as_array).into_iter().flatten().collect();
    let roles: Vec<&str> = sent.iter().filter_map(|message| message.get("role")?.as_str()).collect();
    same("the roles", roles, vec!["system", "user", "assistant", "user"])?;
    let in_order = sent.iter().enumerate().all(|(number, message)| {
        message
            .get("content")
            .is_some_and(|content| content.to_string().contains(&format!("marker-{number}")))
    });
    want(in_order, || "expected the texts of the conversation in their order, got another".to_owned())
}

async fn length(stage: &Stage) -> Verdict {
    let reply = stage.chat(stage.ask("Say it at length").max_tokens(3)).await?;
    same("the finish reason", reply.finish_reason(), Some(&FinishReason::Length))?;
    let body = stage.one_body()?;
    let limit = body.get("max_tokens").or_else(|| body.get("max_completion_tokens"));
    same("the limit at the service", limit, Some(&json!(3)))
}

async fn content_type(stage: &Stage) -> Verdict {
    let body = answer(&json!({"role": "assistant", "content": "yes"}), "stop").to_string();
    for script in [
        Script::status(200).content_type("text/plain").body(body.clone()),
        Script::status(200).content_type("text/event-stream").body(body.clone()),
        Script::status(200).no_content_type().body(body.clone()),
    ] {
        stage.script(script)?;
        same("the text", stage.chat(stage.ask("Well?")).await?.text().as_str(), "yes")?;
    }
    Ok(())
}

async fn blank_lines(stage: &Stage) -> Verdict {
    let body = answer(&json!({"role": "assistant", "content": "yes"}), "stop");
    stage
        .script(Script::status(200).content_type("application/json").body(format!("\n\n\r\n  {body}\n\n")))?;
    same("the text", stage.chat(stage.ask("Well?")).await?.text().as_str(), "yes")
}

async fn slow(stage: &Stage) -> Verdict {
    stage.script(Script::normal().split(11).pace(std::time::Duration::from_millis(1)))?;
    let reply = stage.chat(stage.ask("marker-slow")).await?;
    want(reply.text().contains("marker-slow"), || {
        "expected the whole text, with `marker-slow` in it, got less".to_owned()
    })
}

async fn again(stage: &Stage) -> Verdict {
    for marker in ["marker-first", "marker-second"] {
        let reply = stage.chat(stage.ask(marker)).await?;
        want(reply.text().contains(marker), || {
            format!("expected an answer with `{marker}` in it, got another's")
        })?;
    }
    same("the requests", stage.sent()?.len(), 2)
}

async fn models(stage: &Stage) -> Verdict {
    let models = stage.within("the models", stage.provider.models()).await?;
    let models = models.map_err(|error| unexpected("the models", &error))?;
    let bare = |id: &str| stage.can.model.ends_with(id.rsplit('/').next().unwrap_or(id));
    want(models.iter().any(|model| bare(&model.id)), || {
        format!("expected {:?} in the list of models, got {} others", stage.can.model, models.len())
    })
}

async fn embeddings(stage: &Stage) -> Verdict {
    let texts = |texts: [&str; 2]| EmbeddingRequest::new(texts).model(&stage.can.embedding_model);
    let ask = |request| stage.within("the vectors", stage.provider.embed(request));
    let failed = |error| unexpected("the vectors", &error);
    let forward = ask(texts(["one", "two"])).await?.map_err(failed)?;
    let backward = ask(texts(["two", "one"])).await?.map_err(failed)?;
    same("the vectors", forward.data.len(), 2)?;
    let (first, last) = (forward.data.first(), backward.data.last());
    want(first.map(|one| &one.embedding) == last.map(|one| &one.embedding), || {
        "expected one vector for each text in the order of the texts, got another order".to_owned()
    })
}
