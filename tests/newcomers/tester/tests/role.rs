//! Tests of the client against the emulator.

use imds_emulator::Emulator;
use imds_emulator::journal::Assertion;

#[tokio::test(flavor = "multi_thread")]
async fn the_client_uses_imdsv2() -> Result<(), Box<dyn std::error::Error>> {
    let imds = Emulator::builder().role("web-server").start().await?;
    let address = imds.url().trim_start_matches("http://").to_owned();
    let role = tokio::task::spawn_blocking(move || tester::role(&address)).await??;
    assert_eq!(role, "web-server");
    assert!(imds.verify(&[Assertion::NoImdsv1])?.holds);
    Ok(())
}
