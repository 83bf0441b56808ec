//! The instance under faults, which change all its responses consistently.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Imds;
use crate::fault::{Fired, View};
use crate::tree::Tree;

impl Imds {
    /// The instance as `fired` changes it, if any of these rules does.
    pub(super) fn under(&self, fired: &[Fired], now: DateTime<Utc>) -> Option<Self> {
        if !fired.iter().any(Fired::alters) {
            return None;
        }
        let mut imds = self.clone();
        let mut view = View {
            options: imds.config.metadata_options,
            iam: imds.config.instance.iam.take(),
            role: self.tree(now).role().map(str::to_owned),
            role_list_is_empty: false,
            issuer: imds.issuer,
            quirks: imds.quirks,
        };
        for fired in fired {
            fired.alter(&mut view);
        }
        imds.config.metadata_options = view.options;
        imds.config.instance.iam = view.iam;
        imds.issuer = view.issuer;
        imds.quirks = view.quirks;
        imds.to_come = None;
        let tree = Tree::new(&imds.config, view.role);
        imds.tree = Arc::new(match view.role_list_is_empty {
            true => tree.with_empty_role_list(),
            false => tree,
        });
        Some(imds)
    }
}
