//! Bodies that are no JSON: web pages of proxies and firewalls, XML of gateways and stores, events, plain sentences.

use super::said::Said;

impl Said {
    /// What a body says that isn't JSON.
    pub(super) fn from_text(text: &str) -> Self {
        if let Some(code) = cloudflare_code(text) {
            let message = Some(format!("Cloudflare's error {code}"));
            return Self { message, is_page: true, ..Self::default() };
        }
        if text.starts_with('<') {
            return Self::from_xml(text).unwrap_or_else(|| Self {
                message: title(text),
                is_page: true,
                ..Self::default()
            });
        }
        match data_of_event(text) {
            Some(data) => Self::read(data.as_bytes()),
            None => Self { message: Some(text.to_owned()), ..Self::default() },
        }
    }

    /// `<Error><Code>…</Code><Message>…</Message></Error>`, as stores and gateways write it.
    fn from_xml(text: &str) -> Option<Self> {
        let message = element(text, "message").or_else(|| element(text, "faultstring"))?;
        Some(Self {
            message: Some(message),
            code: element(text, "code").or_else(|| element(text, "faultcode")),
            request_id: element(text, "requestid"),
            ..Self::default()
        })
    }
}

/// `error code: 1015`, which is all that Cloudflare says to a client that wants no page
/// (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/>).
fn cloudflare_code(text: &str) -> Option<&str> {
    let code = text.strip_prefix("error code: ")?.trim();
    ((3..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// The data of the first event. Some services put it so although the answer is a refusal.
fn data_of_event(text: &str) -> Option<String> {
    let is_event = ["data:", "event:", "id:", ":"].iter().any(|field| text.starts_with(field));
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let data: Vec<&str> = lines.filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
    (is_event && data.iter().any(|line| line.starts_with(['{', '[']))).then(|| data.join("\n"))
}

fn title(page: &str) -> Option<String> {
    element(page, "title").or_else(|| element(page, "h1"))
}

/// The text of the first element of a name, whatever its case.
fn element(text: &str, name: &str) -> Option<String> {
    // Only ASCII changes, so positions stay.
    let lower = text.to_ascii_lowercase();
    let open = format!("<{name}");
    let mut from = 0;
    loop {
        let start = from + lower.get(from..)?.find(&open)? + open.len();
        let rest = text.get(start..)?;
        from = start;
        // `<titlebar>` is another element.
        if !rest.starts_with(|c: char| c == '>' || c.is_whitespace()) {
            continue;
        }
        let inner = rest.get(rest.find('>')? + 1..)?;
        let inner = inner.get(..inner.find('<')?)?.trim();
        return (!inner.is_empty()).then(|| inner.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_whatever_its_case_and_attributes() {
        for (text, found) in [
            ("<TITLE>x</TITLE>", Some("x")),
            ("<title lang=\"en\"> x </title>", Some("x")),
            ("<titlebar>y</titlebar><title>x</title>", Some("x")),
            ("<title></title>", None),
            ("<title", None),
            ("<title>x", None),
            ("<title>é<", Some("é")),
        ] {
            assert_eq!(element(text, "title").as_deref(), found, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_an_event_is_a_sentence() {
        for text in ["data: it broke", ": hm", "id: 7", "error code: 10", "event: error"] {
            assert_eq!(Said::from_text(text).message.as_deref(), Some(text));
        }
    }
}
