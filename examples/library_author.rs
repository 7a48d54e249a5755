//! Door 2: a library that depends on the trait alone, and its test, which needs no network.
//!
//! `cargo run --example library_author`, `cargo test --example library_author`

use modelswitch::prelude::*;
use modelswitch::{ErrorKind, Result};

/// Sorts a text into one of the given classes. `None` when the model names none of them, or refuses to read the text.
async fn classify<'a>(llm: &dyn Provider, text: &str, classes: &[&'a str]) -> Result<Option<&'a str>> {
    let instructions = format!("Answer with one of these words and nothing else: {}", classes.join(", "));
    let reply = match llm.chat(ChatRequest::user(text).system(instructions).temperature(0.0)).await {
        Ok(reply) => reply,
        Err(error) if error.kind() == ErrorKind::ContentFiltered => return Ok(None),
        Err(error) => return Err(error),
    };
    let answer = reply.text().to_lowercase();
    Ok(classes.iter().copied().find(|class| answer.contains(class)))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let services = modelswitch_examples::services().await?;
    let model = services.registry.default_model().unwrap_or_default();
    let llm = services.registry.model(&model)?;
    let class =
        classify(&*llm, "I was charged twice. Is that praise or a complaint?", &["praise", "complaint"])
            .await?;
    println!("{}", class.unwrap_or("neither"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch::mock::MockProvider;
    use modelswitch::{Error, ErrorKind};

    #[tokio::test]
    async fn the_models_word_decides() -> Result<()> {
        let llm = MockProvider::reply("Complaint.");
        assert_eq!(classify(&llm, "…", &["praise", "complaint"]).await?, Some("complaint"));
        Ok(())
    }

    #[tokio::test]
    async fn a_refused_text_is_in_no_class() -> Result<()> {
        let llm = MockProvider::error(Error::new(ErrorKind::ContentFiltered, "Content Exists Risk"));
        assert_eq!(classify(&llm, "…", &["praise", "complaint"]).await?, None);
        Ok(())
    }

    #[tokio::test]
    async fn an_empty_account_is_the_callers_to_know() {
        let llm = MockProvider::error(Error::new(ErrorKind::InsufficientBalance, "Insufficient Balance"));
        let error = classify(&llm, "…", &["praise"]).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InsufficientBalance));
    }
}
