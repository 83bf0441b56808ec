//! What faults make of the instance: an [`Imds`] that is wrong in some way, but wrong as a whole.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use globset::GlobMatcher;

use super::Imds;
use crate::documents::Broken;
use crate::fault::{Fault, Fired};
use crate::instance::{HttpTokens, Switch};
use crate::token::Token;
use crate::tree::Tree;

/// What is wrong, as far as no configuration could say it.
#[derive(Clone, Debug, Default)]
pub(super) struct Quirks {
    /// The clock is wrong by so much.
    pub(super) skew: TimeDelta,
    /// Answers are from so long ago.
    pub(super) age: TimeDelta,
    /// These paths are 404 …
    pub(super) missing: Vec<GlobMatcher>,
    /// … and these are not listed.
    pub(super) unlisted: Vec<GlobMatcher>,
    /// Fields of the role's document that are not as they should be.
    pub(super) broken: Vec<(String, Broken)>,
    /// Tokens are granted for so many seconds at most.
    pub(super) ttl_cap: Option<u32>,
    /// Tokens end so long after they were issued.
    tokens_end: Option<TimeDelta>,
    /// Tokens from before are refused.
    tokens_from: Option<DateTime<Utc>>,
    /// All are.
    no_token: bool,
    /// The credentials are those of this moment.
    pub(super) frozen: Option<DateTime<Utc>>,
    /// They end then.
    pub(super) expires: Option<DateTime<Utc>>,
}

impl Quirks {
    /// Whether a token that is good is accepted.
    pub(super) fn accept(&self, token: Token, now: DateTime<Utc>) -> bool {
        !self.no_token
            && self.tokens_from.is_none_or(|from| token.issued() >= from)
            && self
                .tokens_end
                .is_none_or(|end| now.signed_duration_since(token.issued()) < end)
    }
}

impl Imds {
    /// The same with what `fired` makes of it, or nothing if that is nothing.
    pub(super) fn under(&self, fired: &[Fired], now: DateTime<Utc>) -> Option<Self> {
        if !fired.iter().any(|fired| fired.fault().is_of_the_instance()) {
            return None;
        }
        let mut imds = self.clone();
        let mut role = self.tree(now).role().map(str::to_owned);
        let mut role_is_empty = false;
        for fired in fired {
            let began = fired.began();
            let options = &mut imds.config.metadata_options;
            let iam = &mut imds.config.instance.iam;
            let quirks = &mut imds.quirks;
            match fired.fault() {
                Fault::V1Disabled {} => options.http_tokens = HttpTokens::Required,
                Fault::V1Enabled {} => options.http_tokens = HttpTokens::Optional,
                Fault::EndpointDisabled {} => options.http_endpoint = Switch::Disabled,
                Fault::TokenExpireEarly { after } => quirks.tokens_end = Some((*after).into()),
                Fault::TokenRevokeAll {} => quirks.tokens_from = Some(began),
                Fault::TokenFlap {} => quirks.no_token = true,
                Fault::TtlCap { seconds } => quirks.ttl_cap = Some(*seconds),
                Fault::CategoryMissing { .. } => quirks.missing.extend(fired.paths().cloned()),
                Fault::ListingInconsistent { .. } => {
                    quirks.unlisted.extend(fired.paths().cloned());
                }
                Fault::StaleView { age } => quirks.age += TimeDelta::from(*age),
                Fault::RoleMissing {} => {
                    role = None;
                    *iam = None;
                }
                Fault::RoleEmpty {} => {
                    role = None;
                    role_is_empty = true;
                }
                Fault::RoleChanged { to } => {
                    iam.get_or_insert_default();
                    role = Some(to.clone());
                }
                Fault::CredentialsError { code, message } => {
                    if let Some(iam) = iam {
                        iam.code.clone_from(code);
                        iam.message.clone_from(message);
                    }
                }
                Fault::CredentialsExpired { by } => {
                    quirks.frozen = Some(began);
                    quirks.expires = began.checked_sub_signed((*by).into());
                }
                Fault::CredentialsStuck {} => quirks.frozen = Some(began),
                Fault::CredentialsShortLived { lifetime } => {
                    let mark = fired.id();
                    imds.issuer = imds.issuer.short_lived((*lifetime).into(), began, mark);
                }
                Fault::CredentialsLateRotation { before_expiry } => {
                    imds.issuer = imds.issuer.late((*before_expiry).into(), began);
                }
                Fault::CredentialsField { name, how } => quirks.broken.push((name.clone(), *how)),
                Fault::ExtendedUnavailable {} => {
                    if let Some(iam) = iam {
                        iam.extended_path = false;
                    }
                }
                Fault::ClockSkew { by } => quirks.skew += TimeDelta::from(*by),
                _ => {}
            }
        }
        imds.to_come = None;
        let tree = Tree::new(&imds.config, role);
        imds.tree = Arc::new(match role_is_empty {
            true => tree.with_empty_role_list(),
            false => tree,
        });
        Some(imds)
    }
}

impl Fault {
    /// Whether it is something about the instance, and not about one answer.
    fn is_of_the_instance(&self) -> bool {
        matches!(
            self,
            Self::V1Disabled {}
                | Self::V1Enabled {}
                | Self::TokenExpireEarly { .. }
                | Self::TokenRevokeAll {}
                | Self::TokenFlap {}
                | Self::TtlCap { .. }
                | Self::EndpointDisabled {}
                | Self::CategoryMissing { .. }
                | Self::ListingInconsistent { .. }
                | Self::StaleView { .. }
                | Self::RoleMissing {}
                | Self::RoleEmpty {}
                | Self::RoleChanged { .. }
                | Self::CredentialsError { .. }
                | Self::CredentialsExpired { .. }
                | Self::CredentialsStuck {}
                | Self::CredentialsShortLived { .. }
                | Self::CredentialsLateRotation { .. }
                | Self::CredentialsField { .. }
                | Self::ExtendedUnavailable {}
                | Self::ClockSkew { .. }
        )
    }
}
