//! The socket, its connections and the way of a request through them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::body::{PieceBody, Reset};
use crate::personality::Personality;
use crate::recorded::Recorded;
use crate::script::{Play, Script};
use crate::state::{Connection, Open, Shared};
use crate::{deepseek, openai};

/// The time a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Windows the option would let two programs share the port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // With the usual backlog of 128, some of many clients connecting at once wait a second.
    socket.listen(4096)
}

/// Accepts until stopped. Connections die with this future.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&shared))); }
                // Out of file descriptors, most likely: some will come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Otherwise a second small frame waits for the other side's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let _open = Connection::new(&shared);
    let timeout = shared.settings.header_read_timeout;
    let service = service_fn(move |request| respond(request, Arc::clone(&shared)));
    // An error is a client that left or a connection that a script dropped.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<PieceBody>, Reset> {
    let mut open = Open::new(&shared);
    let (head, body) = request.into_parts();
    let body = collect(body, shared.settings.body_limit).await;
    let request = Recorded {
        path: head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
        method: head.method,
        headers: head.headers,
        body: body.clone().unwrap_or_default(),
    };
    shared.log().push(request.clone(), shared.settings.remember);
    let mut answer = match body {
        Ok(_) => play(&shared, &request, &mut open).await?,
        Err(status) => Answer::empty(status),
    };
    let mut ids = shared.ids(&request);
    let (name, id) = match shared.settings.personality {
        Personality::DeepSeek => (HeaderName::from_static("x-ds-trace-id"), ids.hex()),
        Personality::OpenAi => (HeaderName::from_static("x-request-id"), format!("req_{}", ids.hex())),
        Personality::Compatible(service) => (service.request_id_header(), format!("req_{}", ids.hex())),
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        answer.headers.entry(name).or_insert(id);
    }
    if !answer.delivery.delay.is_zero() {
        tokio::time::sleep(answer.delivery.delay).await;
    }
    let mut response = Response::new(PieceBody::new(answer.pieces, &answer.delivery, open));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

async fn play(shared: &Shared, request: &Recorded, open: &mut Open) -> Result<Answer, Reset> {
    let script = shared.scripts().next(request.route()).unwrap_or_else(Script::normal);
    match script.play() {
        Play::Normal => Ok(script.over(personality(shared, request, open))),
        Play::Answer(answer) => Ok(*answer),
        Play::Reset(delay) => {
            tokio::time::sleep(delay).await;
            Err(Reset)
        }
    }
}

fn personality(shared: &Shared, request: &Recorded, open: &mut Open) -> Answer {
    match shared.settings.personality {
        Personality::DeepSeek => deepseek::answer(shared, request, open),
        Personality::OpenAi => openai::answer(shared, request, open),
        Personality::Compatible(service) => service.answer(shared, request, open),
    }
}

/// The whole body, or the status that refuses it. What is over the limit is read and thrown away:
/// a client that is still writing would see a reset instead of the answer.
async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, StatusCode> {
    let read = async {
        let mut kept = BytesMut::new();
        let mut size = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
            size = size.saturating_add(data.len());
            if size <= limit {
                kept.extend_from_slice(&data);
            } else if size > limit.saturating_mul(4) {
                break;
            }
        }
        if size > limit { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(kept.freeze()) }
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}
