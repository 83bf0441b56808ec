//! Faults of the instance's metadata.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Alter, Kind, Nature, Requests, group, no_parameters};
use crate::fault::occurrence::Occurrence;
use crate::fault::view::View;
use crate::instance::Switch;
use crate::request::PathGlob;
use crate::value::{Invalid, Key, Shift, Span, is_name};

group! {
    /// Faults of the instance's metadata.
    Instance(InstanceFault), "Instance":
    EndpointDisabled = "endpoint_disabled", endpoint_disabled();
    ExpectRefused = "expect_refused", expect_refused();
    ExpectIgnored = "expect_ignored", expect_ignored();
    CategoryMissing = "category_missing", category_missing(path: impl Into<PathGlob>);
    ListingInconsistent = "listing_inconsistent", listing_inconsistent(path: impl Into<PathGlob>);
    StaleView = "stale_view", stale_view(age: impl Into<Span>);
    ClockSkew = "clock_skew", clock_skew(by: Shift);
    RoleMissing = "role_missing", role_missing();
    RoleEmpty = "role_empty", role_empty();
    RoleChanged = "role_changed", role_changed(to: impl Into<String>);
}

no_parameters! {
    /// Answers every request with 403, as if `HttpEndpoint` were `disabled` `[I23]`.
    EndpointDisabled: Instance(All);
}

impl Alter for EndpointDisabled {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.options.http_endpoint = Switch::Disabled;
    }
}

no_parameters! {
    /// Answers requests with an `Expect` header with 417, as `xen` does `[I61]`.
    ExpectRefused: Instance(All);
}

impl Alter for ExpectRefused {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.refuses_expectations = Some(true);
    }
}

no_parameters! {
    /// Answers requests with an `Expect` header as if they had none, as `nitro` does `[I61]`.
    ExpectIgnored: Instance(All);
}

impl Alter for ExpectIgnored {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.refuses_expectations = Some(false);
    }
}

/// Answers requests for these paths with 404, though the listings contain them.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CategoryMissing {
    /// Glob of the paths below the version, like `meta-data/iam/**`. `*` matches within one
    /// segment, `**` across segments.
    pub path: PathGlob,
}

impl CategoryMissing {
    fn new(path: impl Into<PathGlob>) -> Self {
        Self { path: path.into() }
    }
}

impl Kind for CategoryMissing {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.path.check(&key.field("path"))
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new("meta-data/iam/**")]
    }
}

impl Alter for CategoryMissing {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.missing.extend(self.path.matcher().cloned());
    }
}

/// Omits these paths from the listings, but serves them.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ListingInconsistent {
    /// Glob of the paths below the version, like `meta-data/ami-id`. `*` matches within one
    /// segment, `**` across segments.
    pub path: PathGlob,
}

impl ListingInconsistent {
    fn new(path: impl Into<PathGlob>) -> Self {
        Self { path: path.into() }
    }
}

impl Kind for ListingInconsistent {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.path.check(&key.field("path"))
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new("meta-data/iam/security-credentials/*")]
    }
}

impl Alter for ListingInconsistent {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.unlisted.extend(self.path.matcher().cloned());
    }
}

/// Answers with the credentials and events of an earlier time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StaleView {
    /// How far back that time is.
    pub age: Span,
}

impl StaleView {
    fn new(age: impl Into<Span>) -> Self {
        Self { age: age.into() }
    }
}

impl Kind for StaleView {
    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.long())]
    }
}

impl Alter for StaleView {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.age += TimeDelta::from(self.age);
    }
}

/// Shifts the clock of IMDS: `Date`, `Last-Modified` and the dates of credentials.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ClockSkew {
    /// Shift: `5m` forward, `-5m` back.
    pub by: Shift,
}

impl ClockSkew {
    fn new(by: Shift) -> Self {
        Self { by }
    }
}

impl Kind for ClockSkew {
    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(
            Shift::forward(Span::minutes(5)),
            [
                Shift::back(Span::minutes(5)),
                Shift::forward(Span::minutes(180)),
                Shift::back(Span::minutes(180)),
            ],
        ))]
    }
}

impl Alter for ClockSkew {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.skew += TimeDelta::from(self.by);
    }
}

no_parameters! {
    /// Removes the instance profile: there is no `iam/` `[I35]`.
    RoleMissing: Instance(All);
}

impl Alter for RoleMissing {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.iam = None;
        view.role = None;
    }
}

no_parameters! {
    /// Empties the list of roles.
    RoleEmpty: Instance(All);
}

impl Alter for RoleEmpty {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.role = None;
        view.role_list_is_empty = true;
    }
}

/// Replaces the role at once.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RoleChanged {
    /// Name of the new role, 1 to 64 letters, digits and `_+=,.@-`.
    pub to: String,
}

impl RoleChanged {
    fn new(to: impl Into<String>) -> Self {
        Self { to: to.into() }
    }
}

impl Kind for RoleChanged {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("to").unless(
            is_name(&self.to, "_+=,.@-") && self.to.len() <= 64,
            &self.to,
            "1 to 64 letters, digits and _ + = , . @ -",
        )
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new("another-role")]
    }
}

impl Alter for RoleChanged {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.iam.get_or_insert_default();
        view.role = Some(self.to.clone());
    }
}
