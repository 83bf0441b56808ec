//! Where the instance is: zone, region, partition, Outpost, and the names that follow from them.

use futures_util::FutureExt as _;
use imds_emulator::config::{Partition, Zone};

use crate::scenario::Weight::{May, Must, Should};

use super::identity::is_zone_of;
use super::instance::{TREE, trimmed};
use super::{Check, Judged, Server, expect, not_applicable};

const ZONE: &str = "placement/availability-zone";
const REGION: &str = "placement/region";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "instance/availability-zone",
            Must,
            "The availability zone can be read, with and without a trailing slash",
            &["I32", "I40", "clients: some ask with a slash, some without"],
            |imds| zone(imds).boxed(),
        )
        .formerly(&["instance/zone"]),
        Check::new(
            "instance/region",
            Must,
            "The region can be read, and is that of the availability zone",
            &["I40", "I67"],
            |imds| region(imds).boxed(),
        ),
        Check::new(
            "instance/zone-id",
            Should,
            "availability-zone-id is an ID that the availability zone can have",
            &["I67"],
            |imds| zone_id(imds).boxed(),
        ),
        Check::new(
            "instance/local-hostname",
            May,
            "local-hostname is in the domain of the region, unless the network has a domain of its own",
            &["I67"],
            |imds| local_hostname(imds).boxed(),
        ),
        Check::new(
            "instance/services",
            Should,
            "The partition and its domain can be read",
            &["I40"],
            |imds| services(imds).boxed(),
        ),
        Check::new(
            "instance/partition",
            Should,
            "The partition and its domain are those of the region",
            &["I67"],
            |imds| partition(imds).boxed(),
        ),
        Check::new(
            "instance/outpost",
            Should,
            "outpost-arn is the ARN of an Outpost in the region",
            &["I68"],
            |imds| outpost(imds).boxed(),
        ),
    ]
}

async fn zone(imds: &Server) -> Judged {
    let zone = trimmed(imds, ZONE).await?;
    let slash = trimmed(imds, "placement/availability-zone/").await?;
    expect(zone == slash && !zone.is_empty(), zone, slash)
}

async fn region(imds: &Server) -> Judged {
    let zone = imds.if_there(&format!("{TREE}{ZONE}")).await?;
    let zone = zone.text().trim().to_owned();
    let region = trimmed(imds, REGION).await?;
    expect(
        is_zone_of(&zone, &region),
        format!("the region of the zone {zone}"),
        region,
    )
}

async fn zone_id(imds: &Server) -> Judged {
    let zone = imds.if_there(&format!("{TREE}{ZONE}")).await?.text();
    let zone = zone.trim();
    let Some(parsed) = Zone::parse(zone) else {
        return not_applicable(format!("the zone {zone} has no known form"));
    };
    let expected = parsed.id();
    let id = trimmed(imds, "placement/availability-zone-id").await?;
    // Every account has another number for a letter.
    let numberless = |id: &str| {
        id.trim_end_matches(|last: char| last.is_ascii_digit())
            .len()
    };
    let fit = id.get(..numberless(&id)) == expected.get(..numberless(&expected));
    expect(
        fit && numberless(&id) < id.len(),
        format!("an ID like {expected} for the zone {zone}"),
        id,
    )
}

async fn local_hostname(imds: &Server) -> Judged {
    let name = trimmed(imds, "local-hostname").await?;
    let Some((host, domain)) = name.split_once('.') else {
        return not_applicable(format!("{name} has no domain"));
    };
    if !domain.ends_with(".internal") {
        return not_applicable(format!("the network has the domain {domain}"));
    }
    let region = imds.if_there(&format!("{TREE}{REGION}")).await?.text();
    let expected = match region.trim() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    expect(domain == expected, format!("{host}.{expected}"), name)
}

async fn services(imds: &Server) -> Judged {
    let partition = trimmed(imds, "services/partition").await?;
    expect(partition.starts_with("aws"), "aws, aws-cn, …", partition)?;
    let domain = trimmed(imds, "services/domain").await?;
    expect(
        domain.contains('.'),
        "amazonaws.com, amazonaws.com.cn, …",
        domain,
    )
}

async fn partition(imds: &Server) -> Judged {
    let region = imds.if_there(&format!("{TREE}{REGION}")).await?.text();
    let region = region.trim();
    let Some(known) = Partition::of(region) else {
        return not_applicable(format!("the partition of the region {region} is not known"));
    };
    let partition = trimmed(imds, "services/partition").await?;
    expect(partition == known.name, known.name, partition)?;
    let domain = trimmed(imds, "services/domain").await?;
    expect(domain == known.domain, known.domain, domain)
}

async fn outpost(imds: &Server) -> Judged {
    let response = imds.if_there(&format!("{TREE}outpost-arn")).await?;
    let region = imds.if_there(&format!("{TREE}{REGION}")).await?.text();
    let region = region.trim();
    let arn = response.text();
    let parts: Vec<&str> = arn.trim().splitn(6, ':').collect();
    let fit = matches!(
        *parts.as_slice(),
        ["arn", _, "outposts", of, _, id] if of == region && id.starts_with("outpost/op-")
    );
    expect(
        fit,
        format!("arn:…:outposts:{region}:…:outpost/op-…"),
        response.told(),
    )
}
