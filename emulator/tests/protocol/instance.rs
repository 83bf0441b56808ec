//! `[I35]` `[I37]` `[I38]` `[I44]` `[I57]` `[I64]` to `[I66]`: kinds of instances and what they have.

use imds_emulator::config::{Config, Switch};

use crate::bench::{Bench, NOT_FOUND, OK};

const MACS: &str = "meta-data/network/interfaces/macs/";
const SCHEDULED: &str = "meta-data/events/maintenance/scheduled";

#[tokio::test]
async fn rule_35_a_private_instance_has_no_public_addresses() {
    let bench = Bench::new().await;
    let folder = format!("{MACS}0a:1b:2c:3d:4e:5f/");
    let paths = [
        "meta-data/public-ipv4",
        "meta-data/public-hostname",
        &format!("{folder}public-ipv4s"),
        &format!("{folder}public-hostname"),
        &format!("{folder}ipv4-associations/"),
        &format!("{folder}ipv4-associations/203.0.113.10"),
    ];
    for public in [true, false, true] {
        bench
            .imds
            .change(|config| config.instance.public = public)
            .unwrap();
        for path in paths {
            assert_eq!(bench.has(path).await, public, "{path}");
        }
        let listing = bench.value("meta-data/").await + &bench.value(&folder).await;
        assert_eq!(listing.contains("public-ipv4"), public, "{listing}");
        assert_eq!(listing.contains("associations"), public, "{listing}");
    }
    let bench = Bench::configured("instance.public = false").await;
    assert!(!bench.has("meta-data/public-ipv4").await);
    assert_eq!(bench.value("meta-data/local-ipv4").await, "172.31.16.10");
}

#[tokio::test]
async fn rule_37_the_name_of_the_key_pair_takes_the_place_of_a_comment() {
    for written in [
        "ssh-ed25519 AAAAC3Nza",
        "ssh-ed25519 AAAAC3Nza me@home",
        "  ssh-ed25519  AAAAC3Nza me at home ",
    ] {
        let bench = Bench::configured(&format!(
            "instance.public-keys = [{{ name = 'my key', openssh-key = '{written}' }}]"
        ))
        .await;
        let served = bench.value("meta-data/public-keys/0/openssh-key").await;
        assert_eq!(
            served.trim_end_matches('\n'),
            "ssh-ed25519 AAAAC3Nza my key"
        );
    }
    for wrong in ["", "ssh-ed25519", "ssh-ed25519 A\\nB C"] {
        let error = Config::from_toml(&format!(
            "instance.public-keys = [{{ name = 'k', openssh-key = \"{wrong}\" }}]"
        ))
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("instance.public-keys[0].openssh-key: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn rule_38_any_tag_is_accepted_until_tags_are_part_of_the_metadata() {
    let bench = Bench::configured(
        "
        metadata-options.InstanceMetadataTags = 'disabled'
        instance.tags = { 'kubernetes.io/cluster/prod' = 'owned', '_index' = 'x', 'a b' = 'y' }
        ",
    )
    .await;
    let error = bench
        .imds
        .change(|config| config.metadata_options.instance_metadata_tags = Switch::Enabled)
        .unwrap_err()
        .to_string();
    for tag in ["kubernetes.io/cluster/prod", "_index", "a b"] {
        assert!(
            error.contains(&format!("{tag:?} is not accepted")),
            "{error}"
        );
    }
    assert!(
        error.contains("InstanceMetadataTags = \"disabled\""),
        "{error}"
    );
    let options = bench.imds.config().metadata_options;
    assert_eq!(options.instance_metadata_tags, Switch::Disabled);
    bench
        .imds
        .change(|config| {
            config.metadata_options.instance_metadata_tags = Switch::Enabled;
            config.instance.tags = [("a:b".to_owned(), "c/d e".to_owned())].into();
        })
        .unwrap();
    assert_eq!(bench.value("meta-data/tags/instance/a:b").await, "c/d e");
}

#[tokio::test]
async fn rule_38_the_limits_of_tags_count_characters() {
    let check = |options: &str, key: &str, value: &str| {
        Config::from_toml(&format!(
            "metadata-options.InstanceMetadataTags = '{options}'\ninstance.tags = {{ {key:?} = {value:?} }}"
        ))
    };
    let long = "\u{6771}".repeat(256);
    let bench = Bench::with(|config| {
        *config = check("enabled", "Owner", &long).unwrap();
        config.server.port = 0;
    })
    .await;
    assert_eq!(bench.value("meta-data/tags/instance/Owner").await, long);
    check("enabled", &"k".repeat(128), "").unwrap();
    check("disabled", &"\u{6771}".repeat(128), "").unwrap();
    for (options, key, value, what) in [
        ("enabled", "Owner", "a".repeat(257), "256 characters"),
        (
            "disabled",
            "Owner",
            "\u{6771}".repeat(257),
            "256 characters",
        ),
        ("enabled", "Owner", "a\n".into(), "256 characters"),
        ("enabled", &"k".repeat(129), String::new(), "128 characters"),
        (
            "disabled",
            &"\u{6771}".repeat(129),
            String::new(),
            "128 characters",
        ),
        ("disabled", "", String::new(), "128 characters"),
        ("enabled", "\u{6771}", String::new(), "InstanceMetadataTags"),
    ] {
        let error = check(options, key, &value).unwrap_err().to_string();
        assert!(error.contains("instance.tags."), "{error}");
        assert!(error.contains(what), "{error}");
    }
}

#[tokio::test]
async fn rule_44_the_path_of_an_instance_profile_is_part_of_its_arn() {
    for profile in ["team/prod/web", "/team/prod/web"] {
        let bench = Bench::configured(&format!(
            "instance.iam = {{ role = 'web-role', instance-profile = '{profile}' }}"
        ))
        .await;
        let info = bench.read("/latest/meta-data/iam/info").await.json();
        assert_eq!(
            info.get("InstanceProfileArn").unwrap(),
            "arn:aws:iam::123456789012:instance-profile/team/prod/web"
        );
        let listed = bench.value("meta-data/iam/security-credentials/").await;
        assert_eq!(listed, "web-role");
    }
    let profile =
        |name: &str| Config::from_toml(&format!("instance.iam.instance-profile = {name:?}"));
    profile(&"n".repeat(128)).unwrap();
    profile(&format!("{}/n", "p".repeat(510))).unwrap();
    for wrong in [
        "team/",
        "/",
        "//web",
        "team /web",
        &"n".repeat(129),
        &format!("{}/n", "p".repeat(511)),
    ] {
        let error = profile(wrong).unwrap_err().to_string();
        assert!(error.contains("instance.iam.instance-profile: "), "{error}");
    }
}

#[tokio::test]
async fn rule_57_some_maintenance_has_no_end() {
    for (event, end) in [
        ("code = 'instance-stop'", None),
        ("code = 'instance-retirement'", None),
        ("code = 'instance-stop'\nnot-after = ''", Some("")),
        (
            "code = 'instance-stop'\nnot-after = '2026-01-21T11:00:43Z'",
            Some("21 Jan 2026 11:00:43 GMT"),
        ),
        (
            "code = 'instance-stop'\nnot-after = '+1h'",
            Some("2 Jan 2026 04:04:05 GMT"),
        ),
        ("code = 'system-reboot'", Some("9 Jan 2026 05:04:05 GMT")),
        ("code = 'system-reboot'\nnot-after = false", None),
    ] {
        let bench = Bench::configured(&format!("[[events.maintenance]]\n{event}")).await;
        let events = bench.read(&format!("/latest/{SCHEDULED}")).await.json();
        let found = events
            .pointer("/0/NotAfter")
            .map(|end| end.as_str().unwrap());
        assert_eq!(found, end, "{event}");
        bench.pass(600);
        let later = bench.read(&format!("/latest/{SCHEDULED}")).await.json();
        assert_eq!(later, events);
        let config = bench.imds.config();
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::from_toml(&written).unwrap(), config);
        if event.contains("instance-") {
            assert_eq!(
                events.pointer("/0/Description").unwrap(),
                "The instance is running on degraded hardware"
            );
        }
    }
    for wrong in ["true", "'soon'", "7"] {
        let event = format!("[[events.maintenance]]\ncode = 'instance-stop'\nnot-after = {wrong}");
        let error = Config::from_toml(&event).unwrap_err().to_string();
        assert!(
            error.contains("events.maintenance[0].not-after: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn rule_64_delegated_prefixes_are_listed() {
    let bench = Bench::configured(
        "
        [[instance.network-interfaces]]
        mac = '0a:00:00:00:00:01'
        interface-id = 'eni-00000001'
        private-ipv4s = ['10.0.1.5']
        ipv6s = ['2001:db8::5']
        ipv4-prefixes = ['10.0.1.16/28', '10.0.1.32/28']
        ipv6-prefixes = ['2001:db8:0:0:1::/80']
        ",
    )
    .await;
    let folder = format!("{MACS}0a:00:00:00:00:01/");
    let listing = bench.value(&folder).await;
    for (name, value) in [
        ("ipv4-prefix", "10.0.1.16/28\n10.0.1.32/28"),
        ("ipv6-prefix", "2001:db8:0:0:1::/80"),
    ] {
        assert_eq!(bench.value(&format!("{folder}{name}")).await, value);
        assert!(listing.lines().any(|line| line == name), "{listing}");
        let early = format!("/2020-10-27/{folder}{name}");
        assert_eq!(bench.read(&early).await.status, NOT_FOUND);
        let none = format!("{MACS}0a:1b:2c:3d:4e:5f/{name}");
        assert!(!Bench::new().await.has(&none).await);
    }
    for (prefix, wrong) in [
        ("ipv4-prefixes", "10.0.1.16/27"),
        ("ipv4-prefixes", "10.0.1.17/28"),
        ("ipv4-prefixes", "10.9.0.0/28"),
        ("ipv6-prefixes", "2001:db8::/64"),
        ("ipv6-prefixes", "2001:db9::/80"),
    ] {
        let error = Config::from_toml(&format!(
            "
            [[instance.network-interfaces]]
            mac = '0a:00:00:00:00:01'
            interface-id = 'eni-00000001'
            private-ipv4s = ['10.0.1.5']
            ipv6s = ['2001:db8::5']
            {prefix} = ['{wrong}']
            "
        ))
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(&format!("[0].{prefix}: {wrong:?} is not accepted")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn rule_65_hibernation_is_there_if_it_was_configured_at_launch() {
    const PATH: &str = "meta-data/hibernation/configured";
    let bench = Bench::new().await;
    for (setting, value) in [
        (None, None),
        (Some(false), Some("false")),
        (Some(true), Some("true")),
    ] {
        bench
            .imds
            .change(|config| config.instance.hibernation = setting)
            .unwrap();
        let response = bench.read(&format!("/latest/{PATH}")).await;
        assert_eq!(response.status == OK, value.is_some());
        let listing = bench.value("meta-data/").await;
        assert_eq!(listing.contains("hibernation/"), value.is_some());
        if let Some(value) = value {
            assert_eq!(response.body, value);
            assert_eq!(bench.value("meta-data/hibernation/").await, "configured");
        }
    }
}

#[tokio::test]
async fn rule_66_the_keys_of_instance_connect() {
    let head = async |bench: &Bench, user: &str| {
        let token = bench.token("60").await.body;
        let path = format!("/latest/meta-data/managed-ssh-keys/active-keys/{user}/");
        let response = bench
            .ask(&format!(
                "HEAD {path} HTTP/1.1\nX-aws-ec2-metadata-token: {token}"
            ))
            .await;
        (response.status, response.body)
    };
    let bench = Bench::new().await;
    assert_eq!(head(&bench, "ec2-user").await.0, NOT_FOUND);
    assert!(!bench.value("meta-data/").await.contains("managed-ssh-keys"));

    let bench = Bench::configured(
        r##"
        [instance.managed-ssh-keys]
        active-keys = { ec2-user = "#Timestamp=1\nssh-ed25519 AAAA\nc2lnbmF0dXJl" }
        signer-cert = "-----BEGIN CERTIFICATE-----"
        signer-ocsp = { 0A1B2C = "b2NzcA==", FFFF = "Mg==" }
        "##,
    )
    .await;
    assert_eq!(
        head(&bench, "ec2-user").await,
        (OK.to_owned(), String::new())
    );
    assert_eq!(head(&bench, "root").await.0, NOT_FOUND);
    for (path, value) in [
        ("", "active-keys/\nsigner-cert\nsigner-ocsp/"),
        ("active-keys/", "ec2-user"),
        (
            "active-keys/ec2-user/",
            "#Timestamp=1\nssh-ed25519 AAAA\nc2lnbmF0dXJl",
        ),
        ("signer-cert/", "-----BEGIN CERTIFICATE-----"),
        ("signer-ocsp/", "0A1B2C\nFFFF"),
        ("signer-ocsp/0A1B2C", "b2NzcA=="),
        ("signer-ocsp/FFFF", "Mg=="),
    ] {
        let found = bench
            .value(&format!("meta-data/managed-ssh-keys/{path}"))
            .await;
        assert_eq!(found, value, "{path}");
    }
    let listing = bench.value("meta-data/").await;
    assert!(
        listing.contains("\nmac\nmanaged-ssh-keys/\nmetrics/\n"),
        "{listing}"
    );
    let error = Config::from_toml("instance.managed-ssh-keys.active-keys = { 'a/b' = 'x' }")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r#"instance.managed-ssh-keys.active-keys."a/b": "#),
        "{error}"
    );
}

#[tokio::test]
async fn an_interface_needs_no_more_than_a_mac_address_an_id_and_addresses() {
    let interface = |number: u8, rest: &str| {
        format!(
            "[[instance.network-interfaces]]
            mac = '0a:00:00:00:00:0{number}'
            interface-id = 'eni-0000000{number}'
            {rest}\n"
        )
    };
    let value = async |bench: &Bench, number: u8, path: &str| {
        bench
            .value(&format!("{MACS}0a:00:00:00:00:0{number}/{path}"))
            .await
    };
    let bench = Bench::configured(
        &[
            interface(
                1,
                "private-ipv4s = ['10.0.1.5', '10.0.2.7']\nipv6s = ['2001:db8:1:2::5']",
            ),
            interface(2, "private-ipv4s = ['10.1.40.5']"),
            interface(3, "network-card-index = 1"),
        ]
        .concat(),
    )
    .await;
    for (number, path, expected) in [
        (1, "subnet-ipv4-cidr-block", "10.0.0.0/20"),
        (1, "vpc-ipv4-cidr-block", "10.0.0.0/16"),
        (1, "vpc-ipv4-cidr-blocks", "10.0.0.0/16\n10.1.0.0/16"),
        (1, "security-groups", "default"),
        (1, "security-group-ids", "sg-0a1b2c3d4e5f67890"),
        (1, "subnet-id", "subnet-00a00000000000014"),
        (2, "subnet-ipv4-cidr-block", "10.1.32.0/20"),
        (2, "subnet-id", "subnet-00a01200000000014"),
        // An interface for an Elastic Fabric Adapter alone.
        (3, "subnet-ipv4-cidr-block", "10.0.0.0/20"),
        (3, "subnet-id", "subnet-00a00000000000014"),
    ] {
        assert_eq!(
            value(&bench, number, path).await,
            expected,
            "{number} {path}"
        );
    }
    let six = value(&bench, 1, "subnet-ipv6-cidr-blocks").await;
    assert_eq!(six.parse(), "2001:db8:1:2::/64".parse::<ipnet::Ipv6Net>());
    let six = value(&bench, 1, "vpc-ipv6-cidr-blocks").await;
    assert_eq!(six.parse(), "2001:db8:1::/56".parse::<ipnet::Ipv6Net>());
    assert!(
        !bench
            .has(&format!("{MACS}0a:00:00:00:00:03/local-ipv4s"))
            .await
    );
    assert_eq!(bench.value("meta-data/security-groups").await, "default");

    // The addresses of one interface can need a larger block, and the VPC can be smaller.
    let wide = interface(1, "private-ipv4s = ['10.0.1.5', '10.0.99.7']");
    let bench = Bench::configured(&wide).await;
    assert_eq!(
        value(&bench, 1, "subnet-ipv4-cidr-block").await,
        "10.0.0.0/17"
    );
    let narrow = interface(1, "private-ipv4s = ['10.0.1.5']");
    let vpc = "[instance.vpc]\nipv4-cidr-blocks = ['10.0.1.0/24']\n";
    let bench = Bench::configured(&[&narrow, vpc].concat()).await;
    assert_eq!(
        value(&bench, 1, "subnet-ipv4-cidr-block").await,
        "10.0.1.0/24"
    );

    for (interfaces, parts) in [
        (
            interface(1, ""),
            &["network-interfaces[0]: ", "at least one address"][..],
        ),
        (
            interface(1, "private-ipv4s = ['10.0.1.5', '10.9.0.1']"),
            &[
                "[0].private-ipv4s: \"10.9.0.1\"",
                "inside the subnet, 10.0.0.0/20",
            ],
        ),
        (
            [
                &narrow,
                "[instance.vpc]\nipv4-cidr-blocks = ['10.7.0.0/16']\n",
            ]
            .concat(),
            &[
                "[0].subnet.ipv4-cidr-block: \"10.0.0.0/20\"",
                "instance.vpc.ipv4-cidr-blocks",
            ],
        ),
        (
            interface(1, "ipv6s = ['2001:db8::5', '2001:db8:0:1::5']"),
            &[
                "[0].ipv6s: \"2001:db8:0:1::5\"",
                "inside the subnet, 2001:db8::/64",
            ],
        ),
    ] {
        let error = Config::from_toml(&interfaces).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
