use imds_emulator::{Emulator, Preset};
use tempfile::TempDir;

use crate::support::{Imds, command, failure, result, stderr, stdout};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn it_prints_what_credential_process_wants_and_nothing_else() {
    let output = result(&["process", "--emulator"]);
    assert_eq!(output.lines().count(), 1, "{output}");
    let json = json(&output);
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "AccessKeyId",
            "Expiration",
            "SecretAccessKey",
            "SessionToken",
            "Version"
        ]
    );
    assert_eq!(json["Version"], 1);
}

#[test]
fn the_account_is_named_where_imds_names_it() {
    let imds = Imds::start(Emulator::builder());
    imds.change(|config| {
        config.instance.account_id = "210987654321".into();
        config.instance.iam.as_mut().unwrap().extended_path = true;
    })
    .unwrap();
    let output = result(&["process", "--extended-path", "--endpoint", imds.url()]);
    assert_eq!(json(&output)["AccountId"], "210987654321");
}

#[test]
fn what_is_kept_gets_it_over_an_outage() {
    let cache = TempDir::new().unwrap();
    let imds = Imds::start(Emulator::builder());
    let process = |keep: bool| {
        let mut arguments = vec!["process", "--endpoint", imds.url(), "--timeout", "0.2"];
        arguments.extend(["--attempts", "1"]);
        arguments.extend(keep.then_some("--keep"));
        command(&arguments)
            .env("EC2_ROLE_CACHE", cache.path())
            .output()
            .unwrap()
    };

    let before = process(true);
    assert!(before.status.success(), "{}", stderr(&before));
    imds.preset(Preset::ImdsOutage).unwrap();
    let during = process(true);
    assert!(during.status.success(), "{}", stderr(&during));
    for key in ["AccessKeyId", "SecretAccessKey", "SessionToken"] {
        assert_eq!(json(stdout(&before))[key], json(stdout(&during))[key]);
    }

    let without = process(false);
    assert_eq!(without.status.code(), Some(1));
    assert_eq!(stdout(&without), "");
    assert!(
        stderr(&without).contains("remedy: "),
        "{}",
        stderr(&without)
    );

    imds.remove_preset(Preset::ImdsOutage);
    imds.rotate_credentials();
    let after = process(true);
    assert!(after.status.success(), "{}", stderr(&after));
    let (before, after) = (json(stdout(&before)), json(stdout(&after)));
    assert_ne!(before["AccessKeyId"], after["AccessKeyId"]);
}

#[test]
fn there_are_none_where_there_is_no_role() {
    let imds = Imds::start(Emulator::builder().without_role());
    let complaint = failure(&["process", "--endpoint", imds.url()], 1);
    assert!(
        complaint.contains("remedy: attach an instance profile"),
        "{complaint}"
    );
}
