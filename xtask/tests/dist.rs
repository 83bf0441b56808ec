//! `cargo xtask dist`, without what takes long: the commands, and tools that are not there everywhere.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wasm_metadata::Payload;

fn dist(out: &Path, skip: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["dist", "--skip", skip, "--out"])
        .arg(out)
        .env("CARGO", env!("CARGO"));
    command
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A `docker` that writes down what it is asked, and saves an image of some bytes if it is asked to.
fn docker(folder: &Path, daemon: bool) -> String {
    let log = folder.join("log");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\ncase $1 in version) {} ;; save) echo image > \"$3\" ;; esac\n",
        log.display(),
        if daemon { "true" } else { "false" }
    );
    let docker = folder.join("docker");
    fs::write(&docker, script).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), env::var("PATH").unwrap())
}

/// The files that the sums are of; each sum must hold.
fn summed(out: &Path) -> Vec<String> {
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    sums.lines()
        .map(|line| {
            let (sum, file) = line.split_once("  ").unwrap();
            let content = fs::read(out.join(file)).unwrap();
            let found: String = Sha256::digest(content)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(sum, found, "{file}");
            file.to_owned()
        })
        .collect()
}

#[test]
fn the_folder_has_what_a_release_carries() {
    let folder = TempDir::new().unwrap();
    let path = docker(folder.path(), true);
    let out = folder.path().join("out");
    for _ in 0..2 {
        let output = dist(&out, "binaries,npm,sbom")
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        // The next run starts from an empty folder.
        fs::write(out.join("left-over"), "").unwrap();
        assert!(stdout(&output).contains("skipped: SBOM (--skip)"));
        assert!(stdout(&output).contains("skipped: wheels (they need the binaries)"));
    }
    fs::remove_file(out.join("left-over")).unwrap();

    let summed = summed(&out);
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "ec2-role-credentials.wasm",
        "ec2-role-credentials.wit",
        "ec2-role-credentials-custom-client.wasm",
        "imds-image.tar",
        "wit/credentials.wit",
        "wit/deps/http.wit",
        "imds-credentials-0.1.0.wasm",
        "imds-credentials-0.2.0.wasm",
        "oci/imds/credentials/oci-layout",
        "oci/imds/ec2-role-credentials/index.json",
    ] {
        assert!(summed.iter().any(|summed| summed == file), "{file}");
    }
    assert!(!summed.iter().any(|file| file == "left-over"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    for (name, agreed) in [
        ("ec2-role-credentials", "component"),
        ("ec2-role-credentials-custom-client", "custom-client"),
        ("ec2-role-credentials-wasi-0-3", "wasi-0-3"),
    ] {
        for list in ["imports.txt", "exports.txt"] {
            assert_eq!(
                fs::read_to_string(out.join(format!("{name}.{list}"))).unwrap(),
                fs::read_to_string(golden.join(format!("{agreed}.{list}"))).unwrap(),
                "{name}.{list}"
            );
        }
    }
    let wit = fs::read_to_string(out.join("ec2-role-credentials.wit")).unwrap();
    assert!(wit.contains("export imds:credentials/provider@0.1.0;"));

    let component = fs::read(out.join("ec2-role-credentials.wasm")).unwrap();
    let payload = Payload::from_binary(&component).unwrap();
    let metadata = payload.metadata();
    assert_eq!(metadata.name.as_deref(), Some("ec2-role-credentials"));
    let version = metadata.version.as_ref().map(ToString::to_string);
    assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));

    // No path of the machine is in a component.
    let home = env::home_dir().unwrap();
    let home = home.to_str().unwrap().as_bytes();
    for file in summed.iter().filter(|file| file.ends_with(".wasm")) {
        let component = fs::read(out.join(file)).unwrap();
        assert!(
            !component.windows(home.len()).any(|place| place == home),
            "{file}"
        );
    }

    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(
        log.contains(concat!(
            "build --file tests/Dockerfile --tag imds:",
            env!("CARGO_PKG_VERSION"),
            " ."
        )),
        "{log}"
    );
}

#[test]
fn without_a_docker_daemon_the_rest_is_made() {
    let folder = TempDir::new().unwrap();
    let path = docker(folder.path(), false);
    let out = folder.path().join("out");
    let output = dist(&out, "binaries,npm,sbom")
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("skipped: container image (the docker daemon is not running)"),
        "{}",
        stdout(&output)
    );
    assert!(!out.join("imds-image.tar").exists());
    assert!(!summed(&out).is_empty());
}

#[test]
fn without_the_tool_for_the_sbom_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let output = dist(&out, "binaries,image")
        .env("CARGO_HOME", folder.path())
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("`cargo install --locked cargo-cyclonedx@"),
        "{text}"
    );
    assert!(!out.exists());
}

#[test]
fn the_files_of_others_are_left_alone() {
    let out = TempDir::new().unwrap();
    let other = out.path().join("thesis.txt");
    fs::write(&other, "").unwrap();
    let output = dist(out.path(), "binaries,image,sbom").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("name another folder"),
        "{}",
        stderr(&output)
    );
    assert!(other.exists());
}
