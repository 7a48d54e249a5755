//! Configuration to providers: the registry of modelswitch.
//!
//! A [`Registry`] is read from a file and the environment, and gives out providers by name: to libraries
//! ([`model`](Registry::model), [`provider`](Registry::provider), [`router`](Registry::router)) and to apps on async-openai
//! ([`client`](Registry::client), [`wrap`](Registry::wrap)).
//!
//! # The file
//!
//! ```toml
//! # modelswitch.toml
//! default = "deepseek/deepseek-flash"       # answers when a request names no model
//!
//! [providers.deepseek]                      # the name finds the profile of the same name
//! api_key = { env = "DEEPSEEK_API_KEY" }    # or a file, a command, the keyring; this one may be left out
//!
//! [providers.local]
//! profile  = "llamacpp"
//! base_url = "http://127.0.0.1:8080/v1"
//! default_model = "qwen3"
//! models   = ["qwen3", "gemma"]             # bare names that this provider owns
//! headers  = { "x-team" = "search" }        # never for credentials
//! timeout  = { first_byte = "30m" }         # instead of the common ones below; retry likewise
//! allow_plain_http = false                  # true: a key may go over http to another machine
//! allow_models = ["qwen3", "gemma*"]        # see "Least privilege" below; deny_models, allow_endpoints likewise
//! auth     = { header = "api-key", scheme = "" }   # see "Services of your own" below
//! query    = { api-version = "2024-10-21" }
//!
//! [providers.deepseek.policy]               # see "Policies" below
//! forced_tool_choice = "auto"
//!
//! [models]                                  # aliases: the names that apps ask for
//! fast     = "deepseek/deepseek-flash"
//! smart    = ["deepseek/deepseek-v4-pro", "openai/gpt-5.5"]
//! "gpt-4o" = "fast"                         # an app that hard-codes a name keeps running
//! quiet    = { targets = ["fast"], overrides = { thinking = { type = "disabled" } } }   # see "Aliases" below
//!
//! [retry]
//! attempts = 4
//! base_delay = "500ms"
//! max_delay = "8s"
//! max_retry_after = "1m"
//!
//! [timeout]
//! connect = "10s"
//! first_byte = "10m"
//! idle = "5m"
//! total = "15m"                             # a whole call, with all tries and targets; none unless said
//!
//! [limits]                                  # see "Limits, budgets, caches" below, as for the following
//! concurrent = 100
//!
//! [breaker]
//! [cache]
//! [ledger]
//!
//! [budget]
//! month = "200 USD"
//!
//! [log]
//! content = false                           # true: prompts and answers too, see "Logs" below
//! usage = false                             # true: asks for the tokens of streams, so that they are in the log
//!
//! [trace]                                   # or trace = false at the top: no spans
//! content = false                           # true: prompts and answers on the spans too
//!
//! [profile.production]                      # chosen by MODELSWITCH_PROFILE=production
//! default = "deepseek/deepseek-v4-pro"
//! ```
//!
//! It is the one that `MODELSWITCH_CONFIG` names, else `./modelswitch.toml`, else `modelswitch/modelswitch.toml` under
//! `$XDG_CONFIG_HOME` or `~/.config` (on Windows under `%APPDATA%` too). With no file, or one without providers, each
//! profile whose key variable is set (`DEEPSEEK_API_KEY`, `OPENAI_API_KEY`, …) is a provider of that name.
//!
//! With the features `yaml` and `json` a file may be written in YAML or JSON; its ending tells which. In each of the usual
//! places `modelswitch.toml` is looked for first, then `.yaml`, `.yml` and `.json`; what stands beside the one that is read
//! is warned of. Everything means the same, and mistakes are told with line and column too. What is `null` there counts
//! as not set, and a section that is `null` as one with nothing in it, as in `providers: { deepseek: }`. JSON may have a
//! `$schema` at the top.
//!
//! `.env` files are read only when somebody asks for it, by [`RegistryBuilder::env_file`] or the program's `--env-file`.
//! Their variables count where the process has none of that name, or a blank one: settings, keys, `MODELSWITCH_CONFIG` and
//! `MODELSWITCH_PROFILE` too. The process's own environment stays as it is, and `$` in a value is a dollar sign.
//!
//! # What counts more
//!
//! Defaults < the file < its chosen section < variables of `.env` files < `MODELSWITCH_…` variables < code. In a variable's name `__` goes one level
//! down, and capitals, dots and hyphens of a name become small letters and underscores:
//! `MODELSWITCH_DEFAULT=openai/gpt-4o`, `MODELSWITCH_PROVIDERS__LOCAL__BASE_URL=http://10.0.0.7/v1`. A variable that is set to
//! nothing counts as unset.
//!
//! # Names of models
//!
//! 1. An alias matches whole; it may have dots and slashes in it.
//! 2. `provider/model` splits at the first slash, if the part before it is a provider.
//! 3. A bare name belongs to the only provider that owns it, by its `models` or its profile's. The network is never asked.
//!
//! An unknown name is an error that says which names are spelt like it and from which provider each comes, and a bare name
//! of several providers one that lists them.
//!
//! # Aliases
//!
//! An alias is a target, a list of targets, or a table that says more:
//!
//! ```toml
//! [models.quick]
//! targets   = ["deepseek/deepseek-flash"]   # or target = "…"; each is `provider/model`, an alias, or a bare name
//! strategy  = "fallback"                    # the next one when one fails; or one of those below
//! hedge_after = "20s"                       # so long without content, and the next one is asked beside it
//! defaults  = { temperature = 0.2 }         # for requests that don't say it themselves
//! overrides = { thinking = { type = "disabled" }, max_tokens = 500 }         # for every request
//! ```
//!
//! Several targets fall back in their order, and a list alone does too. Other strategies spread the calls, and fall back as
//! well when the one that was chosen fails:
//!
//! | `strategy` | who is asked first |
//! |---|---|
//! | `fallback` | the first of the list |
//! | `round_robin`, or `balance` | each in its turn, as often as its weight says: `weights = [3, 1]`, or `{ model = "…", weight = 3 }` in place of a target |
//! | `least_busy` | the one with the fewest calls in flight for its weight |
//! | `fastest` | the one whose first content comes soonest, by a moving average |
//! | `cheapest` | the one with the lowest price in US dollars when the configuration was read; those without one last |
//!
//! `sticky = "conversation"` beside one of these keeps calls that belong together at one target, where the provider's prompt
//! cache is: by the beginning of the messages, by `"prompt_cache_key"`, by `"user"`, or by a `"key"` that code gives.
//!
//! Only targets of the list are ever asked, once an answer has begun no other one, and each as its own model and with what
//! its service can take. [`Head::failures`](modelswitch_provider::Head::failures) tells who failed before. An alias in a list
//! stands for all of its targets, and the outer list's strategy counts. What a balance has learnt of its targets stays
//! through a reload that changes neither them nor the alias.
//!
//! `defaults` and `overrides` go, each parameter as a whole, into the JSON of every request that asks for the alias, and
//! [`Head::adaptations`](modelswitch_provider::Head::adaptations) tells which were set, without their values. `max_tokens`
//! and `max_completion_tokens` are one parameter. Where an alias points to another, the outer one counts more: what it
//! says of a parameter, as a default or as an override, is all that is said of it. Aliases that point to each other are
//! refused by name. In variables: `MODELSWITCH_MODELS__QUICK__DEFAULTS__TEMPERATURE=0.2`.
//!
//! # Limits, budgets, caches
//!
//! Each of these sections may stand at the top, in a provider's section (`[providers.openai.limits]`) and in an alias's
//! (`[models.smart.limits]`). What isn't written anywhere isn't there, and costs nothing.
//!
//! | section | at the top | for a provider | for an alias |
//! |---|---|---|---|
//! | `[retry]`, `[timeout]` | for each provider | in place of those | in place of those, for each of its targets |
//! | `timeout.total` | a whole call, with all tries and targets | what this provider may take of it; then the next target is asked | a whole call, in place of the top's |
//! | `[limits]` | for each provider alike | in place of those | one more, for all calls of the alias together |
//! | `[breaker]` | for each model of each provider | in place of those | in place of those, of its own |
//! | `[cache]` | for all calls | of this provider's answers, whatever name they were asked by, in place of the top's | in place of the top's |
//! | `[budget]` | all calls together | one more, for what is spent at it | one more, for what is spent by this name |
//! | `[ledger]` | all calls | – | – |
//!
//! In place of means setting by setting, but for a provider's `[cache]`, which stands by itself. `breaker = false` and
//! `cache = false` switch off what stands further out. The top's cache isn't around an alias either when the provider of one of
//! its targets has a word on caches.
//!
//! ```toml
//! [limits]
//! requests_per_minute = 600                 # as the account allows
//! tokens_per_minute = 90000                 # guessed before a call, corrected after it
//! concurrent = 8                            # calls at once; a stream counts until its end
//! wait = "30s"                              # for room; then it is refused, or the next target asked
//! adaptive = true                           # fewer at once after a 429, and slowly more again
//! answer_tokens = 1000                      # for an answer whose length the request doesn't limit
//!
//! [breaker]                                 # leaves a model alone that keeps failing; the next target is asked at once
//! failure_rate = 0.5                        # of at least so many calls, within that time
//! minimum_calls = 10
//! window = "30s"
//! rest = "5s"                               # doubling up to max_rest; a Retry-After counts up to max_retry_after
//! max_rest = "1m"
//! max_retry_after = "1h"
//! probes = 2
//!
//! [cache]                                   # the same question has the same answer
//! time_to_live = "1h"
//! max_size = "64MB"                         # or a number of bytes
//! max_answer = "1MB"
//! max_temperature = 0.0                     # answers anew what asks for variety
//! max_wait = "1m"
//! per_tag = true                            # callers with another tag get none of the answers
//!
//! [budget]                                  # refuses what would cost more than is left
//! hour = "1 USD"
//! day = "5 USD"
//! month = "100 USD"
//! each = "tag"                              # or "alias", "target"; "all" together unless said
//! unpriced = "refuse"                       # or "pass": a model whose price isn't known
//! answer_tokens = 4096
//! utc_offset = "+08:00"                     # whose midnight ends a day; UTC's unless said
//!
//! [ledger]                                  # each call with its tokens and cost; `modelswitch usage` reads it
//! path = "usage.sqlite"                     # in memory when left out; the feature `sqlite`
//!
//! [retry]
//! budget = 0.2                              # at most one repeat for five calls, or ten a second
//! ```
//!
//! They stand in one order, and the first sees the request first. Once for a call: log, cost, `timeout.total`, cache, an
//! alias's limits, its choice of a target. Once for each target: budgets, the provider's cache, limits, breaker, its `timeout.total`,
//! retry, the time limits of one try. [`modelswitch_layers`] says of each when it bites and what it costs.
//!
//! Prices are those of the profiles, at the time of the call. One is given, or changed, with `[[profiles.openai.model."gpt-5.5".prices]]`
//! and `rates.USD = { input = "2", output = "8" }` below it, for a million tokens each; `since = "2026-11-01"` beside it says from
//! when. An amount is in the currency of the prices; a budget in another one than a model is sold in refuses it as unpriced. A provider's
//! own budget leaves what it refuses to an alias's next target; the one at the top and an alias's have the last word. Budgets count in the
//! ledger's file, if there is one, else in memory; another currency or `utc_offset` begins at zero. A call that goes on in the
//! background (`/responses` with `background`) is held by its estimate, and written down without a cost; batches and fine-tuning are
//! neither held nor written down. Where a caller's tag comes from, and what else a single call may say, is in "Hints" below.
//!
//! What a limit, a breaker, a cache or a budget knows outlives a [reload](Registry::reload) that leaves its own settings and the
//! provider's URL alone.
//!
//! # Hints
//!
//! What a single call says of itself, it says in headers, by whatever door. They stay here: no service sees them. One that there
//! isn't, or whose value can't be one, is [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest).
//!
//! | header | says | in code, in the request's extensions |
//! |---|---|---|
//! | [`x-modelswitch-timeout`](TIMEOUT_HEADER)`: 30s` | how long the whole call may take, if that is shorter than `timeout.total` | [`TimeLeft`](modelswitch_provider::TimeLeft) |
//! | [`x-modelswitch-attempts`](ATTEMPTS_HEADER)`: 1` | how often each target may be asked, in place of `retry.attempts` | |
//! | [`x-modelswitch-fallback`](FALLBACK_HEADER)`: off` | that an alias asks only the target that it chooses first | |
//! | [`x-modelswitch-tag`](TAG_HEADER)`: team 7` | for whom or for what the call is made: its cost is counted under it | [`Tag`](modelswitch_layers::Tag) |
//! | [`x-modelswitch-sticky`](STICKY_HEADER)`: user 12` | what the call belongs to, for an alias with `sticky` | [`StickyKey`](modelswitch_layers::StickyKey) |
//! | [`x-modelswitch-cache`](CACHE_HEADER)`: bypass` | `use` an answer that is kept, `refresh` it, or `bypass` the cache | [`CacheUse`](modelswitch_layers::CacheUse) |
//! | [`x-modelswitch-provider`](PROVIDER_HEADER)`: openai` | who is asked, for a request without a model | |
//!
//! An app on async-openai sends them with a call: `client.chat().header("x-modelswitch-tag", "team 7")?.create(request)`.
//!
//! # Least privilege
//!
//! What a provider may be asked for, by whatever door and name:
//!
//! ```toml
//! [providers.openai]
//! allow_models    = ["gpt-5*", "text-embedding-3-small"]   # exact ids, or beginnings with a `*`; default: all
//! deny_models     = ["gpt-5.5-pro"]                        # counts more than allow_models
//! allow_endpoints = ["chat", "embeddings", "models", "/batches"]   # default: all
//! ```
//!
//! Endpoints are `chat`, `completions`, `embeddings`, `models`, `responses`, `files`, `messages`, `audio`, `images`,
//! `moderations`, `balance`, or a path, and all below it. What isn't allowed is refused before a request leaves, with an
//! error of kind [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) and code [`NOT_ALLOWED`] that names the rule
//! and its place. That holds for a model that comes from an alias or a default, for multipart forms, for
//! `GET /models/{id}` and for OpenRouter's list of models to fall back to; lists of models leave out what isn't allowed. A
//! name that an adapter sends as another one, such as `deepseek-chat`, is held against both. An alias or default that leads
//! to what is refused is warned of.
//!
//! What a service itself makes of a name isn't known here: to be sure, say what is allowed rather than what is denied. Nor
//! is the file of a batch looked into: keep `/batches` out of `allow_endpoints` where models matter. A provider from code
//! ([`RegistryBuilder::provider`]) is taken as it is; one from a factory has these rules.
//!
//! # Services of your own
//!
//! A service that speaks OpenAI's API needs a `base_url`, and perhaps:
//!
//! ```toml
//! [providers.azure]
//! base_url = "https://mine.openai.azure.com/openai/deployments/gpt-4o"
//! api_key  = { env = "AZURE_API_KEY" }
//! auth     = { header = "api-key", scheme = "", required = true }   # instead of `Authorization: Bearer …`
//! query    = { api-version = "2024-10-21" }                         # appended to every URL; never a key
//! ```
//!
//! What else is particular to it goes into a profile of its own, whose name providers can use. One of the name of an
//! embedded profile is laid over that one field by field; any other is laid over the one that `extends` names, the user's
//! own too, else over `openai-compatible`. Tables are laid over each other, lists replaced. The fields are those of
//! [`Profile`](modelswitch_openai::Profile). What lies over `deepseek` keeps DeepSeek's adapter, policies and balance.
//!
//! ```toml
//! [profiles.gateway]
//! extends = "deepseek"
//! base_url = "https://llm.example.com/deepseek"
//! key_env = ["GATEWAY_KEY"]
//! hints = { overloaded = "call the platform team" }
//!
//! [profiles.gateway.request]
//! max_tokens = "max_completion_tokens"
//!
//! [providers.gateway]
//! ```
//!
//! What isn't a service over HTTP is made by code: [`RegistryBuilder::provider`] adds one, and
//! [`RegistryBuilder::factory`] makes a kind known, of which the configuration makes as many as it likes:
//!
//! ```toml
//! [providers.polly]
//! kind = "parrot"
//! settings = { says = "hello" }             # whatever the factory reads; no keys
//! models = ["ara"]
//! ```
//!
//! # Mistakes
//!
//! All mistakes are told in one error, each with its place, what is right and the nearest spelling: those of settings,
//! profiles, providers and aliases alike. What only follows from another mistake isn't told. No value is repeated that
//! might be a key.
//!
//! # Keys
//!
//! A key never stands in the file, and no settings variable is taken for one; either is refused, and not repeated. What
//! stands there is the place to read it from, one of these:
//!
//! ```toml
//! [providers.a]
//! profile = "openai"
//! api_key = { env = "A_API_KEY" }
//!
//! [providers.b]
//! profile = "openai"
//! api_key = { file = "/run/secrets/b" }                     # alone on one line; ~/ and paths from the configuration's folder
//!
//! [providers.c]
//! profile = "openai"
//! api_key = { command = ["op", "read", "op://team/c/key"], timeout = "10s", cache = "1h" }
//!
//! [providers.d]
//! profile = "openai"
//! api_key = { keyring = "d" }                               # with the feature `keyring`
//!
//! [providers.e]
//! profile = "openai"
//! api_key = [{ env = "E_API_KEY" }, { file = "keys/e", ttl = "15m" }]     # a pool: the calls are spread over them
//! ```
//!
//! | place | read first | read again |
//! |---|---|---|
//! | `env` | when the registry is built | after its `ttl`, when it is refused |
//! | `file` | when the registry is built | within a second of a change, also of a link in front of it; after its `ttl`; when it is refused |
//! | `command` | at the first call | after its `ttl`, when it is refused, at the next call after a [`reload`](Registry::reload) |
//! | `keyring` | at the first call | after its `ttl`, when it is refused, at the next call after a [`reload`](Registry::reload) |
//!
//! `ttl` is the time after which a key is read again. For a command it may be written as `cache`, which is the same: the
//! time that what it printed is used. All keys are read again on [`Registry::refresh_keys`], and at a SIGHUP if
//! `Registry::reload_on_sighup` was called (feature `signal`). Calls in flight finish with the key that they began with, so
//! old and new overlap by themselves.
//!
//! A key that can't be read again stays in use, across a reload too, and the log says so. Nor does a call wait long for a
//! newer one: half a second, after which it goes with the key that there is, and the newer one, once it is read, is for
//! the calls after it.
//!
//! * A key that is **missing** fails the calls to its provider and leaves the others alone. It is looked for again at each
//!   call, so nothing has to be restarted once it is there.
//! * A key that the service **refuses** (401, 403) is read again, once for all calls that meet it together, and the call
//!   repeated if it is another key. One that is the same is not read again for ten seconds.
//! * A **command** is a program and its arguments; no shell takes them apart. Its output, without the white space around it,
//!   is the key: at most 16 KiB. It gets no input, and can't ask at the terminal: it has a process group of its own, in
//!   which it is killed, on Unix with what it started, at its `timeout` (10 seconds unless set) or with its provider. The
//!   call that began it may give up before: the next one finds what it printed. What it leaves running when it ends runs
//!   on, and must not hold its output. It inherits the environment. What it prints on its standard error is never shown.
//!   The runtime needs tokio's I/O driver.
//! * A **file** that others than its owner can open is warned of, in [`Registry::warnings`] and in the log. It is read on
//!   the thread of the call, so it should not be on a network's disk that may hang.
//! * The **keyring** is asked on a thread of its own, for a minute at most: somebody may have to open it.
//!
//! Of a **pool** each call takes the next key in turn. One that fails for itself is left alone for a while, and the call
//! goes on with the next: after 401 and 403 for a minute, after 402 for five, after 429 for as long as the service said
//! (an hour at most; 20 seconds if it said nothing), a key that can't be had, within two seconds where there is another,
//! for 30 seconds. A file that changes ends it, and so does a call that began after the failure and is answered.
//! When all are left alone, the one that is ready soonest is asked, and its failure is given back. Each failed try is in
//! [`Head::failures`](modelswitch_provider::Head::failures). Nothing is repeated once an answer has begun. With a single
//! key 402 and 429 pass on as they are, and `[retry]` waits the 429 out.
//!
//! The keys of a pool should be of one account where files, batches or stored responses are used: another account doesn't
//! know them. A service's cache of prompts may be an account's own, too.
//!
//! # Policies
//!
//! What is done where a service and OpenAI's API differ, by the profile of the service. What is left out is the first word of
//! each line. They mean what [`Policies`](modelswitch_openai::Policies) and, for the profile `deepseek` alone,
//! [`ReasoningMemory`](modelswitch_deepseek::ReasoningMemory) say.
//!
//! ```toml
//! [providers.deepseek.policy]
//! strict = false                            # true: refuse what would change its meaning, instead of changing it
//! forced_tool_choice = "disable_thinking"   # or "auto", "refuse": where the service can't be forced to call a tool
//! json_schema = "json_object"               # or "strict_tool", "refuse": where the service knows no json_schema
//! broken_off = "error"                      # or "finish_reason": an answer that the service broke off
//! empty_answer = "accept"                   # or "error": an answer that ends properly and says nothing
//! reasoning_memory = true                   # or false, or { answers = 4000, bytes = 33554432 }: deepseek only
//! ```
//!
//! A variable sets one too: `MODELSWITCH_PROVIDERS__DEEPSEEK__POLICY__STRICT=true`.
//!
//! # Reasoning
//!
//! What one provider thought is never sent to another: an app keeps `reasoning_content` in its history for the provider
//! that wants it back, and asks another one with the same history, or falls back. One
//! [`ReasoningOrigin`](modelswitch_layers::ReasoningOrigin) goes around all providers of a registry, those given in code
//! too. It remembers in memory, as hashes, who gave which reasoning, takes it out of requests to others and says so in
//! [`Head::adaptations`](modelswitch_provider::Head::adaptations). Reasoning that no provider of this registry is known to
//! have given passes: after a restart, from another machine, or an app's own.
//!
//! # For a person to look at
//!
//! [`check_all`](Registry::check_all) says of each provider what works and what to do about what doesn't;
//! [`catalogue`](Registry::catalogue) which models there are, what they can and cost; [`settings`](Registry::settings) what
//! counts and where it comes from; [`explain`](Registry::explain) who answers a name, and what its calls go through; [`config_schema`] what may stand in the file. The program's commands `check`, `models`,
//! `config` and `route` show the same.
//!
//! # Logs
//!
//! Every call is one line of [`tracing`] when it has ended, at `INFO` or, if it failed, at `WARN`, under the target
//! `modelswitch::call`: who was asked for what, who answered, how long it took, how it ended, the tokens, the service's id
//! of the request. [`Log`](modelswitch_layers::Log) lists the fields, which have OpenTelemetry's names. Each try that failed and each change to a request is a line at `DEBUG`. Nobody sees
//! any of it until the app has a subscriber, such as `tracing_subscriber::fmt().init()`.
//!
//! Prompts, answers and keys are in none of them. With `content = true` under `[log]`, or `MODELSWITCH_LOG__CONTENT=true`,
//! what is asked and answered is written too, at `DEBUG` under the target `modelswitch::content`; keys never are.
//!
//! Every call is also a span of the same target, with a span inside for each attempt
//! ([`Trace`](modelswitch_layers::Trace)): what an exporter of traces takes. `trace = false` switches them off, and
//! `content = true` under `[trace]` puts what is asked and answered on them. `metrics = true` measures each call
//! ([`Metrics`](modelswitch_layers::Metrics)) for the recorder that the program installs.
//!
//! # Reload
//!
//! A registry is a handle on what was read last. [`reload`](Registry::reload) reads the file, the environment and the keys
//! again, and from then on everything that the registry gave out follows. A call that has begun goes on as it began; a
//! provider whose settings come down to the same stays the very same; a configuration that is wrong changes nothing.
//! [`events`](Registry::events) tells what changed, and what was wrong.
//!
//! With the feature `watch`, `Registry::watch` reloads when a file changes; with `signal`, on Unix,
//! `Registry::reload_on_sighup` when the process is sent a `SIGHUP`, the keys included. The first has a thread, the second
//! a task, each until its guard is dropped; nothing else here runs by itself but a key that is being read.
//!
//! # Invariants
//!
//! * Calls read one snapshot, which never changes, and take no lock for it. What they need is in the snapshot; what must
//!   outlive it is in `registry.rs`'s `Lasting`, or handed over from the provider before.
//! * Only `load.rs` names figment; its errors and the TOML parser's are put in words of our own, since theirs quote values.
//! * No global state; nothing is sent and no command is run while a registry is built.
//! * Only `watch` starts a thread that stays, and only `reload_on_sighup` a task; each ends with what it gives back. A key
//!   from a command or the keyring is read by a task, which ends with the time limit of either, or with its provider.
//! * No key is in any `Debug`, `Display`, error or report.

mod alias;
mod builder;
mod catalogue;
mod changes;
mod check;
mod choice;
mod config;
mod connect;
mod contradictions;
mod describe;
mod env_file;
mod environment;
mod events;
mod explain;
mod factory;
mod guard;
mod hints;
mod keys;
mod layers;
mod literal;
mod load;
mod made;
mod mistake;
mod parameters;
mod pools;
mod profiles;
mod registry;
mod resolve;
mod router;
mod schema;
mod service;
mod settings;
#[cfg(all(unix, feature = "signal"))]
mod sighup;
mod snapshot;
mod source;
mod spelling;
mod spend;
mod stack;
mod syntax;
mod unconfigured;
mod unpriced;
mod variables;
#[cfg(feature = "watch")]
mod watch;

pub use builder::{Invalid, NO_PROVIDER, RegistryBuilder};
pub use catalogue::{Catalogue, CatalogueModel, CataloguePrice, ModelSource, ProviderModels};
pub use changes::{AliasChange, Changes, DefaultChange, ProviderChange};
pub use check::{CheckMetadata, CheckOptions, CheckReport, KeyReport, Outcome, Stage, StageReport};
pub use connect::ProviderInfo;
pub use events::{Events, RegistryEvent};
pub use explain::{ExplainedLayer, ExplainedTarget, Explanation};
pub use factory::Settings;
pub use guard::NOT_ALLOWED;
pub use hints::{ATTEMPTS_HEADER, CACHE_HEADER, FALLBACK_HEADER, STICKY_HEADER, TAG_HEADER, TIMEOUT_HEADER};
#[cfg(feature = "keyring")]
pub use keys::Keyring;
pub use keys::{KeyInfo, KeyRefresh};
pub use mistake::looks_like_a_key;
pub use registry::Registry;
pub use router::PROVIDER_HEADER;
pub use schema::config_schema;
pub use settings::{Origin, Setting};
#[cfg(all(unix, feature = "signal"))]
pub use sighup::ReloadOnSighup;
#[cfg(feature = "watch")]
pub use watch::{Watch, WatchOptions};
