//! The list of models, however a service lists them.

use modelswitch_provider::{Error, Result};
use serde_json::{Map, Value, json};

use super::repair;

/// The members that a list, or a model, is nothing without.
pub(super) const ESSENTIAL: [&str; 9] = [
    "object",
    "data",
    "data.id",
    "data.object",
    "data.created",
    "data.owned_by",
    "id",
    "created",
    "owned_by",
];

/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) when there is no list, or nothing in it is a model.
pub(super) fn repair_list(value: &mut Value) -> Result<()> {
    let listed = match value {
        Value::Array(items) => std::mem::take(items),
        Value::Object(object) => take_list(object)?,
        _ => return Err(Error::decode("the list of models is neither an object nor a list")),
    };
    let was_empty = listed.is_empty();
    let models: Vec<Value> = listed.into_iter().filter_map(model).collect();
    if models.is_empty() && !was_empty {
        return Err(Error::decode("nothing in `data`, the list of models, has an id"));
    }
    match value {
        Value::Object(object) => {
            object.insert("object".to_owned(), "list".into());
            object.insert("data".to_owned(), Value::Array(models));
        }
        _ => *value = json!({ "object": "list", "data": models }),
    }
    Ok(())
}

/// Where services have the list.
const PLACES: [&str; 6] = ["data", "models", "result", "results", "items", "model_list"];

fn take_list(object: &mut Map<String, Value>) -> Result<Vec<Value>> {
    for name in PLACES {
        match object.get_mut(name) {
            Some(Value::Array(items)) => return Ok(std::mem::take(items)),
            Some(Value::Object(inner)) => {
                if let Ok(items) = take_list(inner) {
                    return Ok(items);
                }
                return Ok(by_id(std::mem::take(inner)));
            }
            _ => {}
        }
    }
    Err(Error::decode("`data` is missing in the list of models"))
}

/// Models in an object, each under its id.
fn by_id(models: Map<String, Value>) -> Vec<Value> {
    let with_id = |(id, mut model): (String, Value)| {
        if let Some(members) = model.as_object_mut() {
            members.entry("id").or_insert(id.into());
        }
        model
    };
    models.into_iter().map(with_id).collect()
}

/// `None` for what has no id: nobody could ask for it.
fn model(value: Value) -> Option<Value> {
    let mut members = match value {
        Value::String(id) => Map::from_iter([("id".to_owned(), id.into())]),
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    repair(&mut members);
    let has_id = members.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
    has_id.then_some(Value::Object(members))
}

/// One model.
pub(super) fn repair(model: &mut Map<String, Value>) {
    let id = ["id", "name", "model"].iter().find_map(|name| model.get(*name)?.as_str().map(str::to_owned));
    repair::string_or(model, "id", || id.unwrap_or_default());
    repair::string_or(model, "owned_by", String::new);
    model.insert("object".to_owned(), "model".into());
    repair::string_or_nothing(model, "shutdown_date");
    // DeepSeek doesn't say when a model was made; 0 says that nobody knows.
    repair::created(model, Some(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_models_of_every_shape_are_listed() {
        for mut list in [
            json!({"object":"list","data":[{"id":"models/a","object":"model","owned_by":"deepseek"}]}),
            json!({"data":[{"id":"models/a","created":null,"owned_by":null,"object":null,"shutdown_date":7}]}),
            json!([{"id":"models/a"}]),
            json!({"models":[{"name":"models/a"}]}),
            json!({"models":[{"model":"models/a","name":null}]}),
            json!({"data":["models/a"]}),
            json!(["models/a"]),
            json!({"data":null,"models":["models/a", null, 7, {}]}),
            json!({"data":{"models":["models/a"]}}),
            json!({"models":{"models/a":{"context":1}}}),
            json!({"success":true,"result":[{"id":"models/a"}]}),
        ] {
            let sent = list.to_string();
            repair_list(&mut list).unwrap();
            let read: async_openai::types::models::ListModelResponse = serde_json::from_value(list).unwrap();
            let model = &read.data[0];
            assert_eq!((model.id.as_str(), model.created, read.data.len()), ("models/a", 0, 1), "{sent}");
        }
        let mut empty = json!({"data":[]});
        repair_list(&mut empty).unwrap();
        assert_eq!(empty["data"], json!([]));
    }

    #[test]
    fn what_is_no_list_of_models_is_an_error_that_names_the_place() {
        for mut list in [json!({}), json!({"data":null}), json!({"data":[{}]}), json!([7])] {
            let error = repair_list(&mut list).unwrap_err();
            assert!(error.message().contains("data"), "{error}");
        }
        assert!(repair_list(&mut json!(7)).is_err());
    }
}
