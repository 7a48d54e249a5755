//! `modelswitch providers`: what is configured, and where the keys come from; with `--all`, which services are known.

use std::io::Write;

use modelswitch_openai::Profile;
use modelswitch_registry::{KeyInfo, ProviderInfo};
use serde::Serialize;

use super::{remark, write_json};
use crate::args::Common;
use crate::error::Failure;
use crate::table;
use crate::terminal::{DIM, clean, stderr};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// List the services that are known, configured or not: each goes by its name in a section [providers.NAME]
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    warnings: Vec<String>,
    default: Option<String>,
    providers: Vec<ProviderInfo>,
}

/// A service that is known.
#[derive(Debug, Serialize)]
struct Service {
    name: String,
    title: String,
    key_env: Vec<String>,
    key_required: bool,
    key_url: Option<String>,
    base_url: Option<String>,
    note: Option<String>,
}

impl From<Profile> for Service {
    fn from(profile: Profile) -> Self {
        let template = || profile.base_url_from.first().cloned();
        Self {
            base_url: profile.base_url.clone().or_else(template),
            name: profile.name,
            title: profile.title,
            key_env: profile.key_env,
            key_required: profile.auth.required,
            key_url: profile.key_url,
            note: profile.note,
        }
    }
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if args.all {
        return known(args);
    }
    let registry = common.registry_to_look_at()?;
    if args.json {
        return write_json(&Report {
            source: registry.source(),
            section: registry.section(),
            warnings: registry.warnings(),
            default: registry.default_model(),
            providers: registry.providers(),
        });
    }
    remark(&registry)?;
    if let Some(default) = registry.default_model() {
        writeln!(stderr(), "{DIM}default: {}{DIM:#}", clean(&default))?;
    }
    let rows = registry.providers().into_iter().map(|provider| {
        [
            provider.name,
            provider.profile.unwrap_or_default(),
            provider.base_url.unwrap_or_default(),
            key(&provider.key),
            provider.default_model.unwrap_or_default(),
        ]
    });
    Ok(table::write(["NAME", "PROFILE", "BASE URL", "KEY", "DEFAULT MODEL"], rows.collect())?)
}

fn known(args: &Args) -> Result<(), Failure> {
    let services: Vec<Service> =
        Profile::embedded_names().filter_map(Profile::embedded).map(Service::from).collect();
    if args.json {
        return write_json(&services);
    }
    let rows = services.into_iter().map(|service| {
        let key = service.key_env.first().cloned().unwrap_or_default();
        let key = if service.key_required { key } else { "none needed".to_owned() };
        let url = service.base_url.unwrap_or_else(|| "yours".to_owned());
        [service.name, service.title, key, url, service.note.unwrap_or_default()]
    });
    Ok(table::write(["NAME", "SERVICE", "KEY", "BASE URL", "TO KNOW"], rows.collect())?)
}

fn key(key: &KeyInfo) -> String {
    match (key.set, key.required) {
        (true, _) => match key.pool.iter().filter(|one| one.set).count() {
            found if found == key.pool.len() => format!("{} (set)", key.source),
            found => format!("{} ({found} of {} set)", key.source, key.pool.len()),
        },
        (false, true) if !key.looked_for => format!("{} (not looked for yet)", key.source),
        (false, true) => format!("{} (not set)", key.source),
        (false, false) => "none needed".to_owned(),
    }
}
