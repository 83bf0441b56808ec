//! The instance at one moment, and the values that follow from it.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::Tree;
use crate::config::Config;
use crate::credentials::{Generation, Issuer};
use crate::documents::Broken;
use crate::events::Event;
use crate::identity::Identity;
use crate::instance::Instance;

/// The instance at one moment: everything that the value of a leaf can depend on.
pub(crate) struct Snapshot<'a> {
    pub(crate) config: &'a Config,
    pub(crate) instance: &'a Instance,
    /// The tree that the leaf is in, for values that follow from other values.
    pub(crate) tree: &'a Tree,
    /// Issues the credentials of the role.
    pub(crate) role_issuer: &'a Issuer,
    /// Issues the credentials of the instance itself `[I53]`.
    pub(crate) instance_issuer: &'a Issuer,
    /// Signs the identity document `[I60]`.
    pub(crate) identity: &'a Identity,
    /// When the instance was started or last changed `[I6]`.
    pub(crate) modified: DateTime<Utc>,
    pub(crate) now: DateTime<Utc>,
    /// The offset of the clock that documents are dated by.
    pub(crate) skew: TimeDelta,
    /// The role's credentials are those of this moment.
    pub(crate) frozen: Option<DateTime<Utc>>,
    /// The role's credentials expire at this moment.
    pub(crate) expires: Option<DateTime<Utc>>,
    /// Damaged fields of the role's credential document.
    pub(crate) broken: &'a [(String, Broken)],
}

impl Snapshot<'_> {
    /// The current credentials of the role, and how long they are the current ones.
    pub(crate) fn role_credentials(&self) -> (Generation, Lasts) {
        let generation = self.role_issuer.generation(self.frozen.unwrap_or(self.now));
        let lasts = match self.frozen {
            Some(_) => Lasts::Always,
            None => Lasts::During(self.role_issuer.current(generation)),
        };
        match self.expires {
            Some(expires) => (generation.until(expires), lasts),
            None => (generation, lasts),
        }
    }

    /// The current credentials of the instance itself, and how long they are the current ones.
    pub(crate) fn instance_credentials(&self) -> (Generation, Lasts) {
        let generation = self.instance_issuer.generation(self.now);
        let current = self.instance_issuer.current(generation);
        (generation, Lasts::During(current))
    }
}

/// The value of a leaf.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) body: Bytes,
    /// When the value last changed, if not with the instance `[I6]`.
    pub(crate) modified: Option<DateTime<Utc>>,
}

/// How long a value stays the same, if the instance is not changed.
#[derive(Clone, Debug)]
pub(crate) enum Lasts {
    Always,
    /// During this time.
    During(Range<DateTime<Utc>>),
    /// The value can change at any time.
    Momentarily,
}

/// A value, and how long it stays the same.
pub(super) struct Made {
    pub(super) value: Value,
    pub(super) lasts: Lasts,
}

impl Made {
    /// A value that changes with the instance alone.
    pub(super) fn constant(body: impl Into<Bytes>) -> Self {
        let (body, modified) = (body.into(), None);
        Self {
            value: Value { body, modified },
            lasts: Lasts::Always,
        }
    }

    /// A value that last changed at `modified`.
    pub(super) fn dated(body: impl Into<Bytes>, modified: DateTime<Utc>, lasts: Lasts) -> Self {
        let (body, modified) = (body.into(), Some(modified));
        Self {
            value: Value { body, modified },
            lasts,
        }
    }
}

impl From<Event> for Made {
    fn from(event: Event) -> Self {
        Self::dated(event.document, event.since, Lasts::Momentarily)
    }
}
