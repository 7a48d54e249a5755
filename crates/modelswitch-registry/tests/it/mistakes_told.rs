//! What people get wrong, and what they are told: a snapshot to be read for whether it helps.

use std::fmt::Write;

use modelswitch_provider::Error;

use crate::support::*;

/// A name for each mistake, the file, and the variables.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const CASES: [Case; 30] = [
    ("the key is written into the file", "[providers.deepseek]\napi_key = 'sk-canary0123456789'", &[]),
    (
        "the key is written where the variable's name goes",
        "[providers.deepseek]\napi_key = { env = 'sk-canary0123456789' }",
        &[],
    ),
    (
        "the key is set through a variable of ours",
        "[providers.deepseek]",
        &[("MODELSWITCH_PROVIDERS__DEEPSEEK__API_KEY", "sk-canary0123456789")],
    ),
    (
        "the key is put into a header",
        "[providers.deepseek.headers]\nAuthorization = 'Bearer sk-canary0123456789'",
        &[],
    ),
    (
        "the key is put into the URL",
        "[providers.gemini]\nbase_url = 'https://llm.example.com/v1'\nquery = { key = 'sk-canary0123456789' }",
        &[],
    ),
    ("a setting is misspelt", "[providers.deepseek]\nbase_ulr = 'https://llm.example.com'", &[]),
    (
        "a setting goes by what another tool calls it",
        "[providers.deepseek]\nmax_retries = 3\napi_base = 'https://llm.example.com'",
        &[],
    ),
    ("a section is misspelt", "[provider.deepseek]\ndefault_model = 'x'\n[models]\nfast = 'deepseek/x'", &[]),
    ("a variable is misspelt", "[providers.deepseek]", &[("MODELSWITCH_DEFUALT", "deepseek/x")]),
    ("a text has no quotes", "default = deepseek/deepseek-flash\n[providers.deepseek]", &[]),
    ("a section stands twice", "[providers.deepseek]\n[providers.deepseek]", &[]),
    ("a duration has no unit", "[providers.deepseek]\n[timeout]\nidle = 30", &[]),
    ("a number is written as a word", "[providers.deepseek]\nretry = { attempts = 'three' }", &[]),
    ("a list is written as one text", "[providers.deepseek]\nmodels = 'deepseek-flash'", &[]),
    ("a profile is misspelt", "[providers.depseek]", &[]),
    ("a service that isn't known has no URL", "[providers.gateway]\nprofile = 'openai-compatible'", &[]),
    (
        "the URL is that of an endpoint",
        "[providers.gateway]\nbase_url = 'https://llm.example.com/v1/chat/completions'",
        &[],
    ),
    ("the URL has no scheme", "[providers.gateway]\nbase_url = 'llm.example.com/v1'", &[]),
    (
        "an alias points to a provider that isn't there",
        "[providers.deepseek]\n[models]\nsmart = 'openai/gpt-5.5'",
        &[],
    ),
    (
        "an alias points to a misspelt provider",
        "[providers.deepseek]\n[models]\nsmart = 'depseek/deepseek-v4-pro'",
        &[],
    ),
    ("aliases point to each other", "[providers.deepseek]\n[models]\nfast = 'quick'\nquick = 'fast'", &[]),
    (
        "an alias sets what it can't",
        "[providers.deepseek]\n[models.fast]\ntarget = 'deepseek/x'\noverrides = { model = 'y', stream = true }",
        &[],
    ),
    (
        "an alias says a parameter twice",
        "[providers.deepseek]\n[models.fast]\ntarget = 'deepseek/x'\ndefaults = { temperature = 0 }\noverrides = { temperature = 1 }",
        &[],
    ),
    (
        "weights don't fit",
        "[providers.deepseek]\n[models.fast]\ntargets = ['deepseek/x', 'deepseek/y']\nstrategy = 'balanced'\nweights = [1, 0]",
        &[],
    ),
    (
        "the default is a bare name of two providers",
        "default = 'shared'\n[providers.deepseek]\nmodels = ['shared']\n[providers.local]\nprofile = 'llamacpp'\nmodels = ['shared']",
        &[],
    ),
    ("an endpoint is misspelt", "[providers.deepseek]\nallow_endpoints = ['chat', 'embedding']", &[]),
    ("an empty list is to allow nothing", "[providers.deepseek]\nallow_models = []", &[]),
    ("a policy has a wrong word", "[providers.deepseek.policy]\nforced_tool_choice = 'automatic'", &[]),
    (
        "a profile of one's own is misspelt inside",
        "[providers.mine]\nprofile = 'gateway'\n[profiles.gateway]\nbase_url = 'https://llm.example.com'\n[profiles.gateway.requests]\nmax_tokens = 'max_tokens'",
        &[],
    ),
    (
        "the environment's section isn't there",
        "[providers.deepseek]\n[profile.production]\n[profile.staging]",
        &[("MODELSWITCH_PROFILE", "prod")],
    ),
];

fn told(error: &Error) -> String {
    format!("{}\n→ {}\n", error.message(), error.hint())
}

#[test]
fn typical_mistakes_are_told_so_that_they_can_be_mended() {
    let mut all = String::new();
    for (name, file, variables) in CASES {
        let error = with(variables).toml(file).build().unwrap_err();
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
        write!(all, "## {name}\n{file}\n").unwrap();
        for (name, value) in variables {
            writeln!(all, "${name}={value}").unwrap();
        }
        writeln!(all, "---\n{}", told(&error)).unwrap();
    }
    insta::assert_snapshot!("typical", all);
}

#[test]
fn mistakes_of_settings_providers_profiles_and_aliases_are_told_in_one_run_and_without_those_that_follow() {
    let file = "defualt = 'fast'
[providers.deepseek]
api_key = 'sk-canary0123456789'
base_url = 'nonsense'
headers = { cookie = 'canary' }

[providers.gateway]              # has no URL, but the line for it is only misspelt
base_ulr = 'https://llm.example.com/v1'

[providers.mine]                 # its profile has a mistake, which is told there
profile = 'own'
headers = { x-api-key = 'canary' }

[profiles.own]
titel = 'Ours'

[models]
fast = 'deepseek/deepseek-flash' # that provider has a mistake; this alias hasn't
good = 'mine/large'
hers = 'deepseek-v4-pro'
wide = { tragets = ['gateway/x'] }
next = 'wide'
lost = 'opneai/gpt-4o'
loop = 'loop'
";
    let error = text(file).build().unwrap_err();
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    insta::assert_snapshot!("in_one_run", told(&error));
}

#[test]
fn what_stands_in_a_section_with_a_misspelt_name_is_looked_at_in_the_same_run() {
    let file = "[provider.deepseek]
api_kee = 'canary'
[provider.mine]
profile = 'lamacpp'
[aliases]
fast = 'deepsek/deepseek-flash'
good = 'deepseek/deepseek-flash'
";
    let error = text(file).build().unwrap_err();
    for part in [
        "(the first of 5 mistakes)",
        "line 1, column 2: `provider` is not a setting; did you mean `providers`?",
        "line 2, column 1: `providers.deepseek.api_kee` is not a setting; did you mean `api_key`?",
        "line 4, column 1: `providers.mine.profile`: there is no profile `lamacpp`; did you mean `llamacpp`?",
        "line 5, column 2: `aliases` is not a setting; did you mean `models`?",
        "line 6, column 1: `models.fast` points to `deepsek/deepseek-flash`: there is no provider `deepsek`",
    ] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(!shown(&error).contains("canary"), "{}", shown(&error));
}

#[test]
fn an_alias_is_told_beside_a_provider_of_which_it_isnt_known_what_it_is() {
    let file = "[providers.mine]
models = ['own']
[models]
fast = 'smrt'
smart = 'mine/x'
ours = 'own'
hers = 'claude-opus-5'              # a known service's, which `mine` may have been meant to be
lost = 'opneai/gpt-4o'
";
    let error = text(file).build().unwrap_err();
    for part in [
        "(the first of 3 mistakes)",
        "line 1, column 12: `providers.mine`: there is no profile `mine`",
        "line 4, column 1: `models.fast` points to `smrt`: it is neither an alias nor",
        "did you mean `smart`?",
        "line 8, column 1: `models.lost` points to `opneai/gpt-4o`: there is no provider `opneai`",
        "write openai instead of `opneai`, and add a section [providers.openai]",
    ] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
}
