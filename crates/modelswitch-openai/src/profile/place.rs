//! Where the environment says that a service is.

use super::Profile;

impl Profile {
    /// The variable in which a base URL was found, and the URL: the first of [`base_url_env`](Self::base_url_env), else of
    /// [`base_url_from`](Self::base_url_from). `variable` looks a variable up.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let azure = Profile::embedded("azure").ok_or("there is one")?;
    /// let variable = |name: &str| (name == "AZURE_RESOURCE_NAME").then(|| "mine".to_owned());
    /// let (_, url) = azure.base_url_in(variable).ok_or("there is one")?;
    /// assert_eq!(url, "https://mine.openai.azure.com/openai/v1");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn base_url_in(&self, variable: impl Fn(&str) -> Option<String>) -> Option<(&str, String)> {
        let whole = self.base_url_env.iter().find_map(|name| Some((name.as_str(), variable(name)?)));
        whole.or_else(|| self.base_url_from.iter().find_map(|template| filled(template, &variable)))
    }

    /// The variables that say where it is: each of [`base_url_env`](Self::base_url_env), and those that
    /// [`base_url_from`](Self::base_url_from) is made of.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let azure = Profile::embedded("azure").ok_or("there is one")?;
    /// assert!(azure.base_url_variables().any(|name| name == "AZURE_RESOURCE_NAME"));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn base_url_variables(&self) -> impl Iterator<Item = &str> {
        let whole = self.base_url_env.iter().map(String::as_str);
        whole.chain(self.base_url_from.iter().filter_map(|template| Some(split(template)?.1)))
    }

    /// The same profile with the headers and parameters that variables hold: [`headers_env`](Self::headers_env) and
    /// [`query_env`](Self::query_env).
    pub fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        for (header, name) in &self.headers_env {
            self.headers.extend(variable(name).map(|value| (header.clone(), value)));
        }
        for (parameter, name) in &self.query_env {
            self.query.extend(variable(name).map(|value| (parameter.clone(), value)));
        }
        self
    }

    /// The variables whose being set means that somebody wants this service; none for one that is gone.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let found_by = |name| Profile::embedded(name).map(|profile| profile.found_by().to_vec());
    /// assert_eq!(found_by("mistral"), Some(vec!["MISTRAL_API_KEY".to_owned()]));
    /// assert_eq!(found_by("huggingface"), Some(vec![]));      // HF_TOKEN is set for downloads
    /// ```
    pub fn found_by(&self) -> &[String] {
        match (&self.gone, &self.found_by) {
            (Some(_), _) => &[],
            (None, Some(variables)) => variables,
            (None, None) => &self.key_env,
        }
    }

    /// The other places of the service, for whoever's key is refused at this one.
    ///
    /// ```
    /// use modelswitch_openai::Profile;
    ///
    /// let moonshot = Profile::embedded("moonshot").ok_or("there is one")?;
    /// assert!(moonshot.told_regions().ok_or("has some")?.contains("https://api.moonshot.cn/v1"));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn told_regions(&self) -> Option<String> {
        let told =
            |(name, url): (&String, &String)| format!("keys of {name} work only with base_url = \"{url}\"");
        let regions: Vec<String> = self.regions.iter().map(told).collect();
        (!regions.is_empty()).then(|| regions.join(", "))
    }
}

/// A template with the value of the variable whose name stands in braces.
fn filled(template: &str, variable: impl Fn(&str) -> Option<String>) -> Option<(&str, String)> {
    let (before, name, after) = split(template)?;
    let value = variable(name)?;
    Some((name, format!("{before}{}{after}", value.trim().trim_end_matches('/'))))
}

/// What stands before a variable, its name, and what stands behind.
fn split(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_found_whole_or_made_of_a_variable() {
        let profile = Profile::from_toml(
            "mine",
            "base_url_env = ['URL']\nbase_url_from = ['{ENDPOINT}/openai/v1', 'https://{NAME}.example.com/v1']",
        )
        .unwrap();
        for (set, expected) in [
            (vec![], None),
            (vec![("NAME", "mine")], Some(("NAME", "https://mine.example.com/v1"))),
            (
                vec![("NAME", "mine"), ("ENDPOINT", " https://x.example/ ")],
                Some(("ENDPOINT", "https://x.example/openai/v1")),
            ),
            (vec![("URL", "https://y.example/"), ("NAME", "mine")], Some(("URL", "https://y.example/"))),
        ] {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = profile.base_url_in(variable);
            assert_eq!(found.as_ref().map(|(name, url)| (*name, url.as_str())), expected, "{set:?}");
        }
    }

    #[test]
    fn headers_and_parameters_come_from_variables_where_those_are_set() {
        let profile = Profile::from_toml(
            "mine",
            "query = { version = '1', other = '2' }\nquery_env = { version = 'VERSION', other = 'OTHER' }\n\
             headers_env = { x-team = 'TEAM' }",
        )
        .unwrap();
        let found = profile.with_variables(|name| (name != "OTHER").then(|| name.to_lowercase()));
        assert_eq!((found.query["version"].as_str(), found.query["other"].as_str()), ("version", "2"));
        assert_eq!(found.headers["x-team"], "team");
    }
}
