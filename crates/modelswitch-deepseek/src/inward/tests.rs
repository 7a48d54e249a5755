use modelswitch_provider::{ErrorKind, Message};
use serde_json::{Value, json};

use super::*;
use modelswitch_openai::{BrokenOff, EmptyAnswer, ForcedToolChoice, JsonSchema};

fn profile() -> Profile {
    Profile::embedded("deepseek").unwrap()
}

fn adapted_with(body: &Value, policies: Policies, memory: Option<&ReasoningMemory>) -> Result<(Value, Plan)> {
    let mut document = Document::from_serialize(body)?;
    let plan = chat(&mut document, Terms { policies, profile: &profile(), memory })?;
    Ok((serde_json::from_slice(&document.to_bytes()).unwrap(), plan))
}

fn adapted(body: Value) -> Result<(Value, Plan)> {
    adapted_with(&body, Policies::default(), None)
}

fn strict() -> Policies {
    Policies { strict: true, ..Policies::default() }
}

fn parameters_of(plan: &Plan) -> String {
    plan.adaptations.iter().map(|one| one.parameter.as_str()).collect::<Vec<_>>().join(",")
}

/// A body, what is sent, and what is told. What is told is refused by the strict policy, but for changes that mean the same.
#[track_caller]
fn check(sent: Value, wanted: Value, told: &str) {
    let (got, plan) = adapted(sent.clone()).unwrap();
    assert_eq!(got, wanted, "{sent}");
    assert_eq!(parameters_of(&plan), told, "{sent}");
}

fn off() -> Value {
    json!({"type":"disabled"})
}

#[test]
fn what_openais_apps_send_is_put_as_deepseek_takes_it() {
    for (sent, wanted, told) in [
        (json!({"model":"deepseek-chat"}), json!({"model":"deepseek-flash","thinking":off()}), "model"),
        (
            json!({"model":"deepseek-reasoner"}),
            json!({"model":"deepseek-flash","thinking":{"type":"enabled"}}),
            "model",
        ),
        (
            json!({"model":"deepseek-chat","thinking":{"type":"enabled"}}),
            json!({"model":"deepseek-flash","thinking":{"type":"enabled"}}),
            "model",
        ),
        // It never thought, whatever effort it was asked for.
        (
            json!({"model":"deepseek-chat","reasoning_effort":"high"}),
            json!({"model":"deepseek-flash","thinking":off()}),
            "model",
        ),
        (json!({"model":"deepseek-coder"}), json!({"model":"deepseek-flash","thinking":off()}), "model"),
        (json!({"reasoning_effort":"minimal"}), json!({"reasoning_effort":"low"}), "reasoning_effort"),
        (json!({"reasoning_effort":"medium"}), json!({"reasoning_effort":"high"}), "reasoning_effort"),
        (json!({"reasoning_effort":"xhigh"}), json!({"reasoning_effort":"high"}), "reasoning_effort"),
        (json!({"user":"mail@x.example"}), json!({"user_id":"mail_40x_2eexample"}), "user"),
        (json!({"safety_identifier":"u1"}), json!({"user_id":"u1"}), "safety_identifier"),
        (
            json!({"tool_choice":"required"}),
            json!({"tool_choice":"required","thinking":off()}),
            "tool_choice",
        ),
        (json!({"temperature":0.2}), json!({"temperature":0.2}), "temperature"),
        (json!({"top_p":0.5}), json!({"top_p":0.5}), "top_p"),
        (json!({"top_p":0.5,"thinking":off()}), json!({"top_p":0.5,"thinking":off()}), "top_p"),
        (json!({"seed":7}), json!({"seed":7}), "seed"),
        (json!({"frequency_penalty":0.5}), json!({"frequency_penalty":0.5}), "frequency_penalty"),
        (json!({"parallel_tool_calls":false}), json!({"parallel_tool_calls":false}), "parallel_tool_calls"),
    ] {
        check(sent.clone(), wanted, told);
        let refused = adapted_with(&sent, strict(), None).unwrap_err();
        assert_eq!((refused.kind(), refused.param()), (ErrorKind::Unsupported, Some(told)), "{sent}");
    }
}

#[test]
fn what_means_the_same_is_changed_for_the_strict_too() {
    for (sent, wanted, told) in [
        (json!({"reasoning_effort":"none"}), json!({"thinking":off()}), "reasoning_effort"),
        (
            json!({"reasoning_effort":"none","thinking":{"type":"enabled"}}),
            json!({"thinking":{"type":"enabled"}}),
            "reasoning_effort",
        ),
        (json!({"stream_options":{"include_usage":true}}), json!({}), "stream_options"),
        (json!({"tools":[]}), json!({}), ""),
        (
            json!({"tools":[{"type":"function","function":{"name":"f","parameters":null}}]}),
            json!({"tools":[{"type":"function","function":{"name":"f"}}]}),
            "",
        ),
        (
            json!({"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}),
            json!({"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]}),
            "",
        ),
    ] {
        check(sent.clone(), wanted.clone(), told);
        assert_eq!(adapted_with(&sent, strict(), None).unwrap().0, wanted);
    }
}

#[test]
fn what_deepseek_takes_passes_as_it_is() {
    for body in [
        json!({"reasoning_effort":"max"}),
        json!({"tool_choice":"required","thinking":off()}),
        json!({"tool_choice":"auto"}),
        json!({"n":1}),
        json!({"temperature":0.2,"thinking":off()}),
        json!({"top_p":0.97}),
        json!({"presence_penalty":0}),
        json!({"response_format":{"type":"text"}}),
        json!({"response_format":{"type":"json_object"},"messages":[{"role":"user","content":"as JSON"}]}),
        json!({"stream":true,"stream_options":{"include_usage":true}}),
        json!({"messages":[{"role":"user","content":"the \"reasoning\": and \"type\":\"text\""}]}),
    ] {
        check(body.clone(), body, "");
    }
}

#[test]
fn what_deepseek_cannot_do_is_refused_before_it_is_sent() {
    let says = |role: &str, part: Value| json!([{"role":role,"content":[part]}]);
    let image = || json!({"type":"image_url","image_url":{"url":"data:"}});
    for body in [
        json!({"n":2}),
        json!({"modalities":["text","audio"]}),
        json!({"audio":{"voice":"x"}}),
        json!({"model":"deepseek-v4-pro","messages":says("user", image())}),
        json!({"model":"deepseek-flash","messages":says("system", image())}),
        json!({"model":"deepseek-flash","messages":says("assistant", image())}),
        json!({"model":"deepseek-flash","messages":says("user", json!({"type" : "input_audio","input_audio":{}}))}),
        json!({"model":"deepseek-flash","messages":says("user", json!({"type":"video_url"}))}),
        json!({"tools":[{"type":"custom","custom":{"name":"x"}}]}),
    ] {
        let error = adapted(body.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{body}");
        assert!(error.param().is_some() && !error.hint().is_empty(), "{body}");
    }
    for role in ["user", "tool"] {
        assert!(adapted(json!({"model":"deepseek-flash","messages":says(role, image())})).is_ok());
    }
}

#[test]
fn a_forced_choice_is_made_by_the_policy() {
    let ask = || json!({"tool_choice":{"type":"function","function":{"name":"f"}}});
    let policy = |forced_tool_choice| Policies { forced_tool_choice, ..Policies::default() };
    assert_eq!(
        adapted_with(&ask(), policy(ForcedToolChoice::DisableThinking), None).unwrap().0["thinking"],
        off()
    );
    assert_eq!(
        adapted_with(&ask(), policy(ForcedToolChoice::Auto), None).unwrap().0,
        json!({"tool_choice":"auto"})
    );
    assert!(adapted_with(&ask(), policy(ForcedToolChoice::Refuse), None).is_err());
}

#[test]
fn of_allowed_tools_only_those_are_sent() {
    let tool = |name: &str| json!({"type":"function","function":{"name":name}});
    for choice in [
        json!({"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[tool("b")]}}),
        json!({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"b"}]}),
    ] {
        check(
            json!({"tools":[tool("a"),tool("b")],"tool_choice":choice}),
            json!({"tools":[tool("b")],"tool_choice":"auto"}),
            "tool_choice",
        );
    }
    let none = json!({"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"x"}]});
    let error = adapted(json!({"tools":[tool("a")],"tool_choice":none})).unwrap_err();
    assert_eq!(error.param(), Some("tool_choice"));
}

#[test]
fn the_beta_is_chosen_by_what_the_request_needs() {
    let beta = |body: Value| adapted(body).unwrap().1.beta;
    assert!(beta(json!({"messages":[{"role":"assistant","content":"x","prefix":true}]})));
    let strict_tool = |name: &str, parameters: Value| json!({"type":"function","function":{"name":name,"strict":true,"parameters":parameters}});
    let good = || json!({"type":"object","properties":{},"additionalProperties":false});
    assert!(beta(json!({"tools":[strict_tool("f", good())]})));
    assert!(beta(json!({"tools":[{"type":"function","function":{"name":"f","strict":true}}]})));
    let loose = json!({"type":"function","function":{"name":"g"}});
    let long = json!({"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":2}},"required":["a"],"additionalProperties":false});
    for tools in [json!([strict_tool("f", good()), loose]), json!([strict_tool("f", long)])] {
        let body = json!({"tools":tools});
        let (got, plan) = adapted(body.clone()).unwrap();
        assert_eq!((got, plan.beta, parameters_of(&plan).as_str()), (body.clone(), false, "tools"));
        let refused = adapted_with(&body, strict(), None).unwrap_err();
        assert_eq!((refused.kind(), refused.param()), (ErrorKind::Unsupported, Some("tools")));
    }
    assert!(!beta(json!({"messages":[{"role":"user","content":"\"prefix\":true"}]})));
}

#[test]
fn messages_are_put_as_deepseek_takes_them_and_the_others_are_not_touched() {
    for (sent, wanted) in [
        (
            json!({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}),
            json!({"role":"user","content":"a\nb"}),
        ),
        (
            json!({"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}),
            json!({"role":"assistant","content":"no"}),
        ),
        (json!({"role":"assistant","content":null}), json!({"role":"assistant","content":""})),
        (json!({"role":"assistant","refusal":"no"}), json!({"role":"assistant","content":"","refusal":"no"})),
        (
            json!({"role":"user","content":[{"type":"file","file":"file-api-1"}]}),
            json!({"role":"user","content":[{"type":"file","file":"file-api-1"}]}),
        ),
        (
            json!({"role":"assistant","content":"x","reasoning":"r","reasoning_details":[{}],"reasoning_signature":"s"}),
            json!({"role":"assistant","content":"x"}),
        ),
        (
            json!({"role":"assistant","content":"x","reasoning_content":null}),
            json!({"role":"assistant","content":"x"}),
        ),
        (
            json!({"role":"user","content":[{"type":"file","file":{"file_id":"file-api-1"}}]}),
            json!({"role":"user","content":[{"type":"file","file_id":"file-api-1"}]}),
        ),
        (
            json!({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}),
            json!({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}),
        ),
        (
            json!({"role":"assistant","content":"x","reasoning_content":"kept"}),
            json!({"role":"assistant","content":"x","reasoning_content":"kept"}),
        ),
    ] {
        let (got, _) = adapted(json!({"model":"deepseek-flash","messages":[sent]})).unwrap();
        assert_eq!(got["messages"], json!([wanted]));
    }
    let text =
        r#"{"messages":[{"content":"b","role":"user", "z":1,"a":2},{"role":"assistant","content":null}]}"#;
    let mut document = Document::parse(text).unwrap();
    let terms = Terms { policies: Policies::default(), profile: &profile(), memory: None };
    chat(&mut document, terms).unwrap();
    assert!(document.get_raw("messages").unwrap().contains(r#"{"content":"b","role":"user", "z":1,"a":2}"#));
}

#[test]
fn reasoning_is_put_back_only_where_tools_and_thinking_ask_for_it() {
    let history = json!([{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"assistant","content":"z","reasoning_content":"kept"}]);
    let tools = json!([{"type":"function","function":{"name":"f"}}]);
    let (got, _) = adapted(json!({"messages":history,"tools":tools})).unwrap();
    assert_eq!(got["messages"][1]["reasoning_content"], "");
    assert_eq!(got["messages"][2]["reasoning_content"], "kept");
    for body in [json!({"messages":history}), json!({"messages":history,"tools":tools,"thinking":off()})] {
        assert_eq!(adapted(body.clone()).unwrap().0, body);
    }
}

#[test]
fn reasoning_that_is_attached_goes_to_its_message_and_never_to_the_wire_by_itself() {
    let history = json!([{"role":"user","content":"x"},{"role":"assistant","content":"y"}]);
    let tools = json!([{"type":"function","function":{"name":"f"}}]);
    let attached = json!({"1":"because"});
    for body in [
        json!({"messages":history,"modelswitch_reasoning":attached}),
        json!({"messages":history,"tools":tools,"modelswitch_reasoning":attached}),
    ] {
        let (got, _) = adapted(body).unwrap();
        assert_eq!(got["messages"][1]["reasoning_content"], "because");
        assert!(got.get("modelswitch_reasoning").is_none());
    }
    for wrong in ["0", "7"] {
        let body = json!({"messages":history,"modelswitch_reasoning":{wrong:"because"}});
        assert_eq!(adapted(body).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}

#[test]
fn a_tool_that_is_taken_stays_the_text_that_it_was_beside_one_that_is_not() {
    let text = r#"{"tools":[{"type":"function","function":{"name":"z","parameters":{"type":"object","properties":{"z":{},"a":{"default":1.50}}}}},{"type":"function","function":{"name":"a","parameters":null}}]}"#;
    let mut document = Document::parse(text).unwrap();
    chat(&mut document, Terms { policies: Policies::default(), profile: &profile(), memory: None }).unwrap();
    assert!(document.get_raw("tools").unwrap().contains(r#""properties":{"z":{},"a":{"default":1.50}}"#));
}

#[test]
fn a_history_that_speaks_of_no_function_is_none_of_before_tools() {
    let body = json!({"messages":[{"role":"assistant","content":"x","function_call":null}]});
    let (got, plan) = adapted(body.clone()).unwrap();
    assert!(plan.legacy.is_none());
    assert_eq!(got, body);
}

#[test]
fn a_last_message_is_marked_as_a_prefix_for_types_that_cannot_say_it() {
    let ask = |role: &str| json!({"messages":[{"role":role,"content":"x"}],"modelswitch_prefix":true});
    let (got, plan) = adapted(ask("assistant")).unwrap();
    assert_eq!(got, json!({"messages":[{"role":"assistant","content":"x","prefix":true}]}));
    assert!(plan.beta);
    assert_eq!(adapted(ask("user")).unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[test]
fn functions_go_out_as_tools_with_their_history() {
    let function = json!({"name":"weather","parameters":{"type":"object","properties":{}}});
    let sent = json!({
    "functions":[function],"function_call":"auto",
    "messages":[
        {"role":"user","content":"x"},
        {"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{}"}},
        {"role":"function","name":"weather","content":"rain"},
    ]});
    let (got, plan) = adapted(sent).unwrap();
    assert_eq!(got["tools"], json!([{"type":"function","function":function}]));
    assert_eq!(got["tool_choice"], "auto");
    let messages = &got["messages"];
    assert_eq!(messages[1]["tool_calls"][0]["id"], messages[2]["tool_call_id"]);
    assert_eq!((&messages[1]["content"], &messages[2]["role"]), (&json!(""), &json!("tool")));
    assert_eq!(messages[1]["reasoning_content"], "");
    assert!(got.get("functions").is_none() && got.get("function_call").is_none());
    assert_eq!(plan.legacy.unwrap().next_id(), "call_legacy_1");
    let named = json!({"functions":[function],"function_call":{"name":"weather"},"thinking":off()});
    assert_eq!(
        adapted(named).unwrap().0["tool_choice"],
        json!({"type":"function","function":{"name":"weather"}})
    );
    assert!(
        adapted(json!({"functions":[function],"tools":[{"type":"function","function":function}]})).is_err()
    );
}

#[test]
fn old_calls_in_the_history_of_an_app_that_has_tools_now_leave_its_answers_alone() {
    let sent = json!({
    "tools":[{"type":"function","function":{"name":"f"}}],
    "messages":[
        {"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{}"}},
        {"role":"function","name":"weather","content":"rain"},
    ]});
    let (got, plan) = adapted(sent).unwrap();
    assert_eq!(got["messages"][1]["role"], "tool");
    assert!(plan.legacy.is_none());
}

#[test]
fn what_was_thought_before_a_function_was_called_is_found_in_its_own_conversation_alone() {
    let memory = ReasoningMemory::default();
    let ask = |question: &str, called: bool| {
        let mut messages = vec![json!({"role":"user","content":question})];
        if called {
            messages.push(
                json!({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}),
            );
            messages.push(json!({"role":"function","name":"f","content":"1"}));
        }
        json!({"functions":[{"name":"f"}],"messages":messages})
    };
    let (_, plan) = adapted_with(&ask("mine", false), Policies::default(), Some(&memory)).unwrap();
    let mut answer = Message::assistant("");
    answer.tool_calls = vec![modelswitch_provider::ToolCall::new(plan.legacy.unwrap().next_id(), "f", "{}")];
    answer.reasoning_content = Some("thought".to_owned());
    memory.remember_after(plan.memory.unwrap().1, &answer);
    let thought = |question: &str| {
        adapted_with(&ask(question, true), Policies::default(), Some(&memory)).unwrap().0["messages"][1]
            ["reasoning_content"]
            .clone()
    };
    assert_eq!(thought("mine"), "thought");
    assert_eq!(thought("another's"), "");
}

fn wants_schema(schema: Value) -> Value {
    json!({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"city","schema":schema,"strict":true}}})
}

#[test]
fn a_schema_goes_into_a_system_message_and_json_mode_is_asked_for() {
    let text = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"city","schema":{"type":"object","properties":{"z":{},"a":{}}}}}}"#;
    let mut document = Document::parse(text).unwrap();
    let terms = Terms { policies: Policies::default(), profile: &profile(), memory: None };
    let plan = chat(&mut document, terms).unwrap();
    let got: Value = serde_json::from_slice(&document.to_bytes()).unwrap();
    assert_eq!(got["response_format"], json!({"type":"json_object"}));
    assert_eq!((&got["messages"][0]["content"], &got["messages"][2]["content"]), (&json!("s"), &json!("u")));
    let said = got["messages"][1]["content"].as_str().unwrap();
    // In the order in which it was written.
    assert!(said.contains("JSON") && said.contains(r#"{"z":{},"a":{}}"#), "{said}");
    assert!(plan.answer.has_checker() && !plan.beta);
    assert_eq!(parameters_of(&plan), "response_format");
}

#[test]
fn a_schema_becomes_a_strict_tool_where_the_policy_says_so() {
    let policies = Policies { json_schema: JsonSchema::StrictTool, ..Policies::default() };
    let good = json!({"type":"object","properties":{},"additionalProperties":false});
    let (got, plan) = adapted_with(&wants_schema(good.clone()), policies, None).unwrap();
    assert_eq!(got["tools"][0]["function"], json!({"name":"city","strict":true,"parameters":good}));
    assert_eq!(got["tool_choice"]["function"]["name"], "city");
    assert_eq!(got["thinking"], off());
    assert!(got.get("response_format").is_none() && plan.beta && plan.answer.has_tool());

    let error =
        adapted_with(&wants_schema(json!({"type":"object","properties":{}})), policies, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(crate::NotStrict::of(&error).unwrap().problems().len(), 1);

    let mut with_tools = wants_schema(good);
    with_tools["tools"] = json!([{"type":"function","function":{"name":"f"}}]);
    assert_eq!(adapted_with(&with_tools, policies, None).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_schema_is_refused_by_policy_and_what_is_no_schema_always() {
    let refuse = Policies { json_schema: JsonSchema::Refuse, ..Policies::default() };
    for policies in [refuse, strict()] {
        let error = adapted_with(&wants_schema(json!({"type":"object"})), policies, None).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("response_format")));
    }
    let error = adapted(wants_schema(json!({"type":"nonsense"}))).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("response_format")));
}

#[test]
fn json_mode_says_json_where_the_prompt_does_not() {
    let (got, plan) =
        adapted(json!({"messages":[{"role":"user","content":"u"}],"response_format":{"type":"json_object"}}))
            .unwrap();
    assert!(got["messages"][0]["content"].as_str().unwrap().contains("JSON"));
    assert_eq!(parameters_of(&plan), "response_format");
}

#[test]
fn policies_are_read_from_words() {
    let read: Policies =
        serde_json::from_value(json!({"strict":true,"forced_tool_choice":"auto","json_schema":"strict_tool",
        "broken_off":"finish_reason","empty_answer":"error"}))
        .unwrap();
    let wanted = Policies {
        strict: true,
        forced_tool_choice: ForcedToolChoice::Auto,
        json_schema: JsonSchema::StrictTool,
        broken_off: BrokenOff::FinishReason,
        empty_answer: EmptyAnswer::Error,
    };
    assert_eq!(read, wanted);
    assert!(serde_json::from_value::<Policies>(json!({"stirct":true})).is_err());
}

fn responded(body: Value) -> Result<(Value, String)> {
    let mut document = Document::from_serialize(&body)?;
    let terms = Terms { policies: Policies::default(), profile: &profile(), memory: None };
    let notes = responses(&mut document, terms)?;
    let told = notes.adaptations.into_iter().map(|one| one.parameter).collect::<Vec<_>>().join(",");
    Ok((serde_json::from_slice(&document.to_bytes()).unwrap(), told))
}

#[test]
fn a_request_of_the_responses_api_is_put_as_deepseek_takes_it() {
    for (sent, wanted, told) in [
        (
            json!({"model":"deepseek-chat","input":"x"}),
            json!({"model":"deepseek-flash","input":"x","reasoning":{"effort":"none"}}),
            "model",
        ),
        (json!({"model":"deepseek-reasoner"}), json!({"model":"deepseek-flash"}), "model"),
        (
            json!({"reasoning":{"effort":"minimal"}}),
            json!({"reasoning":{"effort":"low"}}),
            "reasoning.effort",
        ),
        (json!({"metadata":{"a":"b"}}), json!({"metadata":{"a":"b"}}), "metadata"),
        (json!({"store":false,"input":"x"}), json!({"store":false,"input":"x"}), ""),
    ] {
        assert_eq!(responded(sent).unwrap(), (wanted, told.to_owned()));
    }
    for body in [
        json!({"previous_response_id":"r"}),
        json!({"conversation":"c"}),
        json!({"background":true}),
        json!({"tools":[{"type":"custom","name":"x"}]}),
        json!({"model":"deepseek-v4-pro","input":[{"role":"user","content":[{"type":"input_image"}]}]}),
    ] {
        assert_eq!(responded(body.clone()).unwrap_err().kind(), ErrorKind::Unsupported, "{body}");
    }
    assert!(responded(json!({"tools":[{"type":"custom","name":"apply_patch"}]})).is_ok());
}
