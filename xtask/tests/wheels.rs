//! `cargo xtask wheels`, as far as it needs no tool. tests/clients/python-package.sh makes a wheel.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

#[test]
fn a_command_without_a_python_package_is_an_error() {
    let folder = TempDir::new().unwrap();
    let other = folder.path().join("ec2-role-credentials");
    fs::write(&other, "").unwrap();
    let missing = folder.path().join("imds-emulator");
    for (command, message) in [
        (
            &other,
            "there is no Python package for the command {}; accepted: files called imds-conformance or imds-emulator",
        ),
        (&missing, "cannot read the command {}: No such file"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("wheels")
            .arg(command)
            .args(["--out"])
            .arg(folder.path().join("out"))
            .env("CARGO", env!("CARGO"))
            .output()
            .unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        let message = message.replace("{}", &command.display().to_string());
        assert!(error.contains(&message), "{error}");
        assert!(!folder.path().join("out").exists());
    }
}
