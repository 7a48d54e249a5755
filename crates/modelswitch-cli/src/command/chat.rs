//! `modelswitch chat`: one question, or a conversation.

mod conversation;
mod printer;

use std::io::{self, IsTerminal, Write};

use modelswitch_provider::ChatCompletion;
use modelswitch_registry::Registry;
use rustyline::error::ReadlineError;

use self::conversation::Conversation;
use self::printer::Printer;
use crate::args::Common;
use crate::error::Failure;
use crate::terminal::{DIM, clean, is_watched, stderr};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Standard input is read when it is piped, and comes after the PROMPT: `git diff | modelswitch chat 'Sum this up:'`.
On a terminal without a PROMPT it is a conversation; /quit or Ctrl-D ends it, Ctrl-C stops an answer.
Only the answer goes to standard output.")]
pub(crate) struct Args {
    /// The question; several words are put together
    prompt: Vec<String>,

    /// An alias, `provider/model`, or a name that one provider owns; the configured default without it
    #[arg(short, long)]
    model: Option<String>,

    /// Wait for the whole answer
    #[arg(long)]
    no_stream: bool,

    /// Show the model's reasoning before the answer, on standard error
    #[arg(long)]
    reasoning: bool,

    /// Instructions that come before everything
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let registry = common.registry()?;
    let model = model(&registry, args.model)?;
    let provider = registry.model(&model).map_err(Failure::before_the_call)?;
    // Nobody writes quotes around a question of words until a shell has asked for them.
    let prompt = (!args.prompt.is_empty()).then(|| args.prompt.join(" "));
    let question = question(prompt.as_deref())?;
    let conversation = Conversation::new(provider, args.system.as_deref(), !args.no_stream);
    let printer = Printer::for_program(args.reasoning);
    match question {
        Some(question) => once(conversation, printer, question, common.verbose).await,
        None => Box::pin(talk(conversation, printer, &model, common.verbose)).await,
    }
}

/// The model that was named, else the default.
fn model(registry: &Registry, named: Option<String>) -> Result<String, Failure> {
    named.or_else(|| registry.default_model()).ok_or_else(|| {
        let names: Vec<String> =
            registry.providers().into_iter().map(|provider| format!("{}/…", provider.name)).collect();
        Failure::usage(
            "no model is named, and the configuration has no default",
            format!(
                "name one with --model, or set default = \"provider/model\"; there are {}",
                names.join(", ")
            ),
        )
    })
}

/// What is asked, from the command line and standard input; `None` where a person is there to be asked.
fn question(prompt: Option<&str>) -> Result<Option<String>, Failure> {
    let input = if io::stdin().is_terminal() { String::new() } else { piped()? };
    let input = input.trim_end();
    match prompt {
        Some(prompt) if prompt.trim().is_empty() && input.is_empty() => Err(nothing_to_ask()),
        Some(prompt) if input.is_empty() => Ok(Some(prompt.to_owned())),
        Some(prompt) => Ok(Some(format!("{prompt}\n\n{input}"))),
        None if !input.is_empty() => Ok(Some(input.to_owned())),
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => Ok(None),
        None => Err(nothing_to_ask()),
    }
}

fn nothing_to_ask() -> Failure {
    Failure::usage(
        "there is nothing to ask",
        "give a PROMPT, pipe one in, or start it in a terminal for a conversation",
    )
}

/// A word after a slash was meant for this program; it isn't sent and paid for. A path has more than one slash.
fn is_command(line: &str) -> bool {
    line.strip_prefix('/').is_some_and(|word| !word.is_empty() && word.chars().all(char::is_alphabetic))
}

fn piped() -> Result<String, Failure> {
    io::read_to_string(io::stdin()).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::usage(
            "standard input is not UTF-8 text",
            "pipe in text; files of other kinds can't be asked about",
        ),
        _ => error.into(),
    })
}

async fn once(
    mut conversation: Conversation,
    mut printer: Printer,
    question: String,
    verbose: bool,
) -> Result<(), Failure> {
    let answer = conversation.ask(question, &mut printer).await?;
    Ok(remark(&answer, verbose)?)
}

/// Turn after turn, until the person has had enough. An error is shown and the conversation goes on.
async fn talk(
    mut conversation: Conversation,
    mut printer: Printer,
    model: &str,
    verbose: bool,
) -> Result<(), Failure> {
    writeln!(stderr(), "{DIM}{} · /quit or Ctrl-D ends, Ctrl-C stops an answer{DIM:#}", clean(model))?;
    let mut editor = rustyline::DefaultEditor::new().map_err(no_terminal)?;
    loop {
        // Nothing else runs while a person thinks, so the one thread may wait here.
        let line = match editor.readline("› ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(no_terminal(error)),
        };
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(()),
            word if is_command(word) => {
                writeln!(stderr(), "{DIM}there is no {}; /quit or Ctrl-D ends{DIM:#}", clean(word))?;
                continue;
            }
            _ => {}
        }
        // If it can't be kept, the arrow keys find one line less.
        let _ = editor.add_history_entry(&line);
        let outcome = tokio::select! {
            outcome = conversation.ask(line, &mut printer) => Some(outcome),
            _ = tokio::signal::ctrl_c() => None,
        };
        match outcome {
            Some(Ok(answer)) => remark(&answer, verbose)?,
            Some(Err(failure)) => failure.show(verbose),
            None => {
                conversation.take_back();
                printer.break_off()?;
                writeln!(stderr(), "{DIM}stopped; this turn is forgotten{DIM:#}")?;
            }
        }
        writeln!(stderr())?;
    }
}

fn no_terminal(error: ReadlineError) -> Failure {
    Failure::local(format!("the terminal can't be read: {error}"), "give a PROMPT, or pipe one in")
}

/// Who answered and what it took, for a person; in a pipe only what makes the answer less than it seems.
fn remark(answer: &ChatCompletion, verbose: bool) -> io::Result<()> {
    use modelswitch_provider::FinishReason::{ContentFilter, Length};
    let mut notes = stderr();
    match answer.finish_reason() {
        Some(Length) => writeln!(notes, "note: the answer is cut off at the token limit")?,
        Some(ContentFilter) => writeln!(notes, "note: the provider's moderation stopped the answer")?,
        _ => {}
    }
    if !is_watched() {
        return Ok(());
    }
    let head = &answer.head;
    let mut line = head.target().unwrap_or_else(|| answer.model.clone());
    if let Some(usage) = &answer.usage {
        line = format!("{line} · {} in, {} out tokens", usage.prompt_tokens, usage.completion_tokens);
    }
    if head.attempts() > 1 {
        line = format!("{line} · {} attempts", head.attempts());
    }
    writeln!(notes, "{DIM}{}{DIM:#}", clean(&line))?;
    if verbose {
        for adaptation in &head.adaptations {
            writeln!(notes, "{DIM}adapted {}{DIM:#}", clean(&adaptation.to_string()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_after_a_slash_is_a_command_and_a_path_is_not() {
        assert!(is_command("/help") && is_command("/model"));
        for question in ["/", "/etc/passwd", "/help me", "what is /help"] {
            assert!(!is_command(question), "{question}");
        }
    }
}
