use super::*;
use modelswitch_provider::ErrorKind;
use serde_json::{Value, json};

use crate::{ForcedToolChoice, JsonSchema};

fn adapted(profile: &str, body: Value) -> (Value, Vec<String>) {
    let profile = Profile::embedded(profile).unwrap();
    let Adapted { request, adaptations: notes, .. } =
        adapt(&profile, Policies::default(), Kind::Chat, Request::chat(&body).unwrap()).unwrap();
    let body = serde_json::from_slice(&request.document().unwrap().to_bytes()).unwrap();
    (body, notes.into_iter().map(|note| note.parameter).collect())
}

#[test]
fn the_token_limit_goes_out_under_the_name_that_the_service_knows() {
    let ask = |limit: &str| json!({"model":"m","messages":[],limit:5});
    assert_eq!(adapted("deepseek", ask("max_completion_tokens")).0, ask("max_tokens"));
    assert_eq!(adapted("openai", ask("max_tokens")).0, ask("max_completion_tokens"));
    assert_eq!(adapted("openai-compatible", ask("max_tokens")), (ask("max_tokens"), vec![]));
    let both = json!({"model":"m","messages":[],"max_tokens":5,"max_completion_tokens":9});
    assert_eq!(adapted("deepseek", both), (ask("max_tokens"), vec!["max_completion_tokens".to_owned()]));
}

#[test]
fn functions_go_as_tools_but_to_services_that_know_them_and_a_profile_may_refuse_them() {
    let ask = || json!({"model":"m","messages":[],"functions":[{"name":"f"}],"function_call":"none"});
    let tools = json!({"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"});
    let told = ["functions", "function_call"].map(str::to_owned).to_vec();
    assert_eq!(adapted("openai-compatible", ask()), (tools, told));
    assert_eq!(adapted("openai", ask()), (ask(), vec![]));
    let mine =
        profile("[request]\nrefuse = ['functions']\n[model.m2.request]\nrefuse = []\nfunctions = true");
    let put = |model: &str| {
        let mut body = ask();
        body["model"] = model.into();
        adapt(&mine, Policies::default(), Kind::Chat, Request::chat(&body).unwrap())
    };
    assert_eq!(put("m").unwrap_err().param(), Some("functions"));
    assert!(put("m2").unwrap().adaptations.is_empty());
}

#[test]
fn the_developer_role_is_mapped_where_it_is_unknown_and_text_that_mentions_it_is_not_touched() {
    let ask = |role: &str| json!({"model":"m","messages":[{"role":role,"content":"the \"developer\""}]});
    assert_eq!(adapted("deepseek", ask("developer")), (ask("system"), vec!["role".to_owned()]));
    assert_eq!(adapted("deepseek", ask("user")), (ask("user"), vec![]));
    assert_eq!(adapted("openai", ask("developer")), (ask("developer"), vec![]));
}

#[test]
fn reasoning_in_the_history_goes_where_the_service_looks_for_it() {
    let ask = |extra: Value| {
        let mut message = json!({"role":"assistant","content":"x"});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"model":"m","messages":[message]})
    };
    let history = || ask(json!({"reasoning_content":"r"}));
    assert_eq!(adapted("deepseek", history()).0, history());
    assert_eq!(adapted("vllm", history()).0, ask(json!({"reasoning":"r"})));
    assert_eq!(adapted("openai", history()).0, ask(json!({})));
}

#[test]
fn a_request_without_a_model_gets_the_default_one_or_an_error_that_says_how() {
    assert_eq!(
        adapted("deepseek", json!({"messages":[]})).0,
        json!({"messages":[],"model":"deepseek-flash"})
    );
    let profile = Profile::compatible("mine", "https://x.example");
    let error =
        adapt(&profile, Policies::default(), Kind::Chat, Request::chat(&json!({"messages":[]})).unwrap())
            .unwrap_err();
    assert!(error.hint().contains("default_model"));
}

fn profile(text: &str) -> Profile {
    Profile::from_toml("mine", text).unwrap()
}

fn put_with(text: &str, body: &Value, policies: Policies) -> Result<(Value, Vec<String>, AnswerCheck)> {
    let adapted = adapt(&profile(text), policies, Kind::Chat, Request::chat(body)?)?;
    let sent = serde_json::from_slice(&adapted.request.document().unwrap().to_bytes()).unwrap();
    let told = adapted.adaptations.into_iter().map(|note| note.parameter).collect();
    Ok((sent, told, adapted.answer))
}

fn put(text: &str, body: &Value) -> Result<(Value, Vec<String>)> {
    put_with(text, body, Policies::default()).map(|(sent, told, _)| (sent, told))
}

fn strict() -> Policies {
    Policies { strict: true, ..Policies::default() }
}

/// A body with these members and no conversation.
fn with(more: Value) -> Value {
    let mut body = json!({"model":"m","messages":[]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A body with this one message.
fn said(message: Value) -> Value {
    json!({"model":"m","messages":[message]})
}

/// What is sent, what goes out, and what is told; the same told by nothing is refused by the strict policy where `refused`.
#[track_caller]
fn check(rules: &str, sent: Value, wanted: Value, told: &[&str], refused: bool) {
    let (got, notes) = put(rules, &sent).unwrap();
    assert_eq!(got, wanted, "{sent}");
    assert_eq!(notes, told, "{sent}");
    match put_with(rules, &sent, strict()) {
        Ok(_) => assert!(!refused, "{sent}"),
        Err(error) => {
            assert!(refused, "{error}");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
    }
}

#[test]
fn parameters_go_out_as_the_rules_say() {
    for (rules, sent, wanted, told, refused) in [
        // Left out, and told; a value that says nothing is nobody's loss.
        ("drop = ['seed']", json!({"seed":1}), json!({}), "seed", true),
        ("drop = ['logit_bias']", json!({"logit_bias":{}}), json!({}), "logit_bias", false),
        ("drop = ['seed']", json!({"top_p":1}), json!({"top_p":1}), "", false),
        (
            "refuse = ['presence_penalty']",
            json!({"presence_penalty":0}),
            json!({}),
            "presence_penalty",
            false,
        ),
        // Renamed; the service's own name wins.
        ("rename = { seed = 'random_seed' }", json!({"seed":1}), json!({"random_seed":1}), "seed", false),
        (
            "rename = { seed = 'random_seed' }",
            json!({"seed":1,"random_seed":2}),
            json!({"random_seed":2}),
            "seed",
            false,
        ),
        // Clamped, whole numbers as such.
        (
            "ranges = { temperature = [0.0, 1.0] }",
            json!({"temperature":1.5}),
            json!({"temperature":1}),
            "temperature",
            true,
        ),
        (
            "ranges = { temperature = [0.01, 1.0] }",
            json!({"temperature":0}),
            json!({"temperature":0.01}),
            "temperature",
            true,
        ),
        (
            "ranges = { temperature = [0.0, 1.0] }",
            json!({"temperature":0.5}),
            json!({"temperature":0.5}),
            "",
            false,
        ),
        (
            "ranges = { temperature = [0.0, 1.0] }",
            json!({"temperature":"hot"}),
            json!({"temperature":"hot"}),
            "",
            false,
        ),
        ("most_choices = 1", json!({"n":1}), json!({"n":1}), "", false),
        (
            "stream_options = false",
            json!({"stream_options":{"include_usage":true}}),
            json!({}),
            "stream_options",
            false,
        ),
        // Efforts.
        (
            "effort = { minimal = 'low' }",
            json!({"reasoning_effort":"minimal"}),
            json!({"reasoning_effort":"low"}),
            "reasoning_effort",
            true,
        ),
        (
            "effort = { minimal = 'low', high = 'high' }",
            json!({"reasoning_effort":"high"}),
            json!({"reasoning_effort":"high"}),
            "",
            false,
        ),
        (
            "effort = { minimal = 'low' }",
            json!({"reasoning_effort":"low"}),
            json!({"reasoning_effort":"low"}),
            "",
            false,
        ),
        (
            "effort = { minimal = 'low' }",
            json!({"reasoning_effort":"high"}),
            json!({"reasoning_effort":"high"}),
            "reasoning_effort",
            true,
        ),
        (
            "effort = { low = 'low' }",
            json!({"reasoning_effort":"low"}),
            json!({"reasoning_effort":"low"}),
            "",
            false,
        ),
        (
            "effort.none = { thinking = { type = 'disabled' } }",
            json!({"reasoning_effort":"none"}),
            json!({"thinking":{"type":"disabled"}}),
            "reasoning_effort",
            false,
        ),
        (
            "effort.high = { think = true, budget = 5 }",
            json!({"reasoning_effort":"high"}),
            json!({"think":true,"budget":5}),
            "reasoning_effort",
            true,
        ),
        (
            "effort.high = { think = true, budget = 5 }",
            json!({"reasoning_effort":"high","budget":9}),
            json!({"think":true,"budget":9}),
            "reasoning_effort",
            true,
        ),
        (
            "effort.high = { think = true }",
            json!({"reasoning_effort":"high","think":false}),
            json!({"think":false}),
            "reasoning_effort",
            false,
        ),
        ("effort.high = {}", json!({"reasoning_effort":"high"}), json!({}), "reasoning_effort", false),
    ] {
        let told: Vec<&str> = told.split(',').filter(|name| !name.is_empty()).collect();
        check(&format!("[request]\n{rules}"), with(sent), with(wanted), &told, refused);
    }
}

#[test]
fn what_an_answer_depends_on_is_refused_all_at_once_and_before_it_is_sent() {
    let rules = "[request]\nrefuse = ['logprobs', 'audio']\nmost_choices = 2";
    let error = put(rules, &with(json!({"audio":{},"logprobs":true}))).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("logprobs")));
    assert!(error.message().contains("`logprobs`, `audio`"), "{error}");
    let error = put(rules, &with(json!({"n":3}))).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("n")));
}

#[test]
fn a_caller_who_wants_no_changes_hears_of_all_of_them_in_one_error() {
    let rules =
        "[request]\ndrop = ['seed']\nranges = { temperature = [0.0, 1.0] }\neffort = { minimal = 'low' }";
    let body = with(json!({"seed":1,"temperature":2,"reasoning_effort":"minimal","max_tokens":5}));
    let error = put_with(rules, &body, strict()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for name in ["seed", "temperature", "reasoning_effort"] {
        assert!(error.message().contains(name) && error.hint().contains(name), "{error}: {}", error.hint());
    }
}

#[test]
fn a_model_is_asked_by_its_own_rules() {
    let rules = "[model.thinker.request]\ndrop = ['temperature']";
    let ask = |model: &str| json!({"model":model,"messages":[],"temperature":0.5});
    assert_eq!(put(rules, &ask("thinker")).unwrap().1, ["temperature"]);
    assert_eq!(put(rules, &ask("thinker-2")).unwrap(), (ask("thinker-2"), vec![]));
}

fn tool(name: &str) -> Value {
    json!({"type":"function","function":{"name":name}})
}

#[test]
fn a_choice_of_tools_that_the_service_lacks_becomes_one_that_means_the_same() {
    let ask = |choice: Value, tools: &[&str]| {
        with(json!({"tool_choice":choice,"tools":tools.iter().map(|name| tool(name)).collect::<Vec<_>>()}))
    };
    let both: &[&str] = &["f", "g"];
    let allowed = json!({"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[tool("g")]}});
    for (taken, sent, wanted, told) in [
        ("'auto', 'none'", ask(json!("auto"), both), ask(json!("auto"), both), ""),
        ("'required', 'named'", ask(json!("none"), both), with(json!({})), "tool_choice"),
        ("'auto', 'required'", ask(tool("g"), both), ask(json!("required"), &["g"]), "tool_choice"),
        ("'auto'", ask(allowed, both), ask(json!("auto"), &["g"]), "tool_choice"),
        ("'none'", ask(json!("auto"), &["f"]), with(json!({"tools":[tool("f")]})), "tool_choice"),
    ] {
        let told: Vec<&str> = told.split(',').filter(|name| !name.is_empty()).collect();
        check(&format!("[request]\ntool_choice = [{taken}]"), sent, wanted, &told, false);
    }
}

#[test]
fn a_call_that_cannot_be_forced_is_refused_or_left_to_the_model_by_policy() {
    let rules = "[request]\ntool_choice = ['auto', 'none']";
    for choice in [json!("required"), tool("f")] {
        let body = with(json!({"tool_choice":choice,"tools":[tool("f")]}));
        let error = put(rules, &body).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("tool_choice")));
        let auto = Policies { forced_tool_choice: ForcedToolChoice::Auto, ..Policies::default() };
        let (sent, told, _) = put_with(rules, &body, auto).unwrap();
        assert_eq!((&sent["tool_choice"], told), (&json!("auto"), vec!["tool_choice".to_owned()]));
    }
}

#[test]
fn tools_lose_their_mark_of_strictness_and_nothing_else() {
    let text = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"z":1,"a":{"strict":true}}}}],"messages":[]}"#;
    let profile = profile("[request]\nstrict_tools = false");
    let request =
        Request::new(modelswitch_provider::Endpoint::CHAT_COMPLETIONS, Document::parse(text).unwrap());
    let adapted = adapt(&profile, Policies::default(), Kind::Chat, request).unwrap();
    // The order of a schema's members is the order in which a model answers.
    let wanted = text.replacen(r#""strict":true,"#, "", 1);
    assert_eq!(adapted.request.document().unwrap().to_bytes(), wanted);
    assert_eq!(adapted.adaptations.first().unwrap().parameter, "tools");
}

fn wants_schema() -> Value {
    json!({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"city","schema":{"type":"object"}}}})
}

#[test]
fn a_schema_goes_where_the_service_can_do_most_with_it() {
    for (taken, format, instructed, checked) in [
        ("", wants_schema()["response_format"].clone(), false, false),
        ("'json_schema'", wants_schema()["response_format"].clone(), false, false),
        ("'text', 'json_object'", json!({"type":"json_object"}), true, true),
        ("'text'", Value::Null, true, true),
    ] {
        let rules = format!("[request]\nresponse_format = [{taken}]");
        let (sent, told, answer) = put_with(&rules, &wants_schema(), Policies::default()).unwrap();
        assert_eq!(sent.get("response_format").cloned().unwrap_or_default(), format, "{taken}");
        let said = sent["messages"][1]["content"].as_str().unwrap();
        assert_eq!(said.contains(r#"{"type":"object"}"#), instructed, "{said}");
        assert_eq!((answer.has_checker(), !told.is_empty()), (checked, checked));
        assert_eq!(put_with(&rules, &wants_schema(), strict()).is_err(), checked);
    }
}

#[test]
fn a_schema_becomes_a_tool_or_is_refused_by_policy() {
    let by = |json_schema| Policies { json_schema, ..Policies::default() };
    let rules =
        "[request]\nresponse_format = ['text']\ntool_choice = ['auto', 'required']\nstrict_tools = false";
    let (sent, _, answer) = put_with(rules, &wants_schema(), by(JsonSchema::StrictTool)).unwrap();
    assert_eq!(
        (&sent["tool_choice"], &sent["tools"][0]["function"]["name"]),
        (&json!("required"), &json!("city"))
    );
    assert!(sent["tools"][0]["function"].get("strict").is_none() && sent.get("response_format").is_none());
    assert!(answer.has_tool() && answer.has_checker());
    let error = put_with(rules, &wants_schema(), by(JsonSchema::Refuse)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("response_format")));
}

#[test]
fn json_mode_is_asked_for_in_the_prompt_or_by_a_schema_where_there_is_none() {
    let body = with(json!({"response_format":{"type":"json_object"}}));
    let (sent, told, answer) =
        put_with("[request]\nresponse_format = ['text']", &body, Policies::default()).unwrap();
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains("JSON") && answer.has_checker());
    assert_eq!(told, ["response_format"]);
    let (sent, _, answer) =
        put_with("[request]\nresponse_format = ['json_schema']", &body, Policies::default()).unwrap();
    assert_eq!(sent["response_format"]["json_schema"]["schema"], json!({"type":"object"}));
    assert!(!answer.has_checker());
}

#[test]
fn messages_go_out_as_the_rules_say() {
    let text = |text: &str| json!({"type":"text","text":text});
    let call = |id: &str| json!({"role":"assistant","tool_calls":[{"id":id,"type":"function","function":{"name":"f","arguments":"{}"}}]});
    for (rules, sent, wanted, told, refused) in [
        (
            "content = 'text'",
            json!({"role":"user","content":[text("a"), text("b")]}),
            json!({"role":"user","content":"a\nb"}),
            "messages",
            false,
        ),
        (
            "content = 'text'",
            json!({"role":"user","content":"[a]"}),
            json!({"role":"user","content":"[a]"}),
            "",
            false,
        ),
        (
            "drop = ['messages[].name']",
            json!({"role":"user","name":"x","content":"name"}),
            json!({"role":"user","content":"name"}),
            "messages[].name",
            true,
        ),
        ("drop = ['messages[].name']", call("a"), call("a"), "", false),
        (
            "developer_role = 'user'",
            json!({"role":"developer","content":"x"}),
            json!({"role":"user","content":"x"}),
            "role",
            false,
        ),
        ("tool_id_length = 9", call("abcDEF123"), call("abcDEF123"), "", false),
    ] {
        let told: Vec<&str> = told.split(',').filter(|name| !name.is_empty()).collect();
        check(&format!("[request]\n{rules}"), said(sent), said(wanted), &told, refused);
    }
    let image = json!({"role":"user","content":[text("a"),{"type":"image_url","image_url":{"url":"x"}}]});
    let error = put("[request]\ncontent = 'text'", &said(image)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("messages")));
    assert!(error.message().contains("message 1 has a part of the type `image_url`"), "{error}");
}

#[test]
fn a_result_finds_its_call_again_after_ids_were_put_in_form() {
    let body = json!({"model":"m","messages":[
        {"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"call_2","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"call_2","content":"x"}]});
    let (sent, told) = put("[request]\ntool_id_length = 9", &body).unwrap();
    let (first, second) =
        (&sent["messages"][0]["tool_calls"][0]["id"], &sent["messages"][0]["tool_calls"][1]["id"]);
    assert_eq!(second, &sent["messages"][1]["tool_call_id"]);
    assert_ne!(first, second);
    assert_eq!(second.as_str().unwrap().len(), 9);
    assert_eq!(told, ["tool_call_id"]);
}

#[test]
fn reasoning_in_the_history_takes_the_form_of_each_service() {
    let answer = |extra: Value| {
        let mut message = json!({"role":"assistant","content":"x"});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        message
    };
    let r = || json!({"reasoning_content":"r"});
    let details = json!([{"type":"reasoning.text","text":"r","signature":"s"}]);
    let thinking = json!({"type":"thinking","thinking":[{"type":"text","text":"r"}]});
    for (history, sent, wanted, told) in [
        ("reasoning_content", r(), answer(r()), false),
        ("reasoning", r(), answer(json!({"reasoning":"r"})), true),
        (
            "reasoning",
            json!({"reasoning_content":"r","reasoning":"r"}),
            answer(json!({"reasoning":"r"})),
            true,
        ),
        ("reasoning", json!({"reasoning":"r"}), answer(json!({"reasoning":"r"})), false),
        ("reasoning_details", r(), answer(json!({"reasoning":"r"})), true),
        (
            "reasoning_details",
            json!({"reasoning_content":"r","reasoning":"r","reasoning_details":details}),
            answer(json!({"reasoning":"r","reasoning_details":details})),
            true,
        ),
        ("thinking_parts", r(), answer(json!({"content":[thinking,{"type":"text","text":"x"}]})), true),
        (
            "thinking_parts",
            json!({"reasoning":"r","content":null}),
            answer(json!({"content":[thinking]})),
            true,
        ),
        ("tags", r(), answer(json!({"content":"<think>r</think>\nx"})), true),
        (
            "tags",
            json!({"reasoning_content":"r","content":[{"type":"text","text":"x"}]}),
            answer(
                json!({"content":[{"type":"text","text":"<think>r</think>\n"},{"type":"text","text":"x"}]}),
            ),
            true,
        ),
        ("tags", json!({"reasoning_content":""}), answer(json!({})), true),
        (
            "thinking_parts",
            json!({"reasoning_details":details}),
            answer(json!({"content":[thinking,{"type":"text","text":"x"}]})),
            true,
        ),
        (
            "drop",
            json!({"reasoning_content":"r","reasoning":"r","reasoning_details":details}),
            answer(json!({})),
            true,
        ),
    ] {
        let rules = format!("[reasoning]\nhistory = '{history}'");
        let told: &[&str] = if told { &["reasoning_content"] } else { &[] };
        check(&rules, said(answer(sent)), said(wanted), told, false);
    }
}

#[test]
fn reasoning_under_another_services_name_goes_where_this_one_looks_for_it() {
    let details = json!([
        {"type":"reasoning.summary","summary":"r"}, {"type":"reasoning.encrypted","data":"x"}, {"type":"reasoning.text","text":"s"},
    ]);
    let sealed = json!([{"type":"reasoning.encrypted","data":"x"}]);
    let with = |extra: Value| {
        let mut message = json!({"role":"assistant","content":"x"});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        said(message)
    };
    let (ours, theirs) = ("fields = ['reasoning_content']", "fields = ['reasoning']\nhistory = 'reasoning'");
    for (rules, sent, wanted, told) in [
        (ours, json!({"reasoning":"r"}), json!({"reasoning_content":"r"}), &["reasoning"][..]),
        (ours, json!({"reasoning_details":details}), json!({"reasoning_content":"rs"}), &["reasoning"]),
        (
            ours,
            json!({"reasoning":"r","reasoning_content":"r"}),
            json!({"reasoning_content":"r"}),
            &["reasoning"],
        ),
        (ours, json!({"reasoning_details":sealed}), json!({"reasoning_details":sealed}), &[]),
        (theirs, json!({"reasoning_details":details}), json!({"reasoning":"rs"}), &["reasoning_details"]),
        // A service that may know the name itself.
        (
            "fields = ['reasoning_content', 'reasoning']",
            json!({"reasoning":"r"}),
            json!({"reasoning":"r"}),
            &[],
        ),
    ] {
        check(&format!("[reasoning]\n{rules}"), with(sent), with(wanted), told, false);
    }
}

#[test]
fn a_made_up_effort_is_told_without_its_words_and_refused_by_the_strict_policy() {
    let rules = "[request]\neffort = { minimal = 'low', high = 'high' }";
    let body = with(json!({"reasoning_effort":"as much as canary can"}));
    let error = put_with(rules, &body, strict()).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("reasoning_effort")));
    assert!(!error.report().contains("canary") && error.hint().contains("high, minimal"), "{error:?}");
}

#[test]
fn embedded_profiles_say_what_their_services_refuse() {
    let refused = |profile: &str, body: Value| {
        let profile = Profile::embedded(profile).unwrap();
        let adapted = adapt(&profile, Policies::default(), Kind::Chat, Request::chat(&body).unwrap());
        adapted.err().and_then(|error| error.param().map(str::to_owned))
    };
    let ask = |model: &str, more: Value| {
        let mut body = with(more);
        body["model"] = json!(model);
        body
    };
    let stop = || json!({"stop":["x"],"presence_penalty":1});
    assert_eq!(refused("xai", ask("grok-4.3", stop())).as_deref(), Some("stop"));
    let free = ask("grok-4.20-non-reasoning", stop());
    assert_eq!(adapted("xai", free.clone()), (free, vec![]));
    let tools = json!([tool("f")]);
    for (profile, choice, param) in [
        ("ollama", json!("required"), Some("tool_choice")),
        ("ollama", tool("f"), Some("tool_choice")),
        ("moonshot", json!("required"), Some("tool_choice")),
        ("moonshot", json!("none"), None),
        ("llamacpp", json!("required"), None),
    ] {
        let body = ask("m", json!({"tools":tools,"tool_choice":choice}));
        assert_eq!(refused(profile, body).as_deref(), param, "{profile} {choice}");
    }
    let body = ask("m", json!({"tools":[tool("f"), tool("g")],"tool_choice":tool("g")}));
    let (sent, told) = adapted("llamacpp", body);
    assert_eq!((&sent["tools"], &sent["tool_choice"]), (&json!([tool("g")]), &json!("required")));
    assert_eq!(told, ["tool_choice"]);
    let (sent, _) = adapted("ollama", ask("m", json!({"tools":tools,"tool_choice":"none"})));
    assert!(sent.get("tools").is_none());
    let none = json!({"reasoning_effort":"none"});
    assert_eq!(adapted("moonshot", ask("kimi-k3", none.clone())).0["reasoning_effort"], "low");
    assert_eq!(adapted("moonshot", ask("kimi-k2.6", none)).0["thinking"], json!({"type":"disabled"}));
    let (sent, told) = adapted(
        "mistral",
        ask(
            "m",
            json!({"verbosity":"low","prompt_cache_key":"k","safety_identifier":"s","modalities":["text"]}),
        ),
    );
    assert_eq!((sent, told.len()), (ask("m", json!({})), 4));
}

#[test]
fn reasoning_that_must_come_back_and_is_unknown_goes_back_empty() {
    let rules = "[reasoning]\npass_back = 'tool_turns'\nempty = ' '";
    let ask = |more: Value, extra: Value| {
        let mut message = json!({"role":"assistant","content":"x","tool_calls":[{"id":"1"}]});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut body = with(more);
        body["messages"] = json!([{"role":"assistant","content":"no call"}, message]);
        body
    };
    let plain = || ask(json!({}), json!({}));
    assert_eq!(
        put(rules, &plain()).unwrap(),
        (ask(json!({}), json!({"reasoning_content":" "})), vec!["reasoning_content".to_owned()])
    );
    let known = || ask(json!({}), json!({"reasoning_content":"r"}));
    assert_eq!(put(rules, &known()).unwrap(), (known(), vec![]));
    let off = || ask(json!({"thinking":{"type":"disabled"}}), json!({}));
    assert_eq!(put(rules, &off()).unwrap(), (off(), vec![]));
    let as_reasoning = format!("{rules}\nhistory = 'reasoning'");
    assert_eq!(put(&as_reasoning, &plain()).unwrap().0, ask(json!({}), json!({"reasoning":" "})));
}

#[test]
fn reasoning_that_an_app_attached_is_put_in_the_form_of_the_service() {
    let mut body = said(json!({"role":"assistant","content":"x"}));
    body[crate::ATTACHED_REASONING] = json!({"0":"r"});
    let (sent, _) = put("[reasoning]\nhistory = 'reasoning'", &body).unwrap();
    assert_eq!(sent, said(json!({"role":"assistant","content":"x","reasoning":"r"})));
    body[crate::ATTACHED_REASONING] = json!({"3":"r"});
    assert_eq!(put("", &body).unwrap_err().kind(), ErrorKind::InvalidRequest);
    let mut prefix = said(json!({"role":"assistant","content":"x"}));
    prefix[crate::ATTACHED_PREFIX] = json!(true);
    assert_eq!(
        put("", &prefix).unwrap(),
        (said(json!({"role":"assistant","content":"x"})), vec!["prefix".to_owned()])
    );
}

#[test]
fn signatures_beside_a_tool_call_go_back_untouched() {
    let call = json!({"id":"1","type":"function","function":{"name":"f","arguments":"{}"},
        "extra_content":{"google":{"thought_signature":"c2ln"}}});
    let body = said(json!({"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[call]}));
    let (sent, _) = put(EVERYTHING, &body).unwrap();
    assert_eq!(sent["messages"][0]["tool_calls"][0]["extra_content"], call["extra_content"]);
}

#[test]
fn what_the_apps_own_types_have_no_member_for_is_lost_before_it_gets_here() {
    use crate::async_openai::types::chat::ChatCompletionMessageToolCall;
    let call = json!({"id":"1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}});
    let typed: ChatCompletionMessageToolCall = serde_json::from_value(call).unwrap();
    // Should async-openai keep it one day, the note on `HttpService` can go.
    assert!(serde_json::to_value(typed).unwrap().get("extra_content").is_none());
}

/// Has an opinion on all that a request can hold.
const EVERYTHING: &str = r#"
    [request]
    max_tokens = "max_completion_tokens"
    developer_role = "system"
    content = "text"
    drop = ["seed", "logit_bias", "messages[].name"]
    refuse = ["audio"]
    rename = { user = "user_id" }
    ranges = { temperature = [0.0, 1.0] }
    most_choices = 1
    effort = { minimal = "low", none = { thinking = { type = "disabled" } } }
    tool_choice = ["auto", "required"]
    response_format = ["text", "json_object"]
    strict_tools = false
    stream_options = false
    [reasoning]
    history = "reasoning"
"#;

#[test]
fn what_the_service_takes_passes_as_the_bytes_it_came_in() {
    let text = r#"{ "model":"m", "messages":[ {"role":"user","content":"developer, [\"name\"] reasoning \"tool_calls\""},
        {"role":"assistant","content":"x","tool_calls":[{"id":"1"}]} ], "temperature":1.0e0, "reasoning_effort":"low",
        "tool_choice":"auto", "tools":[{"type":"function","function":{"name":"f","strict":false}}], "n":1,
        "response_format":{"type":"json_object"}, "max_completion_tokens":5, "unheard_of":{"b":1,"a":2} }"#;
    let bytes = bytes::Bytes::from_static(text.as_bytes());
    let request = Request::new(
        modelswitch_provider::Endpoint::CHAT_COMPLETIONS,
        Document::parse(bytes.clone()).unwrap(),
    );
    let adapted = adapt(&profile(EVERYTHING), strict(), Kind::Chat, request).unwrap();
    let sent = adapted.request.document().unwrap().to_bytes();
    assert_eq!((sent.as_ptr(), sent.len()), (bytes.as_ptr(), bytes.len()));
    assert!(adapted.adaptations.is_empty() && adapted.answer.is_idle());
}

proptest::proptest! {
    #[test]
    fn whatever_is_asked_passes_unchanged_or_is_told_or_refused(body in any_body(), is_strict: bool) {
        let policies = Policies { strict: is_strict, ..Policies::default() };
        match put_with(EVERYTHING, &body, policies) {
            Err(error) => {
                let kind = error.kind();
                proptest::prop_assert!(
                    matches!(kind, ErrorKind::Unsupported | ErrorKind::InvalidRequest), "{:?}", error
                );
            }
            Ok((sent, told, _)) => {
                for (name, value) in body.as_object().unwrap() {
                    let is_told = match name.as_str() {
                        // It says what leaving it out says.
                        _ if value.is_null() => true,
                        // What is changed in a conversation has names of its own.
                        "messages" => !told.is_empty(),
                        "tools" => told.iter().any(|one| one == "tools" || one == "tool_choice"),
                        name => told.iter().any(|one| one == name),
                    };
                    proptest::prop_assert!(sent.get(name) == Some(value) || is_told, "{} of {}: {:?}", name, body, told);
                }
                for name in sent.as_object().unwrap().keys() {
                    proptest::prop_assert!(body.get(name).is_some() || !told.is_empty(), "{}", name);
                }
            }
        }
    }
}

/// Members that the rules speak of, with values that mean something and others.
fn any_body() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let value = prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(7.5),
        json!("none"),
        json!("minimal"),
        json!("required"),
        json!("auto"),
        json!({}),
        json!([]),
        json!({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}),
        json!({"type":"json_object"}),
        tool("f"),
        json!([tool("f")]),
        json!([{"type":"function","function":{"name":"f","strict":true}}]),
        json!([{"role":"developer","content":[{"type":"text","text":"x"}],"name":"n"}]),
        json!([{"role":"assistant","content":"x","reasoning_content":"r","tool_calls":[tool("f")]}]),
        json!([{"role":"user","content":[{"type":"image_url"}]}, 5, null]),
    ]);
    let name = prop::sample::select(vec![
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "logit_bias",
        "audio",
        "user",
        "user_id",
        "temperature",
        "n",
        "reasoning_effort",
        "thinking",
        "tool_choice",
        "tools",
        "response_format",
        "stream_options",
        "messages",
        "unheard_of",
    ]);
    prop::collection::btree_map(name, value, 0..8).prop_map(|members| {
        let mut body = json!({"model":"m"});
        for (name, value) in members {
            body[name] = value;
        }
        body
    })
}
