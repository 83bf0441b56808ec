//! Where an instance is placed: zone, region, partition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Invalid, Key, is_name};

/// The placement of an instance.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Placement {
    /// Availability zone, like `us-east-1a`. Region, partition, domain and host names are derived
    /// from it.
    pub availability_zone: String,
    /// ID of the zone, like `use1-az1`. Default: derived from the zone.
    pub availability_zone_id: Option<String>,
    /// Name of the placement group.
    pub group_name: Option<String>,
    /// ID of the dedicated host.
    pub host_id: Option<String>,
    /// Number of the partition in a partition placement group.
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
    /// The region: the part of the zone up to the first number, like `us-east-1` for `us-east-1a`
    /// and `us-west-2` for `us-west-2-lax-1a`.
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

    /// The ID of the zone: the configured one, or one in the format of AWS (`use1-az1`).
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
                // The first part is a continent or a country. Numbers are kept.
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

impl Placement {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
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
