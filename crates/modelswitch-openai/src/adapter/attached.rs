use std::collections::BTreeMap;

use modelswitch_provider::{Document, Error, Result};

use crate::ATTACHED_REASONING;

/// The reasoning that an app attached to its messages, by their numbers: [`Extra::reasoning_content`](crate::Extra::reasoning_content). It is no
/// field of any service's.
///
/// ```
/// use modelswitch_openai::adapter::AttachedReasoning;
/// use modelswitch_provider::Document;
///
/// let mut body = Document::parse(r#"{"messages":[],"modelswitch_reasoning":{"1":"because"}}"#)?;
/// let mut attached = AttachedReasoning::take(&mut body)?;
/// assert_eq!(body.to_bytes(), r#"{"messages":[]}"#);
/// assert_eq!(attached.remove(1).as_deref(), Some("because"));
/// attached.refuse_unplaced()?;
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct AttachedReasoning(BTreeMap<usize, String>);

impl AttachedReasoning {
    /// Takes it out of a request.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when it isn't texts by numbers.
    pub fn take(body: &mut Document) -> Result<Self> {
        let attached = body.get(ATTACHED_REASONING)?;
        body.remove(ATTACHED_REASONING);
        Ok(Self(attached.unwrap_or_default()))
    }

    /// True when there is none left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives out that of a message.
    pub fn remove(&mut self, message: usize) -> Option<String> {
        self.0.remove(&message)
    }

    /// Reasoning must not get lost because a number is wrong.
    ///
    /// # Errors
    /// [`InvalidRequest`](modelswitch_provider::ErrorKind::InvalidRequest) when there is some left.
    pub fn refuse_unplaced(&self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(index) => Err(Error::invalid_request(format!(
                "reasoning is attached to message {index}, and there is none of the assistant's"
            ))
            .with_param("messages")
            .with_hint("count the messages of the request from 0; only the assistant's have reasoning")),
        }
    }
}
