//! What was said so far, and one turn more.

use std::sync::Arc;

use futures_util::StreamExt;
use modelswitch_provider::{ChatCompletion, ChatRequest, Collector, Message, Provider, ProviderExt};
use serde_json::json;

use super::printer::Printer;
use crate::error::Failure;

/// A conversation with one model.
#[derive(Debug)]
pub(super) struct Conversation {
    provider: Arc<dyn Provider>,
    messages: Vec<Message>,
    stream: bool,
}

impl Conversation {
    pub(super) fn new(provider: Arc<dyn Provider>, system: Option<&str>, stream: bool) -> Self {
        Self { provider, messages: system.map(Message::system).into_iter().collect(), stream }
    }

    /// Asks, and prints the answer. Both are kept for the next turn, the reasoning too; a turn that fails is not.
    pub(super) async fn ask(
        &mut self,
        question: String,
        printer: &mut Printer,
    ) -> Result<ChatCompletion, Failure> {
        self.messages.push(Message::user(question));
        printer.begin();
        let answer = match self.answer(printer).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.take_back();
                printer.break_off()?;
                return Err(failure);
            }
        };
        printer.end()?;
        self.messages.extend(answer.message().cloned());
        Ok(answer)
    }

    /// Forgets a question that has no answer.
    pub(super) fn take_back(&mut self) {
        self.messages.pop();
    }

    async fn answer(&self, printer: &mut Printer) -> Result<ChatCompletion, Failure> {
        let request = ChatRequest::new(self.messages.clone());
        if !self.stream {
            let answer = self.provider.chat(request).await?;
            printer.reasoning(answer.reasoning().unwrap_or_default())?;
            printer.answer(&answer.text())?;
            return Ok(answer);
        }
        let request = request.set("stream_options", json!({ "include_usage": true }));
        let mut stream = self.provider.chat_stream(request).await?;
        let head = stream.head().clone();
        let mut collector = Collector::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            if let Some(reasoning) = chunk.reasoning() {
                printer.reasoning(reasoning)?;
            }
            printer.answer(chunk.text())?;
            collector.push(chunk);
        }
        let mut answer = collector.finish();
        answer.head = head;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Mutex, PoisonError};

    use modelswitch_provider::mock::MockProvider;
    use modelswitch_provider::{Error, ErrorKind, Response};
    use serde_json::Value;

    use super::*;

    /// A writer that can still be read when it was given away.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fails when it is asked for trouble, else answers with reasoning; what it was sent is kept.
    fn thinker(sent: Arc<Mutex<Vec<Value>>>) -> Arc<dyn Provider> {
        Arc::new(MockProvider::answering(move |request| {
            let body: Value = serde_json::from_slice(&request.document().unwrap().to_bytes()).unwrap();
            let trouble = body["messages"].to_string().contains("trouble");
            sent.lock().unwrap().push(body["messages"].clone());
            if trouble {
                return Err(Error::new(ErrorKind::Overloaded, "too busy"));
            }
            Response::json(
                &json!({ "id": "1", "choices": [{ "index": 0, "finish_reason": "stop", "message": {
                "role": "assistant", "content": "yes", "reasoning_content": "hm" } }] }),
            )
        }))
    }

    #[tokio::test]
    async fn a_turn_is_kept_with_its_reasoning_and_a_failed_one_is_not() {
        for stream in [true, false] {
            let sent = Arc::default();
            let mut conversation = Conversation::new(thinker(Arc::clone(&sent)), Some("be brief"), stream);
            let mut printer = Printer::to(Box::new(io::sink()), None, false);
            conversation.ask("one".to_owned(), &mut printer).await.unwrap();
            assert!(conversation.ask("trouble".to_owned(), &mut printer).await.is_err());
            conversation.ask("two".to_owned(), &mut printer).await.unwrap();
            let last = sent.lock().unwrap().last().cloned().unwrap();
            let expected = json!([
                { "role": "system", "content": "be brief" },
                { "role": "user", "content": "one" },
                { "role": "assistant", "content": "yes", "reasoning_content": "hm" },
                { "role": "user", "content": "two" },
            ]);
            assert_eq!(last, expected, "stream: {stream}");
        }
    }

    #[tokio::test]
    async fn reasoning_goes_its_own_way_and_only_when_it_is_wanted() {
        for (wanted, expected) in [(true, "reasoning:\nhm\n\n"), (false, "")] {
            let (answer, reasoning) = (Shared::default(), Shared::default());
            let out = wanted.then(|| {
                Box::new(anstream::StripStream::new(Box::new(reasoning.clone()) as Box<dyn Write>))
                    as Box<dyn Write>
            });
            let mut printer = Printer::to(Box::new(answer.clone()), out, false);
            let mut conversation = Conversation::new(thinker(Arc::default()), None, true);
            conversation.ask("one".to_owned(), &mut printer).await.unwrap();
            assert_eq!((answer.text().as_str(), reasoning.text().as_str()), ("yes\n", expected));
        }
    }

    #[tokio::test]
    async fn an_answer_may_not_steer_a_terminal_and_is_left_alone_in_a_pipe() {
        let steering = "a\u{1b}[2Jb";
        for (is_terminal, expected) in [(true, "a[2Jb\n"), (false, "a\u{1b}[2Jb\n")] {
            let answer = Shared::default();
            let mut printer = Printer::to(Box::new(answer.clone()), None, is_terminal);
            let mut conversation = Conversation::new(Arc::new(MockProvider::reply(steering)), None, false);
            conversation.ask("one".to_owned(), &mut printer).await.unwrap();
            assert_eq!(answer.text(), expected);
        }
    }
}
