//! Endpoints that DeepSeek has at its root alone, whichever of its base URLs was given: `/v1` and `/beta` are for chats.

use modelswitch_provider::Endpoint;

use crate::BASE_URL;

/// True for the balance, the files and Anthropic's API, none of which is documented anywhere else.
pub(crate) fn is_at_root(endpoint: &Endpoint) -> bool {
    ["/user", "/files", "/anthropic"].iter().any(|family| {
        endpoint.path().strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The root under which a base URL stands, beside DeepSeek's own or a simulator's on this machine; `/v1` is an alias of it, and
/// `/beta` may have been given already. `None` for a gateway in between: it serves what it serves, where it was told to.
pub(crate) fn root_url(base: &str) -> Option<&str> {
    let is_known = base.starts_with(BASE_URL)
        || ["http://127.0.0.1", "http://localhost"].iter().any(|host| base.starts_with(host));
    is_known.then(|| ["/v1", "/beta"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn the_root_is_found_under_the_aliases_and_only_at_deepseek() {
        for (base, root) in [
            ("https://api.deepseek.com", "https://api.deepseek.com"),
            ("https://api.deepseek.com/v1", "https://api.deepseek.com"),
            ("https://api.deepseek.com/beta", "https://api.deepseek.com"),
            ("http://127.0.0.1:8787/v1", "http://127.0.0.1:8787"),
        ] {
            assert_eq!(root_url(base), Some(root));
        }
        assert_eq!(root_url("https://gateway.example/v1"), None);
    }

    #[test]
    fn chats_are_not_at_the_root_alone() {
        let at_root = |path: &'static str| is_at_root(&Endpoint::new(Method::GET, path).unwrap());
        for path in ["/user/balance", "/files", "/files/file-api-1?x=1", "/anthropic/v1/messages"] {
            assert!(at_root(path), "{path}");
        }
        for path in ["/chat/completions", "/completions", "/responses", "/models", "/filesystem"] {
            assert!(!at_root(path), "{path}");
        }
    }
}
