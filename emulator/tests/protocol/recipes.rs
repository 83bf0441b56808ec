//! `docs/recipes.md`: its examples do what the page says.

use chrono::{DateTime, Utc};

use crate::bench::{Bench, FORBIDDEN, LIST, NOT_FOUND, OK, UNAUTHORIZED};

/// The example below a heading of the page.
fn example(heading: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, rest) = section.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

const MACS: &str = "meta-data/network/interfaces/macs/";

#[tokio::test]
async fn an_attached_interface_lacks_a_value_at_first() {
    let example = example("An interface is attached while the instance runs");
    let bench = Bench::configured(&example).await;
    assert_eq!(bench.value(MACS).await, "0e:49:61:0f:c3:11/");
    bench.pass(60);
    assert_eq!(
        bench.value(MACS).await,
        "0e:49:61:0f:c3:11/\n0e:49:61:0f:c3:12/"
    );
    let block = format!("{MACS}0e:49:61:0f:c3:12/subnet-ipv4-cidr-block");
    assert!(!bench.has(&block).await);
    let of_first = block.replace("c3:12", "c3:11");
    assert_eq!(bench.value(&of_first).await, "10.0.0.0/20");
    bench.pass(5);
    assert_eq!(bench.value(&block).await, "10.0.0.0/20");
}

#[tokio::test]
async fn rule_69_block_devices_change_when_the_configuration_does() {
    let example = example("A volume is attached while the instance runs");
    let bench = Bench::configured(&example).await;
    let folder = "meta-data/block-device-mapping/";
    assert_eq!(bench.value(folder).await, "ami\nebs1\nroot");
    bench
        .imds
        .take_step("the instance is stopped and started")
        .unwrap();
    assert_eq!(bench.value(folder).await, "ami\nebs1\nebs2\nroot");
}

#[tokio::test]
async fn credentials_can_live_for_fifteen_minutes() {
    let example = example("Credentials for fifteen minutes");
    let bench = Bench::configured(&example).await;
    let keys = async || {
        let path = "/latest/meta-data/iam/security-credentials/emulated-role";
        let document = bench.read(path).await.json();
        let expiration = document["Expiration"].as_str().unwrap();
        let expiration: DateTime<Utc> = expiration.parse().unwrap();
        let left = (expiration - bench.clock.now()).num_minutes();
        (document["AccessKeyId"].as_str().unwrap().to_owned(), left)
    };
    let (first, left) = keys().await;
    assert_eq!(left, 15);
    bench.pass(9 * 60);
    assert_eq!(keys().await, (first.clone(), 6));
    bench.pass(60);
    let (second, left) = keys().await;
    assert_ne!(first, second);
    assert_eq!(left, 15);
}

#[tokio::test]
async fn rule_40_an_interface_for_an_elastic_fabric_adapter_has_no_addresses() {
    let example = example("An interface for an Elastic Fabric Adapter only");
    let bench = Bench::configured(&example).await;
    let folder = format!("{MACS}0e:49:61:0f:c3:12/");
    // The listing of an instance, from amazon-vpc-cni-k8s #3047.
    assert_eq!(
        bench.value(&folder).await,
        "device-number\ninterface-id\nlocal-hostname\nmac\nnetwork-card\nowner-id\n\
         security-group-ids\nsecurity-groups\nsubnet-id\nsubnet-ipv4-cidr-block\nvpc-id\n\
         vpc-ipv4-cidr-block\nvpc-ipv4-cidr-blocks"
    );
    for name in ["local-ipv4s", "ipv6s", "public-ipv4s"] {
        let response = bench.read(&format!("/latest/{folder}{name}")).await;
        assert_eq!(response.status, NOT_FOUND, "{name}");
    }
    assert_eq!(bench.value(&format!("{folder}network-card")).await, "1");
}

#[tokio::test]
async fn rules_59_and_67_an_instance_without_ipv4() {
    let bench = Bench::configured(&example("An instance without IPv4")).await;
    for name in ["local-ipv4", "public-ipv4", "public-hostname"] {
        assert!(!bench.has(&format!("meta-data/{name}")).await, "{name}");
    }
    assert_eq!(
        bench.value("meta-data/local-hostname").await,
        "i-0a1b2c3d4e5f67890.ec2.internal"
    );
    assert_eq!(bench.value("meta-data/ipv6").await, "2001:db8::5");
    let document = bench
        .read("/latest/dynamic/instance-identity/document")
        .await;
    assert!(document.json()["privateIp"].is_null());
}

#[tokio::test]
async fn tokens_are_rejected_in_the_first_seconds() {
    let bench = Bench::configured(&example("The first seconds after boot")).await;
    assert_eq!(bench.read(LIST).await.status, UNAUTHORIZED);
    bench.pass(9);
    assert_eq!(bench.read(LIST).await.status, UNAUTHORIZED);
    bench.pass(1);
    assert_eq!(bench.read(LIST).await.status, OK);
}

#[tokio::test]
async fn a_proxy_lists_an_arn_and_issues_no_tokens() {
    let example = example("A proxy that gives credentials to pods: kube2iam");
    let bench = Bench::configured(&example).await;
    assert_eq!(bench.token("60").await.status, FORBIDDEN);
    let bare = async |bench: &Bench, path: &str| bench.ask(&format!("GET {path} HTTP/1.1")).await;
    let list = bare(&bench, LIST).await;
    assert_eq!(list.status, OK);
    assert_eq!(list.body, "arn:aws:iam::123456789012:role/app");
    let document = format!("{LIST}{}", list.body);
    let found = bare(&bench, &document).await;
    assert_eq!(found.status, OK);
    assert_eq!(found.json()["AccessKeyId"], "ASIAIOSFODNN7EXAMPLE");

    let (faults, _) = example.split_once("[data]").unwrap();
    let bench = Bench::configured(faults).await;
    assert_eq!(bare(&bench, LIST).await.body, list.body);
    assert_eq!(bare(&bench, &document).await.status, NOT_FOUND);
}

#[tokio::test]
async fn another_cloud_answers_400() {
    let example = example("A machine of another cloud: Azure");
    let bench = Bench::configured(&example).await;
    for response in [
        bench.token("60").await,
        bench.ask(&format!("GET {LIST} HTTP/1.1")).await,
    ] {
        assert_eq!(response.status, "HTTP/1.1 400 Bad Request");
        assert_eq!(response.header("server"), Some("Microsoft-IIS/10.0"));
        assert!(
            response
                .body
                .contains("Required metadata header not specified")
        );
    }
}
