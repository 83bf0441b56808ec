//! Packages for Debian and its descendants: one for each command, with its manual and completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::archive::gzip;
use crate::commands::{Built, Static};
use crate::release::{BINARIES, Binary};
use crate::{must, sources, succeeds};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where shells look for completions: the extension of the script, its folder, what precedes the
/// command's name, and what follows it.
const COMPLETIONS: [(&str, &str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "", ""),
    ("fish", "usr/share/fish/vendor_completions.d", "", ".fish"),
    ("zsh", "usr/share/zsh/vendor-completions", "_", ""),
];

/// Whether `dpkg-deb`, which writes packages, is installed.
pub(crate) fn is_available() -> bool {
    succeeds(Command::new("dpkg-deb").arg("--version"))
}

/// Writes the packages into the folder `out`, with those commands that are linked statically.
pub(crate) fn build(built: &[Built], time: u64, out: &Path) -> Result<()> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot create the folder {}", out.display()))?;
    for built in built {
        if let Some(linked) = &built.target.linked_statically {
            for binary in &BINARIES {
                package(binary, built, linked, time, out)?;
            }
        }
    }
    Ok(())
}

fn package(binary: &Binary, built: &Built, linked: &Static, time: u64, out: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("package");
    let name = binary.name;
    let command = format!("usr/bin/{name}");
    sources::copy_file(&built.command(binary), &root.join(command))?;
    let manual = built.folder.join("man");
    if manual.exists() {
        for page in sources::files(&manual)? {
            if is_about(&page, name) {
                let content = fs::read(manual.join(&page))?;
                let page = format!("usr/share/man/man1/{page}.gz");
                write(&root, &page, &gzip(&content)?)?;
            }
        }
    }
    for (extension, folder, before, after) in COMPLETIONS {
        let script = built.folder.join(format!("completions/{name}.{extension}"));
        if script.exists() {
            let to = format!("{folder}/{before}{name}{after}");
            sources::copy_file(&script, &root.join(to))?;
        }
    }
    let mut copyright = "Licensed under the MIT licence or the Apache License 2.0 \
                         (/usr/share/common-licenses/Apache-2.0), at your option.\n"
        .to_owned();
    for licence in built.licences(binary) {
        if licence != "LICENSE-APACHE" {
            let file = built.folder.join(&licence);
            copyright += &format!("\n{}", fs::read_to_string(&file)?);
        }
    }
    let documents = format!("usr/share/doc/{name}");
    write(
        &root,
        &format!("{documents}/copyright"),
        copyright.as_bytes(),
    )?;
    let control = control(binary, linked, &root)?;
    write(&root, "DEBIAN/control", control.as_bytes())?;
    must(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group", "-Zxz"])
            .arg(&root)
            .arg(out)
            .env("SOURCE_DATE_EPOCH", time.to_string())
            .stdout(std::process::Stdio::null()),
    )
}

/// Whether a page of the manual is about a command or one of its subcommands.
fn is_about(page: &str, command: &str) -> bool {
    page.strip_prefix(command)
        .is_some_and(|rest| rest.starts_with(['.', '-']))
}

fn control(binary: &Binary, linked: &Static, root: &Path) -> Result<String> {
    let mut bytes = 0;
    for file in sources::files(root)? {
        bytes += fs::metadata(root.join(file))?.len();
    }
    Ok(format!(
        "Package: {}\nVersion: {VERSION}\nArchitecture: {}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {}\nSection: utils\nPriority: optional\nDescription: {}\n",
        binary.name,
        linked.architecture,
        bytes.div_ceil(1024),
        binary.description
    ))
}

/// The maintainer that the packages name. A publisher of packages replaces it.
const MAINTAINER: &str = "The developers of imds-credentials";

fn write(root: &Path, file: &str, content: &[u8]) -> Result<()> {
    let file = root.join(file);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))
}
