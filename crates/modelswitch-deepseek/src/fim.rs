//! A text completion as OpenAI's apps send it, put as DeepSeek takes it: it fills in the middle between `prompt` and
//! `suffix`, under `/beta` and without thinking (<https://api-docs.deepseek.com/api/create-completion>, read on 2026-11-21).

use modelswitch_provider::{Adaptation, Document, Error, Result};

/// What DeepSeek's documents give as the most.
const MOST_LOGPROBS: f64 = 20.0;
const MOST_STOPS: usize = 16;

/// # Errors
/// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for what DeepSeek can't do, and
/// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) for what isn't a request, before anything is sent.
pub(crate) fn adapt(body: &mut Document) -> Result<Vec<Adaptation>> {
    refuse_several_answers(body)?;
    refuse_lists(body)?;
    refuse_too_much(body)?;
    let mut adaptations = Vec::new();
    if body.get_raw("suffix") == Some("null") {
        // OpenAI's types may write it; to DeepSeek a suffix is a text.
        body.remove("suffix");
        adaptations.push(Adaptation::new("suffix", "left out: it was null"));
    }
    Ok(adaptations)
}

fn refuse_several_answers(body: &Document) -> Result<()> {
    for name in ["n", "best_of"] {
        if body.get::<f64>(name)?.is_some_and(|number| number > 1.0) {
            return Err(refuse(
                name,
                format!("DeepSeek gives one completion a call, and `{name}` asks for more"),
                "make several calls",
            ));
        }
    }
    Ok(())
}

fn refuse_lists(body: &Document) -> Result<()> {
    if body.get_raw("prompt").is_some_and(|prompt| prompt.starts_with('[')) {
        return Err(refuse(
            "prompt",
            "DeepSeek completes one text a call, and `prompt` is a list".to_owned(),
            "send the prompt as one text, never as tokens, and several prompts in several calls",
        ));
    }
    Ok(())
}

fn refuse_too_much(body: &Document) -> Result<()> {
    if body.get::<f64>("logprobs")?.is_some_and(|number| number > MOST_LOGPROBS) {
        return Err(refuse(
            "logprobs",
            format!("DeepSeek tells of at most {MOST_LOGPROBS} likely tokens, and `logprobs` asks for more"),
            "set logprobs to 20 or less",
        ));
    }
    let stops = body.get_raw("stop").filter(|stop| stop.starts_with('['));
    if stops.is_some() && body.get::<Vec<String>>("stop")?.is_some_and(|stops| stops.len() > MOST_STOPS) {
        return Err(refuse(
            "stop",
            format!("DeepSeek takes at most {MOST_STOPS} texts that end an answer, and `stop` has more"),
            "leave some of them out",
        ));
    }
    Ok(())
}

fn refuse(parameter: &str, what: String, instead: &'static str) -> Error {
    Error::unsupported(what).with_param(parameter).with_hint(instead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
    use serde_json::{Value, json};

    fn check(body: Value) -> Result<(Document, Vec<Adaptation>)> {
        let mut body = Document::from_serialize(&body).unwrap();
        adapt(&mut body).map(|adaptations| (body, adaptations))
    }

    #[test]
    fn what_deepseek_cannot_do_is_refused_and_named_before_anything_is_sent() {
        let stops: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        for (name, value) in [
            ("n", json!(2)),
            ("best_of", json!(3)),
            ("prompt", json!(["a", "b"])),
            ("prompt", json!([1, 2, 3])),
            ("prompt", json!([[1], [2]])),
            ("logprobs", json!(21)),
            ("stop", json!(stops)),
        ] {
            let error = check(json!({ "model": "m", name: value })).unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some(name)), "{name}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn what_deepseek_takes_stays_byte_for_byte() {
        let text = r#"{"model":"m","prompt":"fn add(","suffix":"}","n":1,"best_of":1,"logprobs":20,"stop":["a"],"echo":true}"#;
        let mut body = Document::parse(text).unwrap();
        assert!(adapt(&mut body).unwrap().is_empty());
        assert_eq!(body.to_bytes(), text);
        assert!(check(json!({ "prompt": "x", "stop": "\n", "n": null, "logprobs": null })).is_ok());
    }

    #[test]
    fn a_suffix_that_is_null_is_left_out_and_told() {
        let (body, adaptations) = check(json!({ "prompt": "x", "suffix": null })).unwrap();
        assert_eq!(body.get_raw("suffix"), None);
        assert_eq!(adaptations[0].parameter, "suffix");
    }

    #[test]
    fn a_parameter_of_the_wrong_type_is_named() {
        let error = check(json!({ "prompt": "x", "logprobs": true })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("`logprobs`"));
    }
}
