//! Paths: which there are, since which version, and what is listed `[I27]` to `[I43]`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::config::Config;
use crate::dialect::Dialect;
use crate::instance::{Instance, LifeCycle, NetworkInterface, Switch};
use crate::value::Content;

/// The versions of the tree, oldest first, as `/` lists them before `latest` `[I27]`.
pub(crate) const VERSIONS: [&str; 28] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
];

/// The newest one, whatever its date.
pub(crate) const LATEST: &str = "latest";

/// What a path gives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// The same as long as the instance is not changed.
    Fixed(Bytes),
    /// What depends on the moment.
    Live(Live),
}

/// What depends on the moment, and is not always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// The document of the role's credentials `[I47]`.
    Role,
    /// The same with `AccountId` `[I52]`.
    RoleExtended,
    /// The credentials of the instance itself `[I53]`.
    InstanceRole,
    /// What is said of them `[I53]`.
    InstanceRoleInfo,
    /// Of the instance profile `[I44]`.
    ProfileInfo,
    /// `[I54]`
    SpotAction,
    /// `[I55]`
    SpotTermination,
    /// `[I56]`
    Rebalance,
    /// `[I57]`
    Scheduled,
    /// `[I57]`
    History,
    /// `[I60]`
    Signature,
    /// `[I60]`
    Pkcs7,
    /// `[I60]`
    Rsa2048,
    /// `[I60]`
    Dsa2048,
}

#[derive(Clone, Debug)]
struct Leaf {
    /// The version it came with. Versions are ordered as texts are.
    since: &'static str,
    value: Value,
}

/// All paths below a version.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    leaves: BTreeMap<String, Leaf>,
    /// What directories are called in the list of their parent, where it is not their name `[I37]`.
    labels: BTreeMap<String, String>,
    /// Whether `tags/instance` is an empty answer `[I36]`.
    tags_are_off: bool,
    /// Whether the list of roles is there without a role.
    role_is_empty: bool,
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<'a> {
    /// A value.
    Leaf(&'a Value),
    /// The names in a directory, those of directories with a slash.
    Directory(Vec<String>),
}

impl Tree {
    /// The tree of an instance whose role is called `role` at present. `document` is its identity
    /// document.
    pub(crate) fn new(config: &Config, role: Option<&str>, document: String) -> Self {
        let mut tree = Self {
            leaves: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags_are_off: config.metadata_options.instance_metadata_tags == Switch::Disabled,
            role_is_empty: false,
        };
        tree.image_and_machine(&config.instance, config.server.dialect);
        tree.block_devices(&config.instance);
        tree.placement(&config.instance);
        tree.network(&config.instance);
        tree.keys_and_tags(&config.instance);
        tree.iam(&config.instance, role);
        tree.events(config);
        tree.dynamic(&config.instance, document);
        if let Some(bytes) = config.instance.user_data.as_ref().and_then(bytes) {
            tree.put("user-data", "1.0", bytes);
        }
        for (path, content) in &config.data {
            tree.replace(path, content);
        }
        tree
    }

    /// The same with a list of roles that is empty, though it is there.
    pub(crate) fn with_empty_role(mut self) -> Self {
        self.role_is_empty = true;
        self
    }

    fn put(&mut self, path: impl Into<String>, since: &'static str, value: impl Into<Bytes>) {
        self.insert(path, since, Value::Fixed(value.into()));
    }

    fn live(&mut self, path: impl Into<String>, since: &'static str, value: Live) {
        self.insert(path, since, Value::Live(value));
    }

    fn insert(&mut self, path: impl Into<String>, since: &'static str, value: Value) {
        self.leaves.insert(path.into(), Leaf { since, value });
    }

    fn meta(&mut self, since: &'static str, path: &str, value: impl Into<Bytes>) {
        self.put(format!("meta-data/{path}"), since, value);
    }

    fn meta_if(&mut self, since: &'static str, path: &str, value: Option<impl Into<Bytes>>) {
        if let Some(value) = value {
            self.meta(since, path, value);
        }
    }

    /// `[I40]` to `[I42]`
    fn image_and_machine(&mut self, instance: &Instance, dialect: Dialect) {
        self.meta("1.0", "ami-id", instance.image_id.clone());
        self.meta(
            "1.0",
            "ami-launch-index",
            instance.ami_launch_index.to_string(),
        );
        self.meta(
            "1.0",
            "ami-manifest-path",
            instance.ami_manifest_path.clone(),
        );
        self.meta_if(
            "2007-10-10",
            "ancestor-ami-ids",
            lines(&instance.ancestor_ami_ids),
        );
        self.meta("1.0", "instance-id", instance.instance_id.clone());
        self.meta(
            "2007-08-29",
            "instance-type",
            instance.instance_type.clone(),
        );
        self.meta(
            "2008-09-01",
            "instance-action",
            instance.instance_action.as_str(),
        );
        self.meta(
            "2019-10-01",
            "instance-life-cycle",
            instance.life_cycle.as_str(),
        );
        self.meta_if("2008-02-01", "kernel-id", instance.kernel_id.clone());
        self.meta_if("2007-10-10", "ramdisk-id", instance.ramdisk_id.clone());
        self.meta("1.0", "reservation-id", instance.reservation_id.clone());
        self.meta_if(
            "2007-03-01",
            "product-codes",
            lines(&instance.product_codes),
        );
        self.meta("2011-05-01", "profile", instance.profile.clone());
        if dialect == Dialect::Nitro {
            self.meta("2022-09-24", "system", "nitro");
        }
        self.meta(
            "2011-05-01",
            "metrics/vhostmd",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        );
        let placement = &instance.placement;
        self.meta("2014-02-25", "services/domain", placement.domain());
        self.meta("2015-10-20", "services/partition", placement.partition());
        self.meta_if(
            "2021-07-15",
            "autoscaling/target-lifecycle-state",
            instance.auto_scaling.map(|state| state.as_str()),
        );
    }

    fn block_devices(&mut self, instance: &Instance) {
        let devices = &instance.block_devices;
        let mut put = |name: &str, device: &str| {
            let path = format!("block-device-mapping/{name}");
            self.meta("2007-12-15", &path, device.to_owned());
        };
        put("ami", &devices.ami);
        put("root", &devices.root);
        for (at, device) in (1..).zip(&devices.ebs) {
            put(&format!("ebs{at}"), device);
        }
        for (at, device) in devices.ephemeral.iter().enumerate() {
            put(&format!("ephemeral{at}"), device);
        }
        if let Some(device) = &devices.swap {
            put("swap", device);
        }
    }

    fn placement(&mut self, instance: &Instance) {
        let placement = &instance.placement;
        let zone = placement.availability_zone.clone();
        self.meta("2008-02-01", "placement/availability-zone", zone);
        let zone_id = placement.zone_id();
        self.meta("2019-10-01", "placement/availability-zone-id", zone_id);
        let region = placement.region().to_owned();
        self.meta("2020-08-24", "placement/region", region);
        for (name, value) in [
            ("placement/group-name", placement.group_name.clone()),
            ("placement/host-id", placement.host_id.clone()),
            (
                "placement/partition-number",
                placement.partition_number.map(|number| number.to_string()),
            ),
        ] {
            self.meta_if("2020-08-24", name, value);
        }
    }

    fn network(&mut self, instance: &Instance) {
        if let Some(primary) = instance.primary() {
            let hostname = instance.local_hostname(primary);
            self.meta("1.0", "hostname", hostname.clone());
            self.meta("2007-01-19", "local-hostname", hostname);
            self.meta_if(
                "1.0",
                "local-ipv4",
                primary.private_ipv4s.first().map(ToString::to_string),
            );
            self.meta("2011-01-01", "mac", primary.mac.clone());
            self.meta_if(
                "2021-01-03",
                "ipv6",
                primary.ipv6s.first().map(ToString::to_string),
            );
            self.meta_if(
                "2007-01-19",
                "public-hostname",
                instance.public_hostname(primary),
            );
            self.meta_if(
                "2007-01-19",
                "public-ipv4",
                primary.public_ipv4().map(ToString::to_string),
            );
        }
        self.meta_if(
            "1.0",
            "security-groups",
            lines(instance.security_group_names()),
        );
        for (at, interface) in instance.network_interfaces.iter().enumerate() {
            self.interface(instance, at, interface);
        }
    }

    fn interface(&mut self, instance: &Instance, at: usize, interface: &NetworkInterface) {
        let folder = format!("network/interfaces/macs/{}", interface.mac);
        let mut put = |since, name: &str, value: Option<String>| {
            self.meta_if(since, &format!("{folder}/{name}"), value);
        };
        let old = "2011-01-01";
        let new = "2016-06-30";
        let (vpc, subnet) = (&instance.vpc, &interface.subnet);
        let device = interface
            .device_number
            .map_or_else(|| at.to_string(), |number| number.to_string());
        put(old, "device-number", Some(device));
        put(old, "interface-id", Some(interface.interface_id.clone()));
        for (public, private) in &interface.public_ipv4s {
            let name = format!("ipv4-associations/{public}");
            put(old, &name, Some(private.to_string()));
        }
        put(new, "ipv6s", lines(&interface.ipv6s));
        put(
            old,
            "local-hostname",
            Some(instance.local_hostname(interface)),
        );
        put(old, "local-ipv4s", lines(&interface.private_ipv4s));
        put(old, "mac", Some(interface.mac.clone()));
        put(
            "2020-11-01",
            "network-card-index",
            interface.network_card_index.map(|index| index.to_string()),
        );
        put(old, "owner-id", Some(instance.account_id.clone()));
        put(old, "public-hostname", instance.public_hostname(interface));
        put(old, "public-ipv4s", lines(interface.public_ipv4s.keys()));
        put(
            old,
            "security-groups",
            lines(interface.security_groups.values()),
        );
        put(
            old,
            "security-group-ids",
            lines(interface.security_groups.keys()),
        );
        put(old, "subnet-id", Some(subnet.id.clone()));
        put(
            old,
            "subnet-ipv4-cidr-block",
            subnet.ipv4_cidr_block.map(|block| block.to_string()),
        );
        put(
            new,
            "subnet-ipv6-cidr-blocks",
            lines(&subnet.ipv6_cidr_blocks),
        );
        put(old, "vpc-id", Some(vpc.id.clone()));
        put(
            old,
            "vpc-ipv4-cidr-block",
            vpc.ipv4_cidr_blocks.first().map(ToString::to_string),
        );
        put(new, "vpc-ipv4-cidr-blocks", lines(&vpc.ipv4_cidr_blocks));
        put(new, "vpc-ipv6-cidr-blocks", lines(&vpc.ipv6_cidr_blocks));
    }

    /// `[I36]` to `[I38]`
    fn keys_and_tags(&mut self, instance: &Instance) {
        for (at, key) in instance.public_keys.iter().enumerate() {
            self.meta(
                "1.0",
                &format!("public-keys/{at}/openssh-key"),
                format!("{} {}", key.openssh_key, key.name),
            );
            self.labels.insert(
                format!("meta-data/public-keys/{at}"),
                format!("{at}={}", key.name),
            );
        }
        if !self.tags_are_off {
            for (name, value) in &instance.tags {
                let path = format!("tags/instance/{name}");
                self.meta("2021-03-23", &path, value.clone());
            }
        }
    }

    /// `[I44]` to `[I53]`
    fn iam(&mut self, instance: &Instance, role: Option<&str>) {
        let since = "2012-01-12";
        if let Some(iam) = &instance.iam {
            self.live("meta-data/iam/info", since, Live::ProfileInfo);
            if let Some(role) = role {
                self.live(
                    format!("meta-data/iam/security-credentials/{role}"),
                    since,
                    Live::Role,
                );
                if iam.extended_path {
                    self.live(
                        format!("meta-data/iam/security-credentials-extended/{role}"),
                        since,
                        Live::RoleExtended,
                    );
                }
            }
        }
        let folder = "meta-data/identity-credentials/ec2";
        let since = "2018-05-23";
        self.live(format!("{folder}/info"), since, Live::InstanceRoleInfo);
        self.live(
            format!("{folder}/security-credentials/ec2-instance"),
            since,
            Live::InstanceRole,
        );
    }

    /// `[I54]` to `[I57]`
    fn events(&mut self, config: &Config) {
        if config.instance.life_cycle == LifeCycle::Spot {
            self.live(
                "meta-data/spot/instance-action",
                "2016-11-15",
                Live::SpotAction,
            );
            self.live(
                "meta-data/spot/termination-time",
                "2014-11-05",
                Live::SpotTermination,
            );
        }
        self.live(
            "meta-data/events/recommendations/rebalance",
            "2020-10-27",
            Live::Rebalance,
        );
        let folder = "meta-data/events/maintenance";
        self.live(format!("{folder}/scheduled"), "2018-08-17", Live::Scheduled);
        self.live(format!("{folder}/history"), "2018-08-17", Live::History);
    }

    fn dynamic(&mut self, instance: &Instance, document: String) {
        let monitoring = if instance.detailed_monitoring {
            "enabled"
        } else {
            "disabled"
        };
        let since = "2009-04-04";
        self.put("dynamic/fws/instance-monitoring", since, monitoring);
        self.put(IDENTITY_DOCUMENT, since, document);
        for (name, since, value) in [
            ("signature", since, Live::Signature),
            ("pkcs7", since, Live::Pkcs7),
            ("rsa2048", "2015-10-20", Live::Rsa2048),
            ("dsa2048", "2015-10-20", Live::Dsa2048),
        ] {
            self.live(format!("{IDENTITY_FOLDER}/{name}"), since, value);
        }
    }

    /// A path of the configuration takes the place of what is there, at it and above it.
    fn replace(&mut self, path: &str, content: &Content) {
        let folder = format!("{path}/");
        let since = self.leaves.get(path).map_or("1.0", |leaf| leaf.since);
        self.leaves.retain(|other, _| {
            let above = path.strip_prefix(other.as_str());
            !other.starts_with(&folder) && !above.is_some_and(|rest| rest.starts_with('/'))
        });
        match bytes(content) {
            Some(bytes) => self.put(path, since, bytes),
            None => {
                self.leaves.remove(path);
            }
        }
    }

    /// The identity document, as it is given out.
    pub(crate) fn identity_document(&self) -> Option<&Bytes> {
        match &self.leaves.get(IDENTITY_DOCUMENT)?.value {
            Value::Fixed(document) => Some(document),
            Value::Live(_) => None,
        }
    }

    /// What there is at `path` below `version`; `there` tells which of what depends on the moment
    /// is to be listed now.
    pub(crate) fn find(
        &self,
        version: &str,
        path: &[&str],
        there: impl Fn(Live) -> bool,
    ) -> Option<Found<'_>> {
        let in_version = |leaf: &Leaf| version == LATEST || leaf.since <= version;
        let key = path.join("/");
        if let Some(leaf) = self.leaves.get(&key) {
            return in_version(leaf).then_some(Found::Leaf(&leaf.value));
        }
        let listed = |leaf: &Leaf| {
            in_version(leaf)
                && match &leaf.value {
                    Value::Fixed(_) => true,
                    Value::Live(live) => there(*live),
                }
        };
        let folder = match key.as_str() {
            "" => String::new(),
            key => format!("{key}/"),
        };
        let mut names = BTreeSet::new();
        for (below, leaf) in self.leaves.range(folder.clone()..) {
            let Some(rest) = below.strip_prefix(&folder) else {
                break;
            };
            if listed(leaf) {
                names.insert(match rest.split_once('/') {
                    Some((name, _)) => (name, true),
                    None => (rest, false),
                });
            }
        }
        if self.role_is_empty && key == "meta-data/iam" {
            names.insert(("security-credentials", true));
        }
        if names.is_empty() {
            let empty = match key.as_str() {
                "meta-data/tags/instance" => self.tags_are_off,
                "meta-data/iam/security-credentials" => self.role_is_empty,
                _ => false,
            };
            return empty.then(|| Found::Directory(Vec::new()));
        }
        let mut names: Vec<(&str, bool)> = names.into_iter().collect();
        if key == IDENTITY_FOLDER {
            // [I39]
            let order = ["rsa2048", "pkcs7", "document", "signature", "dsa2048"];
            names.sort_by_key(|(name, _)| order.iter().position(|other| other == name));
        }
        let names = names.into_iter().map(|(name, is_folder)| {
            match self.labels.get(&format!("{folder}{name}")) {
                Some(label) => label.clone(),
                // [I29]: the first level has no slashes.
                None if is_folder && !folder.is_empty() => format!("{name}/"),
                None => name.to_owned(),
            }
        });
        Some(Found::Directory(names.collect()))
    }
}

const IDENTITY_FOLDER: &str = "dynamic/instance-identity";
const IDENTITY_DOCUMENT: &str = "dynamic/instance-identity/document";

/// One a line; nothing for none.
fn lines(values: impl IntoIterator<Item: ToString>) -> Option<String> {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    (!values.is_empty()).then(|| values.join("\n"))
}

fn bytes(content: &Content) -> Option<Bytes> {
    use base64::Engine as _;
    match content {
        Content::Text(text) => Some(text.clone().into()),
        Content::Base64 { base64 } => base64::engine::general_purpose::STANDARD
            .decode(base64)
            .ok()
            .map(Into::into),
        // Files are read with the configuration, and refused elsewhere.
        Content::File { .. } | Content::Absent { .. } => None,
    }
}
