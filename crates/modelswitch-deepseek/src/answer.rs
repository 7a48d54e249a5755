//! Reading the answers of endpoints that have no place in the provider trait's extension.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use modelswitch_provider::{Body, Error, Head, Response, Result};
use serde::de::DeserializeOwned;

/// More than any of these answers has; a list of a thousand files is a tenth of it.
const LONGEST: usize = 4 << 20;

/// A whole JSON document, whatever content type it claims.
///
/// # Errors
/// [`Decode`](modelswitch_provider::ErrorKind::Decode) for anything else, and what the body fails with.
pub(crate) async fn json(response: Response) -> Result<(Head, Bytes)> {
    let Response { head, body } = response;
    let Body::Other(mut bytes) = body else { return Response { head, body }.into_json() };
    let mut whole = BytesMut::new();
    while let Some(more) = bytes.next().await {
        whole.extend_from_slice(&more.map_err(|error| head.blame(error))?);
        if whole.len() > LONGEST {
            return Err(head.blame(Error::decode("the answer is longer than any answer here can be")));
        }
    }
    Ok((head, whole.freeze()))
}

/// A whole JSON document decoded.
///
/// # Errors
/// As [`json`], and [`Decode`](modelswitch_provider::ErrorKind::Decode) when it is of another shape.
pub(crate) async fn typed<T: DeserializeOwned>(response: Response, what: &str) -> Result<T> {
    let (head, body) = json(response).await?;
    serde_json::from_slice(&body).map_err(|error| {
        head.blame(Error::decode_json(what, &error)).with_status(head.status).with_upstream_body(body)
    })
}
