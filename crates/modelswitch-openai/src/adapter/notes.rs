use modelswitch_provider::{Adaptation, Error, Result};

use crate::policy::Policies;

/// What was changed in a request, each thing once; and, for a caller who wants no changes, what to write otherwise.
///
/// ```
/// use modelswitch_openai::{Policies, adapter::Notes};
///
/// let mut notes = Notes::new(Policies { strict: true, ..Policies::default() });
/// notes.same_meaning("max_tokens", "sent as `max_completion_tokens`");
/// notes.change("temperature", "1.5 sent as 1", "send at most 1");
/// notes.no_effect("seed", "the service doesn't know it");
/// let error = notes.finish().err().ok_or("strict")?;
/// assert_eq!(
///     error.message(),
///     "`strict` doesn't allow what this service needs: `temperature` (1.5 sent as 1); \
///      `seed` (no effect: the service doesn't know it)"
/// );
/// assert_eq!(error.hint(), "`temperature`: send at most 1; `seed`: leave it out");
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Notes {
    policies: Policies,
    list: Vec<Adaptation>,
    /// All of it is told at once.
    refused: Vec<Refused>,
}

#[derive(Debug)]
struct Refused {
    parameter: String,
    message: String,
    instead: String,
}

impl Notes {
    /// Nothing is changed yet.
    pub fn new(policies: Policies) -> Self {
        Self { policies, list: Vec::new(), refused: Vec::new() }
    }

    /// The policies of this request.
    pub fn policies(&self) -> Policies {
        self.policies
    }

    /// Tells a change of what the caller asked for; `instead` says what a caller who wants no changes should write.
    pub fn change(&mut self, parameter: &str, change: impl Into<String>, instead: &str) {
        let change = change.into();
        if self.policies.strict {
            self.refuse(parameter, format!("`{parameter}` ({change})"), instead);
        }
        self.same_meaning(parameter, change);
    }

    /// Tells a parameter that is sent and does nothing.
    pub fn no_effect(&mut self, parameter: &str, why: &str) {
        if self.policies.strict {
            self.refuse(parameter, format!("`{parameter}` (no effect: {why})"), "leave it out");
        }
        self.same_meaning(parameter, format!("has no effect: {why}"));
    }

    /// Tells a change that means the same; nobody minds it.
    pub fn same_meaning(&mut self, parameter: &str, change: impl Into<String>) {
        let adaptation = Adaptation::new(parameter, change);
        if !self.list.contains(&adaptation) {
            self.list.push(adaptation);
        }
    }

    fn refuse(&mut self, parameter: &str, message: String, instead: &str) {
        let (parameter, instead) = (parameter.to_owned(), instead.to_owned());
        let is_told = self.refused.iter().any(|one| one.parameter == parameter && one.message == message);
        if !is_told {
            self.refused.push(Refused { parameter, message, instead });
        }
    }

    /// What was changed.
    ///
    /// # Errors
    /// [`Unsupported`](modelswitch_provider::ErrorKind::Unsupported) for a caller who wants no changes, with all of them.
    pub fn finish(self) -> Result<Vec<Adaptation>> {
        let Some(first) = self.refused.first() else { return Ok(self.list) };
        let messages: Vec<&str> = self.refused.iter().map(|one| one.message.as_str()).collect();
        let instead: Vec<String> = match self.refused.as_slice() {
            [one] => vec![one.instead.clone()],
            several => several.iter().map(|one| format!("`{}`: {}", one.parameter, one.instead)).collect(),
        };
        Err(Error::unsupported(format!(
            "`strict` doesn't allow what this service needs: {}",
            messages.join("; ")
        ))
        .with_param(first.parameter.clone())
        .with_hint(instead.join("; ")))
    }
}
