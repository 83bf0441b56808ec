//! Where an instance is placed: zone, region, partition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::partition::{PARTITIONS, Partition};
use super::zone::{Zone, is_zone_id};
use crate::value::{Checks, Invalid, Key, is_name};

/// The placement of an instance.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Placement {
    /// Availability Zone like `us-east-1a`, Local Zone like `us-west-2-lax-1a`, or Wavelength Zone like
    /// `us-east-1-wl1-bos-wlz-1` `[I67]`. Region, partition, domain and host names are derived from it.
    pub availability_zone: String,
    /// ID of the zone, like `use1-az1`, `usw2-lax1-az1` or `use1-wl1-bos-wlz1` `[I67]`. Default: derived
    /// from the zone.
    pub availability_zone_id: Option<String>,
    /// Partition, like `aws-cn`. Default: derived from the region, if AWS has published its partition.
    pub partition: Option<String>,
    /// Domain of the partition, like `amazonaws.com.cn`. Default: derived from the region, as the
    /// partition is.
    pub domain: Option<String>,
    /// Name of the placement group.
    pub group_name: Option<String>,
    /// ID of the dedicated host.
    pub host_id: Option<String>,
    /// ARN of the Outpost that the instance is on `[I68]`.
    pub outpost_arn: Option<String>,
    /// Number of the partition in a partition placement group.
    pub partition_number: Option<u32>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            availability_zone: "us-east-1a".into(),
            availability_zone_id: None,
            partition: None,
            domain: None,
            group_name: None,
            host_id: None,
            outpost_arn: None,
            partition_number: None,
        }
    }
}

impl Placement {
    /// The region of the zone, like `us-east-1` for `us-east-1a` and `us-west-2` for
    /// `us-west-2-lax-1a`.
    pub fn region(&self) -> &str {
        let zone = Zone::parse(&self.availability_zone);
        zone.map_or(&self.availability_zone, |zone| zone.region())
    }

    /// The ID of the zone: the configured one, or one in the format of AWS (`use1-az1`).
    pub fn zone_id(&self) -> String {
        let derived = || Zone::parse(&self.availability_zone).map(|zone| zone.id());
        let configured = self.availability_zone_id.clone();
        configured.or_else(derived).unwrap_or_default()
    }

    /// `aws`, `aws-cn`, `aws-us-gov` …
    pub fn partition(&self) -> &str {
        let known = Partition::of(self.region()).map(|partition| partition.name);
        self.partition.as_deref().or(known).unwrap_or_default()
    }

    /// The domain of the partition: `amazonaws.com` …
    pub fn domain(&self) -> &str {
        let known = Partition::of(self.region()).map(|partition| partition.domain);
        self.domain.as_deref().or(known).unwrap_or_default()
    }
}

impl Placement {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        checks.add(self.check_zone(key));
        if let Some(partition) = &self.partition {
            checks.add(key.field("partition").unless(
                is_name(partition, "-"),
                partition,
                "letters, digits and hyphens, like aws-cn",
            ));
        }
        if let Some(domain) = &self.domain {
            checks.add(key.field("domain").unless(
                domain.contains('.') && domain.split('.').all(|label| is_name(label, "-")),
                domain,
                "a domain, like amazonaws.com.cn",
            ));
        }
        if let Some(arn) = &self.outpost_arn {
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            let right = matches!(
                *parts.as_slice(),
                ["arn", partition, "outposts", region, _, id]
                    if partition == self.partition()
                        && region == self.region()
                        && id.strip_prefix("outpost/").is_some_and(|id| is_name(id, "-"))
            );
            let account = "123456789012";
            checks.add(
                key.field("outpost-arn")
                    .compared_with(&key.field("availability-zone"))
                    .unless(
                        right,
                        arn,
                        format_args!(
                            "the ARN of an Outpost in the region of the zone, like \
                             arn:{}:outposts:{}:{account}:outpost/op-0123456789abcdef0",
                            self.partition(),
                            self.region()
                        ),
                    ),
            );
        }
        if let Some(id) = &self.availability_zone_id {
            checks.add(key.field("availability-zone-id").unless(
                is_zone_id(id),
                id,
                "the ID of an Availability Zone like use1-az1, of a Local Zone like usw2-lax1-az1, \
                 or of a Wavelength Zone like use1-wl1-bos-wlz1",
            ));
        }
        for (name, value) in [("group-name", &self.group_name), ("host-id", &self.host_id)] {
            if let Some(value) = value {
                checks.add(key.field(name).line(value));
            }
        }
        checks.result()
    }

    /// Checks the name of the zone, and that the partition is known: a wrong partition makes software
    /// build endpoints that do not exist.
    fn check_zone(&self, key: &Key) -> Result<(), Invalid> {
        let name = &self.availability_zone;
        let zone_key = key.field("availability-zone");
        let Some(zone) = Zone::parse(name) else {
            return zone_key.unless(
                false,
                name,
                "an Availability Zone like us-east-1a, a Local Zone like us-west-2-lax-1a, or a \
                 Wavelength Zone like us-east-1-wl1-bos-wlz-1",
            );
        };
        let is_known = Partition::of(zone.region()).is_some();
        let missing: Vec<String> = [("partition", &self.partition), ("domain", &self.domain)]
            .into_iter()
            .filter(|(_, value)| value.is_none() && !is_known)
            .map(|(name, _)| key.field(name).path().to_owned())
            .collect();
        let known = PARTITIONS.iter().flat_map(|partition| partition.regions);
        let known: Vec<&str> = known.copied().collect();
        zone_key.unless(
            missing.is_empty(),
            name,
            format_args!(
                "a zone of a region that begins with {}; for a zone of another region, set {}, too \
                 (its ID would be {}, unless availability-zone-id is set)",
                known.join(", "),
                missing.join(" and "),
                zone.id()
            ),
        )
    }
}
