//! Container images with nothing but a command, for all processors that it was built for, as archives
//! of OCI layouts.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::archive::{Archive, EXECUTABLE, READABLE, gzip};
use crate::commands::{Built, Static};
use crate::dist::hash;
use crate::oci::{Annotations, Descriptor, Layout, Platform};
use crate::release::{BINARIES, Binary};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The user of the commands, and its group: the number that other images without a shell use.
const USER: u32 = 65532;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes an image for each command into the folder `out`, with those commands that are linked
/// statically.
pub(crate) fn build(built: &[Built], time: u64, out: &Path) -> Result<()> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot create the folder {}", out.display()))?;
    for binary in &BINARIES {
        let folder = tempfile::tempdir()?;
        let layout = folder.path().join(binary.name);
        write(binary, built, time, &layout)?;
        let mut archive = Archive::new(time);
        archive.files_of(&layout, "".as_ref())?;
        fs::write(out.join(format!("{}.tar", binary.name)), archive.tar()?)?;
    }
    Ok(())
}

fn write(binary: &Binary, built: &[Built], time: u64, folder: &Path) -> Result<()> {
    let mut layout = Layout::create(folder)?;
    let mut manifests = Vec::new();
    for built in built {
        if let Some(linked) = &built.target.linked_statically {
            manifests.push(manifest(binary, built, linked, time, &layout)?);
        }
    }
    let index = layout.add_index(&manifests)?;
    layout.tag(index, VERSION);
    layout.finish()
}

fn manifest(
    binary: &Binary,
    built: &Built,
    linked: &Static,
    time: u64,
    layout: &Layout,
) -> Result<Descriptor> {
    let files = files(binary, built, time)?;
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    let created = humantime::format_rfc3339_seconds(created).to_string();
    let config = json!({
        "created": created,
        "architecture": linked.architecture,
        "os": "linux",
        "config": settings(binary),
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hash(&files))] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    });
    let annotations = Annotations::from(
        [
            ("created", created.as_str()),
            ("title", binary.name),
            ("version", VERSION),
            ("licenses", "MIT OR Apache-2.0"),
        ]
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned())),
    );
    let config = layout.add(CONFIG, &serde_json::to_vec(&config)?)?;
    let layer = layout.add(LAYER, &gzip(&files)?)?;
    let mut manifest = layout.add_manifest(&config, &[layer], &annotations)?;
    manifest.platform = Some(Platform {
        architecture: linked.architecture,
        os: "linux",
    });
    Ok(manifest)
}

/// How the image is run.
fn settings(binary: &Binary) -> Value {
    let mut variables = vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()];
    let mut settings = json!({
        "User": format!("{USER}:{USER}"),
        "Entrypoint": [binary.name],
    });
    if binary.name == "imds-emulator" {
        // A variable, which holds whatever arguments the image is run with.
        variables.push("IMDS_EMULATOR_SERVER__HOSTS=[\"0.0.0.0\"]".to_owned());
        set(&mut settings, "ExposedPorts", json!({ "1338/tcp": {} }));
    }
    set(&mut settings, "Env", json!(variables));
    settings
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// The only layer.
fn files(binary: &Binary, built: &Built, time: u64) -> Result<Vec<u8>> {
    let name = binary.name;
    let mut layer = Archive::new(time);
    // Names of users, for `--user root`.
    layer.folder("etc", EXECUTABLE)?;
    let users = format!("root:x:0:0::/:/sbin/nologin\nimds:x:{USER}:{USER}::/:/sbin/nologin\n");
    layer.file("etc/passwd", READABLE, users.as_bytes())?;
    let groups = format!("root:x:0:\nimds:x:{USER}:\n");
    layer.file("etc/group", READABLE, groups.as_bytes())?;
    // Commands write files of their own there.
    layer.folder("tmp", 0o1777)?;
    for folder in ["usr", "usr/local", "usr/local/bin"] {
        layer.folder(folder, EXECUTABLE)?;
    }
    let command = built.command(binary);
    let content =
        fs::read(&command).with_context(|| format!("cannot read {}", command.display()))?;
    layer.file(format!("usr/local/bin/{name}"), EXECUTABLE, &content)?;
    for folder in ["usr/share", "usr/share/doc"] {
        layer.folder(folder, EXECUTABLE)?;
    }
    let documents = format!("usr/share/doc/{name}");
    layer.folder(&documents, EXECUTABLE)?;
    for licence in built.licences(binary) {
        let content = fs::read(built.folder.join(&licence))?;
        layer.file(format!("{documents}/{licence}"), READABLE, &content)?;
    }
    Ok(layer.tar()?)
}
