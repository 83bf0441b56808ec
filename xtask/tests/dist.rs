//! `cargo xtask dist`, without what takes long: the commands, and tools that are not there everywhere.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::Archive;
use tempfile::TempDir;
use wasm_metadata::Payload;

const COMMANDS: [&str; 3] = ["ec2-role-credentials", "imds-conformance", "imds-emulator"];
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

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

/// The files that the sums are of; each sum must hold.
fn summed(out: &Path) -> Vec<String> {
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    sums.lines()
        .map(|line| {
            let (sum, file) = line.split_once("  ").unwrap();
            let content = fs::read(out.join(file)).unwrap();
            assert_eq!(sum, sha256(&content), "{file}");
            file.to_owned()
        })
        .collect()
}

#[test]
fn the_folder_has_what_a_release_carries() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let output = dist(&out, "binaries,licences,npm,sbom").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // The next run starts from an empty folder.
    fs::write(out.join("left-over"), "").unwrap();
    for line in [
        "skipped: SBOM (--skip)",
        "skipped: container images (they need the binaries)",
        "skipped: packages for Debian (they need the binaries)",
        "skipped: wheels (they need the binaries)",
    ] {
        assert!(stdout(&output).contains(line), "{}", stdout(&output));
    }

    let component = fs::read(out.join("ec2-role-credentials.wasm")).unwrap();
    let built = folder.path().join("built");
    for target in TARGETS {
        for command in COMMANDS {
            let file = built.join(target).join(command);
            write_command(&file, &format!("{command} for {target}"), &component);
        }
    }
    let output = dist(&out, "licences,npm,sbom,wheels")
        .args(["--targets", &TARGETS.join(","), "--prebuilt"])
        .arg(&built)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let summed = summed(&out);
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "ec2-role-credentials.wasm",
        "ec2-role-credentials.wit",
        "ec2-role-credentials-custom-client.wasm",
        "images/imds-emulator.tar",
        "imds-credentials-aarch64-unknown-linux-musl.tar.gz",
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

    archives_have_the_commands_and_their_documents(&out);
    images_have_the_commands_for_both_processors(&out);
    debian_packages_have_the_commands(&out);
}

fn archives_have_the_commands_and_their_documents(out: &Path) {
    for target in TARGETS {
        let root = format!("imds-credentials-{target}");
        let archive = fs::File::open(out.join(format!("{root}.tar.gz"))).unwrap();
        let files = unpacked(GzDecoder::new(archive));
        for command in COMMANDS {
            let (mode, content) = &files[&format!("{root}/{command}")];
            assert_eq!(*mode, 0o755);
            assert!(text(content).contains(&format!("# {command} for {target}\n")));
            // The manual and completions are those of the command that runs here.
            let (mode, page) = &files[&format!("{root}/man/{command}-run.1")];
            assert_eq!((*mode, text(page)), (0o644, format!("{command}\n")));
            let (_, script) = &files[&format!("{root}/completions/{command}.fish")];
            assert_eq!(text(script), format!("{command} fish\n"));
        }
        assert!(files.contains_key(&format!("{root}/LICENSE-MIT")));
    }
}

fn images_have_the_commands_for_both_processors(out: &Path) {
    for command in COMMANDS {
        let image = fs::File::open(out.join(format!("images/{command}.tar"))).unwrap();
        let files = unpacked(image);
        // What a descriptor refers to.
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let hash = digest.strip_prefix("sha256:").unwrap();
            let (_, content) = &files[&format!("blobs/sha256/{hash}")];
            assert_eq!(hash, sha256(content));
            assert_eq!(descriptor["size"], content.len());
            content.clone()
        };
        let json = |content: &[u8]| serde_json::from_slice::<Value>(content).unwrap();
        assert_eq!(json(&files["oci-layout"].1)["imageLayoutVersion"], "1.0.0");
        let layout = json(&files["index.json"].1);
        let [image] = layout["manifests"].as_array().unwrap().as_slice() else {
            panic!("{layout}");
        };
        let index = json(&blob(image));
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 2);
        for (manifest, (target, architecture)) in
            manifests.iter().zip(TARGETS.iter().zip(["amd64", "arm64"]))
        {
            assert_eq!(
                manifest["platform"],
                json!({ "architecture": architecture, "os": "linux" })
            );
            let manifest = json(&blob(manifest));
            let config = json(&blob(&manifest["config"]));
            assert_eq!(config["architecture"], architecture);
            assert_eq!(config["config"]["Entrypoint"], json!([command]));
            let mut layer = Vec::new();
            GzDecoder::new(&*blob(&manifest["layers"][0]))
                .read_to_end(&mut layer)
                .unwrap();
            assert_eq!(
                config["rootfs"]["diff_ids"],
                json!([format!("sha256:{}", sha256(&layer))])
            );
            let layer = unpacked(&*layer);
            let (mode, content) = &layer[&format!("usr/local/bin/{command}")];
            assert_eq!(*mode, 0o755);
            assert!(text(content).contains(&format!("# {command} for {target}\n")));
            assert_eq!(layer["tmp"].0, 0o1777);
        }
    }
}

fn debian_packages_have_the_commands(out: &Path) {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return;
    }
    for command in COMMANDS {
        for (target, architecture) in TARGETS.iter().zip(["amd64", "arm64"]) {
            let version = env!("CARGO_PKG_VERSION");
            let package = out.join(format!("debian/{command}_{version}_{architecture}.deb"));
            let folder = TempDir::new().unwrap();
            let status = Command::new("dpkg-deb")
                .arg("--extract")
                .args([&package, folder.path()])
                .status();
            assert!(status.unwrap().success(), "{}", package.display());
            let content = fs::read(folder.path().join("usr/bin").join(command)).unwrap();
            assert!(text(&content).contains(&format!("# {command} for {target}\n")));
            let share = folder.path().join("usr/share");
            // Of this command alone.
            assert_eq!(
                fs::read_dir(share.join("man/man1")).unwrap().count(),
                2,
                "{command}"
            );
            for file in [
                format!("bash-completion/completions/{command}"),
                format!("doc/{command}/copyright"),
                format!("man/man1/{command}-run.1.gz"),
            ] {
                assert!(share.join(&file).exists(), "{file}");
            }
        }
    }
}

#[test]
fn commands_with_another_component_are_refused() {
    let folder = TempDir::new().unwrap();
    let built = folder.path().join("built");
    for command in COMMANDS {
        write_command(&built.join(TARGETS[0]).join(command), command, b"another");
    }
    let output = dist(&folder.path().join("out"), "licences,npm,sbom,wheels")
        .args(["--targets", TARGETS[0], "--prebuilt"])
        .arg(&built)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("ec2-role-credentials does not contain the component of this release"),
        "{text}"
    );
}

#[test]
fn unknown_targets_and_two_of_a_platform_are_refused() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    for (targets, expected) in [
        (
            "x86_64-unknown-linux-musl,x86_64-unknown-linux-gnu",
            "one package for each platform",
        ),
        (
            "sparc-sun-solaris",
            "accepted: x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu, ",
        ),
    ] {
        let output = dist(&out, "licences,sbom")
            .args(["--targets", targets])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!out.exists());
    }
}

/// A command that writes its name as its manual and as completions, and contains the component.
fn write_command(file: &Path, comment: &str, component: &[u8]) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut script = format!(
        "#!/bin/sh\n# {comment}\ncase $1 in\n\
         man) mkdir -p \"$2\"; for page in {name} {name}-run; do echo {name} > \"$2/$page.1\"; done ;;\n\
         completions) echo {name} \"$2\" ;;\nesac\nexit\n"
    )
    .into_bytes();
    script.extend_from_slice(component);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, script).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The files and folders of an archive: their permissions and content by their path.
fn unpacked(archive: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = Archive::new(archive);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, (entry.header().mode().unwrap(), content))
        })
        .collect()
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

fn sha256(content: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(content))
}

#[test]
fn without_its_tools_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    for (skip, remedy) in [
        (
            "binaries,licences",
            "`cargo install --locked cargo-cyclonedx@",
        ),
        (
            "binaries,sbom",
            "`cargo install --locked --features cli cargo-about@",
        ),
    ] {
        let output = dist(&out, skip)
            .env("CARGO_HOME", folder.path())
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains(remedy), "{text}");
        assert!(!out.exists());
    }
}

#[test]
fn the_files_of_others_are_left_alone() {
    let out = TempDir::new().unwrap();
    let other = out.path().join("thesis.txt");
    fs::write(&other, "").unwrap();
    let output = dist(out.path(), "binaries,licences,sbom").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("name another folder"),
        "{}",
        stderr(&output)
    );
    assert!(other.exists());
}
