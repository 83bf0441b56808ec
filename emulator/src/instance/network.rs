//! The network of an instance: interfaces, addresses, and the host names that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instance;
use super::check::{HEX, is_resource};
use crate::value::{Checks, Invalid, Key};

/// The network of an instance.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Vpc {
    /// VPC ID: `vpc-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// IPv4 blocks. The first one is the primary block. Default: the /16 blocks that the subnets
    /// are in.
    #[schemars(with = "Vec<String>")]
    pub ipv4_cidr_blocks: Vec<Ipv4Net>,
    /// IPv6 blocks. Default: the /56 blocks that the subnets are in.
    #[schemars(with = "Vec<String>")]
    pub ipv6_cidr_blocks: Vec<Ipv6Net>,
}

impl Default for Vpc {
    fn default() -> Self {
        Self {
            id: "vpc-0a1b2c3d4e5f67890".into(),
            ipv4_cidr_blocks: Vec::new(),
            ipv6_cidr_blocks: Vec::new(),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NetworkInterface {
    /// MAC address: six pairs of lower-case hexadecimal digits, with colons in between.
    pub mac: String,
    /// Interface ID: `eni-` and 8 or 17 hexadecimal digits.
    pub interface_id: String,
    /// Device number. Default: the index in the list of interfaces.
    #[serde(default)]
    pub device_number: Option<u32>,
    /// Index of the network card, for instance types that have several `[I40]`. Default: 0 if another
    /// interface has an index; otherwise the instance type has one card, and no index.
    #[serde(default)]
    pub network_card_index: Option<u32>,
    /// The subnet.
    #[serde(default)]
    pub subnet: Subnet,
    /// Private IPv4 addresses. The first one is the primary address. Empty on an IPv6-only subnet,
    /// and for an interface that only an Elastic Fabric Adapter uses.
    #[serde(default)]
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// Public IPv4 addresses, each with the private address that it is associated with.
    #[serde(default)]
    pub public_ipv4s: BTreeMap<Ipv4Addr, Ipv4Addr>,
    /// IPv6 addresses.
    #[serde(default)]
    pub ipv6s: Vec<Ipv6Addr>,
    /// Delegated IPv4 prefixes, /28 blocks of the subnet `[I64]`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// Delegated IPv6 prefixes, /80 blocks of the subnet `[I64]`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// IDs of the security groups, each with the name of the group. Default: the VPC's default
    /// group.
    #[serde(default = "default_security_groups")]
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
            ipv4_prefixes: Vec::new(),
            ipv6_prefixes: Vec::new(),
            security_groups: default_security_groups(),
        }
    }
}

fn default_security_groups() -> BTreeMap<String, String> {
    BTreeMap::from([("sg-0a1b2c3d4e5f67890".into(), "default".into())])
}

/// A subnet. What is not set follows from the addresses of the interface.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Subnet {
    /// Subnet ID: `subnet-` and 8 or 17 hexadecimal digits. Default: derived from the block.
    pub id: Option<String>,
    /// IPv4 block. Default: the /20 block that the private IPv4 addresses are in, or a larger one
    /// if it does not have all of them.
    #[schemars(with = "Option<String>")]
    pub ipv4_cidr_block: Option<Ipv4Net>,
    /// IPv6 blocks. Default: the /64 block that the first IPv6 address is in.
    #[schemars(with = "Vec<String>")]
    pub ipv6_cidr_blocks: Vec<Ipv6Net>,
}

impl NetworkInterface {
    /// Whether the interface has no address, because only an Elastic Fabric Adapter uses it.
    fn is_without_addresses(&self) -> bool {
        self.private_ipv4s.is_empty() && self.ipv6s.is_empty()
    }

    fn check(&self, key: &Key, instance: &Instance) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        let pairs: Vec<&str> = self.mac.split(':').collect();
        let right = pairs.len() == 6
            && pairs.iter().all(|pair| {
                pair.len() == 2
                    && pair
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            });
        checks.add(key.field("mac").unless(
            right,
            &self.mac,
            "six pairs of lower-case hexadecimal digits with colons in between",
        ));
        let ids = [
            ("interface-id", "eni-", Some(&self.interface_id)),
            ("subnet.id", "subnet-", self.subnet.id.as_ref()),
        ];
        for (name, prefix, value) in ids {
            if let Some(value) = value {
                checks.add(key.field(name).unless(
                    is_resource(value, prefix),
                    value,
                    format_args!("{prefix} and {HEX}"),
                ));
            }
        }
        for (id, name) in &self.security_groups {
            let key = key.field("security-groups").name(id);
            let right = is_resource(id, "sg-");
            checks.add(key.unless(right, id, format_args!("sg- and {HEX}")));
            checks.add(key.line(name));
        }
        checks.add(self.check_blocks(key, instance));
        checks.add(self.check_addresses(key, instance));
        checks.result()
    }

    /// Checks that the subnet is inside the VPC.
    fn check_blocks(&self, key: &Key, instance: &Instance) -> Result<(), Invalid> {
        let vpc = Key::root("instance").field("vpc");
        let mut checks = Checks::default();
        if let Some(block) = instance.subnet_ipv4(self) {
            let of_vpc = instance.vpc_ipv4s();
            let key = key
                .field("subnet.ipv4-cidr-block")
                .compared_with(&vpc.field("ipv4-cidr-blocks"));
            checks.add(key.unless(
                of_vpc.iter().any(|of_vpc| of_vpc.contains(&block)),
                block,
                "a block inside one of instance.vpc.ipv4-cidr-blocks",
            ));
        }
        let of_vpc = instance.vpc_ipv6s();
        for block in instance.subnet_ipv6s(self) {
            let key = key
                .field("subnet.ipv6-cidr-blocks")
                .compared_with(&vpc.field("ipv6-cidr-blocks"));
            checks.add(key.unless(
                of_vpc.iter().any(|of_vpc| of_vpc.contains(&block)),
                block,
                "a block inside one of instance.vpc.ipv6-cidr-blocks",
            ));
        }
        checks.result()
    }

    /// Checks that the addresses are inside the subnet.
    fn check_addresses(&self, key: &Key, instance: &Instance) -> Result<(), Invalid> {
        let subnet = key.field("subnet");
        let at = |name: &str| key.field(name).compared_with(&subnet);
        let mut checks = Checks::default();
        let block = instance.subnet_ipv4(self);
        let accepted = |of: &str, blocks: String| format!("{of} inside the subnet, {blocks}");
        let written = block.map_or_else(|| "which has no IPv4 block".into(), |it| it.to_string());
        for address in &self.private_ipv4s {
            let inside = block.is_some_and(|block| block.contains(address));
            let accepted = accepted("an address", written.clone());
            checks.add(at("private-ipv4s").unless(inside, address, accepted));
        }
        for prefix in &self.ipv4_prefixes {
            let inside = block.is_some_and(|block| block.contains(prefix));
            let accepted = accepted("a /28 block", written.clone());
            checks.add(at("ipv4-prefixes").unless(
                inside && prefix.prefix_len() == 28 && prefix.network() == prefix.addr(),
                prefix,
                accepted,
            ));
        }
        let blocks = instance.subnet_ipv6s(self);
        let written = match blocks.as_slice() {
            [] => "which has no IPv6 block".to_owned(),
            blocks => {
                let blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
                blocks.join(" or ")
            }
        };
        for address in &self.ipv6s {
            let inside = blocks.iter().any(|block| block.contains(address));
            let accepted = accepted("an address", written.clone());
            checks.add(at("ipv6s").unless(inside, address, accepted));
        }
        for prefix in &self.ipv6_prefixes {
            let inside = blocks.iter().any(|block| block.contains(prefix));
            let accepted = accepted("a /80 block", written.clone());
            checks.add(at("ipv6-prefixes").unless(
                inside && prefix.prefix_len() == 80 && prefix.network() == prefix.addr(),
                prefix,
                accepted,
            ));
        }
        for (public, private) in &self.public_ipv4s {
            let key = key
                .field("public-ipv4s")
                .name(public)
                .compared_with(&key.field("private-ipv4s"));
            checks.add(key.unless(
                self.private_ipv4s.contains(private),
                private,
                "one of the interface's private-ipv4s",
            ));
        }
        checks.result()
    }
}

impl Instance {
    pub(super) fn check_network(&self, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        checks.add(key.field("vpc").field("id").unless(
            is_resource(&self.vpc.id, "vpc-"),
            &self.vpc.id,
            format_args!("vpc- and {HEX}"),
        ));
        checks.add(key.field("network-interfaces").unless(
            !self.network_interfaces.is_empty(),
            "[]",
            "at least one network interface",
        ));
        let (mut macs, mut addresses, mut devices) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (at, interface) in self.network_interfaces.iter().enumerate() {
            let key = key.field("network-interfaces").item(at);
            checks.add(interface.check(&key, self));
            checks.add(key.unless(
                at > 0 || !interface.is_without_addresses(),
                "no address",
                "at least one address in private-ipv4s or ipv6s of the primary interface",
            ));
            checks.add(key.field("mac").unless(
                macs.insert(&interface.mac),
                &interface.mac,
                "a MAC address that no other interface has",
            ));
            let device = interface.device_number.unwrap_or(at as u32);
            checks.add(key.field("device-number").unless(
                devices.insert((interface.network_card_index.unwrap_or(0), device)),
                device,
                "a number that no other interface has",
            ));
            let private = interface
                .private_ipv4s
                .iter()
                .map(|address| ("private-ipv4s", address));
            let public = interface
                .public_ipv4s
                .keys()
                .map(|address| ("public-ipv4s", address));
            for (name, address) in private.chain(public) {
                checks.add(key.field(name).unless(
                    addresses.insert(*address),
                    address,
                    "an address that no other interface has",
                ));
            }
        }
        checks.result()
    }

    /// The IPv4 block of an interface's subnet.
    pub(crate) fn subnet_ipv4(&self, interface: &NetworkInterface) -> Option<Ipv4Net> {
        if let Some(block) = interface.subnet.ipv4_cidr_block {
            return Some(block);
        }
        let Some(first) = interface.private_ipv4s.first() else {
            // An interface without addresses is in the subnet of the primary interface.
            let primary = self.primary()?;
            return (interface.is_without_addresses() && !primary.is_without_addresses())
                .then(|| self.subnet_ipv4(primary))?;
        };
        let of_vpc = self.vpc.ipv4_cidr_blocks.iter();
        let smaller = of_vpc.filter(|block| block.contains(first) && block.prefix_len() > 20);
        let blocks = (16..=20)
            .rev()
            .filter_map(|bits| Some(Ipv4Net::new(*first, bits).ok()?.trunc()));
        let has_all = |block: &Ipv4Net| {
            let mut addresses = interface.private_ipv4s.iter();
            addresses.all(|address| block.contains(address))
        };
        let narrowest = Ipv4Net::new(*first, 20).ok().map(|block| block.trunc());
        smaller.copied().chain(blocks).find(has_all).or(narrowest)
    }

    /// The IPv6 blocks of an interface's subnet.
    pub(crate) fn subnet_ipv6s(&self, interface: &NetworkInterface) -> Vec<Ipv6Net> {
        let configured = &interface.subnet.ipv6_cidr_blocks;
        match (configured.as_slice(), interface.ipv6s.first()) {
            ([], Some(first)) => Ipv6Net::new(*first, 64)
                .map(|block| block.trunc())
                .into_iter()
                .collect(),
            _ => configured.clone(),
        }
    }

    /// The ID of an interface's subnet.
    pub(crate) fn subnet_id(&self, interface: &NetworkInterface) -> String {
        if let Some(id) = &interface.subnet.id {
            return id.clone();
        }
        let default = Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 16, 0), 20);
        match self.subnet_ipv4(interface) {
            Some(block) if block == default => "subnet-0a1b2c3d4e5f67890".to_owned(),
            Some(block) => {
                let address = block.network().to_bits();
                format!("subnet-0{address:08x}{:08x}", block.prefix_len())
            }
            None => {
                let blocks = self.subnet_ipv6s(interface);
                let bits = blocks.first().map(|block| block.network().to_bits() >> 64);
                format!("subnet-0{:016x}", bits.unwrap_or_default())
            }
        }
    }

    /// The IPv4 blocks of the VPC.
    pub(crate) fn vpc_ipv4s(&self) -> Vec<Ipv4Net> {
        let mut blocks = self.vpc.ipv4_cidr_blocks.clone();
        if blocks.is_empty() {
            let interfaces = self.network_interfaces.iter();
            for subnet in interfaces.filter_map(|interface| self.subnet_ipv4(interface)) {
                let block = Ipv4Net::new(subnet.network(), subnet.prefix_len().min(16));
                if let Ok(block) = block
                    && !blocks.iter().any(|other| other.contains(&subnet))
                {
                    blocks.push(block.trunc());
                }
            }
        }
        blocks
    }

    /// The IPv6 blocks of the VPC.
    pub(crate) fn vpc_ipv6s(&self) -> Vec<Ipv6Net> {
        let mut blocks = self.vpc.ipv6_cidr_blocks.clone();
        if blocks.is_empty() {
            let interfaces = self.network_interfaces.iter();
            for subnet in interfaces.flat_map(|interface| self.subnet_ipv6s(interface)) {
                let block = Ipv6Net::new(subnet.network(), subnet.prefix_len().min(56));
                if let Ok(block) = block
                    && !blocks.iter().any(|other| other.contains(&subnet))
                {
                    blocks.push(block.trunc());
                }
            }
        }
        blocks
    }

    /// The public addresses of an interface, each with its private address.
    pub(crate) fn public_ipv4s(
        &self,
        interface: &NetworkInterface,
    ) -> impl ExactSizeIterator<Item = (Ipv4Addr, Ipv4Addr)> {
        let addresses: Vec<_> = match self.public {
            true => interface.public_ipv4s.clone().into_iter().collect(),
            false => Vec::new(),
        };
        addresses.into_iter()
    }

    /// The first public address of an interface: that of its first private address, if there is one.
    pub(crate) fn public_ipv4(&self, interface: &NetworkInterface) -> Option<Ipv4Addr> {
        let primary = interface.private_ipv4s.first();
        let mut addresses = self.public_ipv4s(interface);
        let first = addresses.next()?;
        let of_primary = std::iter::once(first)
            .chain(addresses)
            .find(|(_, private)| Some(private) == primary);
        Some(of_primary.unwrap_or(first).0)
    }

    /// The primary network interface.
    pub(crate) fn primary(&self) -> Option<&NetworkInterface> {
        self.network_interfaces.first()
    }

    /// The device number of an interface: by default its place in the list.
    pub(crate) fn device_number(&self, interface: &NetworkInterface) -> Option<u32> {
        let is_it = |other: &NetworkInterface| other.mac == interface.mac;
        let place = || self.network_interfaces.iter().position(is_it);
        interface
            .device_number
            .or_else(|| u32::try_from(place()?).ok())
    }

    /// The index of an interface's network card, on an instance type that has several cards `[I40]`.
    pub(crate) fn network_card(&self, interface: &NetworkInterface) -> Option<u32> {
        let has_cards = |other: &NetworkInterface| other.network_card_index.is_some();
        let several = self.network_interfaces.iter().any(has_cards);
        several.then(|| interface.network_card_index.unwrap_or(0))
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

    /// The private host name of an interface, derived from its private address, or from the
    /// instance ID if it has none `[I67]`.
    pub(crate) fn local_hostname(&self, interface: &NetworkInterface) -> String {
        let host = match interface.private_ipv4s.first() {
            Some(address) => format!("ip-{}", dashed(address)),
            None => self.instance_id.clone(),
        };
        match self.placement.region() {
            "us-east-1" => format!("{host}.ec2.internal"),
            region => format!("{host}.{region}.compute.internal"),
        }
    }

    /// The public host name of an interface, if it has a public address.
    pub(crate) fn public_hostname(&self, interface: &NetworkInterface) -> Option<String> {
        let host = dashed(&self.public_ipv4(interface)?);
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
