//! The way to a service, looked at piece by piece: a proxy or not, the name's addresses, a connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::report::{CheckMetadata, Found};
use crate::environment::Environment;

/// Where a base URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
    /// The variable whose proxy stands in between.
    pub(super) proxy: Option<&'static str>,
}

/// What was found on the way. A piece that there is nothing to say about is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) dns: Option<(Found, Duration)>,
    pub(super) tcp: Option<(Found, Duration)>,
}

impl Route {
    /// `None` for what isn't reached by a name and a port.
    pub(super) fn of(base_url: &str, environment: &Environment) -> Option<Self> {
        let url: Uri = base_url.parse().ok()?;
        let is_tls = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let proxy = proxy_for(&host, is_tls, environment);
        Some(Self { host, port, is_tls, proxy })
    }

    /// Looks the name up and connects. Nothing is sent.
    pub(super) async fn walk(&self, limit: Duration, metadata: &mut CheckMetadata) -> Walk {
        if let Some(variable) = self.proxy {
            metadata.proxy = Some(variable.to_owned());
            let kind = if self.is_tls { "https" } else { "http" };
            let reason = format!("requests go through the {kind} proxy in ${variable}, which sees to it");
            let skipped = || Some((Found::skipped(reason.clone()), Duration::ZERO));
            return Walk { dns: skipped(), tcp: skipped() };
        }
        let (dns, addresses) = match self.host.parse::<IpAddr>() {
            Ok(address) => (None, vec![SocketAddr::new(address, self.port)]),
            Err(_) => {
                let started = Instant::now();
                let (found, addresses) = self.look_up(limit).await;
                (Some((found, started.elapsed())), addresses)
            }
        };
        metadata.addresses.clone_from(&addresses);
        if addresses.is_empty() {
            return Walk { dns, tcp: None };
        }
        let started = Instant::now();
        let found = self.connect(&addresses, limit).await;
        Walk { dns, tcp: Some((found, started.elapsed())) }
    }

    async fn look_up(&self, limit: Duration) -> (Found, Vec<SocketAddr>) {
        let host = &self.host;
        match timeout(limit, lookup_host((host.as_str(), self.port))).await {
            Ok(Ok(found)) => {
                let mut addresses: Vec<SocketAddr> = Vec::new();
                for address in found.filter(|address| !addresses.contains(address)).collect::<Vec<_>>() {
                    addresses.push(address);
                }
                match shown(&addresses) {
                    Some(text) => (Found::passed(text), addresses),
                    None => (no_address(host, "has no address"), addresses),
                }
            }
            // The system's own words differ from system to system and say no more.
            Ok(Err(_)) => (no_address(host, "can't be resolved"), Vec::new()),
            Err(_) => {
                let what = format!("didn't resolve within {}", seconds(limit));
                (no_address(host, &what), Vec::new())
            }
        }
    }

    /// One address after the other, as a client does.
    async fn connect(&self, addresses: &[SocketAddr], limit: Duration) -> Found {
        let tried = timeout(limit, async {
            let mut refused = None;
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(_) => return Ok(*address),
                    Err(error) => refused = Some((*address, error)),
                }
            }
            Err(refused)
        });
        match tried.await {
            Ok(Ok(address)) => Found::passed(address.to_string()),
            Ok(Err(refused)) => {
                let kind = refused.as_ref().map(|(_, error)| error.kind());
                let at = refused.map_or_else(|| self.host.clone(), |(address, _)| address.to_string());
                match kind {
                    Some(std::io::ErrorKind::ConnectionRefused) => Found::wrong(
                        format!("{at} refuses the connection"),
                        "start the service, or mend the port in base_url",
                    ),
                    Some(std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable) => {
                        Found::wrong(
                            format!("there is no way to {at}"),
                            "look at this machine's network, a VPN or a firewall",
                        )
                    }
                    _ => Found::wrong(
                        format!("no connection to {at}"),
                        "see that the service runs, and that no firewall is in between",
                    ),
                }
            }
            Err(_) => Found::wrong(
                format!("{}:{} doesn't answer within {}", self.host, self.port, seconds(limit)),
                "a firewall drops the connection, or the address is wrong; if this network needs a proxy, set HTTPS_PROXY",
            ),
        }
    }
}

fn no_address(host: &str, what: &str) -> Found {
    Found::wrong(
        format!("the name `{host}` {what}"),
        "mend the host in base_url, or look at this machine's network and name server; if this network needs a proxy, set HTTPS_PROXY",
    )
}

/// The first few; a large service has dozens.
fn shown(addresses: &[SocketAddr]) -> Option<String> {
    const MOST: usize = 4;
    let first: Vec<String> = addresses.iter().take(MOST).map(|address| address.ip().to_string()).collect();
    let more = addresses.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

/// The variable that the HTTP client takes its proxy from for this host, by the client's rules: the scheme's own
/// variable in either spelling, else the one for all; not in a CGI process, whose clients could set `HTTP_PROXY`.
fn proxy_for(host: &str, is_tls: bool, environment: &Environment) -> Option<&'static str> {
    let own: &[&'static str] = match (is_tls, environment.get("REQUEST_METHOD").is_some()) {
        (true, _) => &["HTTPS_PROXY", "https_proxy"],
        (false, false) => &["HTTP_PROXY", "http_proxy"],
        (false, true) => &[],
    };
    let all = own.iter().chain(&["ALL_PROXY", "all_proxy"]);
    let variable = all.copied().find(|name| environment.get(name).is_some())?;
    let none = environment.get("NO_PROXY").or_else(|| environment.get("no_proxy")).unwrap_or_default();
    let is_left_out = none.split(',').map(str::trim).any(|rule| leaves_out(rule, host));
    (!is_left_out).then_some(variable)
}

/// A rule of `NO_PROXY`: everything, an address, a network of addresses, or a domain with all below it.
fn leaves_out(rule: &str, host: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match rule.split_once('/') {
            Some((network, bits)) => {
                let parsed = (network.parse().ok(), bits.parse().ok());
                matches!(parsed, (Some(network), Some(bits)) if is_in(address, network, bits))
            }
            None => rule.parse() == Ok(address),
        };
    }
    let domain = rule.trim_start_matches('.').to_lowercase();
    let host = host.to_lowercase();
    !domain.is_empty() && (host == domain || host.ends_with(&format!(".{domain}")))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 32 && u32::from(address) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 128 && u128::from(address) & mask == u128::from(network) & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, variables: &[(&str, &str)]) -> Option<&'static str> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Route::of(url, &Environment::fixed(variables)).unwrap().proxy
    }

    #[test]
    fn a_url_leads_to_a_host_a_port_and_perhaps_tls() {
        let none = Environment::fixed([]);
        let route = |url: &str| Route::of(url, &none).map(|route| (route.host, route.port, route.is_tls));
        assert_eq!(route("https://api.deepseek.com"), Some(("api.deepseek.com".to_owned(), 443, true)));
        assert_eq!(route("http://[::1]:8080/v1"), Some(("::1".to_owned(), 8080, false)));
        assert_eq!(route("http://10.0.0.7/v1"), Some(("10.0.0.7".to_owned(), 80, false)));
        for other in ["ftp://x.example", "x", ""] {
            assert_eq!(route(other), None, "{other}");
        }
    }

    #[test]
    fn the_proxy_is_the_one_that_the_client_would_take() {
        let https = "https://api.example.com/v1";
        assert_eq!(proxy(https, &[]), None);
        assert_eq!(proxy(https, &[("HTTP_PROXY", "http://p")]), None);
        assert_eq!(
            proxy(https, &[("https_proxy", "http://p"), ("ALL_PROXY", "http://q")]),
            Some("https_proxy")
        );
        assert_eq!(proxy(https, &[("ALL_PROXY", "http://q")]), Some("ALL_PROXY"));
        assert_eq!(proxy("http://x/v1", &[("HTTP_PROXY", "http://p")]), Some("HTTP_PROXY"));
        assert_eq!(proxy("http://x/v1", &[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")]), None);
    }

    #[test]
    fn no_proxy_leaves_hosts_domains_and_networks_out() {
        let url = "https://api.example.com";
        for rule in ["*", "example.com", ".example.com", "other, api.example.com"] {
            assert_eq!(proxy(url, &[("ALL_PROXY", "http://p"), ("NO_PROXY", rule)]), None, "{rule}");
        }
        for rule in ["ample.com", "10.0.0.0/8", ""] {
            assert!(proxy(url, &[("ALL_PROXY", "http://p"), ("NO_PROXY", rule)]).is_some(), "{rule}");
        }
        for (rule, is_left_out) in [
            ("10.0.0.0/8", true),
            ("10.0.0.7", true),
            ("10.0.0.7/32", true),
            ("10.1.0.0/16", false),
            ("0.0.0.0/0", true),
            ("::/0", false),
            ("10.0.0.0/33", false),
        ] {
            let found = proxy("http://10.0.0.7", &[("ALL_PROXY", "http://p"), ("NO_PROXY", rule)]);
            assert_eq!(found.is_none(), is_left_out, "{rule}");
        }
    }
}
