use modelswitch_sim::{Script, Sim};

use super::support::{Place, plain_sim};

const ANSWER: &str = "[simulated deepseek-flash] You said: \"Hello\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_answer_goes_to_standard_output() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    for arguments in [
        &["chat", "Hello"][..],
        &["chat", "--no-stream", "Hello"],
        &["chat", "-m", "deepseek-flash", "Hello"],
    ] {
        let outcome = place.run(arguments).ends(0);
        assert_eq!((outcome.out.as_str(), outcome.err.as_str()), (ANSWER, ""), "{arguments:?}");
    }
    let streamed: Vec<_> = sim.requests().iter().map(|request| request.json()["stream"] == true).collect();
    assert_eq!(streamed, [true, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn piped_input_is_the_question_or_comes_after_it() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    assert_eq!(place.run_with_input(&["chat"], "Hello\n").ends(0).out, ANSWER);
    place.run_with_input(&["chat", "Sum up:", "--system", "Be brief."], "one\ntwo\n").ends(0);
    let messages = sim.requests()[1].json()["messages"].clone();
    assert_eq!(messages[0]["content"], "Be brief.");
    assert_eq!(messages[1]["content"], "Sum up:\n\none\ntwo");
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_goes_to_standard_error() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    for arguments in [&["chat", "--reasoning", "Hello"][..], &["chat", "--reasoning", "--no-stream", "Hello"]]
    {
        let outcome = place.run(arguments).ends(0);
        assert_eq!(outcome.out, ANSWER);
        assert!(outcome.err.starts_with("reasoning:\n[simulated reasoning] "), "{outcome:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_cut_stays_and_the_error_follows() {
    let sim = plain_sim().await;
    let place = Place::empty().variable("MINE", sim.key()).file(&format!(
        "default = 'mine/sim-small'\n[providers.mine]\nprofile = 'openai-compatible'\nbase_url = '{}'\n\
         api_key = {{ env = 'MINE' }}",
        sim.base_url()
    ));
    sim.script(Script::normal().cut_after_events(4));
    let outcome = place.run(&["chat", "Hello"]).ends(1);
    assert!(
        !outcome.out.is_empty() && "[simulated sim-small] You said: \"Hello\"".starts_with(&outcome.out),
        "{outcome:#?}"
    );
    assert!(outcome.err.starts_with("error: mine: ") && outcome.err.contains("\n  "), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_what_to_do_and_with_v_everything() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let outcome = place.run(&["chat", "[sim:402]"]).ends(1);
    assert_eq!(
        outcome.err,
        "error: deepseek: Insufficient Balance\n  top up at https://platform.deepseek.com/top_up\n"
    );
    let outcome = place.run(&["-v", "chat", "[sim:402]"]).ends(1);
    for fact in
        ["kind: insufficient_balance", "status: 402", "request id: ", "attempts: 1", "model: deepseek-flash"]
    {
        assert!(outcome.err.contains(fact), "{fact}: {}", outcome.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_told_with_near_ones_before_anything_is_sent() {
    let sim = Sim::start().await.unwrap();
    let place =
        Place::with_deepseek(&sim).file("[providers.deepseek]\n[models]\nfast = 'deepseek/deepseek-flash'\n");
    let outcome = place.run(&["chat", "-m", "fsat", "Hello"]).ends(2);
    assert!(outcome.err.contains("did you mean `fast`"), "{outcome:#?}");
    assert!(sim.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_at_the_limit_says_so() {
    let sim = Sim::start().await.unwrap();
    sim.script(Script::sse([
        r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}"#,
        r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        "[DONE]",
    ]));
    let outcome = Place::with_deepseek(&sim).run(&["chat", "Hello"]).ends(0);
    assert_eq!(outcome.out, "Hel\n");
    assert!(outcome.err.contains("token limit"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_ask_is_a_mistake_of_the_command_line() {
    let sim = Sim::start().await.unwrap();
    let outcome = Place::with_deepseek(&sim).run(&["chat"]).ends(2);
    assert!(outcome.err.contains("nothing to ask"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_had_enough_is_no_failure() {
    use std::process::Stdio;
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let mut command = place.command(&["chat", "[sim:long]"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// reqwest's own rules for proxies hold: the simulator stands in for one, and is asked for somebody else's URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_environment_is_used() {
    let proxy = Sim::start().await.unwrap();
    let address = format!("http://{}", proxy.address());
    let place = Place::empty().variable("HTTP_PROXY", &address).variable("MY_KEY", proxy.key()).file(
        "[providers.far]\nprofile = 'openai-compatible'\nbase_url = 'http://llm.invalid/v1'\nallow_plain_http = true\n\
         default_model = 'deepseek-flash'\napi_key = { env = 'MY_KEY' }",
    );
    assert_eq!(place.run(&["chat", "Hello"]).ends(0).out, ANSWER);
    assert_eq!(proxy.requests()[0].header("host"), Some("llm.invalid"));
}
