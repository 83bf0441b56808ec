//! The machine: architecture, life cycle, block devices, keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::value::{Checks, Content, Invalid, Key, all};

/// The architecture of a processor.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
#[non_exhaustive]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "arm64")]
    Arm64,
    /// 32-bit Intel and AMD.
    #[serde(rename = "i386")]
    I386,
}

/// The purchasing option of an instance `[I42]`.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[non_exhaustive]
pub enum LifeCycle {
    #[default]
    OnDemand,
    Spot,
    Scheduled,
    CapacityBlock,
}

/// The value of `instance-action` `[I42]`.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[non_exhaustive]
pub enum InstanceAction {
    #[default]
    None,
    Shutdown,
    BundlePending,
}

/// The value of `autoscaling/target-lifecycle-state` `[I58]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[non_exhaustive]
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

/// The block devices of an instance, as in `block-device-mapping/` `[I69]`.
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

/// A public key for logging in.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PublicKey {
    /// The name of the key pair.
    pub name: String,
    /// Type and key, like `ssh-ed25519 AAAA…`. IMDS serves the name of the key pair in place of a
    /// comment `[I37]`.
    pub openssh_key: String,
}

impl PublicKey {
    /// The key pair `name`, with its type and key.
    pub fn new(name: impl Into<String>, openssh_key: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            openssh_key: openssh_key.into(),
        }
    }
}

impl PublicKey {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.field("name").line(&self.name),
            key.field("openssh-key").unless(
                self.without_comment().is_some() && !self.openssh_key.chars().any(char::is_control),
                &self.openssh_key,
                "the type and the key on one line, like ssh-ed25519 AAAA…",
            ),
        ])
    }

    /// The type and the key.
    fn without_comment(&self) -> Option<(&str, &str)> {
        let mut words = self.openssh_key.split_whitespace();
        Some((words.next()?, words.next()?))
    }

    /// What IMDS serves: type, key, the name of the key pair in place of a comment, and a newline
    /// `[I37]`.
    pub(crate) fn served(&self) -> Option<String> {
        let (kind, key) = self.without_comment()?;
        Some(format!("{kind} {key} {}\n", self.name))
    }
}

/// The keys of EC2 Instance Connect `[I66]`. The emulator serves them as they are configured: AWS signs
/// them, so there is nothing that it can derive.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ManagedSshKeys {
    /// The signed keys of each user of the operating system.
    pub active_keys: BTreeMap<String, Content>,
    /// The certificate of the signer, and those that it is issued by.
    pub signer_cert: Option<Content>,
    /// OCSP responses for these certificates, in base64, each with the fingerprint of its
    /// certificate.
    pub signer_ocsp: BTreeMap<String, Content>,
}

impl ManagedSshKeys {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        for (name, contents) in [
            ("active-keys", &self.active_keys),
            ("signer-ocsp", &self.signer_ocsp),
        ] {
            for (part, content) in contents {
                let key = key.field(name).name(part);
                checks.add(key.unless(
                    !matches!(part.as_str(), "" | "." | "..")
                        && !part.contains('/')
                        && !part.chars().any(char::is_control),
                    part,
                    "a name without slashes and control characters",
                ));
                checks.add(content.check(&key));
            }
        }
        if let Some(content) = &self.signer_cert {
            checks.add(content.check(&key.field("signer-cert")));
        }
        checks.result()
    }
}

impl BlockDevices {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let one = [("ami", &self.ami), ("root", &self.root)].into_iter();
        let swap = self.swap.iter().map(|device| ("swap", device));
        let one = one
            .chain(swap)
            .map(|(name, value)| key.field(name).line(value));
        let lists = [("ebs", &self.ebs), ("ephemeral", &self.ephemeral)].into_iter();
        let lists = lists.flat_map(|(name, values)| {
            let values = values.iter().enumerate();
            values.map(move |(at, value)| key.field(name).item(at).line(value))
        });
        all(one.chain(lists))
    }
}
