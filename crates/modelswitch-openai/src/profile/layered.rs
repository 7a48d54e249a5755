//! Profiles laid over others, field by field.

use modelswitch_provider::{Error, Result};
use toml::{Table, Value};

use super::{EMBEDDED, GONE, Profile};

impl Profile {
    /// The text of an embedded profile, to be laid under another or to begin one with.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// assert!(Profile::embedded_toml("vllm").is_some_and(|text| text.contains("base_url")));
    /// ```
    pub fn embedded_toml(name: &str) -> Option<&'static str> {
        EMBEDDED.iter().chain(GONE).find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Reads a profile from TOML that says where it differs from an embedded one: tables are laid over each other field
    /// by field, lists and all other values are replaced whole. It keeps the adapter of what it is laid over, see
    /// [`descends_from`](Self::descends_from).
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let mine = Profile::from_toml_over("eu", "deepseek", r#"
    ///     base_url = "https://eu.example.com"
    ///     [hints]
    ///     authentication = "ask the platform team for a key"
    /// "#)?;
    /// assert_eq!(mine.base_url.as_deref(), Some("https://eu.example.com"));
    /// assert_eq!(mine.request.max_tokens.as_deref(), Some("max_tokens"));     // as deepseek has it
    /// assert!(mine.descends_from("deepseek"));
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) that says what is wrong and where, without a value of the text.
    pub fn from_toml_over(name: impl Into<String>, base: &str, text: &str) -> Result<Self> {
        let name = name.into();
        let Some(below) = Self::embedded_toml(base) else {
            let known: Vec<&str> = Self::embedded_names().collect();
            return Err(Error::config(format!(
                "the profile `{name}` is laid over `{base}`, which is not embedded"
            ))
            .with_hint(format!("name one of {}", known.join(", "))));
        };
        let mut table = parse(&name, below)?;
        lay_over(&mut table, parse(&name, text)?);
        read(&name, table)?.derived(name, [base.to_owned()])
    }

    /// Gives a profile that serde has read its name, and fills in what follows from the rest. `from` are the profiles
    /// that it was laid over, the nearest first.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a model that is said to be served by one that isn't there.
    pub fn derived(
        mut self,
        name: impl Into<String>,
        from: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        self.name = name.into();
        if self.title.is_empty() {
            self.title.clone_from(&self.name);
        }
        self.lineage = from.into_iter().collect();
        self.fill_in_served()?;
        self.fill_in_required();
        self.fill_in_hints();
        Ok(self)
    }

    /// True for the embedded profile of this name and all that were laid over it: what adapts one service adapts its
    /// variants. A profile of the same name that was made of nothing is none.
    pub fn descends_from(&self, embedded: &str) -> bool {
        self.lineage.iter().any(|name| name == embedded)
    }
}

/// # Errors
/// What is no TOML, without the text.
pub(super) fn parse(name: &str, text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count() + 1);
        let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
        Error::config(format!("the profile `{name}` is not valid TOML{line}: {}", error.message()))
    })
}

/// # Errors
/// The first field that can't be read, by its path.
pub(super) fn read(name: &str, table: Table) -> Result<Profile> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let what = without_values(error.inner().message());
        Error::config(format!("the profile `{name}` can't be read: `{path}` {what}"))
            .with_hint("compare it with the fields of `Profile`")
    })
}

/// Serde's sentence begins with what it found, which may be anything, and ends with what it wanted.
fn without_values(message: &str) -> String {
    let expected = message.rsplit_once("expected ").map(|(_, expected)| expected);
    match expected {
        Some(expected) if message.starts_with("unknown field") => {
            format!("is not a field; allowed are {}", expected.trim_start_matches("one of "))
        }
        Some(expected) => format!("must be {expected}, which it is not"),
        None => "has a value that can't be read".to_owned(),
    }
}

/// Tables are laid over each other, all else is replaced.
fn lay_over(below: &mut Table, above: Table) {
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_laid_over_each_other_and_lists_replaced() {
        let profile = Profile::from_toml_over(
            "mine",
            "deepseek",
            "models = ['x']\n[model.\"deepseek-flash\"]\ncontext = 7\nmax_output = 7\n[headers]\nx-team = 'canary'",
        )
        .unwrap();
        assert_eq!(profile.models, ["x"]);
        let flash = profile.model("deepseek-flash").unwrap();
        assert_eq!((flash.context, flash.title.as_deref()), (Some(7), Some("DeepSeek-V4.1-Flash")));
        assert_eq!((profile.name.as_str(), profile.title.as_str()), ("mine", "DeepSeek"));
        assert!(!format!("{profile:?}").contains("canary"));
        assert!(profile.descends_from("deepseek") && !profile.descends_from("openai"));
        assert!(!Profile::from_toml("deepseek", "").unwrap().descends_from("deepseek"));
    }

    #[test]
    fn a_key_is_wanted_where_a_variable_holds_it_unless_the_profile_says_otherwise() {
        for (text, required) in [
            ("", false),
            ("key_env = ['K']", true),
            ("key_env = ['K']\nauth = { required = false }", false),
            ("auth = { required = true }", true),
            ("key_env = ['K']\nauth = { header = 'api-key' }", true),
        ] {
            let over = Profile::from_toml_over("mine", "openai-compatible", text).unwrap();
            let alone = Profile::from_toml("mine", text).unwrap();
            assert_eq!((alone.auth.required, over.auth.required), (required, required), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_path_and_without_its_value() {
        for (text, what) in [
            (
                "[request]\nmax_token = 'canary'",
                "`request.max_token` is not a field; allowed are `max_tokens`",
            ),
            ("[auth]\nrequired = 'canary'", "`auth.required` must be a boolean"),
            ("models = 'canary'", "`models` must be a sequence"),
            ("[reasoning]\nhistory = 'canary'", "`reasoning.history` must be one of"),
            ("[finish_reasons]\nx = 'canary'", "`finish_reasons.x` must be one of `invalid_request`"),
            ("a = canary", "is not valid TOML (line 1)"),
        ] {
            for error in [Profile::from_toml("mine", text), Profile::from_toml_over("mine", "vllm", text)]
                .map(Result::unwrap_err)
            {
                assert!(error.message().contains(what), "{error}");
                assert!(!format!("{error:?} {}", error.report()).contains("canary"), "{error:?}");
            }
        }
        assert!(Profile::from_toml_over("mine", "nobody", "").unwrap_err().hint().contains("deepseek"));
    }
}
