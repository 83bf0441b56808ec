//! The model of one instance, from which every path, listing and document is derived, so that
//! nothing contradicts.

mod check;
mod events;
mod iam;
mod machine;
mod names;
mod network;
mod options;
mod placement;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use events::{
    Events, Maintenance, MaintenanceCode, MaintenanceState, RebalanceRecommendation, SpotAction,
    SpotInterruption,
};
pub use iam::Iam;
pub use machine::{
    Architecture, BlockDevices, InstanceAction, LifeCycle, PublicKey, TargetLifecycleState,
};
pub use network::{NetworkInterface, Subnet, Vpc};
pub use options::{HttpTokens, MetadataOptions, Switch};
pub use placement::Placement;

use crate::value::{Content, Moment};

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
    /// What it is told to do to be bundled `[I42]`.
    pub instance_action: InstanceAction,
    /// The profile of its virtualisation.
    pub profile: String,
    /// Whether it is monitored in detail `[I42]`.
    pub detailed_monitoring: bool,
    /// Where it stands.
    pub placement: Placement,
    /// Its network.
    pub vpc: Vpc,
    /// Its network interfaces; the first one is the primary.
    pub network_interfaces: Vec<NetworkInterface>,
    /// Its block devices.
    pub block_devices: BlockDevices,
    /// The keys that may log in `[I37]`.
    pub public_keys: Vec<PublicKey>,
    /// Its tags `[I38]`.
    pub tags: BTreeMap<String, String>,
    /// Opaque bytes, at most 16 KiB `[I43]`.
    pub user_data: Option<Content>,
    /// Its instance profile and role. `false` for none: there is no `iam/` then `[I35]`.
    #[serde(with = "crate::value::or_false")]
    #[schemars(with = "crate::value::OrFalse<Iam>")]
    pub iam: Option<Iam>,
    /// Its state in its auto scaling group, if it is in one `[I58]`.
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
