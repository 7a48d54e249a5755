//! Servers that mean harm: bytes on a raw socket, at whatever pace and for as long as somebody reads.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers every connection alike. It ends with its runtime.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    sent: AtomicUsize,
    open: AtomicUsize,
}

/// One connection, whose first request was read.
pub(crate) struct Connection {
    socket: TcpStream,
    seen: Arc<Seen>,
}

impl Server {
    /// # Panics
    /// When the machine has no port left.
    pub(crate) async fn start<F>(act: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = server.seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let mut connection = Connection::new(socket, &seen);
                let request = connection.request().await;
                seen.requests.lock().unwrap().push(request);
                tokio::spawn(act(connection));
            }
        });
        server
    }

    /// One that sends these bytes and closes.
    pub(crate) async fn sends(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::start(move |mut connection| {
            let bytes = bytes.clone();
            async move {
                connection.send(&bytes).await;
            }
        })
        .await
    }

    /// One that sends these bytes, and then the others for ever.
    pub(crate) async fn floods(head: impl Into<Vec<u8>>, piece: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new((head.into(), piece.into().repeat(64)));
        Self::start(move |mut connection| {
            let bytes = bytes.clone();
            async move {
                let mut there = connection.send(&bytes.0).await;
                while there {
                    there = connection.send(&bytes.1).await;
                }
            }
        })
        .await
    }

    /// The same, a piece every few milliseconds.
    pub(crate) async fn drips(head: impl Into<Vec<u8>>, piece: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new((head.into(), piece.into()));
        Self::start(move |mut connection| {
            let bytes = bytes.clone();
            async move {
                let mut there = connection.send(&bytes.0).await;
                while there {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    there = connection.send(&bytes.1).await;
                }
            }
        })
        .await
    }

    /// One that says nothing for as long as somebody waits.
    pub(crate) async fn silent() -> Self {
        Self::start(|mut connection| async move {
            while connection.socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        })
        .await
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many bytes were taken from it, those in the system's buffers included.
    pub(crate) fn sent(&self) -> usize {
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// Waits until nobody is connected any more.
    pub(crate) async fn is_left(&self) {
        while self.seen.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Connection {
    fn new(socket: TcpStream, seen: &Arc<Seen>) -> Self {
        seen.open.fetch_add(1, Ordering::SeqCst);
        Self { socket, seen: seen.clone() }
    }

    /// Head and body of a request. Its body is JSON, so it ends with the length that the head says.
    async fn request(&mut self) -> String {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.socket.read(&mut buffer).await.unwrap_or(0);
            text.extend_from_slice(&buffer[..read]);
            let shown = String::from_utf8_lossy(&text).into_owned();
            let body = shown.split_once("\r\n\r\n");
            let length = shown
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok());
            if read == 0 || body.is_some_and(|(_, body)| body.len() >= length.unwrap_or(0)) {
                return shown;
            }
        }
    }

    /// False when nobody is there any more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.socket.write_all(bytes).await.is_ok();
        if sent {
            self.seen.sent.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        sent
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}
