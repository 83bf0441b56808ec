//! The keys of AEMM that stand for one value each.

/// A key of AEMM, the path of its value below a version, and what becomes of it.
pub(super) struct Value(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) To,
);

/// What becomes of a value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum To {
    /// The value of this key.
    Text(&'static str),
    /// The value of this key, as a number.
    Number(&'static str),
    /// The items of the list with this key, one per line.
    Lines(&'static str),
    /// The only item of the list with this key.
    Item(&'static str),
    /// The value of the path.
    Data,
    /// The value of the path, and whether detailed monitoring is enabled.
    Monitoring,
    /// The document at the path.
    Document,
    /// It is translated together with other values.
    Other,
}

/// The folder of the network interface.
pub(super) const INTERFACE: &str = "meta-data/network/interfaces/macs/<mac>/";

/// The keys of `metadata`.
#[rustfmt::skip]
pub(super) const VALUES: &[Value] = &[
    Value("ami-id", "meta-data/ami-id", To::Text("instance.image-id")),
    Value("ami-launch-index", "meta-data/ami-launch-index", To::Number("instance.ami-launch-index")),
    Value("ami-manifest-path", "meta-data/ami-manifest-path", To::Text("instance.ami-manifest-path")),
    Value("block-device-mapping-ami", "meta-data/block-device-mapping/ami", To::Text("instance.block-devices.ami")),
    Value("block-device-mapping-ebs", "meta-data/block-device-mapping/ebs0", To::Data),
    Value("block-device-mapping-ephemeral", "meta-data/block-device-mapping/ephemeral0", To::Item("instance.block-devices.ephemeral")),
    Value("block-device-mapping-root", "meta-data/block-device-mapping/root", To::Text("instance.block-devices.root")),
    Value("block-device-mapping-swap", "meta-data/block-device-mapping/swap", To::Text("instance.block-devices.swap")),
    Value("hostname", "meta-data/hostname", To::Data),
    Value("iam-security-credentials-role", "meta-data/iam/security-credentials", To::Text("instance.iam.role")),
    Value("instance-action", "meta-data/instance-action", To::Text("instance.instance-action")),
    Value("instance-id", "meta-data/instance-id", To::Text("instance.instance-id")),
    Value("instance-type", "meta-data/instance-type", To::Text("instance.instance-type")),
    Value("kernel-id", "meta-data/kernel-id", To::Text("instance.kernel-id")),
    Value("local-hostname", "meta-data/local-hostname", To::Data),
    Value("local-ipv4", "meta-data/local-ipv4", To::Other),
    Value("mac", "meta-data/mac", To::Other),
    Value("mac-device-number", "meta-data/network/interfaces/macs/<mac>/device-number", To::Other),
    Value("mac-ipv6-associations", "meta-data/network/interfaces/macs/<mac>/ipv6s", To::Other),
    Value("mac-local-hostname", "meta-data/network/interfaces/macs/<mac>/local-hostname", To::Data),
    Value("mac-local-ipv4s", "meta-data/network/interfaces/macs/<mac>/local-ipv4s", To::Other),
    Value("mac-mac", "meta-data/network/interfaces/macs/<mac>/mac", To::Data),
    Value("mac-network-interface-card-index", "meta-data/network/interfaces/macs/<mac>/network-card-index", To::Other),
    Value("mac-network-interface-id", "meta-data/network/interfaces/macs/<mac>/interface-id", To::Other),
    Value("mac-owner-id", "meta-data/network/interfaces/macs/<mac>/owner-id", To::Text("instance.account-id")),
    Value("mac-public-hostname", "meta-data/network/interfaces/macs/<mac>/public-hostname", To::Data),
    Value("mac-public-ipv4s", "meta-data/network/interfaces/macs/<mac>/public-ipv4s", To::Other),
    Value("mac-security-group-ids", "meta-data/network/interfaces/macs/<mac>/security-group-ids", To::Data),
    Value("mac-security-groups", "meta-data/network/interfaces/macs/<mac>/security-groups", To::Data),
    Value("mac-subnet-id", "meta-data/network/interfaces/macs/<mac>/subnet-id", To::Data),
    Value("mac-subnet-ipv4-cidr-block", "meta-data/network/interfaces/macs/<mac>/subnet-ipv4-cidr-block", To::Data),
    Value("mac-subnet-ipv6-cidr-blocks", "meta-data/network/interfaces/macs/<mac>/subnet-ipv6-cidr-blocks", To::Data),
    Value("mac-vpc-id", "meta-data/network/interfaces/macs/<mac>/vpc-id", To::Data),
    Value("mac-vpc-ipv4-cidr-block", "meta-data/network/interfaces/macs/<mac>/vpc-ipv4-cidr-block", To::Data),
    Value("mac-vpc-ipv4-cidr-blocks", "meta-data/network/interfaces/macs/<mac>/vpc-ipv4-cidr-blocks", To::Data),
    Value("mac-vpc-ipv6-cidr-blocks", "meta-data/network/interfaces/macs/<mac>/vpc-ipv6-cidr-blocks", To::Data),
    Value("placement-availability-zone", "meta-data/placement/availability-zone", To::Other),
    Value("placement-availability-zone-id", "meta-data/placement/availability-zone-id", To::Text("instance.placement.availability-zone-id")),
    Value("placement-group-name", "meta-data/placement/group-name", To::Text("instance.placement.group-name")),
    Value("placement-host-id", "meta-data/placement/host-id", To::Text("instance.placement.host-id")),
    Value("placement-partition-number", "meta-data/placement/partition-number", To::Number("instance.placement.partition-number")),
    Value("placement-region", "meta-data/placement/region", To::Other),
    Value("product-codes", "meta-data/product-codes", To::Lines("instance.product-codes")),
    Value("public-hostname", "meta-data/public-hostname", To::Data),
    Value("public-ipv4", "meta-data/public-ipv4", To::Other),
    Value("public-key", "meta-data/public-keys/0/openssh-key", To::Other),
    Value("ramdisk-id", "meta-data/ramdisk-id", To::Text("instance.ramdisk-id")),
    Value("reservation-id", "meta-data/reservation-id", To::Text("instance.reservation-id")),
    Value("security-groups", "meta-data/security-groups", To::Data),
    Value("services-domain", "meta-data/services/domain", To::Data),
    Value("services-partition", "meta-data/services/partition", To::Data),
    Value("tags-instance-name", "meta-data/tags/instance/Name", To::Text("instance.tags.Name")),
    Value("tags-instance-test", "meta-data/tags/instance/Test", To::Text("instance.tags.Test")),
    Value("target-lifecycle-state", "meta-data/autoscaling/target-lifecycle-state", To::Text("instance.auto-scaling")),
];

/// The keys of `dynamic`.
#[rustfmt::skip]
pub(super) const DYNAMIC: &[Value] = &[
    Value("fws-instance-monitoring", "dynamic/fws/instance-monitoring", To::Monitoring),
    Value("instance-identity-document", "dynamic/instance-identity/document", To::Document),
    Value("instance-identity-pkcs", "dynamic/instance-identity/pkcs7", To::Data),
    Value("instance-identity-signature", "dynamic/instance-identity/signature", To::Data),
];

/// Keys of `metadata.paths` that do not stand for one value, and how the paths begin that AEMM has for
/// them. They are in every file that it saves.
pub(super) const OTHER_PATHS: &[(&str, &str)] = &[
    (
        "elastic-inference-accelerator",
        "meta-data/elastic-inference/associations/",
    ),
    (
        "elastic-inference-associations",
        "meta-data/elastic-inference/associations",
    ),
    ("events", "meta-data/events/maintenance/scheduled"),
    ("iam-info", "meta-data/iam/info"),
    (
        "iam-security-credentials",
        "meta-data/iam/security-credentials/",
    ),
    ("instance-life-cycle", "meta-data/instance-life-cycle"),
    (
        "mac-ipv4-associations",
        "meta-data/network/interfaces/macs/<mac>/ipv4-associations/",
    ),
    (
        "rebalance-rec-time",
        "meta-data/events/recommendations/rebalance",
    ),
    ("spot", "meta-data/spot/instance-action"),
    ("spot-termination-time", "meta-data/spot/termination-time"),
    ("userdata", "user-data"),
];

/// The fields of `iam/info`.
pub(super) const PROFILE: &[&str] = &[
    "Code",
    "LastUpdated",
    "InstanceProfileArn",
    "InstanceProfileId",
];

/// The fields of the role's credentials.
pub(super) const CREDENTIALS: &[&str] = &[
    "Code",
    "LastUpdated",
    "Type",
    "AccessKeyId",
    "SecretAccessKey",
    "Token",
    "Expiration",
];

/// The fields of the identity document.
pub(super) const IDENTITY: &[&str] = &[
    "accountId",
    "architecture",
    "availabilityZone",
    "billingProducts",
    "devpayProductCodes",
    "marketplaceProductCodes",
    "imageId",
    "instanceId",
    "instanceType",
    "kernelId",
    "pendingTime",
    "privateIp",
    "ramdiskId",
    "region",
    "version",
];
