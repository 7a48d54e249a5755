//! `Sim` and its builder: what tests and programs hold.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::personality::Personality;
use crate::recorded::Recorded;
use crate::script::Script;
use crate::server;
use crate::state::{Balance, Settings, Shared};

/// A simulated service on a real socket; it stops when this is dropped.
///
/// Share it by reference or in an `Arc`: every method takes `&self`.
///
/// ```
/// use modelswitch_sim::Sim;
/// use serde_json::{Value, json};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sim = Sim::start().await?;
/// let answer: Value = reqwest::Client::new()
///     .post(format!("{}/chat/completions", sim.base_url()))
///     .bearer_auth(sim.key())
///     .json(&json!({"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hello"}]}))
///     .send()
///     .await?
///     .json()
///     .await?;
/// assert_eq!(answer["choices"][0]["message"]["content"], r#"[simulated deepseek-flash] You said: "Hello""#);
/// # Ok(()) }
/// ```
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    base_url: String,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Sim {
    /// Starts a simulated DeepSeek on a free port of 127.0.0.1 that accepts [`key`](Self::key).
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Another personality, key, address or pace.
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    /// The base URL a client is given, with the personality's [`path`](Personality::path).
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key that is accepted; of several, the first.
    pub fn key(&self) -> &str {
        self.shared.settings.keys.first().map_or("", String::as_str)
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom it takes after.
    pub fn personality(&self) -> Personality {
        self.shared.settings.personality
    }

    /// The requests received so far, oldest first, whatever was answered.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log().all()
    }

    /// Forgets the requests received so far.
    pub fn clear_requests(&self) {
        self.shared.log().clear();
    }

    /// Responses being waited for or written now. Falls when a client goes away.
    pub fn open_responses(&self) -> usize {
        self.shared.open_responses()
    }

    /// Connections that clients hold now, idle ones in their pools too.
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections()
    }

    /// Waits until no response is open; `false` if that took longer than `timeout`.
    pub async fn wait_idle(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.shared.idle()).await.is_ok()
    }

    /// Queues an answer for the next request, first in, first out. When nothing is queued the
    /// personality answers.
    ///
    /// ```
    /// use modelswitch_sim::{Script, Sim};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sim = Sim::start().await?;
    /// sim.script(Script::status(503));
    /// let models = format!("{}/models", sim.base_url());
    /// assert_eq!(reqwest::get(&models).await?.status(), 503);
    /// // The queue is empty: DeepSeek's own answer to a request without a key.
    /// assert_eq!(reqwest::get(&models).await?.status(), 401);
    /// # Ok(()) }
    /// ```
    pub fn script(&self, script: Script) {
        self.shared.scripts().push(None, script);
    }

    /// Queues an answer for the next request of this path (without query). A path without `/v1` or
    /// `/beta` also fits the same path below them. It goes before [`script`](Self::script)'s queue.
    pub fn script_path(&self, path: &str, script: Script) {
        self.shared.scripts().push(Some(path), script);
    }

    /// Forgets the scripts that wait.
    pub fn clear_scripts(&self) {
        self.shared.scripts().clear();
    }

    /// Stops listening, closes all connections and waits until that is done. Dropping does the same
    /// without waiting.
    pub async fn shutdown(&self) {
        drop(take(&self.stop));
        let server = take(&self.server);
        if let Some(server) = server {
            // An error would be the server's panic or abort: stopped either way.
            let _ = server.await;
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(server) = take(&self.server) {
            server.abort();
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("personality", &self.personality())
            .field("base_url", &self.base_url)
            .field("open_responses", &self.open_responses())
            .finish_non_exhaustive()
    }
}

/// Settings of a simulator that is not started yet.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_sim::{Personality, Sim};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sim = Sim::builder()
///     .personality(Personality::OpenAi)
///     .key("sk-my-own")
///     .address("127.0.0.1:0".parse()?)
///     .chunk_delay(Duration::from_millis(30))
///     .start()
///     .await?;
/// assert!(sim.base_url().ends_with("/v1"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SimBuilder {
    address: SocketAddr,
    settings: Settings,
}

impl Default for SimBuilder {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            settings: Settings {
                personality: Personality::DeepSeek,
                keys: vec!["sk-simulated-0123456789abcdef".to_owned()],
                any_key: false,
                keep_alives: 0,
                chunk_delay: Duration::ZERO,
                body_limit: 48 << 20, // DeepSeek's documented limit of a request body.
                remember: 10_000,     // Enough for any test; a demo that runs for days stays small.
                header_read_timeout: Duration::from_secs(60), // Longer than clients' pools idle in tests.
                concurrency: None,
                balance: Balance {
                    currency: "CNY".to_owned(),
                    total: "110.00".to_owned(),
                    granted: "10.00".to_owned(),
                    topped_up: "100.00".to_owned(),
                },
            },
        }
    }
}

impl SimBuilder {
    /// Whom it takes after.
    #[must_use]
    pub fn personality(mut self, personality: Personality) -> Self {
        self.settings.personality = personality;
        self
    }

    /// The key that is accepted.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.settings.keys = vec![key.into()];
        self
    }

    /// The keys that are accepted, the first of them as [`Sim::key`]: for a client that changes between several. Without
    /// any, all are refused.
    ///
    /// ```
    /// use modelswitch_sim::Sim;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sim = Sim::builder().keys(["sk-one", "sk-two"]).start().await?;
    /// let url = format!("{}/models", sim.base_url());
    /// let answer = reqwest::Client::new().get(url).bearer_auth("sk-two").send().await?;
    /// assert_eq!((answer.status().as_u16(), sim.key()), (200, "sk-one"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.settings.keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts any key; the keys that ask for an error still get it.
    #[must_use]
    pub fn any_key(mut self, any: bool) -> Self {
        self.settings.any_key = any;
        self
    }

    /// The address to listen on; port 0 takes a free one.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Blank lines before a JSON body, comments before the first event of a stream and one after the
    /// first and each tenth event, as DeepSeek sends them while a request waits.
    #[must_use]
    pub fn keep_alives(mut self, count: usize) -> Self {
        self.settings.keep_alives = count;
        self
    }

    /// The time between two chunks of a stream and after each keep-alive.
    #[must_use]
    pub fn chunk_delay(mut self, delay: Duration) -> Self {
        self.settings.chunk_delay = delay;
        self
    }

    /// The largest request body in bytes; more is answered 413. 48 MiB unless set.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_limit = bytes;
        self
    }

    /// How many requests [`Sim::requests`] keeps. 10 000 unless set.
    #[must_use]
    pub fn remember(mut self, requests: usize) -> Self {
        self.settings.remember = requests;
        self
    }

    /// The time a client may take to send a request's head; a connection idle for as long is closed.
    /// A minute unless set.
    #[must_use]
    pub fn header_read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.header_read_timeout = timeout;
        self
    }

    /// The most calls of a model at once, all keys together; one more is answered 429 with the numbers in
    /// its text. No limit unless set. A call counts until its answer is read to the end or its client
    /// leaves; lists of models, files and the balance don't count, nor do scripted answers.
    ///
    /// ```
    /// use std::time::Duration;
    /// use modelswitch_sim::{Script, Sim};
    /// use serde_json::json;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sim = Sim::builder().concurrency(1).start().await?;
    /// let body = json!({"model": "deepseek-flash", "messages": [{"role": "user", "content": "[sim:stall]"}]});
    /// let url = format!("{}/chat/completions", sim.base_url());
    /// let ask = || reqwest::Client::new().post(&url).bearer_auth(sim.key()).json(&body).send();
    /// let first = ask().await?; // Its body never ends, so the call stays open.
    /// let second = ask().await?;
    /// assert_eq!(second.status(), 429);
    /// assert!(second.text().await?.contains("Your current concurrency is 2, which exceeds your concurrency limit of 1"));
    /// # drop(first);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.settings.concurrency = Some(limit);
        self
    }

    /// What `GET /user/balance` shows, all of it topped up. With an amount of zero or less calls are
    /// answered 402. CNY 110.00, 10.00 of them granted, unless set.
    ///
    /// ```
    /// use modelswitch_sim::Sim;
    /// use serde_json::Value;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sim = Sim::builder().balance("USD", "3.20").start().await?;
    /// let url = format!("{}/user/balance", sim.base_url());
    /// let balance: Value = reqwest::Client::new().get(url).bearer_auth(sim.key()).send().await?.json().await?;
    /// assert_eq!(balance["balance_infos"][0]["total_balance"], "3.20");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn balance(mut self, currency: &str, total: &str) -> Self {
        self.settings.balance = Balance {
            currency: currency.to_owned(),
            total: total.to_owned(),
            granted: "0.00".to_owned(),
            topped_up: total.to_owned(),
        };
        self
    }

    /// Listens and answers until the [`Sim`] is dropped. Must run inside a tokio runtime.
    pub async fn start(self) -> io::Result<Sim> {
        let listener = server::listen(self.address)?;
        let address = listener.local_addr()?;
        let suffix = self.settings.personality.path();
        let mut reachable = address;
        if address.ip().is_unspecified() {
            reachable.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let shared = Arc::new(Shared::new(self.settings));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared), stopped));
        Ok(Sim {
            shared,
            address,
            base_url: format!("http://{reachable}{suffix}"),
            stop: Mutex::new(Some(stop)),
            server: Mutex::new(Some(server)),
        })
    }
}

impl fmt::Debug for SimBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBuilder")
            .field("address", &self.address)
            .field("personality", &self.settings.personality)
            .finish_non_exhaustive()
    }
}
