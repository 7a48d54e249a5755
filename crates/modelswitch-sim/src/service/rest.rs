//! The list of models, embeddings, and responses where there are no chats.

use http::StatusCode;
use serde_json::{Value, json};

use super::{MODELS, Models, Service};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::recorded::Recorded;
use crate::state::Shared;
use crate::{openai, responses};

/// When the simulated models were made.
const MADE: u64 = 1_750_000_000;

impl Service {
    pub(super) fn models(&self) -> Answer {
        let model = |id: &str| match self.models {
            Models::Undated => json!({"id": id, "object": "model", "owned_by": self.name}),
            Models::Prefixed(prefix) => {
                json!({"id": format!("{prefix}{id}"), "object": "model", "owned_by": self.name})
            }
            Models::List | Models::Bare | Models::Absent => {
                json!({"id": id, "object": "model", "created": MADE, "owned_by": self.name})
            }
        };
        let data: Vec<Value> = MODELS.into_iter().map(model).collect();
        let list =
            if self.models == Models::Bare { json!(data) } else { json!({"object": "list", "data": data}) };
        Answer::json(StatusCode::OK, &list)
    }

    pub(super) fn respond(&self, shared: &Shared, request: &Recorded, body: &Value) -> Answer {
        let ask = Ask::responses(body, &["user"]);
        let Some(model) = self.serving(&ask.model) else { return self.no_model(&ask.model) };
        if let Some(trouble) = self.troubled(ask.mode) {
            return trouble;
        }
        let form = responses::Form { deepseek: false, thinking: self.thinks(&ask), model };
        responses::answer(shared, &ask, body, &mut shared.ids(request), &form, |status| self.failure(status))
    }

    pub(super) fn embeddings(&self, body: &Value) -> Answer {
        let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
        if self.serving(asked).is_none() {
            return self.no_model(asked);
        }
        openai::embeddings(body)
    }
}
