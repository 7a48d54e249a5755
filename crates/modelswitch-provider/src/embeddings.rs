use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::null_is_default;
use crate::outline::{Outline, Size};
use crate::wire::wire;
use crate::{Document, Endpoint, Request, Result, Usage};

/// A request for embeddings.
///
/// ```
/// use modelswitch_provider::EmbeddingRequest;
///
/// let request = EmbeddingRequest::new(["red", "blue"]).model("openai/text-embedding-3-small");
/// assert_eq!(request.input, ["red", "blue"]);
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingRequest {
    /// As in [`ChatRequest`](crate::ChatRequest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts.
    pub input: Vec<String>,
    /// Everything else, such as `dimensions`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names and sizes: the texts are a user's.
impl fmt::Debug for EmbeddingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "EmbeddingRequest")
            .some("model", self.model.as_ref())
            .field("input", &self.input.iter().map(|text| Size(text.len())).collect::<Vec<_>>())
            .extra(&self.extra)
            .finish()
    }
}

impl EmbeddingRequest {
    /// A request for some texts.
    pub fn new<T: Into<String>>(input: impl IntoIterator<Item = T>) -> Self {
        Self { input: input.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Chooses the model.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a field stands twice.
    pub fn into_request(self) -> Result<Request> {
        Ok(Request::new(Endpoint::EMBEDDINGS, Document::from_serialize(&self)?))
    }
}

/// The answer: a vector a text, in the order of the texts.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Embeddings {
    /// The vectors.
    pub data: Vec<Embedding>,
    /// The tokens that were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Embeddings")
            .field("data", &self.data)
            .some("usage", self.usage.as_ref())
            .extra(&self.extra)
            .finish()
    }
}

/// One vector.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Embedding {
    /// Which text it stands for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub index: u32,
    /// The vector.
    pub embedding: Vec<f32>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Not the numbers: they tell the text.
impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Outline::new(f, "Embedding")
            .field("index", &self.index)
            .field("embedding", &format_args!("{} numbers", self.embedding.len()))
            .extra(&self.extra)
            .finish()
    }
}

wire!(EmbeddingRequest, Embeddings);
