//! The partitions of AWS.

/// A partition: regions that share accounts, names of resources and a domain `[I67]`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Partition {
    /// The name in ARNs, like `aws`.
    pub name: &'static str,
    /// The domain of its endpoints and public host names, like `amazonaws.com`.
    pub domain: &'static str,
    /// How the names of its regions begin, before direction and number: `us` for `us-east-1`.
    pub regions: &'static [&'static str],
}

/// The partitions that AWS has published, as AWS's SDKs have them. No crate offers this table: the SDK
/// for Rust keeps it to itself. A test compares both.
#[rustfmt::skip]
pub const PARTITIONS: &[Partition] = &[
    Partition { name: "aws", domain: "amazonaws.com", regions: &["af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us"] },
    Partition { name: "aws-cn", domain: "amazonaws.com.cn", regions: &["cn"] },
    Partition { name: "aws-eusc", domain: "amazonaws.eu", regions: &["eusc-de"] },
    Partition { name: "aws-iso", domain: "c2s.ic.gov", regions: &["us-iso"] },
    Partition { name: "aws-iso-b", domain: "sc2s.sgov.gov", regions: &["us-isob"] },
    Partition { name: "aws-iso-e", domain: "cloud.adc-e.uk", regions: &["eu-isoe"] },
    Partition { name: "aws-iso-f", domain: "csp.hci.ic.gov", regions: &["us-isof"] },
    Partition { name: "aws-us-gov", domain: "amazonaws.com", regions: &["us-gov"] },
];

impl Partition {
    /// The partition of a region, if AWS has published it.
    pub fn of(region: &str) -> Option<&'static Self> {
        let mut parts = region.rsplitn(3, '-');
        let (_number, _direction, begin) = (parts.next()?, parts.next()?, parts.next()?);
        PARTITIONS
            .iter()
            .find(|partition| partition.regions.contains(&begin))
    }
}
