//! Why a connection with TLS failed, told from the error of the first request. The libraries' types aren't known here,
//! only their words: rustls's and those of the system's libraries.

use std::error::Error as _;

use modelswitch_provider::Error;

use super::report::Found;

/// What kept TLS from being set up; `None` when it was something else.
pub(super) fn failure(error: &Error, host: &str) -> Option<Found> {
    let words = words(error);
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if !says(&["certificate", "tls", "ssl", "handshake", "corrupt message", "wrong version number"]) {
        return None;
    }
    if says(&["tunnel"]) {
        return None;
    }
    Some(if says(&["not valid yet", "notvalidyet", "not yet valid"]) {
        Found::wrong("the certificate isn't valid yet", "set this machine's clock right")
    } else if says(&["expired"]) {
        Found::wrong(
            "the certificate has expired",
            "look at this machine's clock; if it is right, whoever runs the service must renew the certificate",
        )
    } else if says(&[
        "not valid for name",
        "notvalidforname",
        "hostname mismatch",
        "name mismatch",
        "host name",
    ]) {
        Found::wrong(
            format!("the certificate is for another name than `{host}`"),
            "write the name that the certificate is for in base_url, not an address or another name",
        )
    } else if says(&["revoked"]) {
        Found::wrong("the certificate was revoked", "don't send a key there; ask whoever runs the service")
    } else if says(&[
        "unknownissuer",
        "unknown issuer",
        "local issuer",
        "self-signed",
        "self signed",
        "caused",
        "not trusted",
        "certificate verify failed",
    ]) {
        Found::wrong(
            "the certificate is from an issuer that this machine doesn't know, or signed by itself",
            "add the issuer to this machine's certificates (on Linux SSL_CERT_FILE names a file with them); it may be a proxy of your network that opens TLS",
        )
    } else if says(&["invalidcontenttype", "corrupt message", "wrong version number", "unknown protocol"]) {
        Found::wrong(
            "what answers there doesn't speak TLS",
            "write http:// instead of https:// in base_url if the service has no TLS, or the port that has it",
        )
    } else {
        Found::wrong(
            "TLS can't be set up with the service",
            "see whether a proxy or firewall is in between, and that the service speaks TLS 1.2 or 1.3",
        )
    })
}

/// True when a proxy refused to let the connection through.
pub(super) fn is_refused_by_proxy(error: &Error) -> bool {
    let words = words(error);
    words.contains("tunnel") || words.contains("proxy auth")
}

/// All that the libraries below say, in small letters.
fn words(error: &Error) -> String {
    let mut words = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&cause.to_string().to_lowercase());
        words.push('\n');
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use modelswitch_provider::ErrorKind;

    use super::*;

    fn detail(words: &str) -> Option<String> {
        let error = Error::new(ErrorKind::Connection, "no connection to the service")
            .with_source(std::io::Error::other(words.to_owned()));
        failure(&error, "llm.example.com").map(|found| found.detail)
    }

    /// The sentences are rustls 0.23's and OpenSSL 3's.
    #[test]
    fn each_failure_of_tls_is_told_from_its_words() {
        for (words, part) in [
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX), but …", "expired"),
            ("invalid peer certificate: Expired", "expired"),
            ("invalid peer certificate: certificate not valid yet: verification time 1", "valid yet"),
            ("invalid peer certificate: UnknownIssuer", "an issuer"),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "an issuer"),
            (
                "invalid peer certificate: certificate not valid for name \"x\"; certificate is only …",
                "`llm.example.com`",
            ),
            ("invalid peer certificate: Revoked", "revoked"),
            ("received corrupt message of type InvalidContentType", "doesn't speak TLS"),
            ("error:0A00010B:SSL routines::wrong version number", "doesn't speak TLS"),
            ("error:0A000086:SSL routines::certificate verify failed (self-signed certificate)", "an issuer"),
            ("tls handshake eof", "can't be set up"),
        ] {
            let found = detail(words).unwrap_or_default();
            assert!(found.contains(part), "{words}: {found}");
        }
        for other in ["connection refused", "dns error", "tunnel error: unsuccessful", "operation timed out"]
        {
            assert_eq!(detail(other), None, "{other}");
        }
    }
}
