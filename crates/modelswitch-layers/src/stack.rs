use std::any::Any;
use std::sync::Arc;

use modelswitch_provider::Provider;

use crate::Layer;

/// Layers in the order in which a request meets them: **the first line sees the request first**.
///
/// A stack is a layer itself, so what belongs together can be put together once. It can go over any number of
/// providers; its layers' state is then shared among them.
///
/// ```
/// use modelswitch_layers::{Retry, Stack, layer_fn};
/// use modelswitch_provider::ProviderExt;
/// use modelswitch_provider::mock::MockProvider;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let llm = Stack::new()
///     .layer(layer_fn("per call", |inner, request| async move { inner.send(request).await }))
///     .layer(Retry::default())
///     .layer(layer_fn("per try", |inner, request| async move { inner.send(request).await }))
///     .over(MockProvider::reply("Yes."));
/// assert_eq!(llm.ask("Is water wet?").await?, "Yes.");
/// # Ok::<(), modelswitch_provider::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it costs
///
/// The whole canonical order, in memory and while nothing fails, takes about five microseconds a call and a hundred nanoseconds
/// a chunk of a stream. A layer alone takes a tenth to one and a half of those microseconds: the most is [`Cache`](crate::Cache),
/// which hashes the question and keeps the answer, then the tokens' estimate and reading ([`Budget`](crate::Budget),
/// [`RateLimit`](crate::RateLimit), [`Cost`](crate::Cost)), which several of them share. Of a chunk's price a quarter is
/// [`Timeout`](crate::Timeout) with a total, which looks at the clock, a third the two searches that all share, and a fifth the
/// copy that `Cache` keeps. `cargo bench -p modelswitch-layers` measures it.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    layers: Vec<Arc<dyn Layer>>,
}

impl Stack {
    /// A stack without layers, which changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer below those that are there: it sees the request after them, and the answer before them.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Puts the stack over a provider, an `Arc<dyn Provider>` too.
    pub fn over(&self, provider: impl Provider) -> Arc<dyn Provider> {
        self.wrap(shared(provider))
    }
}

impl Layer for Stack {
    fn wrap(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        // The last line is nearest to the provider, so it goes on first.
        self.layers.iter().rev().fold(inner, |inner, layer| layer.wrap(inner))
    }
}

/// An `Arc<dyn Provider>` is a provider too; a second `Arc` around it would cost each call a box for nothing.
pub(crate) fn shared(provider: impl Provider) -> Arc<dyn Provider> {
    match (&provider as &dyn Any).downcast_ref::<Arc<dyn Provider>>() {
        Some(shared) => shared.clone(),
        None => Arc::new(provider),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use modelswitch_provider::ProviderExt;
    use modelswitch_provider::mock::MockProvider;

    use super::*;
    use crate::layer_fn;

    type Diary = Arc<Mutex<Vec<String>>>;

    /// Writes down when the request passes down and when the answer passes up.
    fn witness(name: &'static str, diary: &Diary) -> impl Layer + use<> {
        let diary = diary.clone();
        layer_fn(name, move |inner, request| {
            let diary = diary.clone();
            async move {
                diary.lock().unwrap().push(format!("{name} down"));
                let answer = inner.send(request).await;
                diary.lock().unwrap().push(format!("{name} up"));
                answer
            }
        })
    }

    async fn ask(stack: &Stack) {
        assert_eq!(stack.over(MockProvider::reply("Yes.")).ask("?").await.unwrap(), "Yes.");
    }

    #[tokio::test]
    async fn the_first_line_sees_the_request_first() {
        let diary = Diary::default();
        ask(&Stack::new().layer(witness("first", &diary)).layer(witness("second", &diary))).await;
        assert_eq!(*diary.lock().unwrap(), ["first down", "second down", "second up", "first up"]);
    }

    #[tokio::test]
    async fn a_stack_in_a_stack_keeps_the_order() {
        let diary = Diary::default();
        let pair = Stack::new().layer(witness("b", &diary)).layer(witness("c", &diary));
        let off: Option<Stack> = None;
        ask(&Stack::new().layer(witness("a", &diary)).layer(pair).layer(off).layer(witness("d", &diary)))
            .await;
        let down: Vec<_> = diary.lock().unwrap().iter().take(4).cloned().collect();
        assert_eq!(down, ["a down", "b down", "c down", "d down"]);
    }

    #[tokio::test]
    async fn one_stack_goes_over_many_providers_and_keeps_their_names() {
        let diary = Diary::default();
        let stack = Stack::new().layer(witness("a", &diary));
        ask(&stack).await;
        ask(&stack).await;
        assert_eq!(diary.lock().unwrap().len(), 4);
        assert_eq!(stack.over(MockProvider::reply("Yes.")).name(), "mock");
    }

    #[test]
    fn a_shared_provider_is_not_boxed_again() {
        let provider: Arc<dyn Provider> = Arc::new(MockProvider::reply("Yes."));
        assert!(Arc::ptr_eq(&Stack::new().over(provider.clone()), &provider));
    }

    #[test]
    fn debug_shows_the_layers_in_order() {
        let diary = Diary::default();
        let stack = Stack::new().layer(witness("first", &diary)).layer(witness("second", &diary));
        assert_eq!(format!("{stack:?}"), "Stack { layers: [first, second] }");
        let wrapped = format!("{:?}", stack.over(MockProvider::reply("Yes.")));
        assert_eq!(
            wrapped,
            "Wrapped { layer: first, inner: Wrapped { layer: second, inner: MockProvider } }"
        );
    }
}
