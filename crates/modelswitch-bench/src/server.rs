//! The service: a fixed answer for a path, over HTTP/1.1 with keep-alive. Per request it finds the end of the head and
//! writes bytes that were made before; it reads no JSON. One thread, on a core of its own.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;

use crate::Failure;
use crate::case::{Packets, Text};

/// Serves for ever, and first prints the port on a line of its own.
///
/// # Errors
/// When no port can be had.
pub fn serve() -> Result<(), Failure> {
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        // The default backlog lets clients that connect all at once wait a second.
        let listener = socket.listen(4096)?;
        print_line(&listener.local_addr()?.port().to_string())?;
        let pages = Arc::new(Pages::new());
        loop {
            let (connection, _) = listener.accept().await?;
            // Without it a second small frame waits for the acknowledgement of the first.
            connection.set_nodelay(true)?;
            let pages = pages.clone();
            // A client that goes is no failure of the server.
            tokio::spawn(async move { converse(connection, &pages).await.ok() });
        }
    })
}

/// Puts this thread on a core, where there are enough of them.
pub fn pin(core: usize) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if core < cores {
        let mut set = rustix::thread::CpuSet::new();
        set.set(core);
        // Unpinned figures are figures too.
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

/// Writes a line on the standard output at once.
pub(crate) fn print_line(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The base URL at which a server on this port answers chats in one way.
pub(crate) fn base_url(port: u16, page: &Page) -> String {
    let page = match *page {
        Page::Whole => "whole".to_owned(),
        Page::Stream(text, packets, chunks) => format!("{text:?}-{packets:?}-{chunks}"),
        Page::Held(streams, chunks) => format!("held-{streams}-{chunks}"),
    };
    format!("http://127.0.0.1:{port}/{page}/v1")
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Page {
    Whole,
    Stream(Text, Packets, usize),
    /// The first chunk of each stream, then nothing until so many are open, then the other chunks.
    Held(usize, usize),
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        let name = path.split('/').nth(1)?;
        let mut parts = name.split('-');
        let (kind, second, third) = (parts.next()?, parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        Some(match kind {
            "whole" => Self::Whole,
            "held" => Self::Held(number(second)?, number(third)?),
            text => {
                let text = if text == "Reasoning" { Text::Reasoning } else { Text::Plain };
                let packets = if second == Some("Big") { Packets::Big } else { Packets::Small };
                Self::Stream(text, packets, number(third)?)
            }
        })
    }
}

/// Bytes that were made before, and where streams wait for each other.
struct Pages {
    whole: Bytes,
    gate: std::sync::Mutex<Option<(usize, Arc<Barrier>)>>,
}

impl Pages {
    fn new() -> Self {
        let body = answer();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { whole: whole.into(), gate: std::sync::Mutex::default() }
    }

    /// Where so many streams meet; streams of another number meet elsewhere.
    fn gate(&self, streams: usize) -> Arc<Barrier> {
        let mut gate = self.gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*gate {
            Some((count, barrier)) if *count == streams => barrier.clone(),
            _ => gate.insert((streams, Arc::new(Barrier::new(streams)))).1.clone(),
        }
    }
}

async fn converse(mut connection: TcpStream, pages: &Pages) -> std::io::Result<()> {
    let mut read = BytesMut::with_capacity(64 << 10);
    while let Some(page) = request(&mut connection, &mut read).await? {
        match page {
            Page::Whole => connection.write_all(&pages.whole).await?,
            Page::Stream(text, packets, chunks) => stream(&mut connection, text, packets, chunks).await?,
            Page::Held(streams, chunks) => {
                held(&mut connection, &pages.gate(streams), chunks).await?;
            }
        }
    }
    Ok(())
}

/// Reads a request to its end; `None` when the client has gone, or asks for what isn't here.
async fn request(connection: &mut TcpStream, read: &mut BytesMut) -> std::io::Result<Option<Page>> {
    let head = loop {
        if let Some(end) = memmem::find(read, b"\r\n\r\n") {
            break read.split_to(end + 4);
        }
        if connection.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let mut left: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    loop {
        let taken = left.min(read.len());
        let _ = read.split_to(taken);
        left -= taken;
        if left == 0 {
            let path = head.split(' ').nth(1).unwrap_or_default();
            // The head is in small letters by now.
            return Ok(Page::of(&path.replace("reasoning-", "Reasoning-").replace("-big-", "-Big-")));
        }
        read.reserve(64 << 10);
        if connection.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

async fn stream(
    connection: &mut TcpStream,
    text: Text,
    packets: Packets,
    chunks: usize,
) -> std::io::Result<()> {
    let (piece, last) = (event(text), last_events());
    match packets {
        Packets::Small => {
            connection.write_all(STREAM_HEAD).await?;
            let piece = framed(piece.as_bytes());
            for _ in 1..chunks {
                connection.write_all(&piece).await?;
            }
            connection.write_all(&framed(last.as_bytes())).await?;
            connection.write_all(b"0\r\n\r\n").await
        }
        Packets::Big => {
            let mut all = piece.repeat(chunks - 1);
            all.push_str(&last);
            let mut bytes = STREAM_HEAD.to_vec();
            bytes.extend_from_slice(&framed(all.as_bytes()));
            bytes.extend_from_slice(b"0\r\n\r\n");
            connection.write_all(&bytes).await
        }
    }
}

async fn held(connection: &mut TcpStream, gate: &Barrier, chunks: usize) -> std::io::Result<()> {
    let piece = framed(event(Text::Plain).as_bytes());
    connection.write_all(STREAM_HEAD).await?;
    connection.write_all(&piece).await?;
    gate.wait().await;
    for _ in 2..chunks {
        connection.write_all(&piece).await?;
        // One after the other, as a service does that generates for all of them.
        tokio::task::yield_now().await;
    }
    connection.write_all(&framed(last_events().as_bytes())).await?;
    connection.write_all(b"0\r\n\r\n").await
}

/// Bytes as a chunk of HTTP.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = format!("{:x}\r\n", bytes.len()).into_bytes();
    frame.extend_from_slice(bytes);
    frame.extend_from_slice(b"\r\n");
    frame
}

/// An answer of 700 bytes.
fn answer() -> String {
    let body = |content: &str| {
        json!({
            "id": "0198f0c2-6d1c-7d1e-9b7e-0a3f2b6a4c55", "object": "chat.completion", "created": 1_764_028_800,
            "model": "deepseek-flash", "system_fingerprint": "fp_0123456789",
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": "stop",
                "message": { "role": "assistant", "content": content },
            }],
            "usage": {
                "prompt_tokens": 14, "completion_tokens": 61, "total_tokens": 75,
                "prompt_tokens_details": { "cached_tokens": 0 },
            },
        })
        .to_string()
    };
    let room = 700_usize.saturating_sub(body("").len());
    body(&"word ".repeat(room.div_ceil(5)).chars().take(room).collect::<String>())
}

/// A chunk as DeepSeek sends it, in the order in which it writes the members.
fn chunk(delta: &str, finish: &str) -> String {
    let mut text = String::from("data: ");
    let _ = write!(
        text,
        r#"{{"id":"0198f0c2-6d1c-7d1e-9b7e-0a3f2b6a4c55","object":"chat.completion.chunk","created":1764028800,"model":"deepseek-flash","system_fingerprint":"fp_0123456789","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
    );
    text.push_str("\n\n");
    text
}

fn event(text: Text) -> String {
    match text {
        Text::Plain => chunk(r#"{"content":" word"}"#, "null"),
        Text::Reasoning => chunk(r#"{"content":null,"reasoning_content":" word"}"#, "null"),
    }
}

fn last_events() -> String {
    chunk(r#"{"content":""}"#, r#""stop""#) + "data: [DONE]\n\n"
}
