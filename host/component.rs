//! How components are built: by a nested cargo, in a clean environment.
//!
//! The host's build script, `cargo xtask` and the tests share this file. The component that the host
//! embeds is therefore byte for byte the one that a release carries, and no build makes cargo compile
//! the libraries of another one again.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "component";

/// Builds the component `package` of `workspace` in the folder `target`, with cargo's home at `home`,
/// and returns the path of the artefact.
pub(crate) fn build(
    workspace: &Path,
    home: &Path,
    target: &Path,
    package: &str,
    arguments: &[&str],
) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = clean(Command::new(cargo))
        .current_dir(workspace)
        .env("CARGO_HOME", home)
        .env("CARGO_ENCODED_RUSTFLAGS", remap(home)?)
        .args([
            "build",
            "--package",
            package,
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .status()?;
    if !status.success() {
        return Err(format!("cannot build {package}; see the errors above").into());
    }
    Ok(target
        .join(TARGET)
        .join(PROFILE)
        .join(format!("{}.wasm", package.replace('-', "_"))))
}

/// The folder in which cargo keeps its downloads.
pub(crate) fn cargo_home() -> Result<PathBuf, Box<dyn Error>> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .ok_or_else(|| "cannot find cargo's home: neither CARGO_HOME nor HOME is set".into())
}

/// The compiler's flags. The component contains the names of source files whose code may panic. Those
/// of libraries begin with cargo's home, which differs between machines; these flags replace it.
fn remap(home: &Path) -> Result<String, Box<dyn Error>> {
    let sources = home.join("registry/src");
    // The folder does not exist if the libraries are vendored.
    let Ok(registries) = fs::read_dir(&sources) else {
        return Ok(String::new());
    };
    let mut flags = Vec::new();
    for registry in registries {
        let path = registry?.path();
        let path = path
            .to_str()
            .ok_or_else(|| format!("the path {} is not UTF-8", path.display()))?;
        flags.push(format!("--remap-path-prefix={path}=/registry"));
    }
    flags.sort_unstable();
    Ok(flags.join("\x1f"))
}

/// Removes the variables that are meant for the outer build from a command's environment. The
/// jobserver, the toolchain and cargo's home stay.
pub(crate) fn clean(mut command: Command) -> Command {
    const PREFIXES: [&str; 4] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "RUSTC_"];
    const NAMES: [&str; 10] = [
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTDOC",
        "TARGET",
    ];
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let cargos =
            PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || NAMES.contains(&text);
        // Set by cargo for a build script: the package and the target that it builds.
        let package = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_FEATURE_");
        if cargos || package {
            command.env_remove(&name);
        }
    }
    command
}
