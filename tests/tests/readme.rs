//! The programs in the documentation compile and work.

use ec2_role_host::Ec2RoleProvider;
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Assertion;

#[tokio::test]
async fn it_survives_two_failures() -> Result<(), Box<dyn std::error::Error>> {
    let imds = Emulator::builder().start().await?;
    let outage = Rule::new("outage", Fault::empty_response()).on("/latest/api/token");
    let _outage = imds.fault(outage.times(2))?;
    // Both are checked at the end of the test.
    let _no_imdsv1 = imds.expect(Assertion::NoImdsv1);
    let _three_puts = imds.expect(Assertion::MaxTokenPuts(3));

    let client = Ec2RoleProvider::builder().endpoint(imds.url());
    client.build().await?.credentials().await?;
    Ok(())
}

#[test]
fn the_readme_has_this_program() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../README.md"))?;
    let source = std::fs::read_to_string(root.join("tests/readme.rs"))?;
    let Some((begin, _)) = source.split_once("#[test]\n") else {
        panic!("no test");
    };
    let Some((_, program)) = begin.split_once("#[tokio::test]\n") else {
        panic!("no program");
    };
    assert!(readme.contains(program.trim_end()), "{program}");
    Ok(())
}

#[test]
fn the_client_of_ten_lines_stands_in_the_readme_of_the_suite() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    let client = std::fs::read_to_string(root.join("clients/drivers/minimal.py"))?;
    assert!(client.lines().count() <= 10, "{client}");
    assert!(readme.contains(&client), "{client}");
    Ok(())
}
