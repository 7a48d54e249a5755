//! Each step of a dialect by itself, for `benches/dialect.rs`. Behind a feature, hidden, and promised to nobody.

use bytes::Bytes;
use modelswitch_provider::{ByteStream, EventStream, Request, Result};

use super::{Context, Kind, events, inward, outward};
use crate::{Policies, Profile};

/// A profile's steps for chats.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "nobody looks at it")]
pub struct Steps {
    context: Context,
}

impl Steps {
    /// The steps of an embedded profile; those of none where there is no such profile.
    pub fn of(profile: &str) -> Self {
        let plain = Context::plain(Profile::embedded(profile).unwrap_or_default(), Kind::Chat);
        Self { context: Context { wants_stream: true, ..plain } }
    }

    /// A request, put as the service takes it.
    ///
    /// # Errors
    /// As a call's.
    pub fn inward(&self, request: Request) -> Result<Request> {
        inward::adapt(&self.context.profile, Policies::default(), Kind::Chat, request)
            .map(|adapted| adapted.request)
    }

    /// A whole answer, in the one shape.
    ///
    /// # Errors
    /// As a call's.
    pub fn whole(&self, body: Bytes) -> Result<Bytes> {
        outward::shape(&self.context, body)
    }

    /// A stream's bytes as events, in the one shape.
    pub fn events(&self, body: ByteStream) -> EventStream {
        events::read(self.context.clone(), body)
    }
}
