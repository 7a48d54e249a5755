use modelswitch_provider::mock::MockProvider;
use modelswitch_provider::{ChatRequest, ErrorKind, Provider, ProviderExt};
use std::sync::Arc;

use crate::support::*;

#[tokio::test]
async fn a_model_is_bound_whatever_the_request_names() {
    let diary = Diary::default();
    let registry = with(&[])
        .provider("mine", diary.provider(reply("hello")))
        .alias("fast", "mine/small")
        .alias("gpt-4.1", "fast")
        .build()
        .unwrap();
    registry.model("gpt-4.1").unwrap().ask("?").await.unwrap();
    registry.model("mine/a/b").unwrap().chat(ChatRequest::user("?").model("gpt-5")).await.unwrap();
    // A list of models has no model to set.
    let _ = registry.model("fast").unwrap().models().await;
    assert_eq!(diary.models(), [Some("small".to_owned()), Some("a/b".to_owned()), None]);
}

#[test]
fn bare_names_belong_to_their_only_owner() {
    let registry = text(
        "[providers.deepseek]\nmodels = ['shared']\n[providers.local]\nprofile = 'llamacpp'\nmodels = ['qwen', 'shared']",
    )
    .build()
    .unwrap();
    assert_eq!(registry.model("qwen").unwrap().name(), "local");
    assert_eq!(registry.model("deepseek-v4-pro").unwrap().name(), "deepseek");
    let error = registry.model("shared").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    assert_eq!(
        error.message(),
        "the model `shared` is owned by several providers: deepseek/shared, local/shared"
    );
}

#[test]
fn a_name_that_a_service_has_retired_still_finds_it_and_is_told_to_nobody() {
    let registry = text("[providers.deepseek]\n[providers.openai]").build().unwrap();
    for name in ["deepseek-chat", "deepseek-reasoner"] {
        assert_eq!(registry.model(name).unwrap().name(), "deepseek");
    }
    assert!(!registry.providers()[0].models.iter().any(|model| model == "deepseek-chat"));
    let error = registry.model("no-such-model").unwrap_err();
    assert!(error.message().contains("deepseek/deepseek-flash"), "{error}");
    assert!(!error.message().contains("deepseek-chat") && !error.hint().contains("deepseek-chat"), "{error}");
}

#[test]
fn a_provider_that_is_not_there_says_which_are() {
    let registry = text("[providers.deepseek]\n[providers.openai]").build().unwrap();
    let error = registry.provider("depseek").unwrap_err();
    assert_eq!(
        error.message(),
        "no provider `depseek`; did you mean `deepseek`? there are: deepseek, openai"
    );
    let error = registry.provider("groq").unwrap_err();
    assert_eq!(error.message(), "no provider `groq`; there are: deepseek, openai");
}

#[test]
fn in_a_list_what_cannot_be_used_is_left_out_and_told() {
    let registry =
        text("[providers.deepseek]\n[models]\nsmart = ['openai/gpt-5.5', 'deepseek/a', 'deepseek/b']")
            .build()
            .unwrap();
    assert_eq!(registry.aliases(), [("smart".to_owned(), "deepseek/a".to_owned())]);
    assert_eq!(
        registry.warnings(),
        [
            "line 3, column 1: `models.smart`: `openai/gpt-5.5` is left out: there is no provider `openai`; there are: deepseek",
        ]
    );
}

#[test]
fn the_only_provider_is_the_default_and_of_several_none_is() {
    let default = |toml: &str| text(toml).build().unwrap().default_model();
    assert_eq!(default("[providers.deepseek]").as_deref(), Some("deepseek/deepseek-flash"));
    assert_eq!(default("[providers.deepseek]\n[providers.openai]"), None);
    let alias = "default = 'fast'\n[providers.deepseek]\n[providers.openai]\n[models]\nfast = 'openai/x'";
    assert_eq!(default(alias).as_deref(), Some("openai/x"));
}

#[test]
fn a_provider_in_code_replaces_a_configured_one_and_goes_by_the_name_it_was_given() {
    let shared: Arc<dyn Provider> = Arc::new(MockProvider::reply("hello"));
    let registry = text("[providers.deepseek]").provider("deepseek", shared).build().unwrap();
    assert_eq!(registry.providers().len(), 1);
    assert_eq!(registry.providers()[0].profile, None);
    assert_eq!(registry.provider("deepseek").unwrap().name(), "deepseek");
    assert!(with(&[]).provider("a/b", MockProvider::reply("hello")).build().is_err());
}

#[test]
fn a_clone_is_the_same_registry() {
    let registry = text("[providers.deepseek]").build().unwrap();
    assert!(Arc::ptr_eq(&registry.router(), &registry.clone().router()));
}

#[test]
fn a_default_whose_model_begins_with_its_services_name_is_named_once() {
    let registry = text("[providers.perplexity]").build().unwrap();
    assert_eq!(registry.default_model().as_deref(), Some("perplexity/sonar"));
    registry.model("perplexity/sonar").unwrap();
}
