//! Fields of a multipart form, read and replaced in place: an upload names its model in one.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use memchr::memmem;

/// Where the value of a field stands. `None` when the body isn't a form or has no such field.
pub(crate) fn field(content_type: &HeaderValue, body: &[u8], name: &str) -> Option<Range<usize>> {
    let delimiter = format!("--{}", boundary(content_type.to_str().ok()?)?);
    let wanted = format!("name=\"{name}\"");
    let mut start = memmem::find(body, delimiter.as_bytes())? + delimiter.len();
    loop {
        let part = body.get(start..)?;
        let head = memmem::find(part, b"\r\n\r\n")?;
        let value = start + head + 4;
        let length = memmem::find(body.get(value..)?, format!("\r\n{delimiter}").as_bytes())?;
        let is_wanted =
            part.get(..head).and_then(|head| std::str::from_utf8(head).ok()).is_some_and(|head| {
                // `filename="…"` must not be taken for `name="…"`.
                head.split(['\n', ';']).any(|piece| piece.trim() == wanted)
            });
        if is_wanted {
            return Some(value..value + length);
        }
        start = value + length + 2 + delimiter.len();
    }
}

/// The body with another value at a place.
pub(crate) fn replace(body: &Bytes, place: Range<usize>, value: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(body.len() + value.len());
    text.extend_from_slice(body.get(..place.start).unwrap_or_default());
    text.extend_from_slice(value);
    text.extend_from_slice(body.get(place.end..).unwrap_or_default());
    text.freeze()
}

fn boundary(content_type: &str) -> Option<&str> {
    if !content_type.to_ascii_lowercase().starts_with("multipart/form-data") {
        return None;
    }
    let boundary = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::{Endpoint, Payload, Request};
    use bytes::Bytes;
    use http::{HeaderValue, Method};

    fn upload(body: &'static str) -> Request {
        let endpoint = Endpoint::new(Method::POST, "/audio/transcriptions").unwrap();
        let content_type = HeaderValue::from_static("multipart/form-data; boundary=XX");
        Request::new(endpoint, Payload::Raw { content_type, bytes: Bytes::from_static(body.as_bytes()) })
    }

    const FORM: &str = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name=\\\"model\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/whisper-1\r\n--XX\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--XX--\r\n";

    #[test]
    fn the_model_of_a_form_is_read_and_replaced_and_the_rest_stays() {
        let mut request = upload(FORM);
        assert_eq!(request.model().as_deref(), Some("openai/whisper-1"));
        assert!(request.is_stream());
        request.set_model("whisper-1");
        let Payload::Raw { bytes, .. } = &request.body else { panic!("it stays a form") };
        assert_eq!(bytes, &FORM.replace("openai/whisper-1", "whisper-1"));
    }

    #[test]
    fn a_body_that_is_no_whole_form_has_no_model() {
        for body in ["", "--XX", "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx", "x"] {
            assert_eq!(upload(body).model(), None, "{body:?}");
        }
    }
}
