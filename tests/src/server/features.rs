//! Features that only some instances have, apart from roles, tags and events.

use futures_util::FutureExt as _;

use crate::scenario::Weight::{May, Should};

use super::listings::escaped;
use super::wire::Request;
use super::{Check, Judged, NotPassed, Server, expect};

const TREE: &str = "/latest/meta-data/";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "feature/security-groups",
            Should,
            "security-groups has the security groups of the first network interface",
            &["I40"],
            |imds| security_groups(imds).boxed(),
        ),
        Check::new(
            "feature/detailed-monitoring",
            May,
            "dynamic/ lists fws/ if instance-monitoring is enabled, and only then",
            &["I40", "I42"],
            |imds| detailed_monitoring(imds).boxed(),
        ),
        Check::new(
            "feature/ipv4-prefix",
            May,
            "ipv4-prefix lists /28 blocks",
            &["I64"],
            |imds| prefixes(imds, "ipv4-prefix", "/28").boxed(),
        ),
        Check::new(
            "feature/ipv6-prefix",
            May,
            "ipv6-prefix lists /80 blocks",
            &["I64"],
            |imds| prefixes(imds, "ipv6-prefix", "/80").boxed(),
        ),
        Check::new(
            "feature/hibernation",
            May,
            "hibernation/configured is true or false",
            &["I65"],
            |imds| hibernation(imds).boxed(),
        ),
        Check::new(
            "feature/managed-ssh-keys",
            Should,
            "A HEAD request for a user without managed SSH keys is answered with 404",
            &["I66", "clients: the agent of EC2 Instance Connect"],
            |imds| managed_ssh_keys(imds).boxed(),
        ),
    ]
}

/// The folder of the first network interface.
async fn interface(imds: &Server) -> Result<String, NotPassed> {
    let mac = imds.if_there(&format!("{TREE}mac")).await?.text();
    let mac = escaped(mac.trim());
    Ok(format!("{TREE}network/interfaces/macs/{mac}/"))
}

async fn security_groups(imds: &Server) -> Judged {
    let folder = interface(imds).await?;
    let of_interface = imds.if_there(&format!("{folder}security-groups")).await?;
    let all = imds.value(&format!("{TREE}security-groups")).await?;
    for group in of_interface.text().lines() {
        let is_listed = all.lines().any(|line| line == group);
        expect(is_listed, format!("{group} in security-groups"), &*all)?;
    }
    Ok(())
}

async fn detailed_monitoring(imds: &Server) -> Judged {
    let monitoring = imds.get("/latest/dynamic/fws/instance-monitoring").await?;
    let is_enabled = monitoring.status == 200 && monitoring.text() == "enabled";
    expect(
        imds.lists("/latest/dynamic/", "fws").await? == is_enabled,
        "fws/ in dynamic/ if and only if instance-monitoring is enabled",
        match is_enabled {
            true => "monitoring is enabled, and fws/ is not listed".to_owned(),
            false => format!("fws/ is listed, and {}", monitoring.told()),
        },
    )
}

async fn prefixes(imds: &Server, name: &str, length: &str) -> Judged {
    let folder = interface(imds).await?;
    let response = imds.if_there(&format!("{folder}{name}")).await?;
    let listed = response.text();
    expect(
        !listed.is_empty() && listed.lines().all(|line| line.ends_with(length)),
        format!("blocks with the length {length}"),
        response.told(),
    )
}

async fn hibernation(imds: &Server) -> Judged {
    let response = imds
        .if_there(&format!("{TREE}hibernation/configured"))
        .await?;
    expect(
        ["true", "false"].contains(&response.text().as_str()),
        "true or false",
        response.told(),
    )
}

async fn managed_ssh_keys(imds: &Server) -> Judged {
    let path = format!("{TREE}managed-ssh-keys/active-keys/no-such-user/");
    let response = imds.ask(Request::new("HEAD", &path)).await?;
    response.has_status(404)
}
