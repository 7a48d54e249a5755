//! What values the parameters of a request take, as far as all services agree: a wrong one would fail every call of an alias.

use modelswitch_openai::Takes;
use serde_json::Value;

/// True for a name that a parameter of requests has.
pub(crate) fn is_parameter(name: &str) -> bool {
    name == "thinking" || Takes::of(name).is_some()
}

/// What is wrong with the value of a parameter, which isn't repeated, and what to write.
pub(crate) fn wrong_type(parameter: &str, value: &Value) -> Option<(String, String)> {
    let takes = Takes::of(parameter)?;
    // `logprobs` is a switch of chats and a number of completions.
    let is_other_endpoints = parameter == "logprobs" && value.is_number();
    if fits(takes, value) || value.is_null() || is_other_endpoints {
        return None;
    }
    let would_fit = value.as_str().and_then(|text| serde_json::from_str(text.trim()).ok());
    let hint = match would_fit {
        Some(inside) if fits(takes, &inside) => "leave the quotes out".to_owned(),
        _ => format!("write {}", shown(takes)),
    };
    Some((format!("must be {}, not {}", shown(takes), kind(value, takes)), hint))
}

fn fits(takes: Takes, value: &Value) -> bool {
    match takes {
        Takes::Number => value.is_number(),
        // JSON has one kind of number, and some programs write 5 as 5.0.
        Takes::Whole => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Takes::Switch => value.is_boolean(),
        Takes::Text => value.is_string(),
        Takes::Table => value.is_object(),
        Takes::List => value.is_array(),
        Takes::TextOrList => value.is_string() || value.is_array(),
        Takes::TextOrTable => value.is_string() || value.is_object(),
    }
}

fn shown(takes: Takes) -> &'static str {
    match takes {
        Takes::Number => "a number",
        Takes::Whole => "a whole number",
        Takes::Switch => "true or false",
        Takes::Text => "a text in quotes",
        Takes::Table => "a table, such as { name = \"value\" }",
        Takes::List => "a list, such as [\"a\", \"b\"]",
        Takes::TextOrList => "a text in quotes, or a list of them",
        Takes::TextOrTable => "a text in quotes, or a table",
    }
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
