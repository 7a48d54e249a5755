use http::Method;
use modelswitch_provider::mock::{MockProvider, events};
use modelswitch_provider::{
    Body, ChatRequest, Document, Endpoint, Error, ErrorKind, Payload, Provider, ProviderExt, Request,
    Response,
};
use modelswitch_registry::{PROVIDER_HEADER, Registry};
use serde_json::{Value, json};

use crate::support::*;

fn two(a: &Diary, b: &Diary) -> Registry {
    with(&[])
        .provider("a", a.provider(reply("from a")))
        .provider("b", b.provider(reply("from b")))
        .alias("fast", "b/small")
        .default_model("a/large")
        .build()
        .unwrap()
}

fn get(path: &'static str) -> Request {
    Request::new(Endpoint::new(Method::GET, path).unwrap(), Payload::Empty)
}

async fn json_of(registry: &Registry, request: Request) -> (Value, modelswitch_provider::Head) {
    let (head, body) = registry.router().send(request).await.unwrap().into_json().unwrap();
    (serde_json::from_slice(&body).unwrap(), head)
}

#[tokio::test]
async fn the_requests_model_chooses_and_goes_on_bare() {
    let (a, b) = (Diary::default(), Diary::default());
    let router = two(&a, &b).router();
    let ask = |model: &str| {
        let request = ChatRequest::user("?").model(model);
        async { router.chat(request).await.unwrap().text() }
    };
    assert_eq!(ask("fast").await, "from b");
    assert_eq!(ask("b/x/y").await, "from b");
    assert_eq!(ask("a/x").await, "from a");
    assert_eq!(b.models(), [Some("small".to_owned()), Some("x/y".to_owned())]);
    assert_eq!(a.models(), [Some("x".to_owned())]);
}

#[tokio::test]
async fn a_request_without_a_model_gets_the_default() {
    let (a, b) = (Diary::default(), Diary::default());
    let router = two(&a, &b).router();
    assert_eq!(router.ask("?").await.unwrap(), "from a");
    assert_eq!(a.models(), [Some("large".to_owned())]);
}

#[tokio::test]
async fn without_a_default_it_says_how_to_set_one() {
    let registry = with(&[])
        .provider("a", MockProvider::reply(""))
        .provider("b", MockProvider::reply(""))
        .build()
        .unwrap();
    let error = registry.router().ask("?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.message(), "the request names no model, and the configuration no default");
    assert!(error.hint().contains("default = \"provider/model\""));
    let error = registry.router().send(get("/files")).await.unwrap_err();
    assert!(error.hint().contains(PROVIDER_HEADER));
}

#[tokio::test]
async fn a_request_that_has_no_model_goes_to_the_named_provider_or_the_defaults() {
    let (a, b) = (Diary::default(), Diary::default());
    let router = two(&a, &b).router();
    router.send(get("/files")).await.unwrap();
    let mut named = get("/files");
    named.headers.insert(PROVIDER_HEADER, "b".parse().unwrap());
    router.send(named.clone()).await.unwrap();
    // A JSON body of an endpoint that knows no model stays as it is.
    let batch = Endpoint::new(Method::POST, "/batches").unwrap();
    router.send(Request::new(batch, Document::parse(r#"{"input_file_id":"f"}"#).unwrap())).await.unwrap();
    assert_eq!(a.models(), [None, None]);
    assert_eq!(b.asked().len(), 1);
    assert!(b.asked()[0].headers.is_empty(), "the header isn't sent on");

    named.headers.insert(PROVIDER_HEADER, "c".parse().unwrap());
    let error = router.send(named).await.unwrap_err();
    assert_eq!(
        error.message(),
        "the header x-modelswitch-provider: no provider `c`; did you mean `a`? there are: a, b"
    );
}

#[tokio::test]
async fn a_model_that_is_no_text_is_refused_and_not_taken_for_none() {
    let (a, b) = (Diary::default(), Diary::default());
    let request = Request::chat(&json!({ "model": 5, "messages": [] })).unwrap();
    let error = two(&a, &b).router().send(request).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("model")));
    assert!(a.asked().is_empty() && b.asked().is_empty());
}

#[tokio::test]
async fn a_bound_model_answers_a_form_too() {
    let (a, b) = (Diary::default(), Diary::default());
    let form = |field: &str| Payload::Raw {
        content_type: "multipart/form-data; boundary=x".parse().unwrap(),
        bytes: format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\nother\r\n--x--\r\n")
            .into(),
    };
    let model = two(&a, &b).model("fast").unwrap();
    for field in ["model", "purpose"] {
        let endpoint = Endpoint::new(Method::POST, "/audio/transcriptions").unwrap();
        model.send(Request::new(endpoint, form(field))).await.unwrap();
    }
    assert_eq!(b.models(), [Some("small".to_owned()), None]);
    assert!(
        matches!(&b.asked()[1].body, Payload::Raw { bytes, .. } if bytes.ends_with(b"other\r\n--x--\r\n"))
    );
}

/// A service that takes every request and never answers.
#[derive(Debug)]
struct Silent;

#[async_trait::async_trait]
impl Provider for Silent {
    fn name(&self) -> &str {
        "silent"
    }
    async fn send(&self, _request: Request) -> modelswitch_provider::Result<Response> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_holds_up_the_list_no_longer_than_its_limit() {
    let registry = with(&[])
        .provider("a", Diary::default().provider(listing(&["x"])))
        .provider("silent", Silent)
        .provider("dumb", Silent)
        .build()
        .unwrap();
    let started = tokio::time::Instant::now();
    let (list, head) = json_of(&registry, Request::models()).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(head.adaptations.len(), 2);
    assert!(head.adaptations.iter().all(|note| note.change.ends_with("timeout")), "{head:?}");
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_once_for_its_models() {
    // Port 1 is nobody's. With retries this would take minutes.
    let toml = "[retry]\nattempts = 9\nbase_delay = '10m'\nmax_delay = '10m'\n\
                [providers.local]\nprofile = 'llamacpp'\nbase_url = 'http://127.0.0.1:1/v1'";
    let registry = text(toml).provider("a", Diary::default().provider(listing(&["x"]))).build().unwrap();
    let listed =
        tokio::time::timeout(std::time::Duration::from_secs(15), json_of(&registry, Request::models()));
    let (list, _) = listed.await.unwrap();
    assert_eq!(list["data"][0]["id"], "a/x");
}

#[tokio::test]
async fn an_unknown_model_is_refused_before_anything_is_sent() {
    let (a, b) = (Diary::default(), Diary::default());
    let error = two(&a, &b).router().chat(ChatRequest::user("?").model("fsat")).await.unwrap_err();
    assert_eq!((error.kind(), error.model()), (ErrorKind::ModelNotFound, Some("fsat")));
    assert_eq!(
        error.message(),
        "no model `fsat`; did you mean `fast`? names like it: fast = b/small; there are: fast"
    );
    assert!(a.asked().is_empty() && b.asked().is_empty());
}

#[tokio::test]
async fn a_failure_names_provider_and_model_in_the_middle_of_a_stream_too() {
    let cut = events([
        Ok(json!({ "choices": [{ "index": 0, "delta": { "content": "It ra" } }] })),
        Err(Error::interrupted("the connection was cut")),
    ]);
    let script = [Err(Error::new(ErrorKind::Overloaded, "too busy")), Ok(cut)];
    let registry = with(&[]).provider("a", MockProvider::script(script)).build().unwrap();
    let ask = || ChatRequest::user("?").model("a/m");
    let refused = registry.router().chat(ask()).await.unwrap_err();
    let cut = registry.router().chat_stream(ask()).await.unwrap().completion().await.unwrap_err();
    for error in [refused, cut] {
        assert_eq!(error.model(), Some("m"));
        assert!(error.provider().is_some());
    }
}

fn listing(ids: &'static [&'static str]) -> impl Fn(&Request) -> modelswitch_provider::Result<Response> {
    move |_| {
        let models: Vec<Value> =
            ids.iter().map(|id| json!({ "id": id, "object": "model", "size": 7 })).collect();
        Response::json(&json!({ "object": "list", "data": models }))
    }
}

#[tokio::test]
async fn the_list_of_models_has_the_aliases_and_every_provider_that_answers() {
    let registry = with(&[])
        .provider("a", Diary::default().provider(listing(&["x", "y/z"])))
        .provider("broken", MockProvider::error(Error::new(ErrorKind::Connection, "refused")))
        .provider("b", Diary::default().provider(listing(&["x"])))
        .alias("fast", "a/x")
        .build()
        .unwrap();
    let (list, head) = json_of(&registry, Request::models()).await;
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(ids, ["fast", "a/x", "a/y/z", "b/x"]);
    assert_eq!(list["data"][0]["owned_by"], "modelswitch");
    assert_eq!(list["data"][1]["size"], 7, "what nobody has heard of stays");
    let notes: Vec<String> = head.adaptations.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["models: the models of `broken` are left out: connection"]);
}

#[tokio::test]
async fn an_async_openai_client_reaches_the_router() {
    let registry = with(&[])
        .provider("a", Diary::default().provider(listing(&["x"])))
        .alias("fast", "a/x")
        .build()
        .unwrap();
    let own = modelswitch_openai::async_openai::Client::with_config(
        modelswitch_openai::async_openai::config::OpenAIConfig::new()
            .with_api_base("https://api.openai.com/v1")
            .with_api_key(CANARY),
    );
    for client in [registry.client().unwrap(), registry.wrap(own)] {
        let list = client.models().list().await.unwrap();
        let ids: Vec<&str> = list.data.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["fast", "a/x"]);
    }
}

#[tokio::test]
async fn when_no_provider_lists_its_models_the_first_error_is_told() {
    let broken = |kind| MockProvider::error(Error::new(kind, "it failed"));
    let registry = with(&[])
        .provider("a", broken(ErrorKind::Connection))
        .provider("b", broken(ErrorKind::Authentication))
        .alias("fast", "a/x")
        .build()
        .unwrap();
    let error = registry.router().models().await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Connection, Some("a")));
}

#[tokio::test]
async fn one_model_is_asked_of_its_provider_under_its_own_name() {
    let a = Diary::default();
    let registry = with(&[])
        .provider("a", a.provider(listing(&[])))
        .provider("b", MockProvider::error(Error::invalid_request("not me")))
        .alias("fast", "a/vendor/x 1")
        .build()
        .unwrap();
    for path in ["/models/fast", "/models/a/y", "/models/a%2Fvendor%2fz:free"] {
        registry.router().send(get(path)).await.unwrap();
    }
    let paths: Vec<String> = a.asked().iter().map(|request| request.endpoint.path().to_owned()).collect();
    assert_eq!(paths, ["/models/vendor/x%201", "/models/y", "/models/vendor/z:free"]);
    let error = registry.router().send(get("/models/fsat")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
}

#[tokio::test]
async fn bodies_that_are_not_json_pass_as_they_are() {
    let (a, b) = (Diary::default(), Diary::default());
    let form = Payload::Raw {
        content_type: "multipart/form-data; boundary=x".parse().unwrap(),
        bytes: "--x--".into(),
    };
    let endpoint = Endpoint::new(Method::POST, "/audio/transcriptions").unwrap();
    let response = two(&a, &b).router().send(Request::new(endpoint, form)).await.unwrap();
    assert!(matches!(response.body, Body::Json(_)));
    assert!(matches!(&a.asked()[0].body, Payload::Raw { bytes, .. } if bytes == "--x--"));
}
