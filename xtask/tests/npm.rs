//! `cargo xtask npm`, without the component, which takes long. tests/clients/npm-package.sh uses the packages.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn npm(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["npm", "--no-component"])
        .args(arguments)
        .output()
        .unwrap()
}

/// Unpacks a package, and reads its manifest.
fn unpacked(out: &Path, name: &str) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let archive = out.join(format!("imds-credentials-emulator{name}-{version}.tgz"));
    let folder = out.join(format!("package{name}"));
    fs::create_dir_all(&folder).unwrap();
    let status = Command::new("tar")
        .args(["--extract", "--gzip", "--strip-components=1", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(&folder)
        .status()
        .unwrap();
    assert!(status.success(), "{}", archive.display());
    serde_json::from_str(&fs::read_to_string(folder.join("package.json")).unwrap()).unwrap()
}

#[test]
fn each_platform_has_a_package_that_npm_installs_there() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let mut arguments = vec![format!("--out={}", out.display())];
    for (platform, content) in [
        ("linux-x64", "ELF /lib64/ld-linux-x86-64.so.2"),
        ("linux-arm64", "linked statically"),
        ("win32-x64", "MZ"),
    ] {
        let command = folder.path().join(platform);
        fs::write(&command, content).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        arguments.push(format!("--command={platform}={}", command.display()));
    }
    let output = npm(&arguments);
    assert!(output.status.success(), "{output:?}");

    let main = unpacked(&out, "");
    let version = env!("CARGO_PKG_VERSION");
    let name = "@imds-credentials/emulator";
    assert_eq!(main.get("name").unwrap(), name);
    assert_eq!(main.get("version").unwrap(), version);
    assert_eq!(
        main.get("optionalDependencies").unwrap(),
        &json!({
            format!("{name}-linux-arm64"): version,
            format!("{name}-linux-x64"): version,
            format!("{name}-win32-x64"): version,
        })
    );
    for (platform, os, cpu, libc, file) in [
        ("linux-x64", "linux", "x64", Some("glibc"), "imds-emulator"),
        ("linux-arm64", "linux", "arm64", None, "imds-emulator"),
        ("win32-x64", "win32", "x64", None, "imds-emulator.exe"),
    ] {
        let manifest = unpacked(&out, &format!("-{platform}"));
        assert_eq!(manifest.get("os").unwrap(), &json!([os]), "{platform}");
        assert_eq!(manifest.get("cpu").unwrap(), &json!([cpu]), "{platform}");
        let wanted = libc.map(|libc| json!([libc]));
        assert_eq!(manifest.get("libc"), wanted.as_ref(), "{platform}");
        let command = out.join(format!("package-{platform}/bin")).join(file);
        let mode = fs::metadata(command).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{platform}");
        assert!(out.join(format!("package-{platform}/LICENSE-MIT")).exists());
    }
    assert!(out.join("package/README.md").exists());
}

#[test]
fn an_unknown_platform_is_named() {
    for (argument, expected) in [
        (
            "plan9-x64=x",
            "unknown platform \"plan9-x64\"; accepted: darwin-arm64, ",
        ),
        ("linux-x64", "has no `=`; accepted: PLATFORM=PATH"),
        ("linux-x64=/nonexistent", "cannot read /nonexistent"),
    ] {
        let folder = TempDir::new().unwrap();
        let output = npm(&[
            format!("--command={argument}"),
            format!("--out={}", folder.path().display()),
        ]);
        assert!(!output.status.success(), "{argument}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}
