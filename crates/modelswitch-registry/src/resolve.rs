//! What a name stands for: an alias, `provider/model`, or a bare name that exactly one provider owns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use modelswitch_openai::Profile;
use modelswitch_provider::{Error, ErrorKind, Result};

use crate::choice::Choice;
use crate::parameters::Parameters;
use crate::spelling::{did_you_mean, list, near, nearest};
use crate::syntax::Syntax;

/// A model at a provider.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
    /// What the alias that it was asked for by puts into requests.
    pub(crate) parameters: Option<Arc<Parameters>>,
    /// The alias's other targets, and how it chooses; this one is the first of them.
    pub(crate) choice: Option<Arc<Choice>>,
    /// The alias that it was asked for by.
    pub(crate) alias: Option<Arc<str>>,
}

impl Target {
    pub(crate) fn new(provider: impl Into<Arc<str>>, model: impl Into<Arc<str>>) -> Self {
        Self { provider: provider.into(), model: model.into(), parameters: None, choice: None, alias: None }
    }
}

impl Target {
    /// All that may be asked, where there are several.
    pub(crate) fn shown(&self) -> String {
        self.choice.as_ref().map_or_else(|| self.to_string(), ToString::to_string)
    }

    pub(crate) fn is_at(&self, other: &Self) -> bool {
        self.provider == other.provider && self.model == other.model
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Every name that can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The providers in their order, each with the bare names that it owns.
    providers: Vec<(Arc<str>, Vec<String>)>,
    /// Bare names that a provider's service no longer takes, with their owner: requests for them still find it, but nobody
    /// is told of them.
    retired: Vec<(String, Arc<str>)>,
    aliases: BTreeMap<String, Target>,
    /// What answers when a request names no model.
    pub(crate) default: Option<Target>,
    /// Whether a provider's key in the environment is enough for it to be there.
    pub(crate) from_environment: bool,
    /// Whether there is a provider with mistakes of which it isn't known what it would own.
    pub(crate) may_own_more: bool,
    /// Whether there is one that may own what some known service does.
    pub(crate) may_own_known: bool,
    /// Whether providers may be missing, since a section had a mistake.
    pub(crate) may_lack_providers: bool,
    /// What the file is written in that advice is for.
    pub(crate) syntax: Syntax,
}

/// Why a name stands for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// Aliases that point to each other, the first one again at the end.
    Cycle(Vec<String>),
    /// `provider/model` of a provider that isn't there.
    NoProvider(String),
    /// Several providers own the name.
    Several(Vec<String>),
    /// A provider without a model.
    NoModel(Arc<str>),
    Unknown,
    /// Something that has a mistake of its own, and is told with that.
    ToBeMended,
}

/// What aliases are written to stand for.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) aliases: BTreeMap<String, WrittenAlias>,
    /// Those that have mistakes of their own.
    pub(crate) broken: BTreeSet<String>,
}

/// Where one alias points, and what it puts into requests.
#[derive(Debug, Default)]
pub(crate) struct WrittenAlias {
    pub(crate) targets: Vec<String>,
    pub(crate) parameters: Parameters,
}

impl Names {
    pub(crate) fn new(providers: Vec<(Arc<str>, Vec<String>)>) -> Self {
        Self { providers, ..Self::default() }
    }

    pub(crate) fn add_retired(&mut self, provider: &str, names: &[String]) {
        let provider: Arc<str> = provider.into();
        self.retired.extend(names.iter().map(|name| (name.clone(), provider.clone())));
    }

    pub(crate) fn add_alias(&mut self, alias: String, target: Target) {
        let target = Target { alias: Some(alias.as_str().into()), ..target };
        self.aliases.insert(alias, target);
    }

    /// The alias of that name.
    pub(crate) fn alias(&self, name: &str) -> Option<&Arc<str>> {
        self.aliases.get(name)?.alias.as_ref()
    }

    /// The aliases in alphabetical order.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (&str, &Target)> {
        self.aliases.iter().map(|(alias, target)| (alias.as_str(), target))
    }

    pub(crate) fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|(name, _)| &**name)
    }

    /// What a name that somebody asks for stands for.
    ///
    /// # Errors
    /// [`ModelNotFound`](ErrorKind::ModelNotFound), with what was probably meant.
    pub(crate) fn resolve(&self, name: &str) -> Result<Target> {
        self.find(name).map_err(|nothing| self.not_found(name, &nothing))
    }

    /// The same, for whoever has words of his own for what is wrong.
    pub(crate) fn find(&self, name: &str) -> Result<Target, Nothing> {
        match self.aliases.get(name) {
            Some(target) => Ok(target.clone()),
            None => self.place(name),
        }
    }

    /// All targets that a written name stands for, aliases followed. An alias matches whole before anything else.
    pub(crate) fn follow(
        &self,
        name: &str,
        written: &Written,
        trail: &mut Vec<String>,
    ) -> Result<Vec<Target>, Nothing> {
        if written.broken.contains(name) {
            return Err(Nothing::ToBeMended);
        }
        let Some(WrittenAlias { targets, parameters }) = written.aliases.get(name) else {
            return self.place(name).map(|target| vec![target]);
        };
        if let Some(start) = trail.iter().position(|seen| seen == name) {
            let mut cycle: Vec<String> = trail.iter().skip(start).cloned().collect();
            cycle.push(name.to_owned());
            return Err(Nothing::Cycle(cycle));
        }
        trail.push(name.to_owned());
        let mut found = Vec::new();
        let mut failed = None;
        for target in targets {
            match self.follow(target, written, trail) {
                Ok(targets) => found.extend(targets),
                Err(cycle @ Nothing::Cycle(_)) => return Err(cycle),
                Err(nothing) => failed = failed.or(Some(nothing)),
            }
        }
        trail.pop();
        for target in &mut found {
            target.parameters = parameters.clone().over(target.parameters.as_deref()).shared();
        }
        match failed {
            Some(nothing) if found.is_empty() => Err(nothing),
            _ => Ok(found),
        }
    }

    /// A name that is no alias. Owners are known from configuration and profiles; the network is never asked.
    pub(crate) fn place(&self, name: &str) -> Result<Target, Nothing> {
        if let Some((provider, model)) = name.split_once('/')
            && let Some((provider, _)) = self.providers.iter().find(|(known, _)| **known == *provider)
        {
            return match model {
                "" => Err(Nothing::NoModel(provider.clone())),
                // Some services begin their models' names with their own.
                model if self.owns(provider, name) && !self.owns(provider, model) => {
                    Ok(Target::new(provider.clone(), name))
                }
                model => Ok(Target::new(provider.clone(), model)),
            };
        }
        match self.owners(name).as_slice() {
            [provider] => Ok(Target::new((*provider).clone(), name)),
            several @ [_, _, ..] => {
                Err(Nothing::Several(several.iter().map(|provider| format!("{provider}/{name}")).collect()))
            }
            [] => Err(match (name.split_once('/'), self.providers.iter().find(|(p, _)| **p == *name)) {
                (Some((provider, _)), _)
                    if self.may_lack_providers && nearest(provider, self.providers()).is_none() =>
                {
                    Nothing::ToBeMended
                }
                (Some((provider, _)), _) => Nothing::NoProvider(provider.to_owned()),
                (None, Some((provider, _))) => Nothing::NoModel(provider.clone()),
                (None, None) if self.may_own_more || self.may_lack_providers => Nothing::ToBeMended,
                (None, None) if self.may_own_known && is_known(name) => Nothing::ToBeMended,
                (None, None) => Nothing::Unknown,
            }),
        }
    }

    /// Who owns a bare name. Who serves it comes before whose service has retired it.
    fn owners(&self, name: &str) -> Vec<&Arc<str>> {
        let serves = |models: &[String]| models.iter().any(|model| model == name);
        let living: Vec<_> = self
            .providers
            .iter()
            .filter(|(_, models)| serves(models))
            .map(|(provider, _)| provider)
            .collect();
        if !living.is_empty() {
            return living;
        }
        self.retired.iter().filter(|(retired, _)| retired == name).map(|(_, provider)| provider).collect()
    }

    fn owns(&self, provider: &str, model: &str) -> bool {
        self.models_of(provider).iter().any(|owned| owned == model)
    }

    /// What to ask for to get the default.
    pub(crate) fn default_name(&self) -> Option<String> {
        self.default.as_ref().map(|target| self.shortest(target))
    }

    /// What to ask for to get this target: where a service begins its models' names with its own, once is enough.
    fn shortest(&self, target: &Target) -> String {
        let is_short = |name: &str| self.find(name).is_ok_and(|found| found.is_at(target));
        let Target { provider, model, .. } = target;
        let is_doubled = model.split_once('/').is_some_and(|(first, _)| *first == **provider);
        if is_doubled && is_short(model) { model.to_string() } else { target.to_string() }
    }

    /// The same model at the provider that was meant by a misspelt name, or the one that it has instead.
    fn at_the_nearest(&self, misspelt: &str, name: &str) -> Option<String> {
        let provider = nearest(misspelt, self.providers())?;
        let (_, model) = name.split_once('/').filter(|(_, model)| !model.is_empty())?;
        let retired = self.retired.iter().any(|(retired, owner)| retired == model && **owner == *provider);
        let owned = self.models_of(provider);
        let near = || nearest(model, owned.iter().map(String::as_str)).unwrap_or(model);
        let model = if retired || self.owns(provider, model) { model } else { near() };
        Some(format!("{provider}/{model}"))
    }

    /// What a written name was probably meant to be.
    pub(crate) fn probably(&self, name: &str) -> Option<String> {
        self.near(name).into_iter().next().map(|near| near.ask)
    }

    /// What makes a provider be there that isn't, or the known one that is spelt like it.
    pub(crate) fn how_to_add(&self, provider: &str) -> String {
        let known = known_service(provider).filter(|known| self.providers().all(|there| there != *known));
        let provider = known.unwrap_or(provider);
        let variable = Profile::embedded(provider).and_then(|profile| profile.found_by().first().cloned());
        match variable {
            Some(variable) if self.from_environment => format!("set {variable}"),
            _ => format!("add a section [providers.{provider}]"),
        }
    }

    fn not_found(&self, name: &str, nothing: &Nothing) -> Error {
        let known = self.known();
        let mut near = self.near(name);
        if let Nothing::NoProvider(provider) = nothing
            && let Some(meant) = self.at_the_nearest(provider, name)
        {
            near.retain(|near| near.ask != meant);
            near.insert(0, Near { ask: meant.clone(), is: meant });
            near.truncate(3);
        }
        let there_are = |separator: &str| match known.as_slice() {
            [] => String::new(),
            known => format!("{separator} there are: {}", list(known)),
        };
        let help = match near.first() {
            Some(first) => format!(
                "{}{}",
                told(first, &near),
                there_are(if near.len() > 1 || first.ask != first.is { ";" } else { "" })
            ),
            None => there_are(";"),
        };
        let near = near.first().map(|near| near.ask.as_str());
        let (message, hint) = match nothing {
            Nothing::Several(owners) => (
                format!("the model `{name}` is owned by several providers: {}", owners.join(", ")),
                format!("ask for `{}`", owners.first().map_or("provider/model", String::as_str)),
            ),
            Nothing::NoModel(provider) => (
                // What is near to a provider's name alone is chance, so nothing is suggested here.
                format!("`{name}` names the provider `{provider}` and no model{}", there_are(";")),
                match self.models_of(provider).first() {
                    Some(model) => format!("ask for one of its models, such as `{provider}/{model}`"),
                    None => format!("ask for one of its models, as `{provider}/model`"),
                },
            ),
            Nothing::NoProvider(provider) => (
                format!("no model `{name}`: there is no provider `{provider}`{help}"),
                match near {
                    Some(near) => format!("ask for `{near}`, or {}", self.how_to_add(provider)),
                    None => format!("{}, or ask for a model that is there", self.how_to_add(provider)),
                },
            ),
            Nothing::Unknown | Nothing::Cycle(_) | Nothing::ToBeMended => (
                format!("no model `{name}`{help}"),
                match near {
                    Some(near) => format!("ask for `{near}`, or add `{name}` to [models]"),
                    None => {
                        format!("ask for `provider/model`, or say under [models] what `{name}` stands for")
                    }
                },
            ),
        };
        Error::new(ErrorKind::ModelNotFound, message)
            .with_hint(self.syntax.put(&hint))
            .with_model(name)
            .with_param("model")
    }

    /// The names that are spelt like this one, the nearest first, each with what it is.
    fn near(&self, name: &str) -> Vec<Near> {
        let aliases = self
            .aliases
            .iter()
            .map(|(alias, target)| (alias.clone(), alias.clone(), format!("{alias} = {}", target.shown())));
        let owned = self.providers.iter().flat_map(|(provider, models)| {
            models.iter().flat_map(move |model| {
                let whole = format!("{provider}/{model}");
                // A bare name is compared with bare names too: a slip of the pen must not hide what it was meant to be.
                [model.clone(), whole.clone()].map(|spelt| (spelt, whole.clone(), whole.clone()))
            })
        });
        let candidates: Vec<(String, String, String)> = aliases.chain(owned).collect();
        let mut found: Vec<Near> = Vec::new();
        for position in near(name, candidates.iter().map(|(spelt, ..)| spelt.as_str())) {
            let Some((_, ask, is)) = candidates.get(position) else { continue };
            if found.iter().all(|other| other.ask != *ask) {
                found.push(Near { ask: ask.clone(), is: is.clone() });
            }
        }
        found.truncate(3);
        found
    }

    pub(crate) fn models_of(&self, provider: &str) -> &[String] {
        let found = self.providers.iter().find(|(name, _)| **name == *provider);
        found.map(|(_, models)| models.as_slice()).unwrap_or_default()
    }

    /// What can be asked for as far as is known: aliases, then what providers own.
    fn known(&self) -> Vec<String> {
        let owned = self
            .providers
            .iter()
            .flat_map(|(provider, models)| models.iter().map(move |model| format!("{provider}/{model}")));
        self.aliases.keys().cloned().chain(owned).collect()
    }
}

/// True for a bare name that some known service owns, or once did.
fn is_known(model: &str) -> bool {
    Profile::embedded_names().filter_map(Profile::embedded).any(|profile| {
        let is_retired = profile.retired_names().any(|(name, _)| name == model);
        is_retired || profile.models.iter().any(|known| known == model)
    })
}

/// The known service that a provider's name was probably meant to be.
pub(crate) fn known_service(provider: &str) -> Option<&'static str> {
    let names = || Profile::embedded_names();
    names().find(|name| *name == provider).or_else(|| nearest(provider, names()))
}

/// A name that is spelt like another.
struct Near {
    /// What to ask for.
    ask: String,
    /// Where it leads: `fast = deepseek/deepseek-flash`, `deepseek/deepseek-flash`.
    is: String,
}

/// The nearest, and of all that are near from which provider each comes, where that isn't said already.
fn told(first: &Near, near: &[Near]) -> String {
    let question = did_you_mean(Some(&first.ask));
    match near {
        [only] if only.ask == only.is => question,
        near => format!("{question} names like it: {}", list(near.iter().map(|near| near.is.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let owned = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect();
        let mut names = Names::new(vec![
            ("deepseek".into(), owned(&["deepseek-flash", "shared"])),
            ("openrouter".into(), owned(&["shared"])),
            ("empty".into(), Vec::new()),
        ]);
        for alias in ["fast", "gpt-4.1", "openrouter/fast"] {
            names.add_alias(alias.to_owned(), Target::new("deepseek", "deepseek-flash"));
        }
        names
    }

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(names().resolve(name).unwrap().to_string(), expected);
    }

    #[test]
    fn an_alias_matches_whole_before_anything_else() {
        check("fast", "deepseek/deepseek-flash");
        check("gpt-4.1", "deepseek/deepseek-flash");
        check("openrouter/fast", "deepseek/deepseek-flash");
    }

    #[test]
    fn a_name_splits_at_the_first_slash_after_a_provider() {
        check("openrouter/deepseek/deepseek-flash", "openrouter/deepseek/deepseek-flash");
        check("empty/whatever", "empty/whatever");
    }

    #[test]
    fn a_service_whose_models_begin_with_its_name_is_named_once_or_twice() {
        let owned = vec!["perplexity/sonar".to_owned(), "auto".to_owned()];
        let names = Names::new(vec![("perplexity".into(), owned)]);
        let sonar = Target::new("perplexity", "perplexity/sonar");
        for name in ["perplexity/sonar", "perplexity/perplexity/sonar"] {
            assert_eq!(names.resolve(name).unwrap(), sonar);
        }
        assert_eq!(names.shortest(&sonar), "perplexity/sonar");
        // What isn't known to be its own is taken as it stands.
        assert_eq!(names.resolve("perplexity/other").unwrap(), Target::new("perplexity", "other"));
        for unknown in ["perplexity/other", "openai/gpt"] {
            let target = Target::new("perplexity", unknown);
            assert_eq!(names.shortest(&target), format!("perplexity/{unknown}"));
        }
    }

    #[test]
    fn a_misspelt_provider_is_told_with_the_same_model_at_the_right_one() {
        let mut names = names();
        names.add_retired("deepseek", &["deepseek-chat".to_owned()]);
        for (name, meant) in [
            ("deepsek/deepseek-chat", "deepseek/deepseek-chat"),
            ("Deepseek/deepseek-falsh", "deepseek/deepseek-flash"),
            ("openruoter/some/model", "openrouter/some/model"),
        ] {
            let error = names.resolve(name).unwrap_err();
            assert!(error.message().contains(&format!("did you mean `{meant}`?")), "{error}");
            assert!(error.hint().starts_with(&format!("ask for `{meant}`, or ")), "{}", error.hint());
        }
    }

    #[test]
    fn advice_is_in_the_language_of_the_file() {
        let names = Names { syntax: Syntax::Yaml, ..names() };
        let hint = names.resolve("claude").unwrap_err().hint().to_owned();
        assert_eq!(hint, "ask for `provider/model`, or say under models: what `claude` stands for");
    }

    #[test]
    fn a_bare_name_belongs_to_its_only_owner() {
        check("deepseek-flash", "deepseek/deepseek-flash");
    }

    #[test]
    fn a_retired_name_finds_its_owner_and_is_in_no_list() {
        let mut names = names();
        names.add_retired("deepseek", &["deepseek-chat".to_owned(), "old".to_owned()]);
        names.add_retired("empty", &["old".to_owned()]);
        assert_eq!(names.resolve("deepseek-chat").unwrap().to_string(), "deepseek/deepseek-chat");
        let error = names.resolve("deepseek-chta").unwrap_err();
        assert!(!error.message().contains("deepseek-chat"), "{error}");
        assert_eq!(
            names.place("old"),
            Err(Nothing::Several(vec!["deepseek/old".into(), "empty/old".into()]))
        );
    }

    #[test]
    fn who_still_serves_a_name_comes_before_whose_service_has_retired_it() {
        let mut names = names();
        names.add_retired("empty", &["deepseek-flash".to_owned()]);
        assert_eq!(names.resolve("deepseek-flash").unwrap().to_string(), "deepseek/deepseek-flash");
    }

    #[test]
    fn a_provider_without_a_model_is_told_with_its_models_however_near_they_are() {
        let error = Names::new(vec![("s".into(), vec!["m".to_owned()])]).resolve("s/").unwrap_err();
        assert_eq!(error.message(), "`s/` names the provider `s` and no model; there are: s/m");
        assert_eq!(error.hint(), "ask for one of its models, such as `s/m`");
        let error = Names::new(vec![("s".into(), Vec::new())]).resolve("s").unwrap_err();
        assert_eq!(error.message(), "`s` names the provider `s` and no model");
    }

    #[test]
    fn names_that_stand_for_nothing_say_what_would() {
        let known = "there are: fast, gpt-4.1, openrouter/fast, deepseek/deepseek-flash, deepseek/shared, openrouter/shared";
        for (name, message, hint) in [
            (
                "fsat",
                format!(
                    "no model `fsat`; did you mean `fast`? names like it: fast = deepseek/deepseek-flash; {known}"
                ),
                "ask for `fast`, or add `fsat` to [models]",
            ),
            (
                "claude",
                format!("no model `claude`; {known}"),
                "ask for `provider/model`, or say under [models] what `claude` stands for",
            ),
            (
                "shared",
                "the model `shared` is owned by several providers: deepseek/shared, openrouter/shared"
                    .to_owned(),
                "ask for `deepseek/shared`",
            ),
            (
                "openai/gpt-4o",
                format!("no model `openai/gpt-4o`: there is no provider `openai`; {known}"),
                "add a section [providers.openai], or ask for a model that is there",
            ),
            (
                "deepseek",
                format!("`deepseek` names the provider `deepseek` and no model; {known}"),
                "ask for one of its models, such as `deepseek/deepseek-flash`",
            ),
            (
                "empty/",
                format!("`empty/` names the provider `empty` and no model; {known}"),
                "ask for one of its models, as `empty/model`",
            ),
            (
                "depseek/shared",
                format!(
                    "no model `depseek/shared`: there is no provider `depseek`; did you mean `deepseek/shared`? {known}"
                ),
                "ask for `deepseek/shared`, or add a section [providers.depseek]",
            ),
        ] {
            let error = names().resolve(name).unwrap_err();
            assert_eq!((error.kind(), error.model()), (ErrorKind::ModelNotFound, Some(name)));
            assert_eq!((error.message(), error.hint()), (message.as_str(), hint));
        }
    }
}
