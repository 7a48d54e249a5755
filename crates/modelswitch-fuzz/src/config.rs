use std::sync::OnceLock;
use std::time::Duration;

use modelswitch_openai::{HttpClient, Profile};
use modelswitch_registry::Registry;

/// Any text is a configuration or an error that says what is wrong with it. Nothing is sent, and no command is run.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let builder = Registry::builder().toml(text.clone()).environment([]);
    let builder = match pool() {
        Some(pool) => builder.http_client(pool),
        None => builder,
    };
    let invalid = builder.validate();
    match builder.build() {
        Ok(registry) => {
            let names: Vec<_> =
                registry.providers().into_iter().map(|provider| provider.name.to_string()).collect();
            names.iter().for_each(|name| drop(registry.model(&format!("{name}/m"))));
        }
        Err(error) => {
            assert!(!error.message().is_empty() && !error.report().is_empty());
            assert!(
                !invalid.is_empty() || error.code().is_some(),
                "building fails and looking doesn't: {error}"
            );
        }
    }
    if let Ok(profile) = Profile::from_toml("mine", &text) {
        assert_eq!(profile.name, "mine");
    }
}

/// One for all: making one costs milliseconds.
fn pool() -> Option<HttpClient> {
    static POOL: OnceLock<Option<HttpClient>> = OnceLock::new();
    POOL.get_or_init(|| HttpClient::new(Duration::from_secs(1)).ok()).clone()
}
