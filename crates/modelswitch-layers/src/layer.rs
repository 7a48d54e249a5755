use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use modelswitch_provider::{Provider, Request, Response, Result};

/// A policy that goes around any provider and gives back a provider.
///
/// What a layer remembers (counters, permits, a breaker's state) lives in the layer; a wrapper only points at it. So one
/// layer put around several providers is one policy over all of them, and a layer made anew for each is one for each.
///
/// A wrapper keeps four promises: it keeps the name of what is inside, since configuration and logs go by it; it spawns
/// nothing; whatever it takes, it gives back by a guard that rides in the response's stream; dropping the call ends it.
///
/// [`layer_fn`] makes a layer from a closure. By hand it is a struct for the policy and one for the wrapper:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use async_trait::async_trait;
/// use modelswitch_layers::{Layer, Stack};
/// use modelswitch_provider::{Provider, Request, Response, Result};
///
/// /// Counts the calls that pass.
/// #[derive(Clone, Debug, Default)]
/// pub struct Count(Arc<AtomicU64>);
///
/// impl Layer for Count {
///     fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
///         Arc::new(Wrapped { layer: self.clone(), inner })
///     }
/// }
///
/// #[derive(Debug)]
/// struct Wrapped {
///     layer: Count,
///     inner: Arc<dyn Provider>,
/// }
///
/// #[async_trait]
/// impl Provider for Wrapped {
///     fn name(&self) -> &str {
///         self.inner.name()
///     }
///     async fn send(&self, request: Request) -> Result<Response> {
///         self.layer.0.fetch_add(1, Ordering::Relaxed);
///         self.inner.send(request).await
///     }
/// }
/// # use modelswitch_provider::ProviderExt;
/// # use modelswitch_provider::mock::MockProvider;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let count = Count::default();
/// let llm = Stack::new().layer(count.clone()).over(MockProvider::reply("Yes."));
/// llm.ask("Is water wet?").await?;
/// assert_eq!(count.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// Puts the policy around a provider.
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider>;
}

impl<L: Layer + ?Sized> Layer for Arc<L> {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        (**self).wrap(inner)
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        (**self).wrap(inner)
    }
}

/// `None` wraps nothing, so a policy that configuration can switch off keeps its line in the stack.
impl<L: Layer> Layer for Option<L> {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        match self {
            Some(layer) => layer.wrap(inner),
            None => inner,
        }
    }
}

/// A layer from a closure, which gets what is inside and the request. The name is what `Debug` shows.
///
/// ```
/// use modelswitch_layers::{Stack, layer_fn};
/// use modelswitch_provider::{Error, ErrorKind};
///
/// let polite = layer_fn("polite", |inner, request| async move {
///     match request.model() {
///         Some(model) if model.ends_with("-preview") => Err(Error::new(ErrorKind::Rejected, "no previews here")),
///         _ => inner.send(request).await,
///     }
/// });
/// # use modelswitch_provider::{ChatRequest, ProviderExt};
/// # use modelswitch_provider::mock::MockProvider;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let llm = Stack::new().layer(polite).over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # let refused = llm.chat(ChatRequest::user("Is water wet?").model("dry-preview")).await;
/// # assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::Rejected));
/// # Ok::<(), Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn layer_fn<F, R>(name: &'static str, send: F) -> LayerFn<F>
where
    F: Fn(Arc<dyn Provider>, Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response>> + Send + 'static,
{
    LayerFn { name, send: Arc::new(send) }
}

/// What [`layer_fn`] makes.
pub struct LayerFn<F> {
    name: &'static str,
    // Shared, so what the closure captured is one state for all that it wraps.
    send: Arc<F>,
}

impl<F, R> Layer for LayerFn<F>
where
    F: Fn(Arc<dyn Provider>, Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response>> + Send + 'static,
{
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Wrapped { layer: self.clone(), inner })
    }
}

impl<F> Clone for LayerFn<F> {
    fn clone(&self) -> Self {
        Self { name: self.name, send: self.send.clone() }
    }
}

impl<F> fmt::Debug for LayerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl<F, R> Provider for Wrapped<LayerFn<F>>
where
    F: Fn(Arc<dyn Provider>, Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response>> + Send + 'static,
{
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, request: Request) -> Result<Response> {
        (self.layer.send)(self.inner.clone(), request).await
    }
}

/// A layer around a provider. Each file of this crate says what its own does: `impl Provider for Wrapped<Retry>`.
#[derive(Debug)]
pub(crate) struct Wrapped<L> {
    pub(crate) layer: L,
    pub(crate) inner: Arc<dyn Provider>,
}
