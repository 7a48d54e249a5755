//! Endpoints that DeepSeek has at its root alone, whichever of its base URLs was given: `/v1` and `/beta` are for chats.

use modelswitch_provider::Endpoint;

use crate::BASE_URL;

/// True for the balance, the files and Anthropic's API, none of which is documented anywhere else.
pub(crate) fn is_at_root(endpoint: &Endpoint) -> bool {
    ["/user", "/files", "/anthropic"].iter().any(|family| {
        endpoint.path().strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The root under which a base URL stands: DeepSeek's own, with or without its aliases `/v1` and `/beta`, or one of this machine
/// that has no path, or no more than `/beta`, as the simulator's. `None` for a gateway in between: it serves what it serves,
/// where it was told to.
pub(crate) fn root_url(base: &str) -> Option<&str> {
    let (scheme, rest) = base.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_deepseek = format!("{scheme}://{host}") == BASE_URL;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let is_here = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    let fits = match path {
        "" | "beta" => is_deepseek || is_here,
        "v1" => is_deepseek,
        _ => false,
    };
    fits.then(|| base.strip_suffix(path).unwrap_or(base).trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn the_root_is_found_under_the_aliases_and_only_at_deepseek() {
        for (base, root) in [
            ("https://api.deepseek.com", Some("https://api.deepseek.com")),
            ("https://api.deepseek.com/v1", Some("https://api.deepseek.com")),
            ("https://api.deepseek.com/beta", Some("https://api.deepseek.com")),
            ("http://127.0.0.1:8787", Some("http://127.0.0.1:8787")),
            ("http://[::1]:8787/beta", Some("http://[::1]:8787")),
            // A gateway, as LiteLLM's, or one of ours.
            ("http://127.0.0.1:4000/v1", None),
            ("http://localhost:4000/openai/v1", None),
            ("https://gateway.example/v1", None),
            ("https://api.deepseek.com.evil.example", None),
            ("http://127.0.0.1.evil.example", None),
        ] {
            assert_eq!(root_url(base), root, "{base}");
        }
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
