//! `modelswitch sim`: a simulated provider on this machine, until Ctrl-C.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use modelswitch_openai::Profile;
use modelswitch_sim::{Personality, Sim};

use crate::error::Failure;
use crate::terminal::{BOLD, DIM, NAME, clean, stdout};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whom it takes after, by the name of its profile; openai is a plain service under /v1
    #[arg(long, value_name = "NAME", default_value = "deepseek", value_parser = PossibleValuesParser::new(Personality::names()))]
    personality: String,

    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS", value_parser = address)]
    address: SocketAddr,

    /// A key that it accepts, instead of one that it shows; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,

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

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    // The arguments were parsed against the same names.
    let personality = Personality::named(&args.personality).unwrap_or_default();
    let mut builder = Sim::builder()
        .personality(personality)
        .address(args.address)
        .any_key(args.any_key)
        .chunk_delay(args.chunk_delay)
        .keep_alives(args.keep_alives);
    let own_keys = args.keys.len();
    // No client can send any other.
    if args.keys.iter().any(|key| key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic())) {
        return Err(Failure::usage(
            "--key is no key that can be sent (not shown)",
            "give one line of ASCII without spaces",
        ));
    }
    if own_keys > 0 {
        builder = builder.keys(args.keys);
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
    introduce(&sim, own_keys, args.any_key)?;
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

/// What to write to reach a simulated service.
struct Guide {
    title: String,
    /// A provider's table, for a service that variables alone don't bring.
    file: Option<String>,
    /// Set in front of a command.
    variables: String,
    model: String,
    curl: String,
}

impl Guide {
    fn of(sim: &Sim, key: &str) -> Self {
        let (name, url) = (sim.personality().name(), sim.base_url());
        let model = if name == "deepseek" { "deepseek-flash" } else { "sim-small" };
        let profile = Profile::embedded(name);
        let title = match (name, &profile) {
            ("openai", _) => "plain OpenAI-like".to_owned(),
            (_, Some(profile)) => profile.title.clone(),
            (name, None) => name.to_owned(),
        };
        let (path, body) = request(profile.as_ref(), model);
        let curl = format!("curl '{url}{path}' -H 'Authorization: Bearer {key}' -d '{body}'");
        // One of a name without a profile is asked as any service is.
        let asked = if profile.is_some() { name } else { "openai" };
        let profile = profile.or_else(|| Profile::embedded("openai")).unwrap_or_default();
        let with = profile.key_env.first().map(|variable| format!("{variable}={key}")).unwrap_or_default();
        let (variables, file) = match (profile.base_url_env.first(), profile.found_by()) {
            (Some(at), [_, ..]) => (format!("{at}={url} {with}"), None),
            _ => (with, Some(format!("[providers.{name}]\n  base_url = \"{url}\""))),
        };
        Self { title, file, variables, model: format!("{asked}/{model}"), curl }
    }
}

/// The path and the body of a first question.
fn request(profile: Option<&Profile>, model: &str) -> (String, String) {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    let endpoint = "/chat/completions";
    let Some(profile) = profile else { return (endpoint.to_owned(), body) };
    if profile.gone_endpoints.contains_key("/chat/completions") {
        return ("/responses".to_owned(), format!(r#"{{"model":"{model}","input":"Hello"}}"#));
    }
    let path = match &profile.path {
        Some(path) => path.replace("{model}", model).replace("{endpoint}", endpoint),
        None => endpoint.to_owned(),
    };
    let query: Vec<String> = profile.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    (format!("{path}{query}"), body)
}

fn introduce(sim: &Sim, own_keys: usize, any_key: bool) -> io::Result<()> {
    let key = if own_keys > 0 { "YOUR_KEY" } else { sim.key() };
    let shown = match (any_key, own_keys) {
        (true, _) => "any",
        (false, 0) => key,
        (false, 1) => "the one you gave",
        (false, _) => "those you gave",
    };
    let Guide { title, file, variables, model, curl } = Guide::of(sim, key);
    let url = sim.base_url();

    let mut out = stdout();
    writeln!(
        out,
        "{BOLD}A simulated {title} service{BOLD:#}: answers are made up, nothing leaves this machine"
    )?;
    writeln!(out, "  URL  {NAME}{url}{NAME:#}")?;
    writeln!(out, "  key  {shown}")?;
    writeln!(out, "\nTry, in another terminal:")?;
    writeln!(out, "  {curl}")?;
    for command in [format!("chat --model {model} Hello"), "models".to_owned()] {
        writeln!(out, "  {}", format!("{variables} modelswitch {command}").trim_start())?;
    }
    if let Some(file) = file {
        writeln!(out, "with this in modelswitch.toml:\n  {file}")?;
    }
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
