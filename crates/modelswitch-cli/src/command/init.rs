//! `modelswitch init`: writes a configuration with references to keys, and tests its connections.

mod ask;
mod file;

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use modelswitch_registry::{CheckReport, Registry};

use super::check;
use crate::args::Common;
use crate::error::Failure;
use crate::terminal::{GOOD, clean, stderr, stdout, wheel};
use file::{Answers, Provider, is_no_variable};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --provider it asks, on a terminal. It writes where keys are read, and never a key.\n\
    Exit codes: 0 written and every check passed, 1 written and a check failed, 2 nothing was written."
)]
pub(crate) struct Args {
    /// A provider: deepseek, openai, ollama, …, or a name of your own with --base-url; may be given several times
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,

    /// The variable that holds the key, as [NAME=]VARIABLE; the profile's own when left out
    #[arg(long, value_name = "VARIABLE")]
    key_env: Vec<String>,

    /// The file that holds the key, as [NAME=]PATH
    #[arg(long, value_name = "PATH")]
    key_file: Vec<String>,

    /// Where the provider is, as [NAME=]URL; the profile's own when left out
    #[arg(long, value_name = "URL")]
    base_url: Vec<String>,

    /// A name that apps ask for, and what it stands for
    #[arg(long = "alias", value_name = "ALIAS=TARGET")]
    aliases: Vec<String>,

    /// What answers when a request names no model
    #[arg(long, value_name = "PROVIDER/MODEL")]
    default: Option<String>,

    /// Where to write it
    #[arg(long, value_name = "PATH", default_value = "modelswitch.toml")]
    path: PathBuf,

    /// Ask nothing
    #[arg(short, long)]
    yes: bool,

    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,

    /// Don't test the connections
    #[arg(long)]
    no_check: bool,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<(), Failure> {
    let path = common.config.clone().unwrap_or_else(|| args.path.clone());
    if path.exists() && !args.force {
        return Err(Failure::usage(
            format!("{} is there already", path.display()),
            "name another with --path, or overwrite it with --force",
        ));
    }
    refuse_other_formats(&path)?;
    let answers = if args.providers.is_empty() { asked(&args)? } else { given(&args)? };
    let text = file::text(&answers);
    // What isn't right isn't written. It has no section yet that MODELSWITCH_PROFILE could choose.
    common.builder().toml(&text).without_profile().build().map_err(Failure::before_the_call)?;
    write(&path, &text, args.force)?;
    writeln!(stdout(), "{GOOD}written:{GOOD:#} {}", clean(&path.display().to_string()))?;
    if args.no_check {
        return Ok(());
    }
    let registry = common.builder().file(&path).without_profile().build()?;
    test(&registry, &answers, &path).await
}

/// The file is TOML, and what it is read as goes by its ending.
fn refuse_other_formats(path: &Path) -> Result<(), Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    if !matches!(ending.as_str(), "yaml" | "yml" | "json") {
        return Ok(());
    }
    Err(Failure::usage(
        format!("init writes TOML, and {} would be read as something else", path.display()),
        format!("write it to {}", path.with_extension("toml").display()),
    ))
}

fn asked(args: &Args) -> Result<Answers, Failure> {
    if args.yes || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is nobody to ask, and no provider is named",
            "name one, for example: modelswitch init --provider deepseek --yes",
        ));
    }
    let mut answers = ask::ask(&mut BufReader::new(io::stdin()), &mut stderr())?;
    answers.aliases.extend(aliases(args)?);
    Ok(answers)
}

fn given(args: &Args) -> Result<Answers, Failure> {
    let of = |name: &str, given: &[String], flag: &str| -> Result<Option<String>, Failure> {
        for one in given {
            match one.split_once('=').filter(|(owner, _)| args.providers.iter().any(|name| name == owner)) {
                Some((owner, value)) if owner == name => return Ok(Some(value.to_owned())),
                Some(_) => {}
                None if args.providers.len() == 1 => return Ok(Some(one.clone())),
                None => {
                    return Err(Failure::usage(
                        format!("{flag} doesn't say which provider it is for"),
                        format!("write {flag} NAME=…, with one of the providers as NAME"),
                    ));
                }
            }
        }
        Ok(None)
    };
    let provider = |name: &String| -> Result<Provider, Failure> {
        let provider = Provider {
            name: name.clone(),
            key_env: of(name, &args.key_env, "--key-env")?,
            key_file: of(name, &args.key_file, "--key-file")?,
            base_url: of(name, &args.base_url, "--base-url")?,
        };
        checked(provider)
    };
    let providers = args.providers.iter().map(provider).collect::<Result<_, _>>()?;
    Ok(Answers { providers, aliases: aliases(args)?, default: args.default.clone() })
}

fn checked(provider: Provider) -> Result<Provider, Failure> {
    if provider.key_env.as_deref().is_some_and(is_no_variable) {
        return Err(Failure::usage(
            "--key-env looks like a key itself (not shown), not like the name of a variable",
            "name the variable, such as DEEPSEEK_API_KEY; and make a new key: this one stands in the shell's history",
        ));
    }
    if provider.key_env.is_some() && provider.key_file.is_some() {
        return Err(Failure::usage(
            "a key is read from a variable or from a file",
            "leave one of the two out",
        ));
    }
    if provider.needs_url() && provider.base_url.is_none() {
        return Err(Failure::usage(
            format!(
                "nothing is known of where `{}` is{}",
                clean(&provider.name),
                did_you_mean(&provider.name)
            ),
            format!("say it with --base-url, or name one of: {}", file::known().join(", ")),
        ));
    }
    Ok(provider)
}

/// The service that a misspelt name most likely means.
fn did_you_mean(name: &str) -> String {
    let far = |known: &&str| strsim::osa_distance(&name.to_lowercase(), known);
    let near = file::known().into_iter().min_by_key(far).filter(|known| far(known) <= name.len() / 3);
    near.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

fn aliases(args: &Args) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| {
        let found = text.split_once('=').filter(|(alias, target)| !alias.is_empty() && !target.is_empty());
        found.map(|(alias, target)| (alias.to_owned(), target.to_owned())).ok_or_else(|| {
            Failure::usage(
                "--alias is a name and what it stands for",
                "write --alias fast=deepseek/deepseek-flash",
            )
        })
    };
    args.aliases.iter().map(split).collect()
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|_| {
            Failure::usage(
                format!("the folder {} is not there and can't be made", folder.display()),
                "name a place with --path that this user may write to",
            )
        })?;
    }
    let mut options = OpenOptions::new();
    // Somebody may have written it meanwhile.
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let mut file = options.write(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} is there already", path.display()), "overwrite it with --force")
        }
        _ => Failure::usage(
            format!("{} can't be written", path.display()),
            "name a place with --path that this user may write to",
        ),
    })?;
    Ok(file.write_all(text.as_bytes())?)
}

async fn test(registry: &Registry, answers: &Answers, path: &Path) -> Result<(), Failure> {
    let mut all_passed = true;
    for provider in &answers.providers {
        let wheel = wheel(format!("checking {}", provider.name));
        let report: CheckReport = registry.check_provider(&provider.name).await?;
        wheel.finish_and_clear();
        check::write(&report)?;
        all_passed &= report.passed();
    }
    if all_passed {
        return Ok(());
    }
    let named = match path.to_str() {
        Some("modelswitch.toml" | "./modelswitch.toml") => String::new(),
        _ => format!(" --config {}", clean(&path.display().to_string())),
    };
    writeln!(stderr(), "the file stands; `modelswitch{named} check` tests it again")?;
    Err(Failure::told())
}
