use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use modelswitch_provider::{ApiKey, Error, ErrorKind, Provider, Request, Response, Result};
use reqwest::Url;

use crate::dialect::Dialect;
use crate::transport::{BaseUrl, Credential, Parameter, Timeouts, Transport};
use crate::{HttpClient, Policies, Profile, unasked};

/// Any OpenAI-compatible service, after its [`Profile`]: one try over HTTP.
///
/// Answers come out in the one strict shape that async-openai decodes; failures come out as
/// [`Error`]s of the right kind. It repeats nothing: put a `Retry` layer around it.
///
/// ```no_run
/// use modelswitch_openai::{OpenAiProvider, Profile};
/// use modelswitch_provider::{ApiKey, ProviderExt};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let profile = Profile::compatible("mine", "https://llm.example.com/v1");
/// let llm = OpenAiProvider::builder(profile).api_key(ApiKey::new("sk-…")?).default_model("large").build()?;
/// println!("{}", llm.ask("9.11 or 9.8?").await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct OpenAiProvider {
    name: Arc<str>,
    transport: Transport,
    dialect: Dialect,
}

impl OpenAiProvider {
    /// Begins with a profile; the rest has defaults.
    pub fn builder(profile: Profile) -> OpenAiBuilder {
        OpenAiBuilder {
            name: profile.name.clone(),
            base_url: profile.base_url.clone(),
            profile,
            api_key: None,
            timeouts: Timeouts::default(),
            headers: Vec::new(),
            query: Vec::new(),
            allow_plain_http: false,
            http_client: None,
        }
    }

    /// The same service at another base URL of the same origin, over the same connections: a beta, a version.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for what isn't a URL of an API, and for another origin: the key
    /// was given for this one.
    pub fn at(&self, base_url: &str) -> Result<Self> {
        let base_url = check_base_url(Some(base_url), self.profile())?;
        let here = check_base_url(Some(self.base_url()), self.profile())?;
        if here.origin() != base_url.origin() {
            return Err(Error::config(
                "the other base URL is of another origin, for which the key was not given",
            ));
        }
        let mut other = self.clone();
        other.transport.base_url = BaseUrl::new(base_url);
        Ok(other)
    }

    /// The same service with another key, over the same connections: after a rotation, or one of several.
    ///
    /// Calls of this provider go on with its own key. The new one is sent wherever the profile says, and struck out of
    /// what the service says in its errors.
    ///
    /// ```
    /// use modelswitch_openai::{OpenAiProvider, Profile};
    /// use modelswitch_provider::ApiKey;
    ///
    /// let profile = Profile::compatible("mine", "https://llm.example.com/v1");
    /// let old = OpenAiProvider::builder(profile).api_key(ApiKey::new("sk-0123")?).build()?;
    /// let new = old.with_key(ApiKey::new("sk-4567")?)?;
    /// assert_eq!(new.base_url(), old.base_url());
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) for a provider that was built without a key and is asked over
    /// plain http at another machine: build that one with its key, and with
    /// [`allow_plain_http`](OpenAiBuilder::allow_plain_http).
    pub fn with_key(&self, key: ApiKey) -> Result<Self> {
        self.with_key_named(key).map_err(|error| error.with_provider(self.name.clone()))
    }

    fn with_key_named(&self, key: ApiKey) -> Result<Self> {
        // One that has a key has passed this, or was allowed to.
        if self.transport.key.is_none() {
            refuse_plain_http(&check_base_url(Some(self.base_url()), self.profile())?)?;
        }
        let mut other = self.clone();
        (other.transport.auth, other.transport.auth_at) = credentials(Some(&key), self.profile())?;
        other.transport.key = Some(key);
        Ok(other)
    }

    /// The same with other policies: what to do with requests that the service can't take as they are. Those in a request's
    /// [`extensions`](modelswitch_provider::Request::extensions) come first.
    ///
    /// ```
    /// use modelswitch_openai::{OpenAiProvider, Policies, Profile};
    ///
    /// let profile = Profile::compatible("mine", "https://llm.example.com/v1");
    /// let strict = Policies { strict: true, ..Policies::default() };
    /// let provider = OpenAiProvider::builder(profile).build()?.with_policies(strict);
    /// # let _ = provider;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    #[must_use]
    pub fn with_policies(mut self, policies: Policies) -> Self {
        self.dialect = self.dialect.with_policies(policies);
        self
    }

    /// Where requests go.
    pub fn base_url(&self) -> &str {
        self.transport.base_url.as_str()
    }

    /// The profile it was built from.
    pub fn profile(&self) -> &Profile {
        self.dialect.profile()
    }
}

#[async_trait]
impl Provider for OpenAiProvider {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let model = request.model().map(|model| Arc::<str>::from(&*model));
        let answer = match unasked::answer(&self.name, self.profile(), &request) {
            Some(answer) => answer,
            None => self.dialect.exchange(&self.name, &self.transport, request).await,
        };
        answer.map_err(|error| {
            let error = error.with_provider(self.name.clone());
            let error = match error.kind() {
                ErrorKind::Authentication if self.transport.key.is_none() => {
                    error.with_hint(no_key_sent(&self.name, &self.profile().key_env))
                }
                _ => error,
            };
            match model {
                Some(model) => error.with_model(model),
                None => error,
            }
        })
    }
}

/// Where it goes and whether it has a key; never the key.
impl fmt::Debug for OpenAiProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiProvider")
            .field("name", &self.name)
            .field("base_url", &self.base_url())
            .field("has_key", &self.transport.auth.is_some())
            .finish_non_exhaustive()
    }
}

/// Builds an [`OpenAiProvider`].
///
/// ```
/// use std::time::Duration;
/// use modelswitch_openai::{OpenAiProvider, Profile, Timeouts};
///
/// let mut timeouts = Timeouts::default();
/// timeouts.idle = Duration::from_secs(60);
/// let local = OpenAiProvider::builder(Profile::embedded("llamacpp").unwrap_or_default())
///     .name("local")
///     .base_url("http://127.0.0.1:8080/v1")
///     .timeouts(timeouts)
///     .build()?;
/// assert_eq!(local.base_url(), "http://127.0.0.1:8080/v1");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct OpenAiBuilder {
    profile: Profile,
    name: String,
    base_url: Option<String>,
    api_key: Option<ApiKey>,
    timeouts: Timeouts,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    allow_plain_http: bool,
    http_client: Option<HttpClient>,
}

impl OpenAiBuilder {
    /// The name for configuration, logs and errors, instead of the profile's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The URL that endpoints are appended to, instead of the profile's. A slash at its end makes no difference.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The key.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.api_key = Some(key);
        self
    }

    /// How long to wait for what. `connect` counts only where no [`http_client`](Self::http_client) is given.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The model that answers when a request names none, instead of the profile's.
    pub fn default_model(mut self, model: impl Into<String>) -> Self {
        self.profile.default_model = Some(model.into());
        self
    }

    /// A header to be sent with every request. Its value is never shown.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A parameter to be appended to every request's URL, such as Azure's `api-version`, unless a request has one of that
    /// name. Its value is never shown, but it must not be a key: URLs end in the logs of everybody on the way.
    ///
    /// ```
    /// use modelswitch_openai::{OpenAiProvider, Profile};
    ///
    /// let profile = Profile::compatible("azure", "https://mine.openai.azure.com/openai/deployments/gpt-4o");
    /// let azure = OpenAiProvider::builder(profile).query("api-version", "2024-10-21").build()?;
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Allows a key to be sent over plain http to a host that is not this machine.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// The pool of connections to share with other providers.
    pub fn http_client(mut self, client: HttpClient) -> Self {
        self.http_client = Some(client);
        self
    }

    /// The profile to build from.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Checks everything, and builds.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config): a service that is gone, no base URL or one that isn't http or https, a key that is
    /// missing, a key over plain http to another machine, a header that isn't one.
    pub fn build(self) -> Result<OpenAiProvider> {
        let name = self.name.clone();
        self.build_named().map_err(|error| error.with_provider(name))
    }

    fn build_named(self) -> Result<OpenAiProvider> {
        let profile = self.profile;
        if let Some(instead) = &profile.gone {
            let gone = format!("{} can't be asked any more", profile.title);
            return Err(Error::config(gone).with_hint(instead.clone()));
        }
        let base_url = check_base_url(self.base_url.as_deref(), &profile)?;
        let has_key = self.api_key.is_some();
        if has_key && !self.allow_plain_http {
            refuse_plain_http(&base_url)?;
        }
        if !has_key && profile.auth.required {
            return Err(no_key(&profile));
        }
        let mut headers = HeaderMap::new();
        let given = self.headers.iter().map(|(name, value)| (name, value));
        for (name, value) in profile.headers.iter().chain(given) {
            let (name, value) = header(name, value)?;
            headers.insert(name, value);
        }
        let (auth, auth_at) = credentials(self.api_key.as_ref(), &profile)?;
        let mut query = (*profile.query).clone();
        query.extend(self.query);
        let client = match self.http_client {
            Some(client) => client,
            None => HttpClient::new(self.timeouts.connect)?,
        };
        let transport = Transport {
            client,
            base_url: BaseUrl::new(base_url),
            auth,
            auth_at,
            key: self.api_key,
            headers,
            query: query.into_iter().map(Parameter::new).collect(),
            path: profile.path.clone(),
            timeouts: self.timeouts,
        };
        Ok(OpenAiProvider { name: self.name.into(), transport, dialect: Dialect::new(profile) })
    }
}

impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiBuilder")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .field("has_key", &self.api_key.is_some())
            .finish_non_exhaustive()
    }
}

/// Checks a base URL to which a key will be sent, and takes the slash off its end.
///
/// ```
/// use modelswitch_openai::checked_base_url;
///
/// assert_eq!(checked_base_url("https://llm.example.com/v1/")?, "https://llm.example.com/v1");
/// assert!(checked_base_url("http://llm.example.com/v1").is_err());       // the key would go over plain http
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
///
/// # Errors
/// [`Config`](modelswitch_provider::ErrorKind::Config) for what isn't a URL of an API, and for plain http to another
/// machine.
pub fn checked_base_url(url: &str) -> Result<String> {
    let url = check_base_url(Some(url), &Profile::default())?;
    refuse_plain_http(&url)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn refuse_plain_http(url: &Url) -> Result<()> {
    if url.scheme() != "http" || is_loopback(url) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(Error::config(format!(
        "the key would go over plain http to `{host}`, readable for everybody on the way"
    ))
    .with_hint("use https, or allow it with `allow_plain_http = true` when the network is your own"))
}

fn check_base_url(url: Option<&str>, profile: &Profile) -> Result<Url> {
    let Some(text) = url.map(str::trim).filter(|url| !url.is_empty()) else {
        return Err(Error::config("there is no base URL").with_hint(where_it_is(profile)));
    };
    let hint = "write it like https://llm.example.com/v1";
    // The text isn't repeated: it may hold a password.
    let url = Url::parse(text).map_err(|_| match Url::parse(&format!("http://{text}")) {
        Ok(url) if is_loopback(&url) => no_scheme("http://"),
        // One word alone may be anything.
        Ok(url) if url.host_str().is_some_and(|host| host.contains('.')) => no_scheme("https://"),
        Ok(_) | Err(_) => Error::config("the base URL is not a URL").with_hint(hint),
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::config(format!(
            "the base URL begins with `{}:`, not with http:// or https://",
            url.scheme()
        ))
        .with_hint(hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config("the base URL holds a user name or password")
            .with_hint("leave it out of the URL; a key belongs into api_key"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::config("the base URL has a query or fragment").with_hint(hint));
    }
    if url.path().trim_end_matches('/').ends_with("/chat/completions") {
        return Err(Error::config("the base URL names an endpoint")
            .with_hint("leave /chat/completions out: endpoints are appended to the base URL"));
    }
    Ok(url)
}

fn no_scheme(scheme: &str) -> Error {
    Error::config("the base URL begins with neither http:// nor https://")
        .with_hint(format!("write {scheme} before it"))
}

/// What to set for a service whose place isn't known.
fn where_it_is(profile: &Profile) -> String {
    let variables: Vec<&str> = profile.base_url_variables().collect();
    match variables.as_slice() {
        [] => format!("set base_url: the profile `{}` stands for services at many places", profile.name),
        variables => {
            format!("set base_url or {}: each customer has a place of his own", variables.join(" or "))
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn no_key(profile: &Profile) -> Error {
    let variables = profile.key_env.join(" or ");
    let hint = match (&profile.key_url, variables.as_str()) {
        (Some(url), "") => format!("make a key at {url}"),
        (Some(url), variables) => format!("set {variables}; keys are made at {url}"),
        (None, "") => "give it a key".to_owned(),
        (None, variables) => format!("set {variables}"),
    };
    Error::config(format!("{} needs an API key and there is none", profile.title)).with_hint(hint)
}

/// Which key is missing: the usual variables, or one that the configuration is to name.
fn no_key_sent(name: &str, key_env: &[String]) -> String {
    const WHY: &str = "no key was sent, since this provider has none:";
    match key_env.join(" or ").as_str() {
        "" => format!("{WHY} give it one, such as api_key = {{ env = \"{}\" }}", variable_for(name)),
        variables => format!("{WHY} set {variables}, or say where it is, api_key = {{ env = \"VARIABLE\" }}"),
    }
}

/// What the variable of a provider is called that has no usual one.
fn variable_for(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{}_API_KEY", name.chars().map(letter).collect::<String>())
}

type Header = (HeaderName, HeaderValue);

/// The key as the profile's service takes it, and where it takes it otherwise.
fn credentials(key: Option<&ApiKey>, profile: &Profile) -> Result<(Option<Header>, Vec<Credential>)> {
    let Some(key) = key else { return Ok((None, Vec::new())) };
    let auth = credential(key, &profile.auth.header, &profile.auth.scheme)?;
    let mut auth_at = Vec::new();
    for rule in &profile.auth_at {
        let (header, value) = credential(key, &rule.header, &rule.scheme)?;
        auth_at.push(Credential { prefix: rule.prefix.clone(), header, value });
    }
    Ok((Some(auth), auth_at))
}

fn credential(key: &ApiKey, header: &str, scheme: &str) -> Result<(HeaderName, HeaderValue)> {
    let scheme = Some(scheme).filter(|scheme| !scheme.is_empty());
    Ok((header_name(header)?, key.to_header(scheme)?))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::config(format!("the value of the header `{name}` has a character that can't be sent"))
    })?;
    value.set_sensitive(true);
    Ok((header_name(name)?, value))
}

fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Error::config(format!("`{name}` can't be the name of a header")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(url: &str, key: Option<&str>) -> Result<OpenAiProvider> {
        let mut builder = OpenAiProvider::builder(Profile::compatible("mine", url));
        if let Some(key) = key {
            builder = builder.api_key(ApiKey::new(key).unwrap());
        }
        builder.build()
    }

    #[test]
    fn a_slash_at_the_end_of_the_base_url_makes_no_difference() {
        for url in ["https://x.example/v1", "https://x.example/v1/", " https://x.example/v1// "] {
            assert_eq!(build(url, None).unwrap().base_url(), "https://x.example/v1");
        }
        assert_eq!(build("https://x.example", None).unwrap().base_url(), "https://x.example");
    }

    #[test]
    fn a_base_url_that_cannot_work_is_refused_with_what_to_write() {
        for url in [
            "",
            "x.example/v1",
            "ftp://x.example",
            "https://hush:hush@x.example",
            "https://x.example/v1?key=hush",
            "https://x.example/v1/chat/completions",
        ] {
            let error = build(url, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?} {}", error.report()).contains("hush"));
        }
    }

    #[test]
    fn a_key_goes_over_plain_http_only_to_this_machine_or_where_it_was_allowed() {
        for url in
            ["http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://x.example"]
        {
            assert!(build(url, Some("sk-1")).is_ok(), "{url}");
        }
        let error = build("http://10.0.0.7/v1", Some("sk-1")).unwrap_err();
        assert!(error.hint().contains("allow_plain_http"));
        assert!(build("http://10.0.0.7/v1", None).is_ok());
        let builder = OpenAiProvider::builder(Profile::compatible("mine", "http://10.0.0.7/v1"));
        assert!(builder.api_key(ApiKey::new("sk-1").unwrap()).allow_plain_http(true).build().is_ok());
    }

    #[test]
    fn another_key_goes_wherever_the_first_one_went_and_leaves_it_alone() {
        let builder = OpenAiProvider::builder(Profile::embedded("deepseek").unwrap());
        let old = builder.api_key(ApiKey::new("sk-old").unwrap()).build().unwrap();
        let new = old.with_key(ApiKey::new("sk-new").unwrap()).unwrap();
        for (provider, key) in [(&old, "sk-old"), (&new, "sk-new")] {
            let transport = &provider.transport;
            assert_eq!(transport.auth.as_ref().unwrap().1, *format!("Bearer {key}"));
            assert!(!transport.auth_at.is_empty());
            assert!(transport.auth_at.iter().all(|at| at.value.to_str().unwrap().ends_with(key)));
            assert_eq!(transport.key.as_ref().unwrap().expose(), key);
        }
    }

    #[test]
    fn another_key_goes_over_plain_http_only_where_the_first_one_was_allowed_to() {
        let key = || ApiKey::new("sk-1").unwrap();
        let error = build("http://10.0.0.7/v1", None).unwrap().with_key(key()).unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Config, Some("mine")));
        let builder = OpenAiProvider::builder(Profile::compatible("mine", "http://10.0.0.7/v1"));
        let allowed = builder.api_key(key()).allow_plain_http(true).build().unwrap();
        assert!(allowed.with_key(key()).is_ok());
        assert!(build("https://x.example", None).unwrap().with_key(key()).is_ok());
    }

    #[test]
    fn a_missing_key_names_the_variable_to_set() {
        let error = OpenAiProvider::builder(Profile::embedded("deepseek").unwrap()).build().unwrap_err();
        assert!(error.hint().contains("DEEPSEEK_API_KEY"));
    }

    #[test]
    fn a_service_that_is_gone_is_not_built_and_tells_what_to_use_instead() {
        let error = OpenAiProvider::builder(Profile::embedded("github-models").unwrap()).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("GitHub Models can't be asked any more"), "{error}");
        assert!(error.hint().contains("azure"), "{}", error.hint());
    }

    #[test]
    fn a_place_that_is_not_known_names_the_variables_that_say_it() {
        let azure = OpenAiProvider::builder(Profile::embedded("azure").unwrap());
        let error = azure.api_key(ApiKey::new("sk-1").unwrap()).build().unwrap_err();
        assert!(error.hint().contains("AZURE_OPENAI_ENDPOINT or AZURE_RESOURCE_NAME"), "{}", error.hint());
    }

    #[test]
    fn a_key_that_is_missing_is_named_by_its_variable() {
        for (name, key_env, expected) in [
            ("llamacpp", vec!["LLAMACPP_API_KEY".to_owned()], "set LLAMACPP_API_KEY, or say where it is"),
            ("my-own", Vec::new(), "api_key = { env = \"MY_OWN_API_KEY\" }"),
        ] {
            assert!(no_key_sent(name, &key_env).contains(expected), "{name}");
        }
    }

    #[test]
    fn a_base_url_without_its_beginning_is_told_with_it() {
        for (url, hint) in [
            ("127.0.0.1:8080/v1", "write http:// before it"),
            ("llm.example.com/v1", "write https:// before it"),
            ("http://a b", "write it like https://llm.example.com/v1"),
            ("nonsense", "write it like https://llm.example.com/v1"),
        ] {
            assert_eq!(build(url, None).unwrap_err().hint(), hint);
        }
    }

    #[test]
    fn debug_shows_no_key_and_no_header() {
        let builder = OpenAiProvider::builder(Profile::compatible("mine", "https://x.example"))
            .api_key(ApiKey::new("sk-canary").unwrap())
            .header("x-team", "canary");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
