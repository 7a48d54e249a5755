use std::sync::{Arc, Weak};
use std::time::Duration;

use modelswitch_provider::{Error, Result};
use reqwest::redirect::Policy;

/// A pool of connections that providers share. A clone is another handle on the same pool; making one costs
/// milliseconds, so make one and hand it around.
///
/// Proxies are taken from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as reqwest does. A redirect is
/// followed only to the same origin, and only where it repeats the request as it is (307, 308): a key is never sent to
/// a place that the configuration doesn't name.
///
/// ```
/// use modelswitch_openai::HttpClient;
///
/// let pool = HttpClient::new(std::time::Duration::from_secs(10))?;
/// # let _ = pool;
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<reqwest::Client>);

impl HttpClient {
    /// A pool whose connections must be made within `connect`.
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when TLS can't be set up on this machine.
    pub fn new(connect: Duration) -> Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .redirect(Policy::custom(|attempt| {
                let same_origin =
                    attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
                let repeats = matches!(attempt.status().as_u16(), 307 | 308);
                if same_origin && repeats && attempt.previous().len() <= MOST_REDIRECTS {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }))
            .user_agent(concat!("modelswitch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::config("the HTTP client can't be set up").with_source(error.without_url())
            })?;
        Ok(Self(Arc::new(client)))
    }

    /// Takes a client that you have built: for a proxy, a certificate or a resolver of your own.
    ///
    /// Its redirect policy is yours too. reqwest's default follows redirects to other origins, with every header but
    /// the usual credentials: give it `Policy::none()` unless you know better.
    pub fn from_reqwest(client: reqwest::Client) -> Self {
        Self(Arc::new(client))
    }

    /// A handle that doesn't keep the pool open.
    ///
    /// ```
    /// use modelswitch_openai::HttpClient;
    ///
    /// let pool = HttpClient::new(std::time::Duration::from_secs(10))?;
    /// let weak = pool.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(pool);
    /// assert!(weak.upgrade().is_none());
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn downgrade(&self) -> WeakHttpClient {
        WeakHttpClient(Arc::downgrade(&self.0))
    }

    pub(crate) fn inner(&self) -> &reqwest::Client {
        &self.0
    }
}

/// A pool that others may hold and this handle doesn't: whoever keeps a list of pools doesn't keep them open.
#[derive(Clone, Debug, Default)]
pub struct WeakHttpClient(Weak<reqwest::Client>);

impl WeakHttpClient {
    /// The pool, if anybody still holds it.
    pub fn upgrade(&self) -> Option<HttpClient> {
        self.0.upgrade().map(HttpClient)
    }
}

const MOST_REDIRECTS: usize = 5;
