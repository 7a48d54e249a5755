//! What values the parameters of a request take, as far as all services agree: a wrong one would fail every call of an alias.

use serde_json::Value;

/// What a parameter takes.
#[derive(Clone, Copy)]
enum Takes {
    Number,
    Whole,
    Switch,
    Text,
    Table,
    List,
    TextOrList,
    TextOrTable,
}

/// OpenAI's parameters (<https://platform.openai.com/docs/api-reference/chat/create>), and those of others that mean the same
/// at each. What isn't here may be anything.
const KNOWN: [(&str, Takes); 30] = [
    ("temperature", Takes::Number),
    ("top_p", Takes::Number),
    ("min_p", Takes::Number),
    ("top_k", Takes::Whole),
    ("presence_penalty", Takes::Number),
    ("frequency_penalty", Takes::Number),
    ("repetition_penalty", Takes::Number),
    ("max_tokens", Takes::Whole),
    ("max_completion_tokens", Takes::Whole),
    ("max_output_tokens", Takes::Whole),
    ("n", Takes::Whole),
    ("seed", Takes::Whole),
    ("dimensions", Takes::Whole),
    ("logprobs", Takes::Switch),
    ("top_logprobs", Takes::Whole),
    ("logit_bias", Takes::Table),
    ("stop", Takes::TextOrList),
    ("response_format", Takes::Table),
    ("tools", Takes::List),
    ("tool_choice", Takes::TextOrTable),
    ("parallel_tool_calls", Takes::Switch),
    ("reasoning_effort", Takes::Text),
    ("verbosity", Takes::Text),
    ("modalities", Takes::List),
    ("metadata", Takes::Table),
    ("store", Takes::Switch),
    ("service_tier", Takes::Text),
    ("user", Takes::Text),
    ("prompt_cache_key", Takes::Text),
    ("safety_identifier", Takes::Text),
];

impl Takes {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Number => value.is_number(),
            // JSON has one kind of number, and some programs write 5 as 5.0.
            Self::Whole => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Switch => value.is_boolean(),
            Self::Text => value.is_string(),
            Self::Table => value.is_object(),
            Self::List => value.is_array(),
            Self::TextOrList => value.is_string() || value.is_array(),
            Self::TextOrTable => value.is_string() || value.is_object(),
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Whole => "a whole number",
            Self::Switch => "true or false",
            Self::Text => "a text in quotes",
            Self::Table => "a table, such as { name = \"value\" }",
            Self::List => "a list, such as [\"a\", \"b\"]",
            Self::TextOrList => "a text in quotes, or a list of them",
            Self::TextOrTable => "a text in quotes, or a table",
        }
    }
}

/// True for a name that a parameter of requests has.
pub(crate) fn is_parameter(name: &str) -> bool {
    name == "thinking" || KNOWN.iter().any(|(known, _)| *known == name)
}

/// What is wrong with the value of a parameter, which isn't repeated, and what to write.
pub(crate) fn wrong_type(parameter: &str, value: &Value) -> Option<(String, String)> {
    let (_, takes) = KNOWN.iter().find(|(name, _)| *name == parameter)?;
    // `logprobs` is a switch of chats and a number of completions.
    let is_other_endpoints = parameter == "logprobs" && value.is_number();
    if takes.fits(value) || value.is_null() || is_other_endpoints {
        return None;
    }
    let would_fit = value.as_str().and_then(|text| serde_json::from_str(text.trim()).ok());
    let hint = match would_fit {
        Some(inside) if takes.fits(&inside) => "leave the quotes out".to_owned(),
        _ => format!("write {}", takes.shown()),
    };
    Some((format!("must be {}, not {}", takes.shown(), kind(value, *takes)), hint))
}

fn kind(value: &Value, wanted: Takes) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) if matches!(wanted, Takes::Whole) => "a part of one",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_of_another_type_is_told_and_not_repeated() {
        for (parameter, value, expected) in [
            ("temperature", json!("hot canary"), "must be a number, not a text"),
            ("max_tokens", json!(1.5), "must be a whole number, not a part of one"),
            ("stop", json!(5), "must be a text in quotes, or a list of them, not a number"),
            ("logprobs", json!("yes"), "must be true or false, not a text"),
            ("response_format", json!("json"), "must be a table, such as { name = \"value\" }, not a text"),
        ] {
            assert_eq!(wrong_type(parameter, &value).unwrap().0, expected);
        }
        assert_eq!(wrong_type("top_p", &json!("0.5")).unwrap().1, "leave the quotes out");
    }

    #[test]
    fn what_a_service_may_take_passes() {
        for (parameter, value) in [
            ("temperature", json!(1)),
            ("max_tokens", json!(500.0)),
            ("logprobs", json!(5)),
            ("stop", json!(["a"])),
            ("seed", json!(-3)),
            ("temperature", json!(null)),
            ("thinking", json!("whatever it is")),
        ] {
            assert!(wrong_type(parameter, &value).is_none(), "{parameter}");
        }
    }
}
