//! Layers of one's own, in a few lines: a rule of the house, and a watch that stops when the answer has ended.
//!
//! `cargo run --example own_layer`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use modelswitch::layers::{Ending, Layer, Stack, layer_fn, on_end};
use modelswitch::prelude::*;
use modelswitch::{Error, ErrorKind};
use tokio::time::Instant;

/// Numbers of customers stay in the house.
fn no_customers() -> impl Layer {
    layer_fn("no customers", |inner, request| async move {
        let text = request.document().and_then(|body| body.get_raw("messages")).unwrap_or_default();
        match text.contains("CUST-") {
            true => Err(Error::new(ErrorKind::Rejected, "a customer's number may not leave the house")),
            false => inner.send(request).await,
        }
    })
}

/// Counts the answers that were read to their end, and says how long each took. What the closure holds is one state for all
/// that the layer goes around.
fn stopwatch(whole: Arc<AtomicUsize>) -> impl Layer {
    layer_fn("stopwatch", move |inner, request| {
        let whole = whole.clone();
        async move {
            let started = Instant::now();
            let answer = inner.send(request).await?;
            // A stream ends when it has been read or dropped, not when it begins.
            Ok(on_end(answer, move |ending| {
                eprintln!("(ended after {:?})", started.elapsed());
                if matches!(ending, Ending::Finished) {
                    whole.fetch_add(1, Ordering::Relaxed);
                }
            }))
        }
    })
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints its answer")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = modelswitch_examples::services().await?;
    let whole = Arc::new(AtomicUsize::new(0));

    // The first line sees the request first. Below stands whatever the configuration says.
    let llm =
        Stack::new().layer(stopwatch(whole.clone())).layer(no_customers()).over(services.registry.router());

    println!("{}", llm.ask("Which is larger, 9.11 or 9.8?").await?);
    let streamed = llm.chat_stream("And which is smaller?").await?.completion().await?;
    println!("{}", streamed.text());
    if let Err(error) = llm.ask("What does CUST-1234 owe us?").await {
        println!("refused: {error}");
    }
    println!("{} answers were read to their end", whole.load(Ordering::Relaxed));
    Ok(())
}
