//! The model of one instance, from which every path, listing and document is derived, so that
//! nothing contradicts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Invalid, Key, is_name};
use super::values::{Content, Moment, Span};

/// An instance. By default a plausible t3.micro with a role.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Instance {
    /// `i-` and 8 or 17 hexadecimal digits.
    pub instance_id: String,
    /// Like `t3.micro`.
    pub instance_type: String,
    /// Of the processor.
    pub architecture: Architecture,
    /// The account that it belongs to: 12 digits.
    pub account_id: String,
    /// The image that it was started from: `ami-` and 8 or 17 hexadecimal digits.
    pub image_id: String,
    /// Its number among those started by one call.
    pub ami_launch_index: u32,
    /// The path of the image's manifest; `(unknown)` for one backed by EBS.
    pub ami_manifest_path: String,
    /// The images that this one was made from.
    pub ancestor_ami_ids: Vec<String>,
    /// The kernel, for a paravirtual image.
    pub kernel_id: Option<String>,
    /// The RAM disk, for a paravirtual image.
    pub ramdisk_id: Option<String>,
    /// `r-` and 8 or 17 hexadecimal digits.
    pub reservation_id: String,
    /// Product codes of the AWS Marketplace.
    pub product_codes: Vec<String>,
    /// Billing products, like `bp-6fa54006` for Windows.
    pub billing_products: Vec<String>,
    /// When it was started (`pendingTime`); default: five minutes before the emulator.
    pub pending_time: Option<Moment>,
    /// How it was bought.
    pub life_cycle: LifeCycle,
    /// What it is told to do to be bundled (rule 42).
    pub instance_action: InstanceAction,
    /// The profile of its virtualisation.
    pub profile: String,
    /// Whether it is monitored in detail (rule 42).
    pub detailed_monitoring: bool,
    /// Where it stands.
    pub placement: Placement,
    /// Its network.
    pub vpc: Vpc,
    /// Its network interfaces; the first one is the primary.
    pub network_interfaces: Vec<NetworkInterface>,
    /// Its block devices.
    pub block_devices: BlockDevices,
    /// The keys that may log in (rule 37).
    pub public_keys: Vec<PublicKey>,
    /// Its tags (rule 38).
    pub tags: BTreeMap<String, String>,
    /// Opaque bytes, at most 16 KiB (rule 43).
    pub user_data: Option<Content>,
    /// Its instance profile and role. `false` for none: there is no `iam/` then (rule 35).
    #[serde(with = "super::values::or_false")]
    #[schemars(with = "super::values::OrFalse<Iam>")]
    pub iam: Option<Iam>,
    /// Its state in its auto scaling group, if it is in one (rule 58).
    pub auto_scaling: Option<TargetLifecycleState>,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            instance_id: "i-0a1b2c3d4e5f67890".into(),
            instance_type: "t3.micro".into(),
            architecture: Architecture::default(),
            account_id: "123456789012".into(),
            image_id: "ami-0123456789abcdef0".into(),
            ami_launch_index: 0,
            ami_manifest_path: "(unknown)".into(),
            ancestor_ami_ids: Vec::new(),
            kernel_id: None,
            ramdisk_id: None,
            reservation_id: "r-0fedcba9876543210".into(),
            product_codes: Vec::new(),
            billing_products: Vec::new(),
            pending_time: None,
            life_cycle: LifeCycle::default(),
            instance_action: InstanceAction::default(),
            profile: "default-hvm".into(),
            detailed_monitoring: false,
            placement: Placement::default(),
            vpc: Vpc::default(),
            network_interfaces: vec![NetworkInterface::default()],
            block_devices: BlockDevices::default(),
            public_keys: Vec::new(),
            tags: BTreeMap::from([("Name".into(), "emulated".into())]),
            user_data: None,
            iam: Some(Iam::default()),
            auto_scaling: None,
        }
    }
}

/// The architecture of a processor.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Architecture {
    /// 64 bits of Intel and AMD.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64 bits of Arm.
    #[serde(rename = "arm64")]
    Arm64,
    /// 32 bits of Intel and AMD.
    #[serde(rename = "i386")]
    I386,
}

impl Architecture {
    /// Its name in the identity document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
            Self::I386 => "i386",
        }
    }
}

/// How an instance was bought (rule 42).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum LifeCycle {
    #[default]
    OnDemand,
    Spot,
    Scheduled,
    CapacityBlock,
}

impl LifeCycle {
    /// The value of `instance-life-cycle`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Scheduled => "scheduled",
            Self::CapacityBlock => "capacity-block",
        }
    }
}

/// The value of `instance-action` (rule 42).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum InstanceAction {
    #[default]
    None,
    Shutdown,
    BundlePending,
}

impl InstanceAction {
    /// The value of `instance-action`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shutdown => "shutdown",
            Self::BundlePending => "bundle-pending",
        }
    }
}

/// The value of `autoscaling/target-lifecycle-state` (rule 58).
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum TargetLifecycleState {
    Detached,
    InService,
    Standby,
    Terminated,
    #[serde(rename = "Warmed:Hibernated")]
    WarmedHibernated,
    #[serde(rename = "Warmed:Running")]
    WarmedRunning,
    #[serde(rename = "Warmed:Stopped")]
    WarmedStopped,
    #[serde(rename = "Warmed:Terminated")]
    WarmedTerminated,
}

impl TargetLifecycleState {
    /// The value of `autoscaling/target-lifecycle-state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detached => "Detached",
            Self::InService => "InService",
            Self::Standby => "Standby",
            Self::Terminated => "Terminated",
            Self::WarmedHibernated => "Warmed:Hibernated",
            Self::WarmedRunning => "Warmed:Running",
            Self::WarmedStopped => "Warmed:Stopped",
            Self::WarmedTerminated => "Warmed:Terminated",
        }
    }
}

/// Where an instance stands.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Placement {
    /// The availability zone, like `us-east-1a`. Region, partition, domain and host names follow
    /// from it.
    pub availability_zone: String,
    /// Default: from the zone, like `use1-az1`.
    pub availability_zone_id: Option<String>,
    /// The placement group.
    pub group_name: Option<String>,
    /// The dedicated host.
    pub host_id: Option<String>,
    /// The partition in a partition placement group.
    pub partition_number: Option<u32>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            availability_zone: "us-east-1a".into(),
            availability_zone_id: None,
            group_name: None,
            host_id: None,
            partition_number: None,
        }
    }
}

impl Placement {
    /// The region: that part of the zone that ends with the first number, as in `us-east-1` for
    /// `us-east-1a` and `us-west-2` for `us-west-2-lax-1a`.
    pub fn region(&self) -> &str {
        let zone = self.availability_zone.as_str();
        let digits = zone.find(|letter: char| letter.is_ascii_digit());
        let end = digits.map(|from| {
            let rest = zone.get(from..).unwrap_or_default();
            from + rest
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(rest.len())
        });
        end.and_then(|end| zone.get(..end)).unwrap_or(zone)
    }

    /// The id of the zone: that of the configuration, or one made as AWS makes them (`use1-az1`).
    pub fn zone_id(&self) -> String {
        if let Some(id) = &self.availability_zone_id {
            return id.clone();
        }
        let region = self.region();
        let short: String = region
            .split('-')
            .enumerate()
            .map(|(at, part)| match part {
                "northeast" => "ne",
                "northwest" => "nw",
                "southeast" => "se",
                "southwest" => "sw",
                // The first part is a continent or a country; numbers stay.
                part if at == 0 || part.starts_with(|letter: char| letter.is_ascii_digit()) => part,
                part => part.get(..1).unwrap_or(part),
            })
            .collect();
        let letter = self.availability_zone.bytes().last().unwrap_or(b'a');
        let number = letter.saturating_sub(b'a').saturating_add(1);
        format!("{short}-az{number}")
    }

    /// `aws`, `aws-cn`, `aws-us-gov` …
    pub fn partition(&self) -> &'static str {
        self.partition_and_domain().0
    }

    /// The domain of the partition: `amazonaws.com` …
    pub fn domain(&self) -> &'static str {
        self.partition_and_domain().1
    }

    fn partition_and_domain(&self) -> (&'static str, &'static str) {
        let region = self.region();
        [
            ("cn-", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-", "aws-us-gov", "amazonaws.com"),
            ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
            ("us-iso-", "aws-iso", "c2s.ic.gov"),
            ("eusc-", "aws-eusc", "amazonaws.eu"),
        ]
        .into_iter()
        .find(|(prefix, ..)| region.starts_with(prefix))
        .map_or(("aws", "amazonaws.com"), |(_, partition, domain)| {
            (partition, domain)
        })
    }
}

/// The network of an instance.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Vpc {
    /// `vpc-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// The first one is the primary.
    #[schemars(with = "Vec<String>")]
    pub ipv4_cidr_blocks: Vec<Ipv4Net>,
    /// None for a network without IPv6.
    #[schemars(with = "Vec<String>")]
    pub ipv6_cidr_blocks: Vec<Ipv6Net>,
}

impl Default for Vpc {
    fn default() -> Self {
        Self {
            id: "vpc-0a1b2c3d4e5f67890".into(),
            ipv4_cidr_blocks: vec![Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16)],
            ipv6_cidr_blocks: Vec::new(),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NetworkInterface {
    /// Six pairs of hexadecimal digits in lower case with colons.
    pub mac: String,
    /// `eni-` and 8 or 17 hexadecimal digits.
    pub interface_id: String,
    /// Default: its place in the list.
    #[serde(default)]
    pub device_number: Option<u32>,
    /// The network card, on types that have several.
    #[serde(default)]
    pub network_card_index: Option<u32>,
    /// The subnet.
    pub subnet: Subnet,
    /// The first one is the primary. None on an IPv6-only subnet.
    #[serde(default)]
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// Public addresses, each with the private address that it is associated with.
    #[serde(default)]
    pub public_ipv4s: BTreeMap<Ipv4Addr, Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(default)]
    pub ipv6s: Vec<Ipv6Addr>,
    /// Its security groups, each with its name.
    #[serde(default)]
    pub security_groups: BTreeMap<String, String>,
}

impl Default for NetworkInterface {
    fn default() -> Self {
        let private = Ipv4Addr::new(172, 31, 16, 10);
        Self {
            mac: "0a:1b:2c:3d:4e:5f".into(),
            interface_id: "eni-0a1b2c3d4e5f67890".into(),
            device_number: None,
            network_card_index: None,
            subnet: Subnet::default(),
            private_ipv4s: vec![private],
            public_ipv4s: BTreeMap::from([(Ipv4Addr::new(203, 0, 113, 10), private)]),
            ipv6s: Vec::new(),
            security_groups: BTreeMap::from([("sg-0a1b2c3d4e5f67890".into(), "default".into())]),
        }
    }
}

/// A subnet.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Subnet {
    /// `subnet-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// None for an IPv6-only subnet.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ipv4_cidr_block: Option<Ipv4Net>,
    /// None for a subnet without IPv6.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub ipv6_cidr_blocks: Vec<Ipv6Net>,
}

impl Default for Subnet {
    fn default() -> Self {
        Self {
            id: "subnet-0a1b2c3d4e5f67890".into(),
            ipv4_cidr_block: Some(Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 16, 0), 20)),
            ipv6_cidr_blocks: Vec::new(),
        }
    }
}

/// The block devices of an instance, as `block-device-mapping/` shows them.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BlockDevices {
    /// The device of the image.
    pub ami: String,
    /// The root device.
    pub root: String,
    /// EBS volumes: `ebs1`, `ebs2` …
    pub ebs: Vec<String>,
    /// Instance store volumes: `ephemeral0`, `ephemeral1` …
    pub ephemeral: Vec<String>,
    /// The swap device.
    pub swap: Option<String>,
}

impl Default for BlockDevices {
    fn default() -> Self {
        Self {
            ami: "xvda".into(),
            root: "/dev/xvda".into(),
            ebs: Vec::new(),
            ephemeral: Vec::new(),
            swap: None,
        }
    }
}

/// A key that may log in.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PublicKey {
    /// The name of the key pair.
    pub name: String,
    /// Type and key, like `ssh-ed25519 AAAA…`; the name is added (rule 37).
    pub openssh_key: String,
}

impl PublicKey {
    /// The key pair `name`, with the type and the key.
    pub fn new(name: impl Into<String>, openssh_key: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            openssh_key: openssh_key.into(),
        }
    }
}

/// The instance profile, the role in it, and the life of the role's credentials.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Iam {
    /// The role; `false` for an instance profile without one (rule 45).
    #[serde(with = "super::values::or_false")]
    #[schemars(with = "super::values::OrFalse<String>")]
    pub role: Option<String>,
    /// The name of the instance profile. Default: that of the role.
    pub instance_profile: Option<String>,
    /// `AIPA` and 17 letters and digits.
    pub instance_profile_id: String,
    /// The `Code` of `iam/info`, like `InstanceProfileNotFound` (rule 45).
    pub info_code: String,
    /// The `Code` of the role's document, like `AssumeRoleUnauthorizedAccess` (rule 48). Any but
    /// `Success` comes with a message and without credentials.
    pub code: String,
    /// The `Message` that goes with another `code` than `Success`. Default: one that names the
    /// role.
    pub message: Option<String>,
    /// Whether there is `iam/security-credentials-extended/` (rule 52).
    pub extended_path: bool,
    /// New credentials come after this time (rule 49).
    pub rotation: Span,
    /// Credentials live for this time (rule 49).
    pub lifetime: Span,
    /// New credentials are there at least so long before the old ones end (rule 49): if `rotation`
    /// is too long for it, they come earlier. With `0s` they come as `rotation` says, even too
    /// late.
    pub lead: Span,
}

impl Default for Iam {
    fn default() -> Self {
        Self {
            role: Some("emulated-role".into()),
            instance_profile: None,
            instance_profile_id: "AIPAEMULATED234567ABC".into(),
            info_code: "Success".into(),
            code: "Success".into(),
            message: None,
            extended_path: false,
            rotation: Span::minutes(60),
            lifetime: Span::minutes(6 * 60 + 20),
            lead: Span::minutes(5),
        }
    }
}

impl Instance {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let id = |name: &str, prefix: &str, value: &str| {
            key.field(name).unless(
                is_resource(value, prefix),
                value,
                format_args!("{prefix} and {HEX}"),
            )
        };
        id("instance-id", "i-", &self.instance_id)?;
        id("image-id", "ami-", &self.image_id)?;
        id("reservation-id", "r-", &self.reservation_id)?;
        for ami in &self.ancestor_ami_ids {
            id("ancestor-ami-ids", "ami-", ami)?;
        }
        for (name, prefix, value) in [
            ("kernel-id", "aki-", &self.kernel_id),
            ("ramdisk-id", "ari-", &self.ramdisk_id),
        ] {
            if let Some(value) = value {
                id(name, prefix, value)?;
            }
        }
        key.field("account-id").unless(
            self.account_id.len() == 12
                && self.account_id.bytes().all(|byte| byte.is_ascii_digit()),
            &self.account_id,
            "12 digits",
        )?;
        let (family, size) = self.instance_type.split_once('.').unwrap_or_default();
        key.field("instance-type").unless(
            is_name(family, "-") && is_name(size, "-"),
            &self.instance_type,
            "a family and a size, like t3.micro",
        )?;
        for (name, value) in [
            ("ami-manifest-path", &self.ami_manifest_path),
            ("profile", &self.profile),
        ] {
            key.field(name).line(value)?;
        }
        for (name, values) in [
            ("product-codes", &self.product_codes),
            ("billing-products", &self.billing_products),
        ] {
            values
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| key.field(name).item(at).line(value))?;
        }
        self.placement.check(&key.field("placement"))?;
        self.check_network(key)?;
        self.block_devices.check(&key.field("block-devices"))?;
        for (at, public_key) in self.public_keys.iter().enumerate() {
            let key = key.field("public-keys").item(at);
            key.field("name").line(&public_key.name)?;
            key.field("openssh-key").line(&public_key.openssh_key)?;
        }
        for (name, value) in &self.tags {
            // Rule 38.
            key.field("tags").field(name).unless(
                is_name(name, "+-=._:,@") && !matches!(name.as_str(), "." | ".." | "_index"),
                name,
                "a key of letters, digits and + - = . _ : , @ that is not ., .. or _index",
            )?;
            key.field("tags").field(name).unless(
                value.len() <= 256 && !value.chars().any(char::is_control),
                value,
                "at most 256 bytes without control characters",
            )?;
        }
        match &self.iam {
            Some(iam) => iam.check(&key.field("iam")),
            None => Ok(()),
        }
    }

    fn check_network(&self, key: &Key) -> Result<(), Invalid> {
        let vpc = key.field("vpc");
        vpc.field("id").unless(
            is_resource(&self.vpc.id, "vpc-"),
            &self.vpc.id,
            format_args!("vpc- and {HEX}"),
        )?;
        key.field("network-interfaces").unless(
            !self.network_interfaces.is_empty(),
            "[]",
            "at least one network interface",
        )?;
        let (mut macs, mut addresses, mut devices) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (at, interface) in self.network_interfaces.iter().enumerate() {
            let key = key.field("network-interfaces").item(at);
            interface.check(&key, &self.vpc)?;
            key.field("mac").unless(
                macs.insert(&interface.mac),
                &interface.mac,
                "a MAC address that no other interface has",
            )?;
            let device = interface.device_number.unwrap_or(at as u32);
            key.field("device-number").unless(
                devices.insert((interface.network_card_index, device)),
                device,
                "a number that no other interface has",
            )?;
            for address in interface
                .private_ipv4s
                .iter()
                .chain(interface.public_ipv4s.keys())
            {
                key.unless(
                    addresses.insert(*address),
                    address,
                    "addresses that no other interface has",
                )?;
            }
        }
        Ok(())
    }

    /// The primary network interface.
    pub(crate) fn primary(&self) -> Option<&NetworkInterface> {
        self.network_interfaces.first()
    }

    /// The names of all security groups, each once.
    pub(crate) fn security_group_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self
            .network_interfaces
            .iter()
            .flat_map(|interface| interface.security_groups.values())
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The private host name of an interface: from its address, or of the instance where there is
    /// none.
    pub(crate) fn local_hostname(&self, interface: &NetworkInterface) -> String {
        let region = self.placement.region();
        match interface.private_ipv4s.first() {
            Some(address) => {
                let host = dashed(address);
                match region {
                    "us-east-1" => format!("ip-{host}.ec2.internal"),
                    _ => format!("ip-{host}.{region}.compute.internal"),
                }
            }
            None => format!("{}.{region}.compute.internal", self.instance_id),
        }
    }

    /// The public host name of an interface, if it has a public address.
    pub(crate) fn public_hostname(&self, interface: &NetworkInterface) -> Option<String> {
        let host = dashed(interface.public_ipv4()?);
        let domain = self.placement.domain();
        Some(match self.placement.region() {
            "us-east-1" => format!("ec2-{host}.compute-1.{domain}"),
            region => format!("ec2-{host}.{region}.compute.{domain}"),
        })
    }
}

fn dashed(address: &Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

const HEX: &str = "8 or 17 hexadecimal digits in lower case";

/// Whether `value` is an id of AWS's form.
fn is_resource(value: &str, prefix: &str) -> bool {
    value.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl Placement {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let zone = &self.availability_zone;
        let parts = zone.strip_prefix(self.region()).unwrap_or_default();
        let right = is_name(zone, "-")
            && self.region().contains('-')
            && self
                .region()
                .ends_with(|letter: char| letter.is_ascii_digit())
            && parts.ends_with(|letter: char| letter.is_ascii_lowercase());
        key.field("availability-zone").unless(
            right,
            zone,
            "a region and a letter, like us-east-1a",
        )?;
        for (name, value) in [
            ("availability-zone-id", &self.availability_zone_id),
            ("group-name", &self.group_name),
            ("host-id", &self.host_id),
        ] {
            if let Some(value) = value {
                key.field(name).line(value)?;
            }
        }
        Ok(())
    }
}

impl NetworkInterface {
    /// Its first public address: the one of the first private address, if that has one.
    pub(crate) fn public_ipv4(&self) -> Option<&Ipv4Addr> {
        let primary = self.private_ipv4s.first();
        self.public_ipv4s
            .iter()
            .find(|(_, private)| Some(*private) == primary)
            .map(|(public, _)| public)
            .or_else(|| self.public_ipv4s.keys().next())
    }

    fn check(&self, key: &Key, vpc: &Vpc) -> Result<(), Invalid> {
        let pairs: Vec<&str> = self.mac.split(':').collect();
        let right = pairs.len() == 6
            && pairs.iter().all(|pair| {
                pair.len() == 2
                    && pair
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            });
        key.field("mac").unless(
            right,
            &self.mac,
            "six pairs of hexadecimal digits in lower case with colons",
        )?;
        for (name, prefix, value) in [
            ("interface-id", "eni-", &self.interface_id),
            ("subnet.id", "subnet-", &self.subnet.id),
        ] {
            key.field(name).unless(
                is_resource(value, prefix),
                value,
                format_args!("{prefix} and {HEX}"),
            )?;
        }
        for (id, name) in &self.security_groups {
            key.field("security-groups").unless(
                is_resource(id, "sg-"),
                id,
                format_args!("sg- and {HEX}"),
            )?;
            key.field("security-groups").field(id).line(name)?;
        }
        if let Some(block) = self.subnet.ipv4_cidr_block {
            key.field("subnet.ipv4-cidr-block").unless(
                vpc.ipv4_cidr_blocks
                    .iter()
                    .any(|of_vpc| of_vpc.contains(&block)),
                block,
                "a block inside one of instance.vpc.ipv4-cidr-blocks",
            )?;
        }
        for block in &self.subnet.ipv6_cidr_blocks {
            key.field("subnet.ipv6-cidr-blocks").unless(
                vpc.ipv6_cidr_blocks
                    .iter()
                    .any(|of_vpc| of_vpc.contains(block)),
                block,
                "blocks inside one of instance.vpc.ipv6-cidr-blocks",
            )?;
        }
        for address in &self.private_ipv4s {
            let inside = self
                .subnet
                .ipv4_cidr_block
                .is_some_and(|block| block.contains(address));
            key.field("private-ipv4s")
                .unless(inside, address, "addresses inside the subnet")?;
        }
        for address in &self.ipv6s {
            let inside = self
                .subnet
                .ipv6_cidr_blocks
                .iter()
                .any(|block| block.contains(address));
            key.field("ipv6s")
                .unless(inside, address, "addresses inside the subnet")?;
        }
        for (public, private) in &self.public_ipv4s {
            key.field("public-ipv4s").field(public).unless(
                self.private_ipv4s.contains(private),
                private,
                "one of the interface's private-ipv4s",
            )?;
        }
        key.unless(
            !self.private_ipv4s.is_empty() || !self.ipv6s.is_empty(),
            "no address",
            "at least one address in private-ipv4s or ipv6s",
        )
    }
}

impl BlockDevices {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        for (name, value) in [("ami", &self.ami), ("root", &self.root)]
            .into_iter()
            .chain(self.ebs.iter().map(|device| ("ebs", device)))
            .chain(self.ephemeral.iter().map(|device| ("ephemeral", device)))
            .chain(self.swap.iter().map(|device| ("swap", device)))
        {
            key.field(name).line(value)?;
        }
        Ok(())
    }
}

impl Iam {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        // The alphabet of IAM.
        const NAMES: &str = "1 to 64 letters, digits and _ + = , . @ - (of a path, the last part)";
        if let Some(role) = &self.role {
            key.field("role")
                .unless(is_name(role, "_+=,.@-") && role.len() <= 64, role, NAMES)?;
        }
        if let Some(profile) = &self.instance_profile {
            key.field("instance-profile").unless(
                is_name(profile, "_+=,.@-") && profile.len() <= 128,
                profile,
                NAMES,
            )?;
        }
        key.field("instance-profile").unless(
            self.role.is_some() || self.instance_profile.is_some(),
            "none",
            "a name, because there is no role to take it from",
        )?;
        key.field("instance-profile-id").unless(
            is_name(&self.instance_profile_id, ""),
            &self.instance_profile_id,
            "letters and digits, like AIPAEMULATED234567ABC",
        )?;
        for (name, code) in [("info-code", &self.info_code), ("code", &self.code)] {
            key.field(name)
                .unless(is_name(code, ""), code, "a code, like Success")?;
        }
        let zero = Span::default();
        for (name, span) in [("rotation", self.rotation), ("lifetime", self.lifetime)] {
            key.field(name)
                .unless(span > zero, span, "more than no time")?;
        }
        key.field("lead").unless(
            self.lead < self.lifetime,
            self.lead,
            format_args!("less than the lifetime, {}", self.lifetime),
        )
    }

    /// The name of the instance profile.
    pub(crate) fn profile(&self) -> &str {
        self.instance_profile
            .as_deref()
            .or(self.role.as_deref())
            .unwrap_or_default()
    }
}
