//! The program of the README, as it stands there.

use ec2_role_host::Ec2RoleProvider;
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Assertion;

#[tokio::test]
async fn it_gets_over_two_failures() -> Result<(), Box<dyn std::error::Error>> {
    let imds = Emulator::builder().start().await?;
    let broken = Rule::new("broken", Fault::EmptyResponse {}).on("/latest/api/token");
    let _fault = imds.fault(broken.times(2))?;
    let client = Ec2RoleProvider::builder().endpoint(imds.url());
    assert!(client.build().await?.credentials().await.is_ok());
    let report = imds.verify(&[Assertion::NoImdsv1, Assertion::MaxTokenPuts(3)])?;
    assert!(report.holds, "{report}");
    Ok(())
}

#[test]
fn it_stands_in_the_readme() -> std::io::Result<()> {
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
