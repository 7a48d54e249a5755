use modelswitch_sim::{Script, Sim};

use super::support::{Place, plain_sim};

fn stage<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    report[0]["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_works_it_ends_with_0() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim);
    let outcome = place.run(&["check"]).ends(0);
    for stage in ["✓ key", "✓ reachable", "✓ authorised", "✓ models", "✓ balance", "✓ completion"]
    {
        assert!(outcome.out.contains(stage), "{stage}: {}", outcome.out);
    }
    let report = place.run(&["check", "deepseek", "--json"]).ends(0).json();
    assert_eq!(report[0]["provider"], "deepseek");
    assert_eq!(report[0]["stages"].as_array().unwrap().len(), 8);
    assert_eq!(stage(&report, "balance")["detail"], "110.00 CNY");
    assert_eq!(stage(&report, "completion")["outcome"], "passed");
    assert_eq!(report[0]["metadata"]["serving_model"], "deepseek-flash");
    assert_eq!(report[0]["metadata"]["balance"]["is_available"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_fails_with_what_to_do() {
    let sim = Sim::start().await.unwrap();
    let place =
        Place::empty().variable("DEEPSEEK_BASE_URL", sim.base_url()).variable("DEEPSEEK_API_KEY", "sk-wrong");
    let outcome = place.run(&["check"]).ends(1);
    for part in [
        "✓ reachable",
        "✗ authorised",
        "HTTP 401",
        "check the key from $DEEPSEEK_API_KEY",
        "– completion",
        "It failed.",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let report = place.run(&["check", "--json"]).ends(1).json();
    let authorised = stage(&report, "authorised");
    assert_eq!(authorised["outcome"], "failed");
    assert!(authorised["remedy"].as_str().unwrap().contains("DEEPSEEK_API_KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_account_fails_at_the_balance_with_where_to_top_up() {
    let sim = Sim::start().await.unwrap();
    let place = Place::empty()
        .variable("DEEPSEEK_BASE_URL", sim.base_url())
        .variable("DEEPSEEK_API_KEY", "sk-no-balance");
    let outcome = place.run(&["check"]).ends(1);
    for part in ["✓ models", "✗ balance", "0.00 CNY", "https://platform.deepseek.com/top_up", "– completion"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(sim.requests().iter().all(|request| request.path != "/chat/completions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_answers_in_the_services_place_is_told_from_a_key_that_is_refused() {
    let sim = Sim::start().await.unwrap();
    sim.script_path(
        "/models",
        Script::status(407).content_type("text/html").body("<html>log in</html>").times(2),
    );
    let outcome = Place::with_deepseek(&sim).run(&["check"]).ends(1);
    for part in ["✗ reachable", "somebody else answers", "look at the proxy", "– authorised"] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_knows_no_balance_can_still_pass() {
    let sim = Sim::start().await.unwrap();
    sim.script_path("/user/balance", Script::status(404));
    let outcome = Place::with_deepseek(&sim).run(&["check"]).ends(0);
    assert!(outcome.out.contains("– balance") && outcome.out.contains("✓ completion"), "{}", outcome.out);

    sim.script_path("/models", Script::status(404));
    sim.script_path("/user/balance", Script::status(404));
    let outcome = Place::with_deepseek(&sim).run(&["check"]).ends(0);
    assert!(outcome.out.contains("– models") && outcome.out.contains("✓ completion"), "{}", outcome.out);

    let other = plain_sim().await;
    let place = Place::empty().file(&format!(
        "[providers.other]\nprofile = 'openai-compatible'\nbase_url = '{}'\napi_key = {{ env = 'OTHER_KEY' }}\n",
        other.base_url()
    ));
    let outcome = place.variable("OTHER_KEY", other.key()).run(&["check"]);
    assert!(!outcome.out.contains("balance"), "{}", outcome.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_does_not_hide_one_that_works() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim)
        .file("[providers.deepseek]\n[providers.dead]\nprofile = 'openai-compatible'\nbase_url = 'http://127.0.0.1:9/v1'\n");
    let outcome = place.run(&["check"]).ends(1);
    assert!(
        outcome.out.contains("✗ tcp") && outcome.out.contains("1 of 2 providers passed."),
        "{}",
        outcome.out
    );
    place.run(&["check", "deepseek"]).ends(0);
    let outcome = place.run(&["check", "deepsek"]).ends(2);
    assert!(outcome.err.contains("deepseek"), "{outcome:#?}");
}

#[test]
fn a_missing_key_is_a_failed_check_that_names_the_variable() {
    let outcome = Place::empty().file("[providers.deepseek]").run(&["check"]).ends(1);
    assert!(outcome.out.contains("✗ key") && outcome.out.contains("set DEEPSEEK_API_KEY"), "{}", outcome.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_stand_side_by_side_below_their_stages() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim)
        .file("[providers.deepseek]\n[providers.dead]\nprofile = 'openai-compatible'\nbase_url = 'http://127.0.0.1:9/v1'\n");
    let outcome = place.run(&["check", "--timeout", "5s"]).ends(1);
    let rows: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |first: &str, second: &str| rows.iter().any(|row| row.starts_with(&[first, second]));
    assert!(row("deepseek", "passed") && row("dead", "failed"), "{}", outcome.out);
    assert!(outcome.out.contains("tcp: 127.0.0.1:9 refuses the connection"), "{}", outcome.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_model_is_asked_where_that_is_not_wanted() {
    let sim = Sim::start().await.unwrap();
    let outcome = Place::with_deepseek(&sim).run(&["check", "--no-completion"]).ends(0);
    assert!(outcome.out.contains("– completion"), "{}", outcome.out);
    assert!(sim.requests().iter().all(|request| request.path != "/chat/completions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_answer_or_refuses_is_named_by_its_variable() {
    let other = plain_sim().await;
    let file = |url: &str| format!("[providers.other]\nprofile = 'openai-compatible'\nbase_url = '{url}'\n");
    let place =
        |url: &str, variable: &str, proxy: &str| Place::empty().file(&file(url)).variable(variable, proxy);

    let closed = "http://user:hush@127.0.0.1:9";
    let outcome = place(other.base_url(), "HTTP_PROXY", closed).run(&["check"]).ends(1);
    for part in ["– tcp", "go through the http proxy in $HTTP_PROXY", "✗ reachable", "NO_PROXY"] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(!outcome.out.contains("hush") && !outcome.err.contains("hush"), "{outcome:#?}");
    let outcome =
        place(other.base_url(), "HTTP_PROXY", closed).variable("NO_PROXY", "127.0.0.1").run(&["check"]);
    assert!(outcome.out.contains("✓ tcp"), "{outcome:#?}");

    // A simulator stands for a proxy that knows nothing of CONNECT.
    let proxy = format!("http://{}", other.address());
    let outcome =
        place("https://llm.example.com/v1", "HTTPS_PROXY", &proxy).run(&["check", "--json"]).ends(1);
    let report = outcome.json();
    assert_eq!(report[0]["metadata"]["proxy"], "HTTPS_PROXY");
    let reachable = stage(&report, "reachable");
    assert_eq!(
        reachable["detail"], "the proxy in $HTTPS_PROXY doesn't let the connection through",
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_where_tls_was_expected_fails_at_tls_with_what_to_write() {
    let other = plain_sim().await;
    let url = other.base_url().replace("http://", "https://");
    let place = Place::empty()
        .file(&format!("[providers.other]\nprofile = 'openai-compatible'\nbase_url = '{url}'\n"));
    let outcome = place.run(&["check"]).ends(1);
    for part in ["✓ tcp", "✗ tls", "doesn't speak TLS", "write http:// instead of https://", "– reachable"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_a_pool_is_shown_and_a_bad_one_is_not_hidden_by_those_that_work() {
    let sim = Sim::start().await.unwrap();
    let place = Place::with_deepseek(&sim)
        .file("[providers.deepseek]\napi_key = [{ env = 'GOOD' }, { env = 'BAD' }, { env = 'NONE' }]\n")
        .variable("GOOD", sim.key())
        .variable("BAD", "sk-wrong0123456789");
    let outcome = place.run(&["check"]).ends(1);
    for part in [
        "✓ completion",
        "each of its 3 keys",
        "✓ $GOOD: it is taken",
        "✗ $BAD: HTTP 401",
        "check the key from $BAD;",
        "✗ $NONE: ",
        "It failed.",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert!(!outcome.out.contains("sk-wrong"), "{}", outcome.out);
    let report = place.run(&["check", "--json"]).ends(1).json();
    assert_eq!(report[0]["keys"][1]["source"], "$BAD");
    assert_eq!(report[0]["keys"][1]["outcome"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_its_path_does_not_pass() {
    let sim = plain_sim().await;
    let bare = sim.base_url().trim_end_matches("/v1").to_owned();
    let place = Place::empty()
        .variable("MINE_KEY", sim.key())
        .file(&format!("[providers.mine]\nbase_url = '{bare}'\napi_key = {{ env = 'MINE_KEY' }}"));
    let outcome = place.run(&["check"]).ends(1);
    assert!(outcome.out.contains("nothing was proved"), "{outcome:#?}");
    assert!(outcome.out.contains("perhaps /v1 is missing at the end of base_url"), "{outcome:#?}");
    assert!(!outcome.out.contains("It passed"), "{outcome:#?}");
    let outcome = place.run(&["check", "--no-completion"]).ends(0);
    assert!(outcome.out.contains("Nothing was proved of mine"), "{outcome:#?}");
    assert!(!outcome.out.contains("It passed"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_key_is_sent_none_is_said_to_be_refused() {
    let sim = plain_sim().await;
    let place = Place::empty().file(&format!("[providers.mine]\nbase_url = '{}'", sim.base_url()));
    let outcome = place.run(&["check"]).ends(1);
    assert!(outcome.out.contains("completion    the service wants a key"), "{outcome:#?}");
    assert!(!outcome.out.contains("doesn't take the key"), "{outcome:#?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_can_open_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let sim = Sim::start().await.unwrap();
    let text = format!("[providers.deepseek]\nbase_url = '{}'\napi_key = {{ file = 'key' }}", sim.base_url());
    let place = Place::empty().file(&text);
    let path = place.folder.path().join("key");
    std::fs::write(&path, sim.key()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = place.run(&["check"]).ends(0);
    assert!(outcome.err.contains("open to others than its owner"), "{outcome:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_told_in_the_order_of_the_configuration_whoever_answers_first() {
    let (slow, quick) = (Sim::start().await.unwrap(), plain_sim().await);
    slow.script(Script::normal().delay(std::time::Duration::from_millis(300)));
    let place = Place::with_deepseek(&slow).variable("QUICK_API_KEY", quick.key()).file(&format!(
        "[providers.deepseek]\n[providers.quick]\nprofile = 'openai-compatible'\nbase_url = '{}'\n\
         api_key = {{ env = 'QUICK_API_KEY' }}\ndefault_model = 'sim-small'\n",
        quick.base_url()
    ));
    let out = place.run(&["check"]).ends(0).out;
    let begins = |name: &str| out.lines().position(|line| line.starts_with(name)).unwrap();
    assert!(begins("deepseek  http") < begins("quick  http"), "{out}");
    assert!(begins("quick  http") < begins("PROVIDER"), "{out}");
}
