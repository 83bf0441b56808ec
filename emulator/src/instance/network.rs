//! The network of an instance: interfaces, addresses, and the host names that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instance;
use super::check::{HEX, is_resource};
use crate::value::{Invalid, Key};

/// The network of an instance.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Vpc {
    /// VPC ID: `vpc-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// IPv4 blocks. The first one is the primary block.
    #[schemars(with = "Vec<String>")]
    pub ipv4_cidr_blocks: Vec<Ipv4Net>,
    /// IPv6 blocks. Empty for a network without IPv6.
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
    /// MAC address: six pairs of lower-case hexadecimal digits, with colons in between.
    pub mac: String,
    /// Interface ID: `eni-` and 8 or 17 hexadecimal digits.
    pub interface_id: String,
    /// Device number. Default: the index in the list of interfaces.
    #[serde(default)]
    pub device_number: Option<u32>,
    /// Index of the network card, for instance types that have several.
    #[serde(default)]
    pub network_card_index: Option<u32>,
    /// The subnet.
    pub subnet: Subnet,
    /// Private IPv4 addresses. The first one is the primary address. Empty on an IPv6-only subnet.
    #[serde(default)]
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// Public IPv4 addresses, each with the private address that it is associated with.
    #[serde(default)]
    pub public_ipv4s: BTreeMap<Ipv4Addr, Ipv4Addr>,
    /// IPv6 addresses.
    #[serde(default)]
    pub ipv6s: Vec<Ipv6Addr>,
    /// IDs of the security groups, each with the name of the group.
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
    /// Subnet ID: `subnet-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// IPv4 block. Not set for an IPv6-only subnet.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ipv4_cidr_block: Option<Ipv4Net>,
    /// IPv6 blocks. Empty for a subnet without IPv6.
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

impl NetworkInterface {
    /// The first public address: that of the first private address, if there is one.
    pub(crate) fn public_ipv4(&self) -> Option<&Ipv4Addr> {
        let primary = self.private_ipv4s.first();
        self.public_ipv4s
            .iter()
            .find(|(_, private)| Some(*private) == primary)
            .map(|(public, _)| public)
            .or_else(|| self.public_ipv4s.keys().next())
    }

    pub(super) fn check(&self, key: &Key, vpc: &Vpc) -> Result<(), Invalid> {
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
            "six pairs of lower-case hexadecimal digits with colons in between",
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
                "a block inside one of instance.vpc.ipv6-cidr-blocks",
            )?;
        }
        for address in &self.private_ipv4s {
            let inside = self
                .subnet
                .ipv4_cidr_block
                .is_some_and(|block| block.contains(address));
            key.field("private-ipv4s")
                .unless(inside, address, "an address inside the subnet")?;
        }
        for address in &self.ipv6s {
            let inside = self
                .subnet
                .ipv6_cidr_blocks
                .iter()
                .any(|block| block.contains(address));
            key.field("ipv6s")
                .unless(inside, address, "an address inside the subnet")?;
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

impl Instance {
    pub(super) fn check_network(&self, key: &Key) -> Result<(), Invalid> {
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
                    "an address that no other interface has",
                )?;
            }
        }
        Ok(())
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
    /// instance ID if it has none.
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
