//! `[I34]`, `[I35]` and `[I37]` to `[I43]`: the categories and their values, which follow from one model
//! of the instance. [`full`](crate::full) has the instance that has them all, and their values.

use std::collections::BTreeMap;

use imds_emulator::LEAVES;
use imds_emulator::config::Switch;

use crate::bench::{Bench, OK};
use crate::full::{FULL, VALUES};

/// An instance that has as little as possible.
const IPV6_ONLY: &str = r#"
[instance]
iam = false
[instance.vpc]
id = "vpc-00000001"
ipv4-cidr-blocks = []
ipv6-cidr-blocks = ["2001:db8::/56"]
[[instance.network-interfaces]]
mac = "0a:00:00:00:00:01"
interface-id = "eni-00000001"
private-ipv4s = []
ipv6s = ["2001:db8::5"]
public-ipv4s = {}
security-groups = {}
subnet = { id = "subnet-00000001", ipv6-cidr-blocks = ["2001:db8::/64"] }
"#;

/// All values below a folder, found as crawlers find them: by following listings.
async fn crawl(bench: &Bench, folder: &str) -> BTreeMap<String, String> {
    let token = bench.token("60").await.body;
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = bench.get(&folder, &token).await;
        assert_eq!(listing.status, OK, "{folder}");
        for name in listing.body.lines() {
            // [I37]
            let name = match name.split_once('=') {
                Some((number, _)) => format!("{number}/"),
                None => name.to_owned(),
            };
            let path = format!("{folder}{name}");
            if name.ends_with('/') {
                folders.push(path);
                continue;
            }
            let leaf = bench.get(&path, &token).await;
            assert_eq!(leaf.status, OK, "{path}");
            found.insert(path, leaf.body);
        }
    }
    found
}

#[tokio::test]
async fn rules_35_and_37_to_43_every_category_follows_from_the_instance() {
    let bench = Bench::configured(FULL).await;
    let folder = "/latest/meta-data/";
    let mut found = String::from("\n");
    for (path, value) in crawl(&bench, folder).await {
        let path = path.strip_prefix(folder).unwrap();
        // Documents have tests of their own.
        if value.starts_with(['{', '<']) {
            continue;
        }
        found.push_str(&format!("{path}: {}\n", value.replace('\n', "|")));
    }
    assert_eq!(found, VALUES);
}

/// The rule book has the categories as a list, so that its page is printed without the emulator.
/// `cargo xtask bless rules` rewrites both.
#[test]
fn rule_40_lists_the_table_of_leaves() {
    const BEGIN: &str = "\npaths = [\n";
    const END: &str = "]\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.toml");
    let book = std::fs::read_to_string(file).unwrap();
    let (before, rest) = book.split_once("id = \"I40\"\n").unwrap();
    let (statement, rest) = rest.split_once(BEGIN).unwrap();
    let (paths, after) = rest.split_once(END).unwrap();
    let mut expected: Vec<String> = LEAVES
        .iter()
        .map(|leaf| leaf.path().into_owned())
        // Not among the categories: user data [I43], and what AWS does not document [I52].
        .filter(|path| path != "user-data" && !path.contains("-extended/"))
        .map(|path| format!("  {path:?},\n"))
        .collect();
    expected.sort_unstable();
    let expected = expected.concat();
    if std::env::var_os("BLESS").is_some() {
        let book = [
            before,
            "id = \"I40\"\n",
            statement,
            BEGIN,
            &expected,
            END,
            after,
        ]
        .concat();
        return std::fs::write(file, book).unwrap();
    }
    assert_eq!(
        paths, expected,
        "rewrite the list with `cargo xtask bless rules`"
    );
}

#[tokio::test]
async fn rule_40_every_instance_has_what_the_table_says() {
    for configuration in ["", IPV6_ONLY] {
        let bench = Bench::configured(configuration).await;
        for leaf in LEAVES.iter().filter(|leaf| leaf.is_on_every_instance()) {
            let path = leaf
                .path()
                .replace("<mac>", &bench.value("meta-data/mac").await);
            assert!(bench.has(&path).await, "{path}");
            let folder = path.rsplit_once('/').unwrap().0;
            let listing = bench.value(&format!("{folder}/")).await;
            let is_listed = listing
                .lines()
                .any(|name| path == format!("{folder}/{name}"));
            assert!(is_listed, "{path} in {listing}");
        }
    }
}

#[tokio::test]
async fn rule_40_documents_are_where_they_belong() {
    let bench = Bench::configured(FULL).await;
    let documents: Vec<String> = crawl(&bench, "/latest/meta-data/")
        .await
        .into_iter()
        .filter(|(_, value)| value.starts_with(['{', '<']))
        .map(|(path, _)| path.replace("/latest/meta-data/", ""))
        .collect();
    assert_eq!(
        documents,
        [
            "events/recommendations/rebalance",
            "iam/info",
            "iam/security-credentials-extended/worker",
            "iam/security-credentials/worker",
            "identity-credentials/ec2/info",
            "identity-credentials/ec2/security-credentials/ec2-instance",
            "metrics/vhostmd",
            "spot/instance-action",
            "tag-sets/instance",
        ]
    );
    assert_eq!(
        bench.value("dynamic/fws/instance-monitoring").await,
        "enabled"
    );
}

#[tokio::test]
async fn rule_34_everything_is_plain_text_but_user_data() {
    let bench = Bench::configured(FULL).await;
    for path in [
        "meta-data/",
        "meta-data/ami-id",
        "meta-data/iam/info",
        "dynamic/instance-identity/document",
    ] {
        let response = bench.read(&format!("/latest/{path}")).await;
        assert_eq!(
            response.header("content-type"),
            Some("text/plain"),
            "{path}"
        );
    }
    let head = format!(
        "GET /latest/user-data HTTP/1.1\nX-aws-ec2-metadata-token: {}",
        bench.token("60").await.body
    );
    let head = crate::bench::request(&head);
    let response = crate::bench::send_bytes(bench.imds.address(), head.as_bytes()).await;
    let text = String::from_utf8_lossy(&response);
    assert!(text.contains("Content-Type: application/octet-stream\r\n"));
    assert!(
        response.ends_with(b"\r\n\r\n\x1f\x8b\x08\0\0\0\xff\xff"),
        "[I43]: the bytes, decoded"
    );
}

#[tokio::test]
async fn rule_35_what_the_instance_does_not_have_is_not_there_and_not_listed() {
    let bench = Bench::configured(IPV6_ONLY).await;
    let listing = bench.value("meta-data/").await;
    for name in [
        "ancestor-ami-ids",
        "autoscaling",
        "iam",
        "kernel-id",
        "local-ipv4",
        "product-codes",
        "public-hostname",
        "public-ipv4",
        "public-keys",
        "ramdisk-id",
        "security-groups",
        "spot",
    ] {
        assert!(!bench.has(&format!("meta-data/{name}")).await, "{name}");
        assert!(
            !listing
                .lines()
                .any(|line| line.trim_end_matches('/') == name),
            "{name}"
        );
    }
    assert!(!bench.has("user-data").await);
    assert_eq!(bench.value("meta-data/ipv6").await, "2001:db8::5");
    let document = bench.value("dynamic/instance-identity/document").await;
    assert!(document.contains("\"privateIp\" : null"));
}

#[tokio::test]
async fn rule_37_public_keys_are_listed_by_number_and_name() {
    let bench = Bench::configured(FULL).await;
    assert_eq!(
        bench.value("meta-data/public-keys/").await,
        "0=mine\n1=yours"
    );
    assert_eq!(bench.value("meta-data/public-keys/1/").await, "openssh-key");
    assert!(!bench.has("meta-data/public-keys/0=mine").await);
    assert_eq!(
        bench.value("meta-data/public-keys/1/openssh-key").await,
        "ssh-rsa AAAAB3Nza yours\n"
    );
}

#[tokio::test]
async fn rule_40_a_network_card_is_named_where_there_are_several() {
    let card = async |bench: &Bench, interface: u8| {
        let folder = format!("meta-data/network/interfaces/macs/0a:00:00:00:00:0{interface}/");
        let is_listed = bench.value(&folder).await.contains("network-card");
        let path = format!("{folder}network-card");
        assert_eq!(bench.has(&path).await, is_listed);
        assert!(!bench.has(&format!("{path}-index")).await, "no such name");
        match is_listed {
            true => Some(bench.value(&path).await),
            false => None,
        }
    };
    let bench = Bench::configured(FULL).await;
    assert_eq!(card(&bench, 1).await.as_deref(), Some("0"));
    assert_eq!(card(&bench, 2).await.as_deref(), Some("1"));
    let set = |cards: [Option<u32>; 2]| {
        let change = bench.imds.change(|config| {
            let interfaces = &mut config.instance.network_interfaces;
            for (interface, card) in interfaces.iter_mut().zip(cards) {
                interface.network_card_index = card;
            }
        });
        change.unwrap();
    };
    set([None, Some(1)]);
    assert_eq!(card(&bench, 1).await.as_deref(), Some("0"), "the default");
    set([None, None]);
    assert_eq!(card(&bench, 1).await, None);
    assert_eq!(card(&bench, 2).await, None);
}

#[tokio::test]
async fn rules_40_and_42_monitoring_is_named_where_it_is_detailed() {
    let bench = Bench::new().await;
    assert_eq!(bench.value("dynamic/").await, "instance-identity/");
    assert!(!bench.has("dynamic/fws/").await);
    bench
        .imds
        .change(|config| config.instance.detailed_monitoring = true)
        .unwrap();
    assert_eq!(bench.value("dynamic/").await, "fws/\ninstance-identity/");
    assert_eq!(
        bench.value("dynamic/fws/instance-monitoring").await,
        "enabled"
    );
}

#[tokio::test]
async fn rule_39_names_are_listed_in_alphabetical_order() {
    let bench = Bench::new().await;
    let folder = "dynamic/instance-identity/";
    assert_eq!(
        bench.value(folder).await,
        "document\npkcs7\nrsa2048\nsignature"
    );
    assert!(!bench.has(&format!("{folder}dsa2048")).await);
    bench
        .imds
        .change(|config| config.instance.signatures.dsa2048 = true)
        .unwrap();
    assert_eq!(
        bench.value(folder).await,
        "document\ndsa2048\npkcs7\nrsa2048\nsignature"
    );
    let listing = bench.value("meta-data/").await;
    let names: Vec<&str> = listing
        .lines()
        .map(|name| name.trim_end_matches('/'))
        .collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[tokio::test]
async fn what_is_changed_shows_everywhere_at_once() {
    let bench = Bench::new().await;
    bench
        .imds
        .change(|config| {
            config.instance.placement.availability_zone = "ap-south-1c".into();
            config.metadata_options.instance_metadata_tags = Switch::Enabled;
            config.instance.tags.insert("new".into(), "tag".into());
        })
        .unwrap();
    assert_eq!(
        bench.value("meta-data/placement/region").await,
        "ap-south-1"
    );
    assert_eq!(
        bench.value("meta-data/hostname").await,
        "ip-172-31-16-10.ap-south-1.compute.internal"
    );
    assert_eq!(bench.value("meta-data/tags/instance/new").await, "tag");
    let document = bench
        .read("/latest/dynamic/instance-identity/document")
        .await;
    assert_eq!(document.json()["region"], "ap-south-1");
    assert_eq!(document.json()["availabilityZone"], "ap-south-1c");
}
