//! Where the configuration comes from: files, the environment and flags, and `imds-emulator config`.

use crate::{File, command, failure, output};

#[test]
fn the_effective_configuration_can_be_read_back() {
    let printed = output(&["config", "--role", "mine", "--set", "instance.tags.Team=us"]);
    for line in [
        "port = 1338",
        "role = \"mine\"",
        "Team = \"us\"",
        "HttpTokens = \"required\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
    let file = File::new("read-back.toml", &printed);
    assert_eq!(output(&["config", "--config", file.path()]), printed);
}

#[test]
fn files_are_toml_or_json_and_name_others_beside_them() {
    let _data = File::new("user-data.bin", "beside");
    let toml = File::new(
        "file.toml",
        "[instance]\ninstance-type = 'm7g.large'\nuser-data = { file = 'user-data.bin' }\n",
    );
    let json = File::new(
        "file.json",
        r#"{"instance": {"instance-type": "m7g.large", "user-data": {"file": "user-data.bin"}}}"#,
    );
    let printed = output(&["config", "--config", toml.path()]);
    assert!(
        printed.contains("instance-type = \"m7g.large\""),
        "{printed}"
    );
    assert!(
        printed.contains("YmVzaWRl") || printed.contains("beside"),
        "{printed}"
    );
    assert_eq!(output(&["config", "--config", json.path()]), printed);
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let file = File::new(
        "order.toml",
        "[server]\nport = 1\n[instance]\naccount-id = '111111111111'\nami-launch-index = 1\n",
    );
    let printed = command(&["config", "--config", file.path(), "--port", "3"])
        .env("IMDS_EMULATOR_SERVER__PORT", "2")
        .env("IMDS_EMULATOR_INSTANCE__ACCOUNT_ID", "222222222222")
        .env("IMDS_EMULATOR_METADATA_OPTIONS__HTTPTOKENS", "optional")
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in [
        "port = 3",
        "account-id = \"222222222222\"",
        "ami-launch-index = 1",
        "HttpTokens = \"optional\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
}

#[test]
fn what_is_not_accepted_is_named_with_its_place_and_what_is() {
    let file = File::new("wrong.toml", "[instance]\ninstance-typ = 't3.micro'\n");
    for (arguments, parts) in [
        (
            &["--config", file.path()][..],
            &[
                "wrong.toml",
                "instance-typ",
                "did you mean `instance-type`?",
            ][..],
        ),
        (
            &["--set", "instance.account-id=12"],
            &["--set", "instance.account-id", "\"12\"", "12 digits"],
        ),
        (
            &["--set", "server.prot=1"],
            &["--set", "prot", "did you mean `port`?"],
        ),
        (&["--set", "server.port=x"], &["--set", "server.port", "x"]),
        (&["--set", "nothing"], &["--set", "nothing"]),
        (
            &["--dialect", "french"],
            &["--dialect", "french", "nitro", "xen"],
        ),
        (
            &["--http-tokens", "maybe"],
            &["--http-tokens", "maybe", "required", "optional"],
        ),
        (
            &["--config", "/there/is/none.toml"],
            &["/there/is/none.toml", "No such file"],
        ),
        (
            &["--set", "instance.iam.rotation=soon"],
            &["--set", "instance.iam.rotation", "soon", "6h 20m"],
        ),
    ] {
        let error = failure(arguments);
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn what_belongs_together_can_be_set_in_any_order() {
    let action = "events.spot-interruption.action=terminate";
    let spot = "instance.life-cycle=spot";
    for settings in [[action, spot], [spot, action]] {
        let printed = output(&["config", "--set", settings[0], "--set", settings[1]]);
        assert!(printed.contains("[events.spot-interruption]\naction = \"terminate\""));
    }
    let printed = command(&["config", "--set", r#"instance.tags."a=b"=c"#])
        .env("IMDS_EMULATOR_EVENTS__SPOT_INTERRUPTION__ACTION", "terminate")
        .env("IMDS_EMULATOR_INSTANCE__LIFE_CYCLE", "spot")
        .env("IMDS_EMULATOR_EVENTS__REBALANCE_RECOMMENDATION__ANNOUNCED", "+5m")
        .env("IMDS_EMULATOR_INSTANCE__VPC__IPV4_CIDR_BLOCKS", "[\"10.0.0.0/16\"]")
        .env(
            "IMDS_EMULATOR_INSTANCE__NETWORK_INTERFACES",
            r#"[{ mac = "0a:00:00:00:00:01", interface-id = "eni-00000001", private-ipv4s = ["10.0.0.5"] }]"#,
        )
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(printed.stderr).unwrap(), "");
    let printed = String::from_utf8(printed.stdout).unwrap();
    for part in ["announced = \"+5m\"", "10.0.0.0/16", "\"a=b\" = \"c\""] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let file = File::new(
        "all-wrong.toml",
        "[instance]\naccount-id = '12'\ntagz = {}\n",
    );
    let error = failure(&[
        "--config",
        file.path(),
        "--set",
        "server.port=x",
        "--role",
        "a/b",
    ]);
    assert!(
        error.starts_with("error: 4 errors in the configuration:\n"),
        "{error}"
    );
    for part in [
        "all-wrong.toml: instance.account-id: \"12\"",
        "did you mean `tags`?",
        "\n  --set: server.port: ",
        "\n  --role: instance.iam.role: \"a/b\"",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_configuration_file_of_aemm_is_understood() {
    let file = File::new(
        "aemm.json",
        r#"{"imdsv2": true, "mock-ip-count": 2, "metadata": {"values": {"instance-type": "m4.xlarge"}}}"#,
    );
    let printed = command(&[
        "config",
        "--aemm-config",
        file.path(),
        "--set",
        "server.port=7",
    ])
    .output()
    .unwrap();
    let warnings = String::from_utf8(printed.stderr).unwrap();
    assert!(warnings.starts_with("warning: "), "{warnings}");
    assert!(
        warnings.contains("aemm.json: mock-ip-count: "),
        "{warnings}"
    );
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in [
        "port = 7",
        "HttpTokens = \"required\"",
        "instance-type = \"m4.xlarge\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
    let error = failure(&["--aemm-config", "/there/is/none.json"]);
    assert!(
        error.contains("/there/is/none.json: cannot read the configuration: No such file"),
        "{error}"
    );
}

#[test]
fn the_schema_is_json_and_knows_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&output(&["config", "--schema"])).unwrap();
    let text = schema.to_string();
    for key in [
        "metadata-options",
        "HttpPutResponseHopLimit",
        "network-interfaces",
    ] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
