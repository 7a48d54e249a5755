//! A service that never stops: a head, and then the same bytes again and again, for as long as somebody takes them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is sent, as far as it is taken.
pub(super) struct Flood {
    pub(super) head: &'static str,
    pub(super) pattern: Vec<u8>,
    /// The bytes after which even this one has had enough.
    pub(super) most: usize,
}

/// Runs until it is dropped.
pub(super) struct Flooding {
    address: SocketAddr,
    written: Arc<AtomicUsize>,
    task: JoinHandle<()>,
    most: usize,
}

impl Flood {
    pub(super) async fn start(self) -> io::Result<Flooding> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let written = Arc::new(AtomicUsize::new(0));
        let (counter, most) = (written.clone(), self.most);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The client left, which is what it should do.
                let _ = self.serve(stream, &counter).await;
            }
        });
        Ok(Flooding { address, written, task, most })
    }

    async fn serve(&self, mut stream: TcpStream, written: &AtomicUsize) -> io::Result<()> {
        let mut request = [0; 4096];
        let mut seen: Vec<u8> = Vec::new();
        while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
            let count = stream.read(&mut request).await?;
            seen.extend(request.iter().take(count));
            if count == 0 {
                return Ok(());
            }
        }
        stream.write_all(self.head.as_bytes()).await?;
        while written.load(Ordering::Acquire) < self.most {
            stream.write_all(&self.pattern).await?;
            written.fetch_add(self.pattern.len(), Ordering::AcqRel);
        }
        Ok(())
    }
}

impl Flooding {
    pub(super) fn base_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Whether all of it was taken.
    pub(super) fn is_spent(&self) -> bool {
        self.written.load(Ordering::Acquire) >= self.most
    }

    /// Waits until nothing more is taken for a while, or all was.
    pub(super) async fn settled(&self) {
        let (mut last, mut same) = (usize::MAX, 0);
        while same < 5 && !self.is_spent() {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let now = self.written.load(Ordering::Acquire);
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        self.task.abort();
    }
}
