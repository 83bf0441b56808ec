//! The table of all leaves: where a value is, since which version, on which instances, and how it
//! follows from the instance at a moment.
//!
//! A new leaf is a line in [`LEAVES`]. The tree, the list of categories in `[I40]` and the checks of
//! `imds-conformance server` follow from the table.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ipnet::Ipv6Net;

use super::snapshot::{Lasts, Made, Snapshot};
use crate::config::Config;
use crate::dialect::Dialect;
use crate::identity::{Identity, IdentityError, SigningKey};
use crate::instance::{
    Instance, MaintenanceState, ManagedSshKeys, NetworkInterface, PublicKey, Switch,
};
use crate::value::Content;
use crate::{documents, events};

use self::Presence::{Always, Given, If};

/// All leaves that an instance can have.
#[rustfmt::skip]
pub const LEAVES: &[Leaf] = &[
    // The image and the machine ([I41], [I42]).
    leaf("meta-data/ami-id", "1.0", Always, |at| text(&at.instance.image_id)),
    leaf("meta-data/ami-launch-index", "1.0", Always, |at| text(at.instance.ami_launch_index)),
    leaf("meta-data/ami-manifest-path", "1.0", Always, |at| text(&at.instance.ami_manifest_path)),
    leaf("meta-data/ancestor-ami-ids", "2007-10-10", Given, |at| lines(&at.instance.ancestor_ami_ids)),
    leaf("meta-data/hibernation/configured", "2018-09-24", Given, |at| optional(at.instance.hibernation)),
    leaf("meta-data/instance-action", "2008-09-01", Always, |at| text(at.instance.instance_action)),
    leaf("meta-data/instance-id", "1.0", Always, |at| text(&at.instance.instance_id)),
    leaf("meta-data/instance-life-cycle", "2019-10-01", Always, |at| text(at.instance.life_cycle)),
    leaf("meta-data/instance-type", "2007-08-29", Always, |at| text(&at.instance.instance_type)),
    leaf("meta-data/kernel-id", "2008-02-01", Given, |at| optional(at.instance.kernel_id.as_ref())),
    leaf("meta-data/metrics/vhostmd", "2011-05-01", Always, |_| text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")),
    leaf("meta-data/outpost-arn", "2019-10-01", Given, |at| optional(at.instance.placement.outpost_arn.as_ref())),
    leaf("meta-data/product-codes", "2007-03-01", Given, |at| lines(&at.instance.product_codes)),
    leaf("meta-data/profile", "2007-12-15", Always, |at| text(&at.instance.profile)),
    leaf("meta-data/ramdisk-id", "2007-10-10", Given, |at| optional(at.instance.ramdisk_id.as_ref())),
    leaf("meta-data/reservation-id", "1.0", Always, |at| text(&at.instance.reservation_id)),
    leaf("meta-data/services/domain", "2014-02-25", Always, |at| text(at.instance.placement.domain())),
    leaf("meta-data/services/partition", "2015-10-20", Always, |at| text(at.instance.placement.partition())),
    leaf("meta-data/system", "2022-09-24", Always, |at| text(system(at.config.server.dialect))),

    leaf("meta-data/block-device-mapping/ami", "2007-12-15", Always, |at| text(&at.instance.block_devices.ami)),
    each("meta-data/block-device-mapping/ebs<N>", "2007-12-15",
        |config, _| numbers(1, &config.instance.block_devices.ebs),
        |at, index| optional(at.instance.block_devices.ebs.get(index))),
    each("meta-data/block-device-mapping/ephemeral<N>", "2007-12-15",
        |config, _| numbers(0, &config.instance.block_devices.ephemeral),
        |at, index| optional(at.instance.block_devices.ephemeral.get(index))),
    leaf("meta-data/block-device-mapping/root", "2007-12-15", Always, |at| text(&at.instance.block_devices.root)),
    leaf("meta-data/block-device-mapping/swap", "2007-12-15", Given, |at| optional(at.instance.block_devices.swap.as_ref())),

    leaf("meta-data/placement/availability-zone", "2008-02-01", Always, |at| text(&at.instance.placement.availability_zone)),
    leaf("meta-data/placement/availability-zone-id", "2019-10-01", Always, |at| text(at.instance.placement.zone_id())),
    leaf("meta-data/placement/group-name", "2020-08-24", Given, |at| optional(at.instance.placement.group_name.as_ref())),
    leaf("meta-data/placement/host-id", "2020-08-24", Given, |at| optional(at.instance.placement.host_id.as_ref())),
    leaf("meta-data/placement/partition-number", "2020-08-24", Given, |at| optional(at.instance.placement.partition_number)),
    leaf("meta-data/placement/region", "2019-10-01", Always, |at| text(at.instance.placement.region())),

    // The network: first what the primary interface has.
    leaf("meta-data/hostname", "1.0", Always, |at| text(at.instance.local_hostname(at.instance.primary()?))),
    leaf("meta-data/ipv6", "2021-01-03", Given, |at| optional(at.instance.primary()?.ipv6s.first())),
    leaf("meta-data/local-hostname", "2007-01-19", Always, |at| text(at.instance.local_hostname(at.instance.primary()?))),
    leaf("meta-data/local-ipv4", "1.0", Given, |at| optional(at.instance.primary()?.private_ipv4s.first())),
    leaf("meta-data/mac", "2011-01-01", Always, |at| text(&at.instance.primary()?.mac)),
    leaf("meta-data/public-hostname", "2007-01-19", Given, |at| optional(at.instance.public_hostname(at.instance.primary()?))),
    leaf("meta-data/public-ipv4", "2007-01-19", Given, |at| optional(at.instance.public_ipv4(at.instance.primary()?))),
    leaf("meta-data/security-groups", "1.0", Given, |at| lines(at.instance.security_group_names())),

    interface("device-number", "2011-01-01", Always, |at, interface| optional(at.instance.device_number(interface))),
    interface("interface-id", "2011-01-01", Always, |_, interface| text(&interface.interface_id)),
    each("meta-data/network/interfaces/macs/<mac>/ipv4-associations/<public-ip>", "2011-01-01",
        |config, _| associations(&config.instance).map(|(mac, public, _)| vec![mac.to_owned(), public.to_string()]).collect(),
        |at, index| optional(associations(at.instance).nth(index).map(|(_, _, private)| private))),
    interface("ipv4-prefix", "2021-07-15", Given, |_, interface| lines(&interface.ipv4_prefixes)),
    interface("ipv6-prefix", "2021-07-15", Given, |_, interface| lines(&interface.ipv6_prefixes)),
    interface("ipv6s", "2016-06-30", Given, |_, interface| lines(&interface.ipv6s)),
    interface("local-hostname", "2011-01-01", Always, |at, interface| text(at.instance.local_hostname(interface))),
    interface("local-ipv4s", "2011-01-01", Given, |_, interface| lines(&interface.private_ipv4s)),
    interface("mac", "2011-01-01", Always, |_, interface| text(&interface.mac)),
    interface("network-card", "2020-11-01", Given, |at, interface| optional(at.instance.network_card(interface))),
    interface("owner-id", "2011-01-01", Always, |at, _| text(&at.instance.account_id)),
    interface("public-hostname", "2011-01-01", Given, |at, interface| optional(at.instance.public_hostname(interface))),
    interface("public-ipv4s", "2011-01-01", Given, |at, interface| lines(at.instance.public_ipv4s(interface).map(|(public, _)| public))),
    interface("security-group-ids", "2011-01-01", Given, |_, interface| lines(interface.security_groups.keys())),
    interface("security-groups", "2011-01-01", Given, |_, interface| lines(interface.security_groups.values())),
    interface("subnet-id", "2011-01-01", Always, |at, interface| text(at.instance.subnet_id(interface))),
    interface("subnet-ipv4-cidr-block", "2011-01-01", Given, |at, interface| optional(at.instance.subnet_ipv4(interface))),
    interface("subnet-ipv6-cidr-blocks", "2016-06-30", Given, |at, interface| lines(at.instance.subnet_ipv6s(interface).iter().map(uncompressed))),
    interface("vpc-id", "2011-01-01", Always, |at, _| text(&at.instance.vpc.id)),
    interface("vpc-ipv4-cidr-block", "2011-01-01", Given, |at, _| optional(at.instance.vpc_ipv4s().first())),
    interface("vpc-ipv4-cidr-blocks", "2016-06-30", Given, |at, _| lines(at.instance.vpc_ipv4s())),
    interface("vpc-ipv6-cidr-blocks", "2016-06-30", Given, |at, _| lines(at.instance.vpc_ipv6s().iter().map(uncompressed))),

    // Keys, tags and user data ([I36] to [I38], [I43]).
    each("meta-data/public-keys/<N>/openssh-key", "1.0",
        |config, _| numbers(0, &config.instance.public_keys),
        |at, index| optional(at.instance.public_keys.get(index).and_then(PublicKey::served))),
    each("meta-data/managed-ssh-keys/active-keys/<user>", "2018-09-24",
        |config, _| names(managed_keys(&config.instance).flat_map(|keys| keys.active_keys.keys())),
        |at, index| bytes(managed_keys(at.instance).flat_map(|keys| keys.active_keys.values()).nth(index)?).map(Made::constant)),
    leaf("meta-data/managed-ssh-keys/signer-cert", "2018-09-24", Given, |at|
        bytes(managed_keys(at.instance).next()?.signer_cert.as_ref()?).map(Made::constant)),
    each("meta-data/managed-ssh-keys/signer-ocsp/<certificate>", "2018-09-24",
        |config, _| names(managed_keys(&config.instance).flat_map(|keys| keys.signer_ocsp.keys())),
        |at, index| bytes(managed_keys(at.instance).flat_map(|keys| keys.signer_ocsp.values()).nth(index)?).map(Made::constant)),
    leaf("meta-data/tag-sets/instance", "2025-10-04", If(|at| tags_are_enabled(at.config)), tag_set),
    each("meta-data/tags/instance/<key>", "2021-03-23",
        |config, _| if tags_are_enabled(config) { names(config.instance.tags.keys()) } else { Vec::new() },
        |at, index| optional(at.instance.tags.values().nth(index))),
    leaf("user-data", "1.0", Given, |at| bytes(at.instance.user_data.as_ref()?).map(Made::constant)),

    // Credentials ([I44] to [I53]).
    leaf("meta-data/iam/info", "2012-01-12", Given, profile_info),
    each("meta-data/iam/security-credentials/<role>", "2012-01-12",
        |config, role| names(config.instance.iam.as_ref().and(role)),
        |at, _| role_document(at, None)),
    each("meta-data/iam/security-credentials-extended/<role>", "2012-01-12",
        |config, role| names(config.instance.iam.as_ref().filter(|iam| iam.extended_path).and(role)),
        |at, _| role_document(at, Some(&at.instance.account_id))),
    leaf("meta-data/identity-credentials/ec2/info", "2018-03-28", Always, instance_role_info),
    leaf("meta-data/identity-credentials/ec2/security-credentials/ec2-instance", "2018-03-28", Always, instance_role_document),

    // Events ([I54] to [I58]).
    leaf("meta-data/autoscaling/target-lifecycle-state", "2021-07-15", Given, |at| optional(at.instance.auto_scaling)),
    leaf("meta-data/events/maintenance/history", "2018-08-17", Always, |at| maintenance(at, |state| state != MaintenanceState::Active)),
    leaf("meta-data/events/maintenance/scheduled", "2018-08-17", Always, |at| maintenance(at, |state| state == MaintenanceState::Active)),
    leaf("meta-data/events/recommendations/rebalance", "2020-10-27", Given, |at|
        events::rebalance(at.config.events.rebalance_recommendation.as_ref()?, at.now).map(Made::from)),
    leaf("meta-data/spot/instance-action", "2016-11-15", Given, |at|
        events::spot_action(at.config.events.spot_interruption.as_ref()?, at.now).map(Made::from)),
    leaf("meta-data/spot/termination-time", "2014-11-05", Given, |at|
        events::spot_termination(at.config.events.spot_interruption.as_ref()?, at.now).map(Made::from)),

    leaf("dynamic/fws/instance-monitoring", "2009-04-04", If(|at| at.instance.detailed_monitoring), |_| text(Switch::Enabled)),
    // The identity document ([I59], [I60]).
    leaf("dynamic/instance-identity/rsa2048", "2015-10-20", If(has_identity_document), |at|
        pkcs7(at, SigningKey::Rsa2048)),
    leaf("dynamic/instance-identity/pkcs7", "2009-04-04", If(has_identity_document), |at|
        pkcs7(at, SigningKey::Dsa1024)),
    leaf("dynamic/instance-identity/document", "2009-04-04", Always, identity_document),
    leaf("dynamic/instance-identity/signature", "2009-04-04", If(has_identity_document), |at|
        signed(at, |identity, document| identity.signature(SigningKey::rsa(at.instance.signatures.rsa_bits), document))),
    leaf("dynamic/instance-identity/dsa2048", "2015-10-20", If(has_dsa2048), |at|
        pkcs7(at, SigningKey::Dsa2048)),
];

/// Folders that are listed otherwise than by the names in them, in alphabetical order.
pub(super) const FOLDERS: &[(&str, Listing)] = &[
    (
        "meta-data/public-keys",
        Listing::Labelled(|instance, number| {
            let key = instance.public_keys.get(number.parse::<usize>().ok()?)?;
            Some(format!("{number}={}", key.name))
        }),
    ),
    (
        "meta-data/iam/security-credentials",
        Listing::Empty {
            when: |at| at.tree.role_list_is_empty(),
        },
    ),
];

/// The folder of a network interface.
const INTERFACE: &str = "meta-data/network/interfaces/macs/<mac>/";

/// A leaf of the tree, or several that differ in a name.
#[derive(Clone, Copy)]
pub struct Leaf {
    /// The path below a version, or below the folder of an interface.
    path: &'static str,
    /// The version that the leaf came with. Versions are ordered as texts are.
    pub(super) since: &'static str,
    pub(super) presence: Presence,
    source: Source,
}

/// Which instances have a leaf.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    /// All instances. With names in the path: wherever these names exist.
    Always,
    /// Instances for which this holds.
    If(fn(&Snapshot<'_>) -> bool),
    /// Instances for which the source gives a value.
    Given,
}

/// What a value is made from.
#[derive(Clone, Copy)]
enum Source {
    /// The instance.
    Instance(fn(&Snapshot<'_>) -> Option<Made>),
    /// A network interface. The path has its address in place of `<mac>`.
    Interface(fn(&Snapshot<'_>, &NetworkInterface) -> Option<Made>),
    /// An item of a list.
    Each {
        /// For every item, the names that take the places in angle brackets, given the role.
        names: fn(&Config, Option<&str>) -> Vec<Vec<String>>,
        /// The value of the item with this index.
        value: fn(&Snapshot<'_>, usize) -> Option<Made>,
    },
}

/// How the names in a folder are listed.
pub(super) enum Listing {
    /// As the text that the function gives for a name, if it gives one `[I37]`.
    Labelled(fn(&Instance, &str) -> Option<String>),
    /// The folder exists, and is listed, without a name in it while `when` holds.
    Empty { when: fn(&Snapshot<'_>) -> bool },
}

const fn leaf(
    path: &'static str,
    since: &'static str,
    presence: Presence,
    value: fn(&Snapshot<'_>) -> Option<Made>,
) -> Leaf {
    Leaf {
        path,
        since,
        presence,
        source: Source::Instance(value),
    }
}

const fn interface(
    path: &'static str,
    since: &'static str,
    presence: Presence,
    value: fn(&Snapshot<'_>, &NetworkInterface) -> Option<Made>,
) -> Leaf {
    Leaf {
        path,
        since,
        presence,
        source: Source::Interface(value),
    }
}

const fn each(
    path: &'static str,
    since: &'static str,
    names: fn(&Config, Option<&str>) -> Vec<Vec<String>>,
    value: fn(&Snapshot<'_>, usize) -> Option<Made>,
) -> Leaf {
    Leaf {
        path,
        since,
        presence: Always,
        source: Source::Each { names, value },
    }
}

impl Leaf {
    /// The path below a version, with the names that differ in angle brackets:
    /// `meta-data/tags/instance/<key>`.
    pub fn path(&self) -> Cow<'static, str> {
        match self.source {
            Source::Interface(_) => [INTERFACE, self.path].concat().into(),
            Source::Instance(_) | Source::Each { .. } => self.path.into(),
        }
    }

    /// The version that the leaf came with `[I28]`.
    pub fn since(&self) -> &'static str {
        self.since
    }

    /// Whether every instance has the leaf, or one like it.
    pub fn is_on_every_instance(&self) -> bool {
        // Every instance has a network interface.
        matches!(self.presence, Always) && !matches!(self.source, Source::Each { .. })
    }

    /// The paths that the leaf has on an instance with this role.
    pub(super) fn paths(&self, config: &Config, role: Option<&str>) -> Vec<Cow<'static, str>> {
        let path = self.path();
        let names = match self.source {
            Source::Instance(_) => return vec![path],
            Source::Interface(_) => {
                let interfaces = config.instance.network_interfaces.iter();
                names(interfaces.map(|interface| &interface.mac))
            }
            Source::Each { names, .. } => names(config, role),
        };
        let filled = |names: Vec<String>| filled(&path, &names).into();
        names.into_iter().map(filled).collect()
    }

    /// Makes the value, for the path with this index among those of the leaf.
    pub(super) fn make(&self, at: &Snapshot<'_>, index: usize) -> Option<Made> {
        if let If(holds) = self.presence
            && !holds(at)
        {
            return None;
        }
        match self.source {
            Source::Instance(value) => value(at),
            Source::Interface(value) => value(at, at.instance.network_interfaces.get(index)?),
            Source::Each { value, .. } => value(at, index),
        }
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("path", &self.path())
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// A path with names in place of what it has in angle brackets.
fn filled(path: &str, names: &[String]) -> String {
    let mut parts = path.split(['<', '>']);
    let mut filled = String::from(parts.next().unwrap_or_default());
    for name in names {
        // Every second part is what the angle brackets are around.
        parts.next();
        filled.push_str(name);
        filled.push_str(parts.next().unwrap_or_default());
    }
    filled
}

/// Names for a path that differs in one.
fn names(names: impl IntoIterator<Item: ToString>) -> Vec<Vec<String>> {
    let names = names.into_iter();
    names.map(|name| vec![name.to_string()]).collect()
}

/// The numbers of the items of a list.
fn numbers<T>(first: usize, items: &[T]) -> Vec<Vec<String>> {
    names((first..).take(items.len()))
}

fn text(text: impl ToString) -> Option<Made> {
    Some(Made::constant(text.to_string()))
}

fn optional(text: Option<impl ToString>) -> Option<Made> {
    text.map(|text| Made::constant(text.to_string()))
}

/// One item a line, or no value if there is no item.
fn lines(items: impl IntoIterator<Item: ToString>) -> Option<Made> {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| Made::constant(items.join("\n")))
}

/// An IPv6 block as IMDS writes it: all eight groups, without leading zeros `[I40]`.
fn uncompressed(block: &Ipv6Net) -> String {
    let groups = block.addr().segments().map(|group| format!("{group:x}"));
    format!("{}/{}", groups.join(":"), block.prefix_len())
}

/// The bytes of a content, or nothing for one that is absent.
pub(super) fn bytes(content: &Content) -> Option<Bytes> {
    match content {
        Content::Text(text) => Some(text.clone().into()),
        Content::Base64 { base64 } => STANDARD.decode(base64).ok().map(Into::into),
        // Files are read with the configuration, and not accepted anywhere else.
        Content::File { .. } | Content::Absent { .. } => None,
    }
}

fn system(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Nitro => "nitro",
        Dialect::Xen => "xen",
    }
}

fn tags_are_enabled(config: &Config) -> bool {
    config.metadata_options.instance_metadata_tags == Switch::Enabled
}

/// All tags as one JSON object `[I36]`.
fn tag_set(at: &Snapshot<'_>) -> Option<Made> {
    text(documents::tag_set(&at.instance.tags))
}

/// The keys of EC2 Instance Connect, if there are any.
fn managed_keys(instance: &Instance) -> impl Iterator<Item = &ManagedSshKeys> {
    instance.managed_ssh_keys.iter()
}

/// Every public address of every interface: the interface's MAC address, the public and the private
/// address.
fn associations(instance: &Instance) -> impl Iterator<Item = (&str, Ipv4Addr, Ipv4Addr)> {
    instance.network_interfaces.iter().flat_map(|interface| {
        let addresses = instance.public_ipv4s(interface);
        addresses.map(|(public, private)| (interface.mac.as_str(), public, private))
    })
}

/// The document about the instance profile `[I44]` `[I45]`.
fn profile_info(at: &Snapshot<'_>) -> Option<Made> {
    let iam = at.instance.iam.as_ref()?;
    let (generation, lasts) = at.role_credentials();
    let looked_up = at.role_issuer.looked_up("iam/info", generation);
    let document = documents::profile_info(at.instance, iam, at.tree.role(), looked_up + at.skew);
    Some(Made::dated(document, looked_up, lasts))
}

/// The credentials of the role `[I47]`; with an account, the extended document `[I52]`.
fn role_document(at: &Snapshot<'_>, account_id: Option<&str>) -> Option<Made> {
    let (iam, role) = (at.instance.iam.as_ref()?, at.tree.role()?);
    let (generation, lasts) = at.role_credentials();
    let keys = at.role_issuer.keys(role, generation);
    let shown = generation.shifted(at.skew);
    let document = documents::role(iam, role, account_id, shown, &keys, at.broken);
    Some(Made::dated(document, generation.fetched(), lasts))
}

/// The document about the credentials of the instance itself `[I53]`.
fn instance_role_info(at: &Snapshot<'_>) -> Option<Made> {
    let (generation, lasts) = at.instance_credentials();
    let looked_up = at
        .instance_issuer
        .looked_up("identity-credentials/ec2/info", generation);
    let document = documents::instance_role_info(&at.instance.account_id, looked_up + at.skew);
    Some(Made::dated(document, looked_up, lasts))
}

/// The credentials of the instance itself `[I53]`.
fn instance_role_document(at: &Snapshot<'_>) -> Option<Made> {
    let (generation, lasts) = at.instance_credentials();
    let keys = at.instance_issuer.keys("ec2-instance", generation);
    let document = documents::credentials(None, generation.shifted(at.skew), &keys);
    Some(Made::dated(document, generation.fetched(), lasts))
}

/// The announced maintenance in the states that `includes` accepts `[I57]`.
fn maintenance(at: &Snapshot<'_>, includes: fn(MaintenanceState) -> bool) -> Option<Made> {
    let event = events::maintenance(&at.config.events.maintenance, includes, at.now);
    let none = || Made::dated("[]", at.modified, Lasts::Momentarily);
    Some(event.map_or_else(none, Made::from))
}

const IDENTITY_DOCUMENT: &str = "dynamic/instance-identity/document";

/// The identity document as it follows from the instance `[I59]`.
fn identity_document(at: &Snapshot<'_>) -> Option<Made> {
    let started = at.instance.pending_time.unwrap_or_default();
    text(documents::identity(at.instance, started.after(at.modified)))
}

/// Signing takes milliseconds, so listings ask for the document instead.
fn has_identity_document(at: &Snapshot<'_>) -> bool {
    at.tree.value(IDENTITY_DOCUMENT, at).is_some()
}

fn has_dsa2048(at: &Snapshot<'_>) -> bool {
    at.instance.signatures.dsa2048 && has_identity_document(at)
}

/// The identity document as it is served, signed, as PKCS #7 `[I60]`.
fn pkcs7(at: &Snapshot<'_>, key: SigningKey) -> Option<Made> {
    signed(at, |identity, document| {
        identity.pkcs7(key, document, at.modified)
    })
}

/// A signature of the identity document as it is served `[I60]`.
fn signed(
    at: &Snapshot<'_>,
    sign: impl FnOnce(&Identity, &[u8]) -> Result<String, IdentityError>,
) -> Option<Made> {
    let document = at.tree.value(IDENTITY_DOCUMENT, at)?;
    let signature = sign(at.identity, &document.body).ok()?;
    Some(Made::dated(signature, at.modified, Lasts::Always))
}
