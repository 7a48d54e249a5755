use std::sync::{Arc, Mutex};

use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{ApiKey, Error, Request, Response, Result};
use modelswitch_registry::{Registry, RegistryBuilder};
use modelswitch_sim::Sim;

/// Planted wherever a key could be; it must turn up nowhere.
pub(crate) const CANARY: &str = "sk-canary0123456789";

/// A builder that sees these variables only, and no file.
pub(crate) fn with(variables: &[(&str, &str)]) -> RegistryBuilder {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Registry::builder().without_file().environment(variables)
}

/// A builder that sees this text and no variables.
pub(crate) fn text(toml: &str) -> RegistryBuilder {
    with(&[]).toml(toml)
}

/// Everything that an error can show.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error}\n{error:?}\n{}\n{}", error.report(), error.to_body())
}

/// A registry over a simulated DeepSeek, under these lines. They stand in the provider's own section to begin with.
pub(crate) fn over(sim: &Sim, lines: &str) -> Registry {
    let toml = format!("[providers.deepseek]\nbase_url = '{}'\nretry.attempts = 1\n{lines}", sim.base_url());
    text(&toml).api_key("deepseek", ApiKey::new(sim.key()).unwrap()).build().unwrap()
}

/// What a provider was asked, and a provider that writes it down.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<Request>>>);

impl Diary {
    pub(crate) fn provider(
        &self,
        answer: impl Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    ) -> MockProvider {
        let asked = self.0.clone();
        MockProvider::answering(move |request| {
            let response = answer(&request);
            asked.lock().unwrap().push(request);
            response
        })
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.0.lock().unwrap().clone()
    }

    /// The bare models of the requests, in order.
    pub(crate) fn models(&self) -> Vec<Option<String>> {
        self.asked().iter().map(|request| request.model().map(|model| model.into_owned())).collect()
    }
}

pub(crate) fn reply(text: &str) -> impl Fn(&Request) -> Result<Response> + Send + Sync + 'static {
    let text = text.to_owned();
    move |request| Ok(modelswitch_provider::mock::reply(&text, request.is_stream()))
}
