//! The model of one instance. Every path, listing and document is derived from it, so that they are
//! consistent.

mod check;
mod events;
#[cfg(all(feature = "isolation", target_os = "linux"))]
mod firmware;
mod iam;
mod machine;
mod names;
mod network;
mod options;
mod partition;
mod placement;
mod signatures;
mod zone;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use events::{
    End, Events, Maintenance, MaintenanceCode, MaintenanceState, RebalanceRecommendation,
    SpotAction, SpotInterruption,
};
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(crate) use firmware::Hypervisor;
pub use iam::Iam;
pub use machine::{
    Architecture, BlockDevices, InstanceAction, LifeCycle, ManagedSshKeys, PublicKey,
    TargetLifecycleState,
};
pub use network::{NetworkInterface, Subnet, Vpc};
pub use options::{HttpTokens, MetadataOptions, Switch};
pub use partition::{PARTITIONS, Partition};
pub use placement::Placement;
pub use signatures::Signatures;
pub use zone::Zone;

use crate::value::{Content, Moment};

/// An instance. The default is a plausible t3.micro with a role.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Instance {
    /// Instance ID: `i-` and 8 or 17 hexadecimal digits.
    pub instance_id: String,
    /// Instance type, like `t3.micro`.
    pub instance_type: String,
    /// Architecture of the processor.
    pub architecture: Architecture,
    /// Account ID: 12 digits.
    pub account_id: String,
    /// ID of the image that the instance was launched from: `ami-` and 8 or 17 hexadecimal digits.
    pub image_id: String,
    /// Number of the instance among those launched by one call, from 0.
    pub ami_launch_index: u32,
    /// Path of the image's manifest; `(unknown)` for an image backed by EBS.
    pub ami_manifest_path: String,
    /// IDs of the images that the image was built from.
    pub ancestor_ami_ids: Vec<String>,
    /// Kernel ID, for a paravirtual image.
    pub kernel_id: Option<String>,
    /// RAM disk ID, for a paravirtual image.
    pub ramdisk_id: Option<String>,
    /// Reservation ID: `r-` and 8 or 17 hexadecimal digits.
    pub reservation_id: String,
    /// Product codes of the AWS Marketplace.
    pub product_codes: Vec<String>,
    /// Billing products, like `bp-6fa54006` for Windows.
    pub billing_products: Vec<String>,
    /// Time of the launch (`pendingTime`). Default: five minutes before the start of the emulator.
    pub pending_time: Option<Moment>,
    /// Purchasing option.
    pub life_cycle: LifeCycle,
    /// Action that the instance is notified of before it is bundled `[I42]`.
    pub instance_action: InstanceAction,
    /// Virtualisation profile.
    pub profile: String,
    /// Whether detailed monitoring is enabled `[I42]`.
    pub detailed_monitoring: bool,
    /// Placement.
    pub placement: Placement,
    /// Network.
    pub vpc: Vpc,
    /// Network interfaces. The first one is the primary interface.
    pub network_interfaces: Vec<NetworkInterface>,
    /// Whether the interfaces have their public IPv4 addresses. `false` for an instance in a private
    /// subnet, which has neither public addresses nor public host names `[I35]`. Default: `true`.
    pub public: bool,
    /// Block devices.
    pub block_devices: BlockDevices,
    /// Public keys for logging in `[I37]`.
    pub public_keys: Vec<PublicKey>,
    /// Keys of EC2 Instance Connect, while there are any `[I66]`.
    pub managed_ssh_keys: Option<ManagedSshKeys>,
    /// Whether hibernation is configured, for an instance that was launched with this parameter
    /// `[I65]`. Default: it was launched without.
    pub hibernation: Option<bool>,
    /// Tags `[I38]`.
    pub tags: BTreeMap<String, String>,
    /// User data: opaque bytes, at most 16 KiB `[I43]`.
    pub user_data: Option<Content>,
    /// Signatures of the identity document `[I60]`.
    pub signatures: Signatures,
    /// Instance profile and role. `false` for an instance without a profile, which has no `iam/`
    /// `[I35]`.
    #[serde(with = "crate::value::or_false")]
    #[schemars(with = "crate::value::OrFalse<Iam>")]
    pub iam: Option<Iam>,
    /// Target state in the auto scaling group, if the instance is in a group `[I58]`.
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
            public: true,
            block_devices: BlockDevices::default(),
            public_keys: Vec::new(),
            managed_ssh_keys: None,
            hibernation: None,
            tags: BTreeMap::from([("Name".into(), "emulated".into())]),
            user_data: None,
            signatures: Signatures::default(),
            iam: Some(Iam::default()),
            auto_scaling: None,
        }
    }
}
