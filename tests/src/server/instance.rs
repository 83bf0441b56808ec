//! The instance, its tags and its user data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::FutureExt as _;
use imds_emulator::config::{InstanceAction, LifeCycle, Switch};

use crate::scenario::Weight::{May, Must, Should};

use super::listings::escaped;
use super::{Check, Judged, NotPassed, Server, expect, not_applicable};

pub(super) const TREE: &str = "/latest/meta-data/";
const TAGS: &str = "/latest/meta-data/tags/instance";
const USER_DATA: &str = "/latest/user-data";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "instance/id",
            Should,
            "instance-id is i- and 8 or 17 hexadecimal digits",
            &["I40"],
            |imds| id(imds, "instance-id", "i-").boxed(),
        ),
        Check::new(
            "instance/image",
            Should,
            "ami-id is ami- and 8 or 17 hexadecimal digits",
            &["I40"],
            |imds| id(imds, "ami-id", "ami-").boxed(),
        ),
        Check::new(
            "instance/type",
            Should,
            "instance-type has a family and a size",
            &["I40"],
            |imds| kind(imds).boxed(),
        ),
        Check::new(
            "instance/interfaces",
            Should,
            "mac names a network interface, which has an interface-id and a device-number",
            &["I40"],
            |imds| interfaces(imds).boxed(),
        ),
        Check::new(
            "instance/network-card",
            Should,
            "A network interface has network-card or no such name, and never network-card-index",
            &["I40"],
            |imds| network_card(imds).boxed(),
        ),
        Check::new(
            "instance/interface-addresses",
            Should,
            "Every network interface lists its addresses, or does not name them if it has none",
            &["I35", "I40"],
            |imds| interface_addresses(imds).boxed(),
        ),
        Check::new(
            "instance/ipv6-blocks",
            May,
            "The IPv6 blocks of subnets and networks have all eight groups",
            &["I40"],
            |imds| ipv6_blocks(imds).boxed(),
        ),
        Check::new(
            "instance/local-ipv4",
            Should,
            "local-ipv4 is an address of a network interface",
            &["I35", "I40"],
            |imds| local_ipv4(imds).boxed(),
        ),
        Check::new(
            "instance/public-ipv4",
            Should,
            "public-ipv4 is an address, or is neither there nor listed",
            &["I35"],
            |imds| public_ipv4(imds).boxed(),
        ),
        Check::new(
            "instance/life-cycle",
            Should,
            "instance-life-cycle has a valid value",
            &["I42"],
            |imds| one_of(imds, "meta-data/instance-life-cycle", LifeCycle::ALL).boxed(),
        ),
        Check::new(
            "instance/action",
            May,
            "instance-action has a valid value",
            &["I42"],
            |imds| one_of(imds, "meta-data/instance-action", InstanceAction::ALL).boxed(),
        ),
        Check::new(
            "instance/monitoring",
            May,
            "instance-monitoring is enabled or disabled",
            &["I42"],
            |imds| one_of(imds, "dynamic/fws/instance-monitoring", Switch::ALL).boxed(),
        ),
        Check::new(
            "instance/system",
            May,
            "system has a valid value",
            &["I41"],
            |imds| one_of(imds, "meta-data/system", &["nitro", "xen", "xen-on-nitro"]).boxed(),
        ),
        Check::new(
            "tags/listed",
            Should,
            "tags/ is listed if it exists, and only then",
            &["I35", "I36"],
            |imds| tags_listed(imds).boxed(),
        ),
        Check::new(
            "tags/disabled",
            May,
            "While there are no tags, or tags are disabled, tags/instance is 404",
            &["I36"],
            |imds| tags_disabled(imds).boxed(),
        ),
        Check::new(
            "tags/set",
            May,
            "tag-sets/instance has all tags as one JSON object",
            &["I36"],
            |imds| tag_set(imds).boxed(),
        ),
        Check::new(
            "tags/keys",
            Should,
            "Tag keys consist of permitted characters",
            &["I38"],
            |imds| tags_keys(imds).boxed(),
        ),
        Check::new(
            "tags/values",
            Should,
            "Every listed tag has a value",
            &["I36", "I38"],
            |imds| tags_values(imds).boxed(),
        ),
        Check::new(
            "user-data/found-or-404",
            Must,
            "User data can be read, or is 404",
            &["I35", "I43"],
            |imds| user_data(imds).boxed(),
        )
        .formerly(&["user-data/answer"]),
        Check::new(
            "user-data/listed",
            Should,
            "user-data is listed if it exists, and only then",
            &["I29", "I35"],
            |imds| user_data_listed(imds).boxed(),
        ),
        Check::new(
            "user-data/content-type",
            Should,
            "The Content-Type of user data is application/octet-stream",
            &["I34"],
            |imds| user_data_type(imds).boxed(),
        )
        .formerly(&["user-data/type"]),
        Check::new(
            "user-data/trailing-slash",
            Must,
            "User data can be read with a trailing slash, too",
            &["I32", "clients: some ask with a slash, some without"],
            |imds| user_data_with_slash(imds).boxed(),
        )
        .formerly(&["user-data/with-slash"]),
        Check::new(
            "user-data/size",
            May,
            "User data has at most 16 KiB",
            &["I43"],
            |imds| user_data_size(imds).boxed(),
        ),
    ]
}

/// A value that every instance has, without surrounding white space.
pub(super) async fn trimmed(imds: &Server, path: &str) -> Result<String, NotPassed> {
    Ok(imds
        .value(&format!("{TREE}{path}"))
        .await?
        .trim()
        .to_owned())
}

async fn id(imds: &Server, path: &str, begin: &str) -> Judged {
    let id = imds.if_there(&format!("{TREE}{path}")).await?.text();
    let rest = id.trim().strip_prefix(begin).unwrap_or_default();
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    expect(
        [8, 17].contains(&rest.len()) && rest.bytes().all(digits),
        format!("{begin} and 8 or 17 hexadecimal digits"),
        id,
    )
}

async fn kind(imds: &Server) -> Judged {
    let kind = trimmed(imds, "instance-type").await?;
    let parts = kind.split_once('.');
    expect(
        parts.is_some_and(|(family, size)| !family.is_empty() && !size.is_empty()),
        "FAMILY.SIZE",
        &*kind,
    )
}

async fn interface_addresses(imds: &Server) -> Judged {
    let macs = "network/interfaces/macs/";
    let listed = imds.if_there(&format!("{TREE}{macs}")).await?.text();
    for mac in listed.lines().map(|name| name.trim().trim_end_matches('/')) {
        let folder = format!("{TREE}{macs}{}/", escaped(mac));
        for (name, is_address) in [
            ("local-ipv4s", is_ipv4 as fn(&str) -> bool),
            ("ipv6s", is_ipv6),
        ] {
            let response = imds.get(&format!("{folder}{name}")).await?;
            response.has_status_of(&[200, 404])?;
            let text = response.text();
            expect(
                response.status == 404 || !text.is_empty() && text.lines().all(is_address),
                "one address or more, one per line, or 404",
                response.told(),
            )?;
            imds.agrees(&folder, name, response.status == 200).await?;
        }
    }
    Ok(())
}

async fn ipv6_blocks(imds: &Server) -> Judged {
    let macs = "network/interfaces/macs/";
    let listed = imds.if_there(&format!("{TREE}{macs}")).await?.text();
    let mut found = false;
    for mac in listed.lines().map(|name| name.trim().trim_end_matches('/')) {
        for name in ["subnet-ipv6-cidr-blocks", "vpc-ipv6-cidr-blocks"] {
            let path = format!("{TREE}{macs}{}/{name}", escaped(mac));
            let response = imds.get(&path).await?;
            response.has_status_of(&[200, 404])?;
            let blocks = response.text();
            found |= response.status == 200;
            expect(
                response.status == 404 || !blocks.is_empty() && blocks.lines().all(is_whole_block),
                "blocks like 2600:1f16:67f:f200:0:0:0:0/56, one per line, or 404",
                response.told(),
            )?;
        }
    }
    match found {
        true => Ok(()),
        false => not_applicable("no network interface has IPv6 blocks"),
    }
}

/// Whether a line is an IPv6 block without `::` and without leading zeros.
fn is_whole_block(line: &str) -> bool {
    let Some((address, length)) = line.trim().split_once('/') else {
        return false;
    };
    let Ok(parsed) = address.parse::<Ipv6Addr>() else {
        return false;
    };
    let groups = parsed.segments().map(|group| format!("{group:x}"));
    address == groups.join(":") && length.parse().is_ok_and(|length: u8| length <= 128)
}

fn is_ipv4(line: &str) -> bool {
    line.trim().parse::<Ipv4Addr>().is_ok()
}

fn is_ipv6(line: &str) -> bool {
    line.trim().parse::<Ipv6Addr>().is_ok()
}

async fn interfaces(imds: &Server) -> Judged {
    let mac = imds.if_there(&format!("{TREE}mac")).await?.text();
    let mac = escaped(mac.trim());
    let folder = "network/interfaces/macs/";
    let listed = trimmed(imds, folder).await?;
    let is_listed = listed.lines().any(|name| name.trim_end_matches('/') == mac);
    expect(is_listed, format!("{mac}/ in {folder}"), &*listed)?;
    let same = trimmed(imds, &format!("{folder}{mac}/mac")).await?;
    expect(same == mac, &*mac, same)?;
    let id = trimmed(imds, &format!("{folder}{mac}/interface-id")).await?;
    expect(id.starts_with("eni-"), "an interface-id like eni-…", id)?;
    let number = trimmed(imds, &format!("{folder}{mac}/device-number")).await?;
    expect(
        number == "0",
        "0, the device-number of the first interface",
        number,
    )
}

async fn network_card(imds: &Server) -> Judged {
    let mac = imds.if_there(&format!("{TREE}mac")).await?.text();
    let folder = format!("{TREE}network/interfaces/macs/{}/", escaped(mac.trim()));
    let card = imds.get(&format!("{folder}network-card")).await?;
    card.has_status_of(&[200, 404])?;
    if card.status == 200 {
        let text = card.text();
        let fit = text.trim().parse::<u32>().is_ok();
        expect(fit, "a number", card.told())?;
    }
    imds.agrees(&folder, "network-card", card.status == 200)
        .await?;
    let index = imds.get(&format!("{folder}network-card-index")).await?;
    index.has_status(404)
}

async fn local_ipv4(imds: &Server) -> Judged {
    let address = imds.if_there(&format!("{TREE}local-ipv4")).await?.text();
    let address = address.trim();
    expect(
        address.parse::<Ipv4Addr>().is_ok(),
        "an IPv4 address",
        address,
    )?;
    let mac = trimmed(imds, "mac").await?;
    let of_interface = format!("network/interfaces/macs/{}/local-ipv4s", escaped(&mac));
    let all = trimmed(imds, &of_interface).await?;
    expect(
        all.lines().any(|line| line == address),
        format!("{address} in {of_interface}"),
        all,
    )
}

async fn public_ipv4(imds: &Server) -> Judged {
    let response = imds.get(&format!("{TREE}public-ipv4")).await?;
    response.has_status_of(&[200, 404])?;
    if response.status == 200 {
        let text = response.text();
        let fit = text.trim().parse::<Ipv4Addr>().is_ok();
        expect(fit, "an IPv4 address", response.told())?;
    }
    imds.agrees(TREE, "public-ipv4", response.status == 200)
        .await
}

pub(super) async fn one_of(imds: &Server, path: &str, values: &[impl ToString]) -> Judged {
    let response = imds.get(&format!("/latest/{path}")).await?;
    if response.status == 404 {
        return not_applicable(format!("{path} does not exist"));
    }
    response.has_status(200)?;
    let seen = response.text();
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    expect(
        values.iter().any(|value| value == seen.trim()),
        format!("one of {}", values.join(", ")),
        response.told(),
    )
}

async fn tags_listed(imds: &Server) -> Judged {
    let response = imds.get(&format!("{TREE}tags/")).await?;
    response.has_status_of(&[200, 404])?;
    imds.agrees(TREE, "tags", response.status == 200).await
}

async fn tags_disabled(imds: &Server) -> Judged {
    if imds.get(&format!("{TREE}tags/")).await?.status == 200 {
        return not_applicable("there are tags");
    }
    for path in [TAGS.to_owned(), format!("{TAGS}/")] {
        imds.get(&path).await?.has_status(404)?;
    }
    Ok(())
}

async fn tag_set(imds: &Server) -> Judged {
    let response = imds.if_there(&format!("{TREE}tag-sets/instance")).await?;
    let mut set: BTreeMap<String, String> = match serde_json::from_slice(&response.body) {
        Ok(set) => set,
        Err(_) => return expect(false, "a JSON object of texts", response.told()),
    };
    let keys = match imds.get(&format!("{TAGS}/")).await? {
        listing if listing.status == 200 => listing.lines(),
        _ => Vec::new(),
    };
    for key in keys {
        let value = imds.value(&format!("{TAGS}/{}", escaped(&key))).await?;
        expect(
            set.remove(&key).as_ref() == Some(&value),
            format!("the tag {key} with its value in tag-sets/instance"),
            response.told(),
        )?;
    }
    let others: Vec<String> = set.into_keys().collect();
    expect(
        others.is_empty(),
        "the tags of tags/instance",
        format!("the tags {}, too", others.join(", ")),
    )
}

/// The tag keys, up to the 50 that an instance can have.
async fn tags(imds: &Server) -> Result<Vec<String>, NotPassed> {
    let response = imds.get(&format!("{TAGS}/")).await?;
    match response.lines() {
        keys if response.status == 200 && !keys.is_empty() => {
            Ok(keys.into_iter().take(50).collect())
        }
        _ => not_applicable("there are no tags"),
    }
}

async fn tags_keys(imds: &Server) -> Judged {
    let fit = |letter: char| letter.is_alphanumeric() || "+-=._:,@".contains(letter);
    for key in tags(imds).await? {
        let reserved = [".", "..", "_index"].contains(&key.as_str());
        expect(
            key.chars().all(fit) && !reserved,
            "letters, digits and + - = . _ : , @",
            key,
        )?;
    }
    Ok(())
}

async fn tags_values(imds: &Server) -> Judged {
    for key in tags(imds).await? {
        let response = imds.get(&format!("{TAGS}/{}", escaped(&key))).await?;
        response.has_status(200)?;
    }
    Ok(())
}

async fn user_data(imds: &Server) -> Judged {
    imds.get(USER_DATA).await?.has_status_of(&[200, 404])
}

async fn user_data_listed(imds: &Server) -> Judged {
    let there = imds.get(USER_DATA).await?.status == 200;
    imds.agrees("/latest/", "user-data", there).await
}

async fn user_data_type(imds: &Server) -> Judged {
    let response = imds.if_there(USER_DATA).await?;
    response.has_type("application/octet-stream")
}

async fn user_data_with_slash(imds: &Server) -> Judged {
    let plain = imds.if_there(USER_DATA).await?;
    imds.get("/latest/user-data/").await?.has_body_of(&plain)
}

async fn user_data_size(imds: &Server) -> Judged {
    let bytes = imds.if_there(USER_DATA).await?.body.len();
    expect(bytes <= 16 << 10, "at most 16384 bytes", bytes.to_string())
}
