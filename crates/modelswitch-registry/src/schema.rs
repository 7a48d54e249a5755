//! The JSON Schema of the configuration, for editors and for checks without this program. It describes each setting for
//! a person who hovers over it; that it has the same settings as the configuration is a test below.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The JSON Schema of `modelswitch.toml`, for an editor that completes and checks it. It knows the settings and their
/// types; that a target names a provider that there is, only a [`Registry`](crate::Registry) can tell.
///
/// ```
/// let schema = modelswitch_registry::config_schema();
/// assert_eq!(schema["properties"]["default"]["type"], "string");
/// ```
pub fn config_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    schema
}

/// A type with the settings of the top and of a section, which are the same, and what else it has.
macro_rules! with_the_settings {
    ($(#[$attribute:meta])* struct $name:ident { $($(#[$more:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(JsonSchema)]
        $(#[$attribute])*
        #[expect(dead_code, reason = "described, never made")]
        struct $name {
            /// What answers when a request names no model: `provider/model` or an alias.
            default: Option<String>,
            /// The providers by name. A name that is a profile's finds that profile.
            providers: Option<BTreeMap<String, Provider>>,
            /// Aliases: the names that apps ask for, and what they stand for.
            models: Option<BTreeMap<String, Alias>>,
            /// Profiles of your own, laid field by field over the one that `extends` names or over the one of the same
            /// name.
            profiles: Option<BTreeMap<String, BTreeMap<String, Value>>>,
            /// How failed calls are repeated.
            retry: Option<Retry>,
            /// How long is waited for what.
            timeout: Option<Timeout>,
            /// What each provider may be asked, unless it says otherwise.
            limits: Option<Limits>,
            /// When a target is left alone that keeps failing; off when left out.
            breaker: Option<BreakerSwitch>,
            /// Answers that are given again; off when left out.
            cache: Option<CacheSwitch>,
            /// What all calls together may cost.
            budget: Option<Budget>,
            /// Where calls and their costs are written down; nowhere when left out.
            ledger: Option<LedgerSwitch>,
            /// What is written to the log.
            log: Option<Log>,
            /// A span of tracing for each call, and one for each attempt; on when left out.
            trace: Option<TraceSwitch>,
            /// Measures each call under OpenTelemetry's names, for the recorder that the program has.
            #[schemars(extend("default" = false))]
            metrics: Option<Flag>,
            $($(#[$more])* $field: $type,)*
        }
    };
}

with_the_settings! {
    /// modelswitch: which providers there are, and what the names stand for that apps ask for.
    #[schemars(deny_unknown_fields, title = "modelswitch.toml")]
    struct Config {
        /// Sections that override what stands above; `MODELSWITCH_PROFILE` chooses one.
        profile: Option<BTreeMap<String, Section>>,
    }
}

with_the_settings! {
    /// What one environment has otherwise.
    #[schemars(deny_unknown_fields)]
    struct Section {}
}

/// What is written to the log.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Log {
    /// Writes what is asked and answered too, at debug; keys never.
    #[schemars(extend("default" = false))]
    content: Option<Flag>,
    /// Asks for the tokens of every stream, so that they are in the line, the span and the measures of each call.
    #[schemars(extend("default" = false))]
    usage: Option<Flag>,
}

/// What the span of each call has besides.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Trace {
    /// Puts what is asked and answered on it; keys never.
    #[schemars(extend("default" = false))]
    content: Option<Flag>,
}

/// One provider.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Provider {
    /// What kind of service it is; the provider's own name when left out.
    #[schemars(extend("examples" = modelswitch_openai::Profile::embedded_names().collect::<Vec<_>>()))]
    profile: Option<String>,
    /// Where it is. Endpoints such as /chat/completions are appended.
    base_url: Option<String>,
    /// Where its key is read; never the key itself. The profile's own variable when left out.
    api_key: Option<Keys>,
    /// The model that answers when a request to this provider names none.
    default_model: Option<String>,
    /// Bare names that this provider owns, besides those of its profile.
    models: Option<Vec<String>>,
    /// Whether a key may go over plain http to another machine.
    allow_plain_http: Option<Flag>,
    /// How the key is sent, where that isn't as the profile says.
    auth: Option<Auth>,
    /// Headers sent with every request; never for credentials.
    headers: Option<BTreeMap<String, String>>,
    /// What every URL gets appended; never for credentials.
    query: Option<BTreeMap<String, String>>,
    /// The only models that may be asked for: exact ids, or the beginning of some with `*` at the end.
    #[schemars(length(min = 1))]
    allow_models: Option<Vec<String>>,
    /// Models that may not be asked for.
    #[schemars(length(min = 1))]
    deny_models: Option<Vec<String>>,
    /// The only endpoints that may be asked.
    #[schemars(length(min = 1))]
    allow_endpoints: Option<Vec<String>>,
    /// The factory that makes it, where that is code.
    kind: Option<String>,
    /// What that factory reads.
    settings: Option<Value>,
    /// What is done where the service and OpenAI's API differ.
    policy: Option<Policy>,
    /// How failed calls to it are repeated, in place of the common settings.
    retry: Option<Retry>,
    /// How long is waited for it, in place of the common settings.
    timeout: Option<Timeout>,
    /// What it may be asked, in place of the common settings.
    limits: Option<Limits>,
    /// When its models are left alone, in place of the common settings.
    breaker: Option<BreakerSwitch>,
    /// Its answers that are given again, whatever name they were asked by.
    cache: Option<CacheSwitch>,
    /// What may be spent at it, beside the budget of all.
    budget: Option<Budget>,
}

/// How the key is sent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Auth {
    /// The header that it is sent in.
    header: Option<String>,
    /// The word before the key; none when empty.
    scheme: Option<String>,
    /// Whether the service asks for one.
    required: Option<Flag>,
}

/// What a name stands for, and what it puts into requests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct AliasTable {
    /// `provider/model`, or another alias.
    target: Option<String>,
    /// Several, in the order in which they are tried.
    #[schemars(length(min = 1))]
    targets: Option<Vec<Target>>,
    /// How one of several is chosen.
    #[schemars(extend("enum" = ["fallback", "round_robin", "balance", "least_busy", "fastest", "cheapest"]))]
    strategy: Option<String>,
    /// One for each of `targets`, where they don't say it themselves.
    #[schemars(length(min = 1))]
    weights: Option<Vec<f64>>,
    /// By what calls belong together; they go to one target as long as it answers.
    #[schemars(extend("enum" = ["key", "prompt_cache_key", "user", "conversation"]))]
    sticky: Option<String>,
    /// After how long without content the next target is asked too; the first to answer is taken.
    hedge_after: Option<Period>,
    /// Parameters for requests that don't say them.
    defaults: Option<BTreeMap<String, Value>>,
    /// Parameters for every request.
    overrides: Option<BTreeMap<String, Value>>,
    /// How failed calls are repeated, for each of its targets.
    retry: Option<Retry>,
    /// How long is waited; `total` is for the call with all its targets.
    timeout: Option<Timeout>,
    /// What may be asked by this name, beside what each provider may be asked.
    limits: Option<Limits>,
    /// When its targets are left alone.
    breaker: Option<BreakerSwitch>,
    /// Its answers that are given again.
    cache: Option<CacheSwitch>,
    /// What may be spent by this name, beside the other budgets.
    budget: Option<Budget>,
}

/// One of several targets, with its weight.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("required" = ["model"]))]
#[expect(dead_code, reason = "described, never made")]
struct TargetTable {
    /// `provider/model`, or another alias.
    model: Option<String>,
    /// How often it is chosen, compared with the others.
    #[schemars(extend("exclusiveMinimum" = 0))]
    weight: Option<f64>,
}

/// What is done where the service and OpenAI's API differ.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Policy {
    /// Refuse what would have to be changed, instead of changing it.
    strict: Option<Flag>,
    /// A tool choice that forces a call, where the service can't be forced.
    #[schemars(extend("enum" = ["disable_thinking", "auto", "refuse"]))]
    forced_tool_choice: Option<String>,
    /// `response_format: json_schema`, where the service doesn't know it.
    #[schemars(extend("enum" = ["json_object", "strict_tool", "refuse"]))]
    json_schema: Option<String>,
    /// An answer that the service broke off.
    #[schemars(extend("enum" = ["error", "finish_reason"]))]
    broken_off: Option<String>,
    /// An answer that ends properly and says nothing.
    #[schemars(extend("enum" = ["accept", "error"]))]
    empty_answer: Option<String>,
    /// How much of what the model thought is remembered; for the profile deepseek only.
    reasoning_memory: Option<Memory>,
}

/// How failed calls are repeated.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Retry {
    /// How many tries in all, the first included.
    #[schemars(extend("default" = 4))]
    attempts: Option<Count>,
    /// The longest wait before the second try. Each later one may be twice as long.
    #[schemars(extend("default" = "500ms"))]
    base_delay: Option<Period>,
    /// Where the doubling ends.
    #[schemars(extend("default" = "8s"))]
    max_delay: Option<Period>,
    /// The longest `Retry-After` that is waited out.
    #[schemars(extend("default" = "1m"))]
    max_retry_after: Option<Period>,
    /// How many repeats there may be for each call, of all calls of the last ten seconds together.
    #[schemars(extend("default" = 1, "exclusiveMinimum" = 0))]
    budget: Option<f64>,
}

/// What may be asked at a time, and in a minute.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Limits {
    /// So many requests a minute.
    requests_per_minute: Option<Count>,
    /// So many tokens a minute, of requests and answers.
    tokens_per_minute: Option<Count>,
    /// So many calls at once; a stream counts until its end.
    concurrent: Option<Count>,
    /// How long a call waits for room before it is refused, or another target asked.
    #[schemars(extend("default" = "1m 30s"))]
    wait: Option<Period>,
    /// How many tokens an answer is taken for whose length the request doesn't limit.
    #[schemars(extend("default" = 1000))]
    answer_tokens: Option<Count>,
    /// Lets fewer run at once, down to 1, when the service says that it is too much, and more again when it goes well.
    #[schemars(extend("default" = false))]
    adaptive: Option<Flag>,
}

/// When a target is left alone, and for how long.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Breaker {
    /// The share of failed calls, from 0 to 1, from which on it is left alone.
    #[schemars(extend("default" = 0.5, "exclusiveMinimum" = 0, "maximum" = 1))]
    failure_rate: Option<f64>,
    /// Over how much time failures are counted.
    #[schemars(extend("default" = "30s"))]
    window: Option<Period>,
    /// How many calls there must have been within it.
    #[schemars(extend("default" = 10))]
    minimum_calls: Option<Count>,
    /// How long it rests at first; twice as long each time that it fails again.
    #[schemars(extend("default" = "5s"))]
    rest: Option<Period>,
    /// Where the doubling ends.
    #[schemars(extend("default" = "1m"))]
    max_rest: Option<Period>,
    /// The longest `Retry-After` that it rests for.
    #[schemars(extend("default" = "1h"))]
    max_retry_after: Option<Period>,
    /// How many calls may pass at a time after its rest, to see how it goes.
    #[schemars(extend("default" = 2))]
    probes: Option<Count>,
}

/// Which answers are given again, and for how long.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Cache {
    /// How long an answer is given again.
    #[schemars(extend("default" = "1h"))]
    time_to_live: Option<Period>,
    /// How many bytes of answers are kept in all.
    #[schemars(extend("default" = 67_108_864))]
    max_size: Option<Size>,
    /// How many bytes an answer may have that is kept.
    #[schemars(extend("default" = 1_048_576))]
    max_answer: Option<Size>,
    /// How long the same question waits for the answer to the first.
    #[schemars(extend("default" = "1m"))]
    max_wait: Option<Period>,
    /// Requests with a higher temperature are answered anew. One that doesn't say has 1.
    #[schemars(extend("minimum" = 0))]
    max_temperature: Option<f64>,
    /// Whether callers with another tag get none of the answers.
    #[schemars(extend("default" = false))]
    per_tag: Option<Flag>,
}

/// How much may be spent; what a call may cost is held back before it, and what it cost charged after it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Budget {
    /// In an hour of the clock, UTC.
    hour: Option<Money>,
    /// In a day.
    day: Option<Money>,
    /// In a month of the calendar.
    month: Option<Money>,
    /// For whom the amounts are: for all together, or for each tag, alias or target.
    #[schemars(extend("enum" = ["all", "tag", "alias", "target"], "default" = "all"))]
    each: Option<String>,
    /// What becomes of calls to a model whose price isn't known.
    #[schemars(extend("enum" = ["refuse", "pass"], "default" = "refuse"))]
    unpriced: Option<String>,
    /// How many tokens an answer is taken for whose length the request doesn't limit.
    #[schemars(extend("default" = 4096))]
    answer_tokens: Option<Count>,
    /// By how much days and months begin before those of UTC.
    #[schemars(extend("default" = "+00:00"))]
    utc_offset: Option<UtcOffset>,
}

/// Where calls and their costs are written down.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Ledger {
    /// A file of SQLite, which programs of one machine may share; a relative path begins at the configuration file's folder. In memory
    /// when left out.
    path: Option<String>,
}

/// How long is waited for what.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Timeout {
    /// Until the connection stands, TLS included.
    #[schemars(extend("default" = "10s"))]
    connect: Option<Period>,
    /// From the request to the head of the answer.
    #[schemars(extend("default" = "10m"))]
    first_byte: Option<Period>,
    /// Between two pieces of the answer.
    #[schemars(extend("default" = "5m"))]
    idle: Option<Period>,
    /// For the whole of a call, with all its tries and targets; at a provider for its own part.
    total: Option<Period>,
}

/// Where a key is read: exactly one place.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("oneOf" = [
        { "required": ["env"] },
        { "required": ["file"] },
        { "required": ["command"] },
        { "required": ["keyring"] }
    ])
)]
#[expect(dead_code, reason = "described, never made")]
struct Key {
    /// The environment variable that holds it.
    env: Option<String>,
    /// The file that holds it alone; a relative path begins at the configuration file's folder.
    file: Option<String>,
    /// The program that prints it, with its arguments; no shell takes it apart.
    command: Option<Vec<String>>,
    /// The name under which the keyring of the system has it.
    keyring: Option<String>,
    /// How long the command may take.
    timeout: Option<Period>,
    /// How long what the command printed is used.
    cache: Option<Period>,
    /// After how long the key is read again.
    ttl: Option<Period>,
}

/// A bound for what is remembered.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made")]
struct Bounds {
    /// So many answers.
    answers: Option<Count>,
    /// So many bytes.
    bytes: Option<Count>,
}

/// A type of the configuration that is written in one of several ways.
macro_rules! written_as {
    ($name:ident, |$generator:ident| $schema:expr) => {
        struct $name;
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

written_as!(Keys, |generator| json_schema!({
    "description": "Where its key is read; never the key itself. Several share the work.",
    "anyOf": [
        generator.subschema_for::<Key>(),
        { "type": "array", "items": generator.subschema_for::<Key>(), "minItems": 1 }
    ]
}));

written_as!(Alias, |generator| json_schema!({
    "description": "`provider/model`, another alias, a list of them in the order in which they are tried, or a table.",
    "anyOf": [
        { "type": "string" },
        { "type": "array", "items": generator.subschema_for::<Target>(), "minItems": 1 },
        generator.subschema_for::<AliasTable>()
    ]
}));

written_as!(Target, |generator| json_schema!({
    "anyOf": [{ "type": "string" }, generator.subschema_for::<TargetTable>()]
}));

written_as!(Period, |_generator| json_schema!({
    "description": "A duration with its unit, such as 10s or 5m.",
    "type": "string",
    "pattern": "^\\s*([0-9]+\\s*[a-zA-Zµ]+\\s*)+$"
}));

written_as!(Count, |_generator| json_schema!({
    "anyOf": [
        { "type": "integer", "minimum": 1 },
        { "type": "string", "pattern": "^\\s*[0-9]*[1-9][0-9]*\\s*$" }
    ]
}));

written_as!(Flag, |_generator| json_schema!({
    "anyOf": [{ "type": "boolean" }, { "type": "string", "enum": ["true", "false"] }]
}));

written_as!(BreakerSwitch, |generator| switch(generator.subschema_for::<Breaker>()));
written_as!(CacheSwitch, |generator| switch(generator.subschema_for::<Cache>()));
written_as!(TraceSwitch, |generator| switch(generator.subschema_for::<Trace>()));
written_as!(LedgerSwitch, |generator| switch(generator.subschema_for::<Ledger>()));

/// A section that `true` and `false` may stand for.
fn switch(section: Schema) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "boolean" }, { "type": "string", "enum": ["true", "false"] }, section]
    })
}

written_as!(Money, |_generator| json_schema!({
    "description": "An amount with its currency, such as 5 USD.",
    "type": "string",
    "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s+[A-Z]{3}\\s*$"
}));

written_as!(Size, |_generator| json_schema!({
    "description": "A number of bytes, or a size such as 64MB.",
    "anyOf": [
        { "type": "integer", "minimum": 1 },
        { "type": "string", "pattern": "^\\s*[0-9]+\\s*(B|[kKMG]B|[KMG]iB)?\\s*$" }
    ]
}));

written_as!(UtcOffset, |_generator| json_schema!({
    "description": "A distance from UTC, such as +08:00.",
    "type": "string",
    "pattern": "^\\s*[+-](0[0-9]|1[0-4]):[0-5][0-9]\\s*$"
}));

written_as!(Memory, |generator| json_schema!({
    "anyOf": [
        { "type": "boolean" },
        { "type": "string", "enum": ["true", "false"] },
        generator.subschema_for::<Bounds>()
    ]
}));

/// TOML has no null: a setting is left out instead.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                // One choice alone is what it says, beside the setting's own description.
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::de::value::{MapDeserializer, StrDeserializer};
    use serde::de::{self, DeserializeOwned};
    use serde_json::json;

    use super::*;
    use crate::config;

    /// What serde says that it would have taken.
    #[derive(Debug)]
    struct Wanted(Vec<String>);

    impl fmt::Display for Wanted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("something else")
        }
    }
    impl std::error::Error for Wanted {}
    impl de::Error for Wanted {
        fn custom<M: fmt::Display>(_: M) -> Self {
            Self(Vec::new())
        }
        fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
            Self(expected.iter().map(|name| (*name).to_owned()).collect())
        }
        fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
            Self::unknown_field("", expected)
        }
    }

    fn settings<T: DeserializeOwned>() -> Vec<String> {
        let unknown = MapDeserializer::<_, Wanted>::new([("\0", "")].into_iter());
        let mut wanted = T::deserialize(unknown).err().unwrap().0;
        wanted.sort();
        wanted
    }

    fn words<T: DeserializeOwned>() -> Value {
        T::deserialize(StrDeserializer::<Wanted>::new("\0")).err().unwrap().0.into()
    }

    fn properties(schema: &Value) -> Vec<String> {
        let mut names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    /// Whoever adds a setting adds a line to the type of the same name above.
    #[test]
    fn the_schema_has_the_settings_that_the_configuration_takes() {
        let schema = config_schema();
        let of = |name: &str| properties(&schema["$defs"][name]);
        let mut top = settings::<config::Config>();
        assert_eq!(of("Section"), top);
        top.push("profile".to_owned());
        top.sort();
        assert_eq!(properties(&schema), top);
        assert_eq!(of("Provider"), settings::<config::ProviderConfig>());
        assert_eq!(of("Policy"), settings::<config::PolicyConfig>());
        assert_eq!(of("Retry"), settings::<config::RetryConfig>());
        assert_eq!(of("Timeout"), settings::<config::TimeoutConfig>());
        assert_eq!(of("Auth"), settings::<config::AuthConfig>());
        assert_eq!(of("AliasTable"), settings::<config::AliasConfig>());
        assert_eq!(of("TargetTable"), settings::<config::Weighted>());
        assert_eq!(of("Limits"), settings::<config::LimitsConfig>());
        assert_eq!(of("Breaker"), settings::<config::BreakerConfig>());
        assert_eq!(of("Cache"), settings::<config::CacheConfig>());
        assert_eq!(of("Budget"), settings::<config::BudgetConfig>());
        assert_eq!(of("Ledger"), settings::<config::LedgerConfig>());
        assert_eq!(of("Log"), settings::<config::LogConfig>());
        assert_eq!(of("Trace"), settings::<config::TraceConfig>());
        assert_eq!(of("Key"), settings::<config::KeyConfig>());
        assert_eq!(of("Bounds"), settings::<config::MemoryConfig>());
    }

    #[test]
    fn the_schema_has_the_words_that_the_policies_take() {
        let schema = config_schema();
        let of = |name: &str| schema["$defs"]["Policy"]["properties"][name]["enum"].clone();
        assert_eq!(of("forced_tool_choice"), words::<modelswitch_deepseek::ForcedToolChoice>());
        assert_eq!(of("json_schema"), words::<modelswitch_deepseek::JsonSchema>());
        assert_eq!(of("broken_off"), words::<modelswitch_deepseek::BrokenOff>());
        assert_eq!(of("empty_answer"), words::<modelswitch_deepseek::EmptyAnswer>());
    }

    #[test]
    fn the_schema_takes_what_is_right_and_refuses_what_is_wrong() {
        let validator = jsonschema::validator_for(&config_schema()).unwrap();
        for right in [
            json!({}),
            json!({ "models": { "a": "b/c", "d": ["a", "b/c"] } }),
            json!({ "retry": { "attempts": "3", "base_delay": "500ms" }, "timeout": { "idle": "1h 30m" } }),
            json!({ "providers": { "a": { "api_key": { "file": "k" }, "policy": { "reasoning_memory": { "answers": 3 } } } } }),
            json!({ "providers": { "a": { "api_key": [{ "env": "A" }, { "command": ["pass", "show", "a"], "ttl": "1h" }] } } }),
            json!({ "log": { "content": true }, "trace": false, "metrics": true }),
            json!({ "trace": { "content": true } }),
            json!({ "models": { "a": { "targets": ["b/c", "d/e"], "weights": [1, 2.5], "defaults": { "temperature": 0 } } } }),
            json!({ "providers": { "a": { "auth": { "header": "x-key" }, "query": { "v": "1" }, "allow_models": ["x*"] } } }),
            json!({ "models": { "a": { "targets": ["b/c", { "model": "d/e", "weight": 3 }], "strategy": "balance" } } }),
            json!({ "profiles": { "mine": { "extends": "openai" } } }),
            json!({ "breaker": true, "cache": { "time_to_live": "5m" }, "ledger": { "path": "u.sqlite" }, "limits": { "concurrent": 3 } }),
            json!({ "cache": { "max_size": "64MB", "max_answer": 1000 } }),
            json!({ "budget": { "day": "0.50 USD", "each": "tag", "utc_offset": "+08:00" }, "models": { "a": { "target": "b/c", "budget": { "hour": "1 USD" } } } }),
            json!({ "profile": { "production": { "default": "a/b" } } }),
        ] {
            assert!(validator.is_valid(&right), "{right}");
        }
        for wrong in [
            json!({ "defualt": "a/b" }),
            json!({ "models": { "a": [] } }),
            json!({ "models": { "a": { "targets": [{ "weight": 3 }] } } }),
            json!({ "models": { "a": { "targets": [{ "model": "b/c", "weight": 0 }] } } }),
            json!({ "retry": { "attempts": 0 } }),
            json!({ "budget": { "day": 5 } }),
            json!({ "breaker": { "failure_rate": 2 } }),
            json!({ "timeout": { "idle": 5 } }),
            json!({ "providers": { "a": { "api_key": "sk-0123456789" } } }),
            json!({ "providers": { "a": { "api_key": { "env": "A", "file": "b" } } } }),
            json!({ "providers": { "a": { "policy": { "broken_off": "ignore" } } } }),
            json!({ "profile": { "production": { "profile": {} } } }),
        ] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }
}
