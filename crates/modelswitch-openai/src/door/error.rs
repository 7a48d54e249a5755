//! Our [`Error`] as async-openai's, and back.

use async_openai::error::{ApiError, ApiErrorResponse, MisalignmentErrorDetailsResource, OpenAIError};
use modelswitch_provider::{Error, ErrorKind};
use serde_json::Value;

/// Gives back the whole [`Error`] behind async-openai's: kind, provider, request id, `Retry-After`, attempts, hint.
///
/// ```
/// use modelswitch_openai::{OpenAiErrorExt, async_openai::error::OpenAIError};
///
/// fn advise(error: &OpenAIError) -> String {
///     match error.provider_error() {
///         Some(error) => format!("{error}; {}", error.hint()),
///         None => error.to_string(),
///     }
/// }
/// # assert_eq!(advise(&OpenAIError::InvalidArgument("x".into())), "invalid args: x");
/// ```
pub trait OpenAiErrorExt {
    /// The error as the provider gave it, but for the upstream body and the sources; [`Capture`](super::Capture) has
    /// those. `None` for an error that is async-openai's own.
    fn provider_error(&self) -> Option<Error>;
}

/// Before the facts in the one text field of an API error that isn't shown.
const MARK: &str = "modelswitch:";

impl OpenAiErrorExt for OpenAIError {
    fn provider_error(&self) -> Option<Error> {
        match self {
            Self::ApiError(error) => {
                let facts =
                    error.api_error.misalignment.as_ref()?.review_target.as_deref()?.strip_prefix(MARK)?;
                Error::from_facts(&serde_json::from_str::<Value>(facts).ok()?)
            }
            // An error in the middle of a stream: async-openai can't decode it, and keeps its text.
            Self::JSONDeserialize(_, text) => Error::from_body(&serde_json::from_str::<Value>(text).ok()?),
            Self::Boxed(error) => error.downcast_ref::<Error>().cloned(),
            _ => None,
        }
    }
}

/// Our error as an `ApiError` with the true status; where no service has answered, with the one that stands for the
/// kind. The facts ride in a field that neither `Display` nor anybody else uses for failures of this sort.
pub(super) fn to_openai(error: Error) -> OpenAIError {
    let status_code = error.http_status();
    let kind: ErrorKind = error.kind();
    let facts = MisalignmentErrorDetailsResource {
        error_type: None,
        detailed_explanation: None,
        steer: None,
        review_target: Some(format!("{MARK}{}", error.facts())),
    };
    OpenAIError::ApiError(ApiErrorResponse {
        status_code,
        api_error: ApiError {
            message: message(&error),
            r#type: Some(error.upstream_type().unwrap_or(kind.code()).to_owned()),
            param: error.param().map(str::to_owned),
            code: Some(error.code().unwrap_or(kind.code()).to_owned()),
            misalignment: Some(Box::new(facts)),
        },
    })
}

/// An app prints async-openai's error and never sees a hint. That of a name which stands for nothing here says what to do,
/// and that no service has answered with the 404 which async-openai shows before it.
fn message(error: &Error) -> String {
    let is_ours =
        error.kind() == ErrorKind::ModelNotFound && error.status().is_none() && error.attempts() == 0;
    if is_ours { format!("{error} (nothing was sent; {})", error.hint()) } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn a_name_that_stands_for_nothing_is_told_with_what_to_do_and_that_nothing_was_sent() {
        let error = Error::new(ErrorKind::ModelNotFound, "no model `fsat`").with_hint("ask for `fast`");
        let shown = to_openai(error.clone()).to_string();
        assert!(shown.contains("no model `fsat` (nothing was sent; ask for `fast`)"), "{shown}");
        let answered = to_openai(error.with_status(StatusCode::NOT_FOUND)).to_string();
        assert!(!answered.contains("nothing was sent"), "{answered}");
    }

    #[test]
    fn every_kind_survives_door_one() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "it failed")
                .with_provider("p")
                .with_status(StatusCode::IM_A_TEAPOT)
                .with_upstream_body("hush");
            let openai = to_openai(error.clone());
            let back = openai.provider_error().unwrap();
            assert_eq!(back.facts(), error.facts());
            assert!(!format!("{openai:?} {openai}").contains("hush"));
            let OpenAIError::ApiError(api) = &openai else { panic!("an API error") };
            assert_eq!(api.status_code, StatusCode::IM_A_TEAPOT);
        }
    }
}
