//! `[I44]` to `[I53]`: the role and its credentials.

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::config::Span;
use serde_json::Value;

use crate::bench::{Bench, LIST, began};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/the-role";

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn is_base64(text: &Value) -> bool {
    text.as_str()
        .unwrap()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[tokio::test]
async fn rules_44_and_45_the_instance_profile() {
    let bench = Bench::with(|config| config.server.seed = Some("golden".into())).await;
    assert_eq!(
        bench.value("meta-data/iam/info").await,
        r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-01-02T03:02:38Z",
  "InstanceProfileArn" : "arn:aws:iam::123456789012:instance-profile/the-role",
  "InstanceProfileId" : "AIPAEMULATED234567ABC"
}"#
    );
    bench
        .imds
        .change(|config| {
            config.instance.placement.availability_zone = "cn-north-1a".into();
            let iam = config.instance.iam.as_mut().unwrap();
            iam.instance_profile = Some("another".into());
        })
        .unwrap();
    let info = bench.read("/latest/meta-data/iam/info").await.json();
    assert_eq!(
        info["InstanceProfileArn"],
        "arn:aws-cn:iam::123456789012:instance-profile/another"
    );
    bench
        .imds
        .change(|config| {
            let iam = config.instance.iam.as_mut().unwrap();
            iam.info_code = "InstanceProfileNotFound".into();
        })
        .unwrap();
    assert_eq!(
        bench.value("meta-data/iam/info").await,
        r#"{
  "Code" : "InstanceProfileNotFound",
  "Message" : "Instance Profile with Id AIPAEMULATED234567ABC cannot be found.  Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc.",
  "LastUpdated" : "2026-01-02T03:02:38Z"
}"#
    );
    let bench = Bench::configured("[instance.iam]\nrole = false\ninstance-profile = 'empty'").await;
    let info = bench.read("/latest/meta-data/iam/info").await.json();
    assert_eq!(info["Code"], "Success");
    let message = info["Message"].as_str().unwrap();
    assert!(message.starts_with("Instance Profile does not contain a role"));
    assert_eq!(bench.value("meta-data/iam/").await, "info");
}

#[tokio::test]
async fn rules_35_and_46_without_a_profile_there_is_no_iam() {
    let bench = Bench::with(|config| config.instance.iam = None).await;
    for path in ["iam", "iam/", "iam/info", "iam/security-credentials/"] {
        assert!(!bench.has(&format!("meta-data/{path}")).await, "{path}");
    }
    assert!(!bench.value("meta-data/").await.contains("iam"));
    assert!(
        bench.has("meta-data/identity-credentials/ec2/info").await,
        "[I53]"
    );
}

#[tokio::test]
async fn rules_46_and_47_a_role_and_its_credentials() {
    let bench = Bench::new().await;
    assert_eq!(bench.read(LIST).await.body, "the-role");
    let response = bench.read(ROLE).await;
    assert_eq!(response.header("content-type"), Some("text/plain"));
    let names: Vec<&str> = response
        .body
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(
        names,
        [
            "Code",
            "LastUpdated",
            "Type",
            "AccessKeyId",
            "SecretAccessKey",
            "Token",
            "Expiration"
        ]
    );
    let document = response.json();
    assert_eq!(document["Code"], "Success");
    assert_eq!(document["Type"], "AWS-HMAC");
    let id = document["AccessKeyId"].as_str().unwrap();
    assert!(id.starts_with("ASIA") && id.len() == 20, "{id}");
    assert_eq!(document["SecretAccessKey"].as_str().unwrap().len(), 40);
    assert!(is_base64(&document["SecretAccessKey"]));
    assert!((400..=1500).contains(&document["Token"].as_str().unwrap().len()));
    assert!(is_base64(&document["Token"]));
    let other = bench.read(&ROLE.replace("the-role", "The-Role")).await;
    assert_eq!(other.status, "HTTP/1.1 404 Not Found", "case matters");
}

#[tokio::test]
async fn rule_48_a_role_that_cannot_be_assumed() {
    let bench = Bench::with(|config| {
        config.instance.iam.as_mut().unwrap().code = "AssumeRoleUnauthorizedAccess".into();
    })
    .await;
    assert_eq!(
        bench.read(ROLE).await.body,
        r#"{
  "Code" : "AssumeRoleUnauthorizedAccess",
  "Message" : "EC2 cannot assume the role the-role.  Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc.",
  "LastUpdated" : "2026-01-02T03:04:05Z"
}"#
    );
}

#[tokio::test]
async fn rule_49_new_credentials_come_every_hour_and_before_the_old_ones_end() {
    let bench = Bench::new().await;
    let first = bench.read(ROLE).await.json();
    assert_eq!(time(&first["LastUpdated"]), began());
    let life = time(&first["Expiration"]) - began();
    assert!((360..=396).contains(&life.num_minutes()), "{life}");
    bench.pass(3599);
    assert_eq!(bench.read(ROLE).await.json(), first, "[I50]");
    bench.pass(1);
    let second = bench.read(ROLE).await.json();
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"]);
    assert_eq!(time(&second["LastUpdated"]), began() + TimeDelta::hours(1));
    let next_life = time(&second["Expiration"]) - time(&second["LastUpdated"]);
    assert!(
        (360..=396).contains(&next_life.num_minutes()),
        "{next_life}"
    );
}

#[tokio::test]
async fn rules_6_and_49_each_document_says_when_it_was_updated() {
    let bench = Bench::new().await;
    let of_instance = "/latest/meta-data/identity-credentials/ec2";
    let mut moments = Vec::new();
    for (path, off) in [
        (ROLE, -2),
        ("/latest/meta-data/iam/info", 0),
        (
            &format!("{of_instance}/security-credentials/ec2-instance"),
            -2,
        ),
        (&format!("{of_instance}/info"), 0),
    ] {
        let response = bench.read(path).await;
        let modified = response.header("last-modified").unwrap();
        let modified = DateTime::parse_from_rfc2822(modified).unwrap().to_utc();
        let updated = time(&response.json()["LastUpdated"]);
        assert_eq!(modified - updated, TimeDelta::seconds(off), "{path}");
        moments.push(updated);
    }
    let [role, info, instance, instance_info] = moments[..] else {
        panic!("{moments:?}");
    };
    assert_eq!(role, began());
    for (one, other) in [(role, info), (role, instance), (instance, instance_info)] {
        let off = (one - other).num_seconds();
        assert!((2..=106).contains(&off), "{one} {other}");
    }
}

#[tokio::test]
async fn rule_49_the_lead_is_kept_whatever_the_rotation() {
    let bench = Bench::with(|config| {
        let iam = config.instance.iam.as_mut().unwrap();
        iam.lifetime = Some(Span::minutes(30));
        iam.rotation = Span::minutes(60);
        iam.lead = Span::minutes(5);
    })
    .await;
    for _ in 0..70 {
        let end = time(&bench.read(ROLE).await.json()["Expiration"]);
        assert!(end - bench.clock.now() >= TimeDelta::minutes(5));
        bench.pass(61);
    }
}

#[tokio::test]
async fn rule_50_another_role_shows_at_the_next_rotation() {
    let bench = Bench::new().await;
    bench
        .imds
        .change(|config| {
            config.instance.iam.as_mut().unwrap().role = Some("another".into());
        })
        .unwrap();
    assert_eq!(bench.read(LIST).await.body, "the-role");
    bench.pass(3599);
    assert_eq!(bench.read(LIST).await.body, "the-role");
    bench.pass(1);
    assert_eq!(bench.read(LIST).await.body, "another");
    assert!(
        !bench
            .has("meta-data/iam/security-credentials/the-role")
            .await
    );
    let document = bench
        .read(&ROLE.replace("the-role", "another"))
        .await
        .json();
    assert_eq!(
        time(&document["LastUpdated"]),
        began() + TimeDelta::hours(1)
    );
}

#[tokio::test]
async fn rule_50_another_role_has_keys_of_its_own_even_in_the_middle_of_a_rotation() {
    let bench = Bench::new().await;
    bench.pass(600);
    // From now on the rotations of the old role and those of the new one come at other times.
    bench
        .imds
        .change(|config| {
            let iam = config.instance.iam.as_mut().unwrap();
            iam.role = Some("another".into());
            iam.rotation = TimeDelta::minutes(90).into();
        })
        .unwrap();
    let first = bench.read(ROLE).await.json();
    bench.pass(3000);
    let second = bench.read(&ROLE.replace("the-role", "another")).await;
    let second = second.json();
    assert_ne!(first["AccessKeyId"], second["AccessKeyId"]);
    let keys = bench.imds.role_keys().unwrap();
    assert_eq!(second["AccessKeyId"], keys.access_key_id);
}

#[tokio::test]
async fn credentials_can_be_rotated_before_their_time() {
    let bench = Bench::new().await;
    let first = bench.read(ROLE).await.json();
    bench.pass(60);
    bench
        .imds
        .change(|config| config.instance.iam.as_mut().unwrap().role = Some("another".into()))
        .unwrap();
    bench.imds.rotate_credentials();
    assert_eq!(bench.read(LIST).await.body, "another", "[I50]");
    let second = bench
        .read(&ROLE.replace("the-role", "another"))
        .await
        .json();
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"]);
    assert_eq!(time(&second["LastUpdated"]), bench.clock.now());
}

#[tokio::test]
async fn a_role_can_be_taken_away_and_given() {
    let bench = Bench::new().await;
    bench
        .imds
        .change(|config| config.instance.iam = None)
        .unwrap();
    assert!(!bench.has("meta-data/iam/").await);
    bench
        .imds
        .change(|config| {
            config.instance.iam.get_or_insert_default().role = Some("given".into());
        })
        .unwrap();
    assert_eq!(bench.read(LIST).await.body, "given", "at once");
}

#[tokio::test]
async fn a_reset_brings_the_role_back_at_once_and_leaves_its_credentials_alone() {
    let bench = Bench::new().await;
    let first = bench.read(ROLE).await.json();
    bench.pass(60);
    bench.imds.reset().unwrap();
    assert_eq!(bench.read(ROLE).await.json(), first);
    bench
        .imds
        .change(|config| config.instance.iam.as_mut().unwrap().role = Some("another".into()))
        .unwrap();
    bench.imds.rotate_credentials();
    assert_eq!(bench.read(LIST).await.body, "another");
    bench.imds.reset().unwrap();
    assert_eq!(bench.read(LIST).await.body, "the-role");
}

#[tokio::test]
async fn rule_51_credentials_that_are_over_can_be_served() {
    // Trouble behind IMDS: no new ones come.
    let bench = Bench::with(|config| {
        let iam = config.instance.iam.as_mut().unwrap();
        iam.lifetime = Some(Span::minutes(10));
        iam.rotation = Span::minutes(60);
        iam.lead = Span::seconds(0);
    })
    .await;
    bench.pass(30 * 60);
    let document = bench.read(ROLE).await.json();
    assert_eq!(
        time(&document["Expiration"]),
        began() + TimeDelta::minutes(10)
    );
}

#[tokio::test]
async fn rule_52_the_extended_path_names_the_account() {
    let bench = Bench::new().await;
    let folder = "meta-data/iam/security-credentials-extended";
    assert!(
        !bench.has(&format!("{folder}/")).await,
        "by default as on most instances"
    );
    bench
        .imds
        .change(|config| config.instance.iam.as_mut().unwrap().extended_path = true)
        .unwrap();
    assert_eq!(bench.value(&format!("{folder}/")).await, "the-role");
    let extended = bench
        .read(&format!("/latest/{folder}/the-role"))
        .await
        .json();
    assert_eq!(extended["AccountId"], "123456789012");
    let mut plain = bench.read(ROLE).await.json();
    assert_eq!(plain["AccountId"], Value::Null);
    plain["AccountId"] = "123456789012".into();
    assert_eq!(plain, extended, "the same credentials");
}

#[tokio::test]
async fn rule_53_the_instance_has_credentials_of_its_own() {
    let bench = Bench::new().await;
    let folder = "/latest/meta-data/identity-credentials/ec2";
    let listed = bench.read(&format!("{folder}/")).await.body;
    assert_eq!(listed, "info\nsecurity-credentials/");
    let info = bench.read(&format!("{folder}/info")).await.json();
    assert_eq!(info["Code"], "Success");
    assert_eq!(info["AccountId"], "123456789012");
    let names = bench
        .read(&format!("{folder}/security-credentials/"))
        .await
        .body;
    assert_eq!(names, "ec2-instance");
    let path = format!("{folder}/security-credentials/ec2-instance");
    let document = bench.read(&path).await.json();
    assert_eq!(document["Code"], "Success");
    assert_ne!(
        document["AccessKeyId"],
        bench.read(ROLE).await.json()["AccessKeyId"]
    );
    assert!(time(&document["Expiration"]) > began());
}

#[tokio::test]
async fn two_emulators_never_share_a_key_unless_they_share_a_seed() {
    let of = |seed: Option<&'static str>| async move {
        let bench = Bench::with(|config| config.server.seed = seed.map(Into::into)).await;
        bench.read(ROLE).await.body
    };
    assert_ne!(of(None).await, of(None).await);
    assert_ne!(of(Some("a")).await, of(Some("b")).await);
    assert_eq!(of(Some("a")).await, of(Some("a")).await);
}
