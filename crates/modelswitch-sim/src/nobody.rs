//! A place where no service is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A local port at which nobody listens, held as long as this lives: connections to it are refused. A port that was merely
/// let go may be somebody else's a moment later.
///
/// ```
/// use modelswitch_sim::Nobody;
///
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let nobody = Nobody::new()?;
/// let refused = tokio::net::TcpStream::connect(nobody.address()).await.err();
/// assert_eq!(refused.map(|error| error.kind()), Some(std::io::ErrorKind::ConnectionRefused));
/// # Ok::<(), std::io::Error>(()) })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Nobody {
    address: SocketAddr,
    _held: TcpSocket,
}

impl Nobody {
    /// Takes a free port. It must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new() -> io::Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: held.local_addr()?, _held: held })
    }

    /// Where nobody is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a service that isn't there, with this path behind it.
    pub fn base_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
