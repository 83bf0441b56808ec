//! `[I67]` and `[I68]`: zones, regions, partitions and Outposts, and the names that follow from them.

use imds_emulator::config::{Config, Layers, NetworkInterface};

use crate::bench::Bench;

/// Zones, and what follows: region, zone ID, partition, domain.
const ZONES: &[(&str, [&str; 4])] = &[
    (
        "us-east-1a",
        ["us-east-1", "use1-az1", "aws", "amazonaws.com"],
    ),
    (
        "il-central-1b",
        ["il-central-1", "ilc1-az2", "aws", "amazonaws.com"],
    ),
    (
        "mx-central-1c",
        ["mx-central-1", "mxc1-az3", "aws", "amazonaws.com"],
    ),
    (
        "us-west-2-lax-1a",
        ["us-west-2", "usw2-lax1-az1", "aws", "amazonaws.com"],
    ),
    (
        "us-east-1-wl1-bos-wlz-1",
        ["us-east-1", "use1-wl1-bos-wlz1", "aws", "amazonaws.com"],
    ),
    (
        "cn-northwest-1a",
        ["cn-northwest-1", "cnnw1-az1", "aws-cn", "amazonaws.com.cn"],
    ),
    (
        "us-gov-east-1a",
        ["us-gov-east-1", "usge1-az1", "aws-us-gov", "amazonaws.com"],
    ),
    (
        "us-iso-west-1a",
        ["us-iso-west-1", "usiw1-az1", "aws-iso", "c2s.ic.gov"],
    ),
    (
        "us-isob-east-1a",
        ["us-isob-east-1", "usibe1-az1", "aws-iso-b", "sc2s.sgov.gov"],
    ),
    (
        "eu-isoe-west-1a",
        [
            "eu-isoe-west-1",
            "euiew1-az1",
            "aws-iso-e",
            "cloud.adc-e.uk",
        ],
    ),
    (
        "us-isof-south-1a",
        [
            "us-isof-south-1",
            "usifs1-az1",
            "aws-iso-f",
            "csp.hci.ic.gov",
        ],
    ),
    (
        "eusc-de-east-1a",
        ["eusc-de-east-1", "euscde1-az1", "aws-eusc", "amazonaws.eu"],
    ),
];

#[tokio::test]
async fn rule_67_region_zone_id_partition_domain_and_names_follow_from_the_zone() {
    let bench = Bench::new().await;
    for (zone, [region, id, partition, domain]) in ZONES {
        bench
            .imds
            .change(|config| config.instance.placement.availability_zone = (*zone).into())
            .unwrap();
        let value = async |path: &str| bench.value(&format!("meta-data/{path}")).await;
        assert_eq!(value("placement/availability-zone").await, *zone);
        assert_eq!(value("placement/region").await, *region, "{zone}");
        assert_eq!(value("placement/availability-zone-id").await, *id, "{zone}");
        assert_eq!(value("services/partition").await, *partition, "{zone}");
        assert_eq!(value("services/domain").await, *domain, "{zone}");
        let (private, public) = match *region {
            "us-east-1" => ("ec2.internal".into(), format!("compute-1.{domain}")),
            _ => (
                format!("{region}.compute.internal"),
                format!("{region}.compute.{domain}"),
            ),
        };
        let private = format!("ip-172-31-16-10.{private}");
        let public = format!("ec2-203-0-113-10.{public}");
        assert_eq!(value("local-hostname").await, private, "{zone}");
        assert_eq!(value("public-hostname").await, public, "{zone}");
        let profile = value("iam/info").await;
        let arn = format!("\"arn:{partition}:iam::123456789012:instance-profile/the-role\"");
        assert!(profile.contains(&arn), "{zone}: {profile}");
        let document = bench
            .read("/latest/dynamic/instance-identity/document")
            .await;
        assert_eq!(document.json()["region"], *region, "{zone}");
        assert_eq!(document.json()["availabilityZone"], *zone);
    }
}

#[tokio::test]
async fn rule_67_without_an_ipv4_address_the_host_name_is_the_instance_id() {
    let bench = Bench::new().await;
    for (zone, name) in [
        ("us-east-1a", "i-0a1b2c3d4e5f67890.ec2.internal"),
        (
            "us-west-2a",
            "i-0a1b2c3d4e5f67890.us-west-2.compute.internal",
        ),
    ] {
        let change = bench.imds.change(|config| {
            config.instance.placement.availability_zone = zone.into();
            let mut interface = NetworkInterface::default();
            interface.private_ipv4s.clear();
            interface.public_ipv4s.clear();
            interface.ipv6s = vec!["2001:db8::5".parse().unwrap()];
            config.instance.network_interfaces = vec![interface];
        });
        change.unwrap();
        assert_eq!(bench.value("meta-data/local-hostname").await, name);
        assert_eq!(bench.value("meta-data/hostname").await, name);
    }
}

#[tokio::test]
async fn rule_68_an_outpost_has_an_arn() {
    let bench = Bench::new().await;
    assert!(!bench.has("meta-data/outpost-arn").await);
    let arn = "arn:aws:outposts:us-west-2:123456789012:outpost/op-0123456789abcdef0";
    let change = bench.imds.change(|config| {
        config.instance.placement.availability_zone = "us-west-2a".into();
        config.instance.placement.outpost_arn = Some(arn.into());
    });
    change.unwrap();
    assert_eq!(bench.value("meta-data/outpost-arn").await, arn);
    let listing = bench.value("meta-data/").await;
    assert!(listing.lines().any(|name| name == "outpost-arn"));
}

#[test]
fn rule_67_another_partition_is_accepted_once_it_is_described() {
    let set = |assignments: &[&str]| {
        let mut layers = Layers::new();
        for assignment in assignments {
            layers.assign("--set", &format!("instance.placement.{assignment}"));
        }
        layers.config()
    };
    let zone = "availability-zone=xy-north-1b";
    let refused = |assignments: &[&str]| set(assignments).unwrap_err().to_string();
    let error = refused(&[zone]);
    assert!(
        error.starts_with("--set: instance.placement.availability-zone: \"xy-north-1b\" is not"),
        "{error}"
    );
    for part in [
        "begins with af, ap, ca, eu, il, me, mx, sa, us, cn, eusc-de, us-iso, us-isob",
        "set instance.placement.partition and instance.placement.domain, too",
        "its ID would be xyn1-az2",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = refused(&[zone, "partition=aws-xy"]);
    assert!(
        error.contains("set instance.placement.domain, too"),
        "{error}"
    );
    let config = set(&[zone, "partition=aws-xy", "domain=aws.example"]).unwrap();
    let placement = config.instance.placement;
    assert_eq!(placement.region(), "xy-north-1");
    assert_eq!(placement.partition(), "aws-xy");
    assert_eq!(placement.domain(), "aws.example");
    assert_eq!(placement.zone_id(), "xyn1-az2");
}

#[test]
fn rules_67_and_68_malformed_placements_are_refused() {
    for (key, value, accepted) in [
        ("availability-zone", "us-east-1", "a Wavelength Zone like"),
        (
            "availability-zone",
            "us-east-1-wl1-bos",
            "a Local Zone like",
        ),
        ("availability-zone", "eu-isox-west-1a", "a zone of a region"),
        ("partition", "aws cn", "like aws-cn"),
        ("domain", "amazonaws", "a domain, like"),
        ("domain", "a..b", "a domain, like"),
        (
            "outpost-arn",
            "op-0123456789abcdef0",
            "the ARN of an Outpost",
        ),
        (
            "outpost-arn",
            "arn:aws:outposts:us-west-2:123456789012:outpost/op-0123456789abcdef0",
            "arn:aws:outposts:us-east-1:",
        ),
    ] {
        let toml = format!("instance.placement.{key} = '{value}'");
        let error = Config::from_toml(&toml).unwrap_err().to_string();
        assert!(
            error.contains(&format!("instance.placement.{key}: {value:?}")),
            "{error}"
        );
        assert!(error.contains(accepted), "{error}");
    }
}
