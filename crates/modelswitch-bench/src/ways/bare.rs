//! HTTP and nothing else: the body is written once, what comes back is read and not looked at.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;

use super::{Chunks, KEY, MODEL, Way};
use crate::Failure;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

fn body(prompt: &str, stream: Option<bool>) -> Result<Vec<u8>, Failure> {
    let messages = [Message { role: "user", content: prompt }];
    Ok(serde_json::to_vec(&Body { model: MODEL, messages, stream })?)
}

struct Hyper {
    client: Client<HttpConnector, Full<Bytes>>,
    url: hyper::Uri,
}

pub(super) fn hyper(base: &str) -> Result<Box<dyn Way>, Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Box::new(Hyper { client, url: format!("{base}/chat/completions").parse()? }))
}

impl Hyper {
    async fn send(
        &self,
        prompt: String,
        stream: Option<bool>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, Failure> {
        let request = hyper::Request::post(self.url.clone())
            .header(AUTHORIZATION, format!("Bearer {KEY}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body(&prompt, stream)?))?;
        Ok(self.client.request(request).await?)
    }
}

#[async_trait]
impl Way for Hyper {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        Ok(self.send(prompt, None).await?.into_body().collect().await?.to_bytes().len())
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let body = self.send(prompt, Some(true)).await?.into_body();
        Ok(BodyDataStream::new(body).map(|bytes| Ok(bytes?.len())).boxed())
    }
}

/// Also what the typed way stands on.
pub(super) struct Reqwest {
    client: reqwest::Client,
    url: String,
}

impl Reqwest {
    pub(super) fn new(base: &str) -> Self {
        Self { client: reqwest::Client::new(), url: format!("{base}/chat/completions") }
    }

    pub(super) async fn send(&self, body: Vec<u8>) -> Result<reqwest::Response, Failure> {
        let request = self.client.post(&self.url).bearer_auth(KEY).header(CONTENT_TYPE, "application/json");
        Ok(request.body(body).send().await?.error_for_status()?)
    }
}

pub(super) fn reqwest(base: &str) -> Result<Box<dyn Way>, Failure> {
    Ok(Box::new(Reqwest::new(base)))
}

#[async_trait]
impl Way for Reqwest {
    async fn ask(&self, prompt: String) -> Result<usize, Failure> {
        Ok(self.send(body(&prompt, None)?).await?.bytes().await?.len())
    }

    async fn open(&self, prompt: String) -> Result<Chunks, Failure> {
        let bytes = self.send(body(&prompt, Some(true))?).await?.bytes_stream();
        Ok(bytes.map_ok(|bytes| bytes.len()).map_err(Into::into).boxed())
    }
}
