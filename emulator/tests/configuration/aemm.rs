//! Configuration files of amazon-ec2-metadata-mock.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::config::{Config, HttpTokens, Layers};
use imds_emulator::{Clock, Emulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Every value that AEMM has a key for.
fn values() -> Value {
    json!({
        "ami-id": "ami-0000000000000000a",
        "ami-launch-index": "3",
        "ami-manifest-path": "manifest",
        "block-device-mapping-ami": "/dev/sda",
        "block-device-mapping-ebs": "sdb",
        "block-device-mapping-ephemeral": "sdc",
        "block-device-mapping-root": "/dev/sda1",
        "block-device-mapping-swap": "sdd",
        "elastic-inference-accelerator": { "version": { "type": "eia1.large" } },
        "elastic-inference-associations": "eia-1",
        "event-id": "instance-event-00000000000000001",
        "hostname": "a-host",
        "iam-info": {
            "code": "Success",
            "lastupdated": "2020-04-02T18:50:40Z",
            "instanceprofilearn": "arn:aws:iam::896453262835:instance-profile/mine",
            "instanceprofileid": "AIPA0000000000000000A",
        },
        "iam-security-credentials": {
            "Code": "Success",
            "LastUpdated": "2020-04-02T18:50:40Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": "fixed-key",
            "SecretAccessKey": "fixed-secret",
            "Token": "fixed-token",
            "Expiration": "2030-04-02T00:49:51Z",
        },
        "iam-security-credentials-role": "a-role",
        "instance-action": "none",
        "instance-id": "i-0000000000000000a",
        "instance-life-cycle": "on-demand",
        "instance-type": "m4.xlarge",
        "kernel-id": "aki-0000000a",
        "local-hostname": "a-local-host",
        "local-ipv4": "172.16.34.43",
        "mac": "0e:49:61:0f:c3:99",
        "mac-device-number": "1",
        "mac-ipv4-associations": "192.0.2.54",
        "mac-ipv6-associations": "2001:db8:8:4::2",
        "mac-local-hostname": "the-local-host",
        "mac-local-ipv4s": "172.16.34.43\n172.16.34.44",
        "mac-mac": "0e:49:61:0f:c3:99",
        "mac-network-interface-card-index": "0",
        "mac-network-interface-id": "eni-0000000000000000a",
        "mac-owner-id": "515336597381",
        "mac-public-hostname": "a-public-host",
        "mac-public-ipv4s": "192.0.2.54",
        "mac-security-group-ids": "sg-1",
        "mac-security-groups": "group-1",
        "mac-subnet-id": "subnet-1",
        "mac-subnet-ipv4-cidr-block": "192.0.2.0/24",
        "mac-subnet-ipv6-cidr-blocks": "2001:db8::/32",
        "mac-vpc-id": "vpc-1",
        "mac-vpc-ipv4-cidr-block": "192.0.2.0/24",
        "mac-vpc-ipv4-cidr-blocks": "192.0.2.0/24",
        "mac-vpc-ipv6-cidr-blocks": "2001:db8::/32",
        "placement-availability-zone": "us-west-2b",
        "placement-availability-zone-id": "usw2-az7",
        "placement-group-name": "a-group",
        "placement-host-id": "h-1",
        "placement-partition-number": "2",
        "placement-region": "us-east-9",
        "product-codes": "one\ntwo",
        "public-hostname": "the-public-host",
        "public-ipv4": "192.0.2.54",
        "public-key": "ssh-rsa AAAAB3 a-key",
        "ramdisk-id": "ari-0000000a",
        "reservation-id": "r-0000000000000000a",
        "security-groups": "group-1\ngroup-2",
        "services-domain": "example.com",
        "services-partition": "a-partition",
        "tags-instance-name": "a-name",
        "tags-instance-test": "a-test",
        "target-lifecycle-state": "Standby",
    })
}

fn layers(name: &str, file: &Value) -> Layers {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("aemm-{name}.json"));
    std::fs::write(&path, file.to_string()).unwrap();
    let mut layers = Layers::new();
    layers.aemm_file(&path);
    layers
}

fn config(name: &str, file: &Value) -> Config {
    let layers = layers(name, file);
    assert_eq!(layers.warnings(), [""; 0]);
    layers.config().unwrap()
}

struct Bench(Emulator, Clock);

impl Bench {
    async fn new(mut config: Config) -> Self {
        config.server.port = 0;
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse::<DateTime<Utc>>().unwrap());
        let builder = Emulator::builder().config(config).clock(clock.clone());
        Self(builder.start().await.unwrap(), clock)
    }

    async fn read(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.0.address()).await.unwrap();
        let request = format!("GET /latest/{path} HTTP/1.1\r\nHost: imds\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path).await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn every_value_is_served_where_aemm_serves_it() {
    let mac = "network/interfaces/macs/0e:49:61:0f:c3:99";
    let leaves = [
        ("ami-id", "ami-id"),
        ("ami-launch-index", "ami-launch-index"),
        ("ami-manifest-path", "ami-manifest-path"),
        ("block-device-mapping-ami", "block-device-mapping/ami"),
        ("block-device-mapping-ebs", "block-device-mapping/ebs0"),
        (
            "block-device-mapping-ephemeral",
            "block-device-mapping/ephemeral0",
        ),
        ("block-device-mapping-root", "block-device-mapping/root"),
        ("block-device-mapping-swap", "block-device-mapping/swap"),
        (
            "elastic-inference-associations",
            "elastic-inference/associations/",
        ),
        ("hostname", "hostname"),
        ("iam-security-credentials-role", "iam/security-credentials/"),
        ("instance-action", "instance-action"),
        ("instance-id", "instance-id"),
        ("instance-life-cycle", "instance-life-cycle"),
        ("instance-type", "instance-type"),
        ("kernel-id", "kernel-id"),
        ("local-hostname", "local-hostname"),
        ("local-ipv4", "local-ipv4"),
        ("mac", "mac"),
        ("mac-device-number", &format!("{mac}/device-number")),
        (
            "mac-ipv4-associations",
            &format!("{mac}/ipv4-associations/192.0.2.54"),
        ),
        ("mac-ipv6-associations", &format!("{mac}/ipv6s")),
        ("mac-local-hostname", &format!("{mac}/local-hostname")),
        ("mac-local-ipv4s", &format!("{mac}/local-ipv4s")),
        ("mac-mac", &format!("{mac}/mac")),
        ("mac-network-interface-id", &format!("{mac}/interface-id")),
        ("mac-owner-id", &format!("{mac}/owner-id")),
        ("mac-public-hostname", &format!("{mac}/public-hostname")),
        ("mac-public-ipv4s", &format!("{mac}/public-ipv4s")),
        (
            "mac-security-group-ids",
            &format!("{mac}/security-group-ids"),
        ),
        ("mac-security-groups", &format!("{mac}/security-groups")),
        ("mac-subnet-id", &format!("{mac}/subnet-id")),
        (
            "mac-subnet-ipv4-cidr-block",
            &format!("{mac}/subnet-ipv4-cidr-block"),
        ),
        (
            "mac-subnet-ipv6-cidr-blocks",
            &format!("{mac}/subnet-ipv6-cidr-blocks"),
        ),
        ("mac-vpc-id", &format!("{mac}/vpc-id")),
        (
            "mac-vpc-ipv4-cidr-block",
            &format!("{mac}/vpc-ipv4-cidr-block"),
        ),
        (
            "mac-vpc-ipv4-cidr-blocks",
            &format!("{mac}/vpc-ipv4-cidr-blocks"),
        ),
        (
            "mac-vpc-ipv6-cidr-blocks",
            &format!("{mac}/vpc-ipv6-cidr-blocks"),
        ),
        ("placement-availability-zone", "placement/availability-zone"),
        (
            "placement-availability-zone-id",
            "placement/availability-zone-id",
        ),
        ("placement-group-name", "placement/group-name"),
        ("placement-host-id", "placement/host-id"),
        ("placement-partition-number", "placement/partition-number"),
        ("placement-region", "placement/region"),
        ("product-codes", "product-codes"),
        ("public-hostname", "public-hostname"),
        ("public-ipv4", "public-ipv4"),
        ("public-key", "public-keys/0/openssh-key"),
        ("ramdisk-id", "ramdisk-id"),
        ("reservation-id", "reservation-id"),
        ("security-groups", "security-groups"),
        ("services-domain", "services/domain"),
        ("services-partition", "services/partition"),
        ("tags-instance-name", "tags/instance/Name"),
        ("tags-instance-test", "tags/instance/Test"),
        (
            "target-lifecycle-state",
            "autoscaling/target-lifecycle-state",
        ),
    ];
    // A file that AEMM saved has the usual paths as well.
    let mut paths: serde_json::Map<String, Value> = leaves
        .iter()
        .map(|(key, path)| (*key, path.trim_end_matches('/')))
        .chain([
            ("events", "events/maintenance/scheduled"),
            ("iam-info", "iam/info"),
            (
                "iam-security-credentials",
                "iam/security-credentials/a-role",
            ),
            ("rebalance-rec-time", "events/recommendations/rebalance"),
            ("spot", "spot/instance-action"),
            ("spot-termination-time", "spot/termination-time"),
        ])
        .map(|(key, path)| (key.to_owned(), format!("/latest/meta-data/{path}").into()))
        .collect();
    let accelerator = "/latest/meta-data/elastic-inference/associations/eia-1";
    paths.insert("elastic-inference-accelerator".into(), accelerator.into());
    let file = json!({ "metadata": { "values": values(), "paths": paths } });
    let bench = Bench::new(config("values", &file)).await;
    for (key, path) in leaves {
        let served = bench.read(&format!("meta-data/{path}")).await;
        let served = served.unwrap_or_else(|| panic!("{path} is not served"));
        assert_eq!(served.trim_end_matches('\n'), values()[key], "{key}");
    }
    // What is derived follows from the values.
    let document = bench.json("dynamic/instance-identity/document").await;
    for (field, value) in [
        ("instanceId", "i-0000000000000000a"),
        ("imageId", "ami-0000000000000000a"),
        ("accountId", "515336597381"),
        ("privateIp", "172.16.34.43"),
        ("region", "us-west-2"),
    ] {
        assert_eq!(document[field], value);
    }
    let accelerator = bench
        .json("meta-data/elastic-inference/associations/eia-1")
        .await;
    assert_eq!(accelerator["version"]["type"], "eia1.large");
    assert_eq!(
        bench.read("meta-data/iam/info").await.unwrap(),
        r#"{
  "Code" : "Success",
  "LastUpdated" : "2020-04-02T18:50:40Z",
  "InstanceProfileArn" : "arn:aws:iam::896453262835:instance-profile/mine",
  "InstanceProfileId" : "AIPA0000000000000000A"
}"#
    );
    let credentials = bench
        .json("meta-data/iam/security-credentials/a-role")
        .await;
    assert_eq!(credentials, values()["iam-security-credentials"]);
    assert!(bench.read("meta-data/spot/instance-action").await.is_none());
}

#[tokio::test]
async fn fixed_keys_keep_rolling_expirations() {
    let file = json!({ "metadata": { "values": { "iam-security-credentials": {
        "AccessKeyId": "test", "SecretAccessKey": "secret",
    } } } });
    let bench = Bench::new(config("keys", &file)).await;
    const ROLE: &str = "meta-data/iam/security-credentials/emulated-role";
    let first = bench.json(ROLE).await;
    bench.1.advance(TimeDelta::hours(2)).unwrap();
    let later = bench.json(ROLE).await;
    for document in [&first, &later] {
        assert_eq!(document["AccessKeyId"], "test");
        assert_eq!(document["SecretAccessKey"], "secret");
    }
    assert!(first["Expiration"].as_str() < later["Expiration"].as_str());
}

#[tokio::test]
async fn paths_move_values() {
    let file = json!({ "metadata": {
        "values": { "mac": "0a:00:00:00:00:01", "ami-id": "ami-0000000a", "hostname": "a-host" },
        "paths": {
            "ami-id": "/latest/meta-data/ami-id",
            "hostname": "/latest/meta-data/elsewhere/hostname",
            "mac-local-ipv4s": "/latest/meta-data/network/interfaces/macs/0a:00:00:00:00:01/local-ipv4s",
            "spot": "/latest/meta-data/spot/instance-action",
            "userdata": "/latest/user-data",
        },
    } });
    let warnings = layers("paths", &file).warnings().join("\n");
    assert_eq!(warnings, "");
    let bench = Bench::new(config("paths", &file)).await;
    assert_eq!(
        bench.read("meta-data/ami-id").await.unwrap(),
        "ami-0000000a"
    );
    assert_eq!(
        bench.read("meta-data/elsewhere/hostname").await.unwrap(),
        "a-host"
    );
    assert_eq!(bench.read("meta-data/hostname").await, None);
    let file = json!({ "metadata": { "paths": {
        "instance-id": "/latest/meta-data/elsewhere/id",
        "spot": "/latest/meta-data/elsewhere/spot",
        "userdata": "/latest/elsewhere",
    } } });
    let layers = layers("paths-alone", &file);
    layers.config().unwrap();
    let warnings = layers.warnings().join("\n");
    for part in [
        "aemm-paths-alone.json: metadata.paths.instance-id: has no effect, because the file does not set the value",
        "aemm-paths-alone.json: metadata.paths.spot: has no effect",
        "aemm-paths-alone.json: metadata.paths.userdata: has no effect: the path is always the one of IMDS",
    ] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
}

#[tokio::test]
async fn events_are_announced_when_aemm_announces_them() {
    let file = json!({
        "mock-delay-sec": 60,
        "rebalance-delay-sec": 30,
        "asg-termination-delay-sec": 90,
        "spot": { "action": "stop", "time": "2026-01-02T03:10:00Z" },
        "events": {
            "code": "instance-stop",
            "state": "active",
            "not-before": "2026-01-03T00:00:00Z",
            "not-after": "2026-01-04T00:00:00Z",
        },
        "metadata": { "values": {
            "event-id": "instance-event-7",
            "instance-life-cycle": "on-demand",
        } },
    });
    let bench = Bench::new(config("events", &file)).await;
    const SCHEDULED: &str = "meta-data/events/maintenance/scheduled";
    const STATE: &str = "meta-data/autoscaling/target-lifecycle-state";
    const REBALANCE: &str = "meta-data/events/recommendations/rebalance";
    assert_eq!(bench.read("meta-data/spot/instance-action").await, None);
    assert_eq!(bench.read(SCHEDULED).await.unwrap(), "[]");
    assert_eq!(bench.read(REBALANCE).await, None);
    assert_eq!(bench.read(STATE).await.unwrap(), "InService");
    bench.1.advance(TimeDelta::seconds(30)).unwrap();
    assert_eq!(
        bench.json(REBALANCE).await["noticeTime"],
        "2026-01-02T03:04:35Z"
    );
    bench.1.advance(TimeDelta::seconds(30)).unwrap();
    let notice = bench.json("meta-data/spot/instance-action").await;
    assert_eq!(
        notice,
        json!({ "action": "stop", "time": "2026-01-02T03:10:00Z" })
    );
    let event = &bench.json(SCHEDULED).await[0];
    assert_eq!(event["Code"], "instance-stop");
    assert_eq!(event["EventId"], "instance-event-7");
    assert_eq!(event["NotBefore"], "3 Jan 2026 00:00:00 GMT");
    assert_eq!(event["NotAfter"], "4 Jan 2026 00:00:00 GMT");
    assert_eq!(
        bench.read("meta-data/instance-life-cycle").await.unwrap(),
        "on-demand"
    );
    bench.1.advance(TimeDelta::seconds(30)).unwrap();
    let mut state = bench.read(STATE).await;
    for _ in 0..100 {
        if state.as_deref() == Some("Terminated") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        state = bench.read(STATE).await;
    }
    assert_eq!(state.unwrap(), "Terminated");

    // The names of older versions, and times in place of delays.
    let file = json!({
        "mock-delay-sec": 5,
        "mock-trigger-time": "2026-01-02T03:05:05Z",
        "spot-itn": { "instance-action": "terminate", "time": "2026-01-07T01:03:47Z" },
        "events": {},
    });
    let config = config("older", &file);
    let bench = Bench::new(config).await;
    assert_eq!(bench.read("meta-data/spot/instance-action").await, None);
    bench.1.advance(TimeDelta::seconds(60)).unwrap();
    assert_eq!(
        bench.read("meta-data/spot/termination-time").await.unwrap(),
        "2026-01-07T01:03:47Z"
    );
    let event = &bench.json(SCHEDULED).await[0];
    assert_eq!(event["Code"], "system-reboot");
    assert_eq!(event["NotBefore"], "2 Jan 2026 03:04:05 GMT");
    assert_eq!(event["NotAfter"], "9 Jan 2026 03:04:05 GMT");
}

#[tokio::test]
async fn empty_texts_count_as_not_set() {
    let file = json!({
        "mock-delay-sec": 60,
        "mock-trigger-time": "",
        "rebalance-delay-sec": 30,
        "rebalance-trigger-time": null,
        "spot": { "action": "terminate", "time": "", "rebalance-rec-time": "" },
        "events": { "code": "", "not-before": "", "not-after": "", "state": "" },
        "metadata": { "values": { "userdata": "", "instance-id": "" } },
        "userdata": { "values": { "userdata": "" } },
    });
    let bench = Bench::new(config("empty", &file)).await;
    bench.1.advance(TimeDelta::seconds(59)).unwrap();
    const TIME: &str = "meta-data/spot/termination-time";
    const SCHEDULED: &str = "meta-data/events/maintenance/scheduled";
    assert_eq!(bench.read(TIME).await, None);
    assert_eq!(bench.read(SCHEDULED).await.unwrap(), "[]");
    let notice = bench
        .json("meta-data/events/recommendations/rebalance")
        .await;
    assert_eq!(notice["noticeTime"], "2026-01-02T03:04:35Z");
    bench.1.advance(TimeDelta::seconds(1)).unwrap();
    // Two minutes after the announcement, and so it stays.
    assert_eq!(bench.read(TIME).await.unwrap(), "2026-01-02T03:07:05Z");
    let event = &bench.json(SCHEDULED).await[0];
    assert_eq!(event["Code"], "system-reboot");
    assert_eq!(event["State"], "active");
    assert_eq!(event["NotBefore"], "2 Jan 2026 03:04:05 GMT");
    assert_eq!(event["NotAfter"], "9 Jan 2026 03:04:05 GMT");
    bench.1.advance(TimeDelta::seconds(30)).unwrap();
    assert_eq!(bench.read(TIME).await.unwrap(), "2026-01-02T03:07:05Z");
    assert_eq!(bench.read("user-data").await, None);
}

#[tokio::test]
async fn dynamic_data_and_user_data() {
    let file = json!({
        "dynamic": {
            "values": {
                "fws-instance-monitoring": "enabled",
                "instance-identity-document": {
                    "accountid": "0123456789", "imageId": "ami-1", "privateIp": null,
                    "billingProducts": ["a", "b"],
                },
                "instance-identity-pkcs": "a pkcs7",
                "instance-identity-signature": "a signature",
            },
            "paths": {
                "fws-instance-monitoring": "/latest/dynamic/fws/instance-monitoring",
            },
        },
        "userdata": {
            "values": { "userdata": "MTIzNA==" },
            "paths": { "userdata": "/latest/user-data" },
        },
    });
    let config = config("dynamic", &file);
    assert!(config.instance.detailed_monitoring);
    let bench = Bench::new(config).await;
    for (path, value) in [
        ("user-data", "1234"),
        ("dynamic/fws/instance-monitoring", "enabled"),
        ("dynamic/instance-identity/pkcs7", "a pkcs7"),
        ("dynamic/instance-identity/signature", "a signature"),
        (
            "dynamic/instance-identity/document",
            "{\n  \"accountId\" : \"0123456789\",\n  \"billingProducts\" : [\"a\",\"b\"],\n  \"imageId\" : \"ami-1\",\n  \"privateIp\" : null\n}",
        ),
    ] {
        assert_eq!(bench.read(path).await.unwrap(), value, "{path}");
    }
}

#[test]
fn the_server_and_imdsv2() {
    let config_of = |file: Value| config("server", &file);
    let default = config_of(json!({ "config-file": "/x", "save-config-to-file": false }));
    assert_eq!(default.metadata_options.http_tokens, HttpTokens::Optional);
    assert!(default.events.spot_interruption.is_none());
    assert!(default.events.maintenance.is_empty());
    assert_eq!(default.server.port, 1338);
    let set = config_of(json!({
        "imdsv2": true, "server": { "hostname": "0.0.0.0", "port": "1550" },
    }));
    assert_eq!(set.metadata_options.http_tokens, HttpTokens::Required);
    assert_eq!(
        set.server.hosts,
        ["0.0.0.0".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(set.server.port, 1550);
    let local = config_of(json!({ "server": { "hostname": "localhost" } }));
    assert_eq!(
        local.server.hosts,
        ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]
    );
    let region = config_of(json!({ "metadata": { "values": {
        "placement-region": "eu-west-1",
    } } }));
    assert_eq!(region.instance.placement.region(), "eu-west-1");
}

#[test]
fn keys_without_effect_are_named() {
    let file = json!({
        "imdsv3": true,
        "mock-ip-count": 2,
        "save-config-to-file": true,
        "watch-config-file": true,
        "asg-termination-trigger-time": "2026-01-02T03:04:05Z",
        "spot": { "acton": "stop" },
        "events": { "not-before-deadline": "2026-01-02T03:04:05Z" },
        "metadata": {
            "values": { "instance-typ": "x", "iam-info": { "Cod": "x" }, "userdata": "MTIzNA==" },
            "value": {},
        },
        "userdata": { "paths": { "userdata": "/latest/elsewhere" } },
    });
    let layers = layers("warnings", &file);
    layers.config().unwrap();
    let warnings = layers.warnings();
    for part in [
        "imdsv3: this key is not known and has no effect; did you mean `imdsv2`?",
        "mock-ip-count: events are announced to all clients",
        "save-config-to-file: has no effect",
        "watch-config-file: has no effect",
        "asg-termination-trigger-time: has no effect",
        "spot.acton: this key is not known and has no effect; did you mean `action`?",
        "events.not-before-deadline: has no effect",
        "metadata.values.instance-typ: this key is not known and has no effect; did you mean `instance-type`?",
        "metadata.values.iam-info.cod: this key is not known and has no effect; did you mean `Code`?",
        "metadata.values.userdata: has no effect, as in AEMM; the key for user data is userdata.values.userdata",
        "metadata.value: this key is not known and has no effect; did you mean `values`?",
        "userdata.paths.userdata: user data is always at /latest/user-data",
    ] {
        let found = warnings.iter().any(|warning| {
            warning.contains("aemm-warnings.json: ") && warning.contains(&format!(": {part}"))
        });
        assert!(found, "{part} in {warnings:#?}");
    }
    assert_eq!(warnings.len(), 12, "{warnings:#?}");
}

#[test]
fn values_that_are_not_accepted_are_named_by_their_keys() {
    let file = json!({
        "imdsv2": "yes",
        "server": { "hostname": "a.host", "port": "x" },
        "mock-delay-sec": "soon",
        "spot": { "action": "explode" },
        "metadata": { "values": {
            "ami-id": "ami", "mac": "FOO", "instance-type": ["x"], "ami-launch-index": "x",
        } },
        "dynamic": 7,
    });
    let error = layers("wrong", &file).config().unwrap_err().to_string();
    for part in [
        "aemm-wrong.json: imdsv2: \"yes\" is not accepted; accepted: true or false",
        "aemm-wrong.json: server.hostname: server.hosts[0]: \"a.host\" is not accepted",
        "aemm-wrong.json: server.port: server.port: ",
        "aemm-wrong.json: mock-delay-sec: events.spot-interruption.announced: \"+soons\" is not",
        "aemm-wrong.json: spot.action: events.spot-interruption.action: unknown variant `explode`",
        "aemm-wrong.json: metadata.values.ami-id: instance.image-id: \"ami\" is not accepted",
        "aemm-wrong.json: metadata.values.mac: instance.network-interfaces[0].mac: \"FOO\"",
        "aemm-wrong.json: metadata.values.instance-type: [\"x\"] is not accepted; accepted: a text",
        "aemm-wrong.json: metadata.values.ami-launch-index: instance.ami-launch-index: ",
        "aemm-wrong.json: dynamic: 7 is not accepted; accepted: an object",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let list = layers("list", &json!([])).config().unwrap_err().to_string();
    assert!(list.contains("aemm-list.json: not a JSON object"), "{list}");
}
