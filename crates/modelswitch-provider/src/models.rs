use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::null_is_default;
use crate::wire::wire;

/// A model that a provider offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Model {
    /// The name to ask for.
    pub id: String,
    /// When it was made, in seconds since 1970; 0 where the service doesn't say (DeepSeek doesn't).
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: u64,
    /// Who owns it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub owned_by: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The body of `GET /models`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelList {
    /// The models.
    #[serde(default, deserialize_with = "null_is_default")]
    pub data: Vec<Model>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

wire!(Model, ModelList);

impl Model {
    /// A model of which no more than the name is known.
    pub fn new(id: impl Into<String>, owned_by: impl Into<String>) -> Self {
        let extra = Map::from_iter([("object".to_owned(), "model".into())]);
        Self { id: id.into(), created: 0, owned_by: owned_by.into(), extra }
    }
}

impl ModelList {
    /// A list as OpenAI writes it.
    pub fn new(data: Vec<Model>) -> Self {
        Self { data, extra: Map::from_iter([("object".to_owned(), "list".into())]) }
    }
}
