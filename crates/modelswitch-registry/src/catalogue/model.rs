//! One model of the catalogue: what the service lists and what the profile knows, put together.

use std::time::SystemTime;

use modelswitch_openai::{Capability, Doubt, Modality, ModelFacts, Moment};
use modelswitch_provider::{Model, Usage};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::List;
use crate::connect::Connected;

/// A model that can be asked for, and what is known of it. What isn't known is `None` or empty, and means nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CatalogueModel {
    /// What to ask for: `provider/id`.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// Its own name for the model.
    pub id: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The id that answers for this one, for a name that is still taken though its model is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serves: Option<String>,
    /// Who owns it, as the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// When it was made, as the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Moment>,
    /// How many tokens request and answer may have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// How many tokens an answer can be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// What a message may hold.
    pub input: Vec<Modality>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// What it costs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<CataloguePrice>,
    /// Whether it answers when a request to its provider names none.
    pub is_default: bool,
    /// The aliases that stand for it.
    pub aliases: Vec<String>,
    /// Who knows of it.
    pub sources: Vec<ModelSource>,
    /// When the service's list was read that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<Moment>,
    /// The day on which the profile's facts were read from the service's documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documented: Option<Moment>,
}

impl CatalogueModel {
    /// True when it is known to be able to.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// True when a message to it is known to be allowed to hold that.
    pub fn takes(&self, modality: Modality) -> bool {
        self.input.contains(&modality)
    }

    /// True when its service lists it.
    pub fn is_listed(&self) -> bool {
        self.sources.contains(&ModelSource::Service)
    }
}

/// Who knows of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelSource {
    /// The service lists it.
    Service,
    /// The profile names it or knows facts of it.
    Profile,
    /// The configuration names it.
    Configuration,
}

/// What a million tokens cost at this hour, peak included.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CataloguePrice {
    /// Of this currency; US dollars where there is a price in them.
    pub currency: String,
    /// Of the request.
    #[serde(with = "rust_decimal::serde::str")]
    pub input: Decimal,
    /// Of the request, from the service's cache.
    #[serde(with = "rust_decimal::serde::str")]
    pub cached_input: Decimal,
    /// Of the answer.
    #[serde(with = "rust_decimal::serde::str")]
    pub output: Decimal,
    /// Whether it is a peak hour.
    pub is_peak: bool,
    /// How many times as much peak hours cost, for a model that has them.
    #[serde(skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub peak_factor: Option<Decimal>,
    /// Since when it has been so, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Why a bill may differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
}

impl CataloguePrice {
    fn of(facts: &ModelFacts, now: SystemTime) -> Option<Self> {
        let price = facts.price_at(now)?;
        let cost = facts.cost(&Usage::default(), now)?;
        Some(Self {
            input: cost.uncached.per_million.normalize(),
            cached_input: cost.cached.per_million.normalize(),
            output: cost.output.per_million.normalize(),
            is_peak: cost.peak,
            peak_factor: price.peak.as_ref().map(|peak| peak.factor),
            since: price.since,
            doubts: cost.doubts,
            currency: cost.currency,
        })
    }
}

/// What is kept of a service's list: no more than is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    owned_by: String,
    #[serde(default)]
    created: u64,
    #[serde(default)]
    context: Option<u64>,
    #[serde(default)]
    max_output: Option<u64>,
}

impl From<&Model> for Listed {
    /// OpenAI's own list tells no limits; OpenRouter, vLLM, Groq and llama.cpp each have a word of their own for them.
    fn from(model: &Model) -> Self {
        let number = |path: &[&str]| {
            let mut found = model.extra.get(*path.first()?)?;
            for key in path.iter().skip(1) {
                found = found.get(key)?;
            }
            found.as_u64().filter(|number| *number > 0)
        };
        let first = |paths: &[&[&str]]| paths.iter().find_map(|path| number(path));
        Self {
            id: model.id.clone(),
            owned_by: model.owned_by.clone(),
            created: model.created,
            context: first(&[
                &["context_length"],
                &["context_window"],
                &["max_model_len"],
                &["meta", "n_ctx"],
                &["meta", "n_ctx_train"],
            ]),
            max_output: first(&[&["top_provider", "max_completion_tokens"], &["max_completion_tokens"]]),
        }
    }
}

/// A provider's models that may be asked for: those that are listed, then those that are known otherwise.
pub(super) fn merge(
    connected: &Connected,
    list: Option<&List>,
    aliases: &[(String, String)],
    now: SystemTime,
) -> Vec<CatalogueModel> {
    let profile = connected.profile();
    let listed = list.map(|list| &*list.models).unwrap_or_default();
    let mut ids: Vec<&str> = Vec::new();
    let known = profile.into_iter().flat_map(|profile| profile.known_models().map(|(id, _)| id));
    let all = listed.iter().map(|model| &*model.id);
    let all = all.chain(connected.info.models.iter().map(String::as_str)).chain(known);
    for id in all {
        let is_retired = profile.is_some_and(|profile| profile.retired(id).is_some());
        let may_be_asked = connected.rules.as_ref().is_none_or(|rules| rules.model(id).is_ok());
        if !is_retired && may_be_asked && !ids.contains(&id) {
            ids.push(id);
        }
    }
    let read = list.map(|list| list.read);
    ids.into_iter()
        .map(|id| {
            let listed = listed.iter().find(|model| model.id == id).zip(read);
            describe(id, listed, connected, aliases, now)
        })
        .collect()
}

fn describe(
    id: &str,
    listed: Option<(&Listed, SystemTime)>,
    connected: &Connected,
    aliases: &[(String, String)],
    now: SystemTime,
) -> CatalogueModel {
    let info = &connected.info;
    let profile = connected.profile();
    let facts = profile.and_then(|profile| profile.model(id));
    let in_profile =
        facts.is_some() || profile.is_some_and(|profile| profile.models.iter().any(|own| own == id));
    let in_configuration = info.models.iter().any(|own| own == id) && !in_profile;
    let name = format!("{}/{id}", info.name);
    let sources = [
        listed.map(|_| ModelSource::Service),
        in_profile.then_some(ModelSource::Profile),
        in_configuration.then_some(ModelSource::Configuration),
    ];
    let (listed, read) = listed.unzip();
    let created = listed.map(|model| model.created).filter(|created| *created > 0);
    CatalogueModel {
        provider: info.name.clone(),
        id: id.to_owned(),
        title: facts.and_then(|facts| facts.title.clone()),
        serves: facts.and_then(|facts| facts.serves.clone()),
        owned_by: listed.map(|model| model.owned_by.clone()).filter(|owner| !owner.is_empty()),
        created: created.and_then(moment),
        // The service knows its own limits best; a profile was right on the day it was read.
        context: listed.and_then(|model| model.context).or_else(|| facts?.context),
        max_output: listed.and_then(|model| model.max_output).or_else(|| facts?.max_output),
        input: facts.map(|facts| facts.input.clone()).unwrap_or_default(),
        capabilities: facts.map(|facts| facts.capabilities.clone()).unwrap_or_default(),
        price: facts.and_then(|facts| CataloguePrice::of(facts, now)),
        is_default: info.default_model.as_deref() == Some(id),
        aliases: aliases
            .iter()
            .filter(|(_, target)| *target == name)
            .map(|(alias, _)| alias.clone())
            .collect(),
        sources: sources.into_iter().flatten().collect(),
        listed: read.map(Moment::from),
        documented: facts.and_then(|facts| facts.read),
        name,
    }
}

/// `None` for a number that is no date, such as milliseconds where seconds were meant.
fn moment(seconds: u64) -> Option<Moment> {
    const YEAR_3000: u64 = 32_503_680_000;
    let since = std::time::Duration::from_secs(seconds);
    (seconds < YEAR_3000).then(|| SystemTime::UNIX_EPOCH.checked_add(since).map(Moment::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn listed(json: Value) -> Listed {
        Listed::from(&serde_json::from_value::<Model>(json).unwrap())
    }

    #[test]
    fn limits_are_read_under_the_names_that_services_have_for_them() {
        for (extra, context, max_output) in [
            (json!({ "id": "m" }), None, None),
            (
                json!({ "id": "m", "context_length": 8, "top_provider": { "max_completion_tokens": 4 } }),
                Some(8),
                Some(4),
            ),
            (json!({ "id": "m", "context_window": 9, "max_completion_tokens": 3 }), Some(9), Some(3)),
            (json!({ "id": "m", "max_model_len": 10 }), Some(10), None),
            (json!({ "id": "m", "meta": { "n_ctx_train": 11 } }), Some(11), None),
            (json!({ "id": "m", "context_length": "many", "meta": null }), None, None),
        ] {
            let listed = listed(extra);
            assert_eq!((listed.context, listed.max_output), (context, max_output));
        }
    }

    #[test]
    fn a_date_that_is_none_is_left_out() {
        assert!(moment(1_780_000_000).is_some());
        assert!(moment(1_780_000_000_000).is_none());
    }
}
