//! `modelswitch demo`: an app written with async-openai changes its provider by configuration.

mod page;
mod services;

use std::io;

use futures_util::StreamExt;
use modelswitch_openai::async_openai::traits::RequestOptionsBuilder;
use modelswitch_openai::async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use modelswitch_openai::{Capture, OpenAiErrorExt, ReasoningExt};
use modelswitch_provider::Error;
use modelswitch_registry::Registry;

use self::page::Page;
use self::services::{Services, Trouble};
use crate::args::Common;
use crate::error::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a key and without a configuration file the providers are simulated on this machine. With them the demo makes
a few short calls of your providers, which cost next to nothing, and says so.")]
pub(crate) struct Args {
    /// Use the simulated providers even where there are keys
    #[arg(long)]
    simulated: bool,
}

const QUESTION: &str = "Which is larger, 9.11 or 9.8?";

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let services = Services::find(args.simulated, common).await?;
    let mut page = Page::new();
    let mut failed = false;
    introduce(&mut page, &services)?;

    let registry = services.registry(&services.first)?;
    page.heading("The same call, answered by whatever the configuration names")?;
    page.setting(None, &services.first)?;
    failed |= call(&mut page, &registry).await?;

    page.heading("One word of the configuration changes; the app doesn't")?;
    page.setting(Some(&services.first), &services.second)?;
    failed |= call(&mut page, &services.registry(&services.second)?).await?;

    page.heading("A stream, with the reasoning that async-openai's types have no field for")?;
    page.setting(Some(&services.second), &services.first)?;
    failed |= stream(&mut page, &registry).await?;

    page.heading("An error says what to do")?;
    trouble(&mut page, &services, &registry).await?;
    conclude(&mut page, &services)?;
    if failed { Err(Failure::told()) } else { Ok(()) }
}

fn introduce(page: &mut Page, services: &Services) -> io::Result<()> {
    page.title("modelswitch: one app, any OpenAI-compatible provider")?;
    for line in &services.notice {
        page.notice(line)?;
    }
    page.heading("The app: plain async-openai")?;
    page.code(&[
        "let client = modelswitch::client()?;            // before: async_openai::Client::new()",
        "let request = CreateChatCompletionRequestArgs::default()",
        "    .model(\"chat\")                              // a name from the configuration",
        "    .messages([ChatCompletionRequestUserMessage::from(question).into()])",
        "    .build()?;",
        "let reply = client.chat().create(request).await?;",
    ])?;
    page.heading(&format!("The configuration, {}", services.origin))?;
    page.code(&services.shown.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What the app asks. It knows a name and nothing of providers.
fn request(question: &str) -> Result<CreateChatCompletionRequest, Failure> {
    let question = ChatCompletionRequestUserMessage::from(question).into();
    Ok(CreateChatCompletionRequestArgs::default().model(services::ALIAS).messages([question]).build()?)
}

/// Calls once and shows the answer. `true` when the provider failed.
async fn call(page: &mut Page, registry: &Registry) -> Result<bool, Failure> {
    page.question(QUESTION)?;
    let capture = registry.capture();
    let reply = registry.client()?.chat().headers(capture.headers()).create(request(QUESTION)?).await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Ok(show_error(page, error.provider_error(), &error.to_string())?),
    };
    let text = reply.choices.into_iter().next().and_then(|choice| choice.message.content);
    page.answer(&text.unwrap_or_default())?;
    page.remark(&who(&capture))?;
    Ok(false)
}

async fn stream(page: &mut Page, registry: &Registry) -> Result<bool, Failure> {
    page.question(QUESTION)?;
    let capture = registry.capture();
    let client = registry.client()?;
    let mut stream = match client.chat().headers(capture.headers()).create_stream(request(QUESTION)?).await {
        Ok(stream) => stream,
        Err(error) => return Ok(show_error(page, error.provider_error(), &error.to_string())?),
    };
    let mut parts = page.parts();
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                parts.end()?;
                return Ok(show_error(page, error.provider_error(), &error.to_string())?);
            }
        };
        if let Some(reasoning) = chunk.reasoning_content() {
            parts.reasoning(&reasoning)?;
        }
        for choice in &chunk.choices {
            parts.answer(choice.delta.content.as_deref().unwrap_or_default())?;
        }
    }
    parts.end()?;
    page.remark(&who(&capture))?;
    Ok(false)
}

/// An error that is meant.
async fn trouble(page: &mut Page, services: &Services, registry: &Registry) -> Result<(), Failure> {
    let (registry, question) = match &services.trouble {
        Trouble::Question(question) => (registry.clone(), question.as_str()),
        Trouble::Model(model) => {
            page.setting(Some(&services.first), model)?;
            (services.registry(model)?, QUESTION)
        }
    };
    page.question(question)?;
    match registry.client()?.chat().create(request(question)?).await {
        Ok(_) => page.remark("the service took it after all: it answers under any model's name")?,
        Err(error) => {
            show_error(page, error.provider_error(), &error.to_string())?;
        }
    }
    Ok(())
}

fn show_error(page: &mut Page, error: Option<Error>, otherwise: &str) -> io::Result<bool> {
    match error {
        Some(error) => {
            let status =
                error.status().map(|status| format!(", HTTP {}", status.as_u16())).unwrap_or_default();
            page.error(&error.to_string(), error.hint())?;
            page.remark(&format!("error.provider_error() knows more: kind {}{status}", error.kind()))?;
        }
        None => page.error(otherwise, "")?,
    }
    Ok(true)
}

/// Who answered, from the capture.
fn who(capture: &Capture) -> String {
    let Some(head) = capture.head() else { return String::new() };
    let target = head.target().unwrap_or_else(|| "?".to_owned());
    let mut line = format!("answered by {target} at attempt {}", head.attempts());
    if let Some(usage) = capture.usage() {
        line = format!("{line} · {} in, {} out tokens", usage.prompt_tokens, usage.completion_tokens);
    }
    line
}

fn conclude(page: &mut Page, services: &Services) -> io::Result<()> {
    page.heading("Next")?;
    if services.is_simulated {
        page.step("export DEEPSEEK_API_KEY=…", "a key from https://platform.deepseek.com/api_keys")?;
    }
    page.step("modelswitch check", "what works, and what to do about the rest")?;
    page.step("modelswitch chat Hello", "ask a model from here")?;
    page.step("README", "the one line that an app changes, and the configuration file")
}
