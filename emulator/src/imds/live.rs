//! What depends on the moment: documents with credentials, events, signatures.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{Imds, Phase};
use crate::credentials::Generation;
use crate::identity::IdentityError;
use crate::tree::Live;
use crate::{documents, events};

/// Documents that take long to make: those with keys until the next rotation, signatures for ever.
#[derive(Default)]
pub(super) struct Memo {
    role: Latest,
    role_extended: Latest,
    instance_role: Latest,
    signature: OnceLock<Option<Bytes>>,
    rsa: OnceLock<Option<Bytes>>,
    dsa: OnceLock<Option<Bytes>>,
}

/// The document of a generation.
#[derive(Default)]
struct Latest(ArcSwapOption<(Generation, Bytes)>);

impl Latest {
    fn get(&self, generation: Generation, make: impl FnOnce() -> Option<String>) -> Option<Bytes> {
        if let Some(latest) = self.0.load().as_deref()
            && latest.0 == generation
        {
            return Some(latest.1.clone());
        }
        let document = Bytes::from(make()?);
        self.0.store(Some(Arc::new((generation, document.clone()))));
        Some(document)
    }
}

impl Imds {
    /// What depends on the moment: the text, and since when it is this one.
    pub(super) fn live(
        &self,
        phase: &Phase,
        live: Live,
        now: DateTime<Utc>,
    ) -> Option<(Bytes, DateTime<Utc>)> {
        let instance = &self.config.instance;
        let account_id = instance.account_id.as_str();
        let events = &self.config.events;
        let generation = self.generation(now);
        let of_instance = self.instance_issuer.generation(now);
        // As documents tell it.
        let told = |generation: Generation| generation.shifted(self.quirks.skew);
        let event = |event: events::Event| (Bytes::from(event.document), event.since);
        let signed = |memo: &OnceLock<_>, sign: &dyn Fn(&[u8]) -> Result<String, IdentityError>| {
            let document = phase.tree.identity_document()?;
            let signature = memo.get_or_init(|| sign(document).ok().map(Bytes::from));
            Some((signature.clone()?, self.modified))
        };
        match live {
            Live::Role | Live::RoleExtended => {
                let (memo, account_id) = match live {
                    Live::RoleExtended => (&self.memo.role_extended, Some(account_id)),
                    _ => (&self.memo.role, None),
                };
                let document = memo.get(generation, || {
                    let role = phase.role.as_deref()?;
                    let keys = self.issuer.keys(role, generation);
                    let iam = instance.iam.as_ref()?;
                    let broken = &self.quirks.broken;
                    let generation = told(generation);
                    Some(documents::role(
                        iam, role, account_id, generation, &keys, broken,
                    ))
                });
                Some((document?, generation.issued))
            }
            Live::InstanceRole => {
                let document = self.memo.instance_role.get(of_instance, || {
                    let keys = self.instance_issuer.keys("ec2-instance", of_instance);
                    Some(documents::credentials(None, told(of_instance), &keys))
                });
                Some((document?, of_instance.issued))
            }
            Live::InstanceRoleInfo => {
                let document = documents::instance_role_info(account_id, told(of_instance).issued);
                Some((document.into(), of_instance.issued))
            }
            Live::ProfileInfo => {
                let iam = instance.iam.as_ref()?;
                let role = phase.role.as_deref();
                let document =
                    documents::profile_info(instance, iam, role, told(generation).issued);
                Some((document.into(), generation.issued))
            }
            Live::SpotAction => {
                events::spot_action(events.spot_interruption.as_ref()?, now).map(event)
            }
            Live::SpotTermination => {
                events::spot_termination(events.spot_interruption.as_ref()?, now).map(event)
            }
            Live::Rebalance => {
                let recommendation = events.rebalance_recommendation.as_ref()?;
                events::rebalance(recommendation.announced, now).map(event)
            }
            Live::Scheduled | Live::History => {
                let active = live == Live::Scheduled;
                let shown = events::maintenance(&events.maintenance, active, now);
                Some(shown.map_or_else(|| ("[]".into(), self.modified), event))
            }
            Live::Signature => signed(&self.memo.signature, &|document| {
                self.identity.signature(document)
            }),
            Live::Rsa2048 => signed(&self.memo.rsa, &|document| {
                self.identity.rsa_pkcs7(document, self.modified)
            }),
            Live::Pkcs7 | Live::Dsa2048 => signed(&self.memo.dsa, &|document| {
                self.identity.dsa_pkcs7(document, self.modified)
            }),
        }
    }
}
