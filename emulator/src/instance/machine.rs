//! The machine: architecture, life cycle, block devices, keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::value::{Invalid, Key};

/// The architecture of a processor.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
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
pub enum InstanceAction {
    #[default]
    None,
    Shutdown,
    BundlePending,
}

/// The value of `autoscaling/target-lifecycle-state` `[I58]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
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

/// The block devices of an instance, as in `block-device-mapping/`.
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
    /// Type and key, like `ssh-ed25519 AAAA…`. The emulator appends the name `[I37]`.
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

impl BlockDevices {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
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
