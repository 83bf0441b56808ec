//! `cargo xtask wit`.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_preview_for_wasi_0_3_is_printed_from_the_package() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["wit", "--preview"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let preview = fs::read_to_string(workspace.join("wit/preview/credentials.wit")).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let differences: Vec<_> = printed
        .lines()
        .zip(preview.lines())
        .filter(|(printed, found)| printed != found)
        .collect();
    assert!(
        printed == preview,
        "`cargo xtask wit --preview > wit/preview/credentials.wit` brings it up to date: {differences:#?}"
    );
}
