use imds_emulator::Emulator;
use imds_emulator::config::Content;

use crate::support::{Imds, failure, result, run};

#[test]
fn anything_in_the_tree_is_printed_as_it_is() {
    let imds = Imds::start(Emulator::builder());
    imds.change(|config| {
        config.instance.user_data = Some(Content::Base64 {
            base64: "AP8KYnl0ZXM=".into(),
        })
    })
    .unwrap();
    let get = |path| result(&["metadata", path, "--endpoint", imds.url()]);
    assert_eq!(get("instance-type"), "t3.micro");
    assert_eq!(get("/latest/meta-data/instance-type"), "t3.micro");
    assert!(get("/").contains("\ninstance-type\n"));
    assert!(get("dynamic/instance-identity/document").contains("\"instanceType\" : \"t3.micro\""));
    let output = run(&["metadata", "user-data", "--endpoint", imds.url()]);
    assert_eq!(output.stdout, b"\x00\xff\nbytes");
}

#[test]
fn what_is_not_there_is_an_error() {
    let complaint = failure(&["metadata", "nothing/of/the/sort", "--emulator"], 1);
    assert!(
        complaint
            .starts_with("error: cannot read \"nothing/of/the/sort\": cannot get the metadata: "),
        "{complaint}"
    );
}
