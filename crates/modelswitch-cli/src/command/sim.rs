//! `modelswitch sim`: a simulated provider on this machine, until Ctrl-C.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use modelswitch_sim::{Personality, Sim};

use crate::error::Failure;
use crate::terminal::{BOLD, DIM, NAME, clean, stdout};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whom it takes after: DeepSeek, or a plain service in OpenAI's form under /v1
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Who::Deepseek)]
    personality: Who,

    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS", value_parser = address)]
    address: SocketAddr,

    /// The key that it accepts, instead of one that it shows
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Accept any key
    #[arg(long)]
    any_key: bool,

    /// The time between two chunks of a stream
    #[arg(long, default_value = "30ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    chunk_delay: Duration,

    /// How many keep-alives come before an answer
    #[arg(long, default_value_t = 0, value_name = "N")]
    keep_alives: usize,

    /// How many calls may run at once; one more is answered 429
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,

    /// What is left on the account, as USD 3.20; with nothing left every call is answered 402
    #[arg(long, num_args = 1..=2, value_name = "CURRENCY AMOUNT")]
    balance: Option<Vec<String>>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8787".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    Deepseek,
    Openai,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let personality = match args.personality {
        Who::Deepseek => Personality::DeepSeek,
        Who::Openai => Personality::OpenAi,
    };
    let mut builder = Sim::builder()
        .personality(personality)
        .address(args.address)
        .any_key(args.any_key)
        .chunk_delay(args.chunk_delay)
        .keep_alives(args.keep_alives);
    let own_key = args.key.is_some();
    if let Some(key) = args.key {
        // No client can send any other.
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Failure::usage(
                "--key is no key that can be sent (not shown)",
                "give one line of ASCII without spaces",
            ));
        }
        builder = builder.key(key);
    }
    if let Some(limit) = args.concurrency {
        builder = builder.concurrency(limit);
    }
    if let Some(given) = &args.balance {
        let (currency, amount) = balance(&given.join(" "))?;
        builder = builder.balance(&currency, &amount);
    }
    let sim = builder.start().await.map_err(|error| {
        Failure::local(
            format!("can't listen on {}: {error}", args.address),
            "choose another address: --address 127.0.0.1:0 takes a free port",
        )
    })?;

    // Whoever reads the introduction may send a signal at once.
    let stopped = stopped()?;
    introduce(&sim, args.personality, if own_key { "YOUR_KEY" } else { sim.key() }, args.any_key)?;
    stopped.await;
    let count = sim.requests().len();
    sim.shutdown().await;
    let requests = if count == 1 { "request" } else { "requests" };
    Ok(writeln!(stdout(), "\n{DIM}stopped after {count} {requests}{DIM:#}")?)
}

/// `USD 3.20`, in one argument or in two.
fn balance(text: &str) -> Result<(String, String), Failure> {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [currency, amount] if amount.parse::<f64>().is_ok() => {
            Ok(((*currency).to_owned(), (*amount).to_owned()))
        }
        [_, amount] => Err(Failure::usage(
            format!("`{}` is no amount", clean(amount)),
            "write it like --balance USD 3.20",
        )),
        _ => Err(Failure::usage("a balance is a currency and an amount", "write it like --balance USD 3.20")),
    }
}

fn introduce(sim: &Sim, who: Who, key: &str, any_key: bool) -> io::Result<()> {
    let (title, model, profile) = match who {
        Who::Deepseek => ("DeepSeek", "deepseek-flash", "DEEPSEEK"),
        Who::Openai => ("plain OpenAI-like", "sim-small", "OPENAI"),
    };
    let url = sim.base_url();
    let shown = match (any_key, key) {
        (true, _) => "any",
        (false, "YOUR_KEY") => "the one you gave",
        (false, key) => key,
    };
    let variables = format!("{profile}_BASE_URL={url} {profile}_API_KEY={key}");
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);

    let mut out = stdout();
    writeln!(
        out,
        "{BOLD}A simulated {title} service{BOLD:#}: answers are made up, nothing leaves this machine"
    )?;
    writeln!(out, "  URL  {NAME}{url}{NAME:#}")?;
    writeln!(out, "  key  {shown}")?;
    writeln!(out, "\nTry, in another terminal:")?;
    writeln!(out, "  curl {url}/chat/completions -H 'Authorization: Bearer {key}' -d '{body}'")?;
    writeln!(out, "  {variables} modelswitch chat --model {}/{model} Hello", profile.to_lowercase())?;
    writeln!(out, "  {variables} modelswitch models")?;
    writeln!(
        out,
        "\nA tag in the message asks for trouble: [sim:402] [sim:429] [sim:503] [sim:cut] [sim:context]"
    )?;
    writeln!(out, "{DIM}Ctrl-C stops it{DIM:#}")?;
    out.flush()
}

/// Listens from now on for Ctrl-C, and for a supervisor's signal to end; the future waits for it.
#[cfg(unix)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_may_be_one_argument_or_two() {
        let read = |text| balance(text).ok();
        assert_eq!(read("USD 3.20"), Some(("USD".to_owned(), "3.20".to_owned())));
        assert_eq!((read("USD"), read("USD much"), read("USD 3 20")), (None, None, None));
    }
}
