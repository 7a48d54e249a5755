//! Services that are not in the table, plain but for the few words that a profile has for them.

use super::table::PLAIN;
use super::{Auth, Models, Reasoning, Service};

/// What is given here is kept until the program ends: it is for tests, which have a few of them.
impl Service {
    /// A service in OpenAI's form under this path, with a slash in front and none behind. It thinks in `reasoning_content`,
    /// and wants a bearer key, unless the methods below say otherwise.
    ///
    /// ```
    /// use modelswitch_sim::{Personality, Service, Sim};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let acme = Service::plain("acme", "/api/v2").reasoning_field("reasoning").refusing(["logit_bias"]);
    /// let sim = Sim::builder().personality(Personality::of(acme)).start().await?;
    /// assert!(sim.base_url().ends_with("/api/v2"));
    /// # Ok(()) }
    /// ```
    pub fn plain(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self { name: name.into().leak(), prefix: path.into().leak(), ..PLAIN }
    }

    /// The key may come in this header as well.
    #[must_use]
    pub fn key_header(self, name: &str) -> Self {
        Self { auth: Auth::Header(kept(name)), ..self }
    }

    /// It answers without a key, too.
    #[must_use]
    pub fn key_optional(self) -> Self {
        Self { auth: Auth::Optional, ..self }
    }

    /// Every URL must have this parameter.
    #[must_use]
    pub fn query(self, parameter: &str) -> Self {
        Self { query: Some(kept(parameter)), ..self }
    }

    /// The member of a message that holds what the model thinks.
    #[must_use]
    pub fn reasoning_field(self, name: &str) -> Self {
        Self { reasoning: Reasoning::Field(kept(name)), ..self }
    }

    /// What the model thinks stands in its text, between `<think>` and `</think>`.
    #[must_use]
    pub fn reasoning_tags(self) -> Self {
        Self { reasoning: Reasoning::Tags, ..self }
    }

    /// The header that has the id of a request.
    #[must_use]
    pub fn request_id_in(self, header: &str) -> Self {
        Self { request_id: kept(header), ..self }
    }

    /// It has no list of models.
    #[must_use]
    pub fn without_models(self) -> Self {
        Self { models: Models::Absent, ..self }
    }

    /// Members of a request that are answered 400, those of messages as `messages[].name`.
    #[must_use]
    pub fn refusing<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&'static str> = names.into_iter().map(kept).collect();
        Self { refuses: names.leak(), ..self }
    }
}

fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}
