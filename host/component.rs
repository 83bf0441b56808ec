//! How components are built: by a nested cargo, in a clean environment.
//!
//! The host's build script, `cargo xtask` and the tests share this file. So all of them build the same
//! bytes, and no build makes cargo compile the libraries of another one again.

use std::env;
use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "component";

/// A component that was built.
pub(crate) struct Built {
    /// Its bytes.
    pub(crate) content: Vec<u8>,
    /// The list of its source files, as cargo writes it.
    #[allow(dead_code, reason = "for the host's build script")]
    pub(crate) sources: PathBuf,
}

/// Builds the component `package` of `workspace` in the folder `target`, with cargo's home at `home`.
pub(crate) fn build(
    workspace: &Path,
    home: &Path,
    target: &Path,
    package: &str,
    arguments: &[&str],
) -> Result<Built, Box<dyn Error>> {
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
    let artefact = target
        .join(TARGET)
        .join(PROFILE)
        .join(format!("{}.wasm", package.replace('-', "_")));
    let content = without_names(&fs::read(&artefact)?)
        .ok_or("cargo built something other than a component")?;
    Ok(Built {
        content,
        sources: artefact.with_extension("d"),
    })
}

/// Removes the names that the linker gives the parts of a component. They help those who read its text
/// form, and the linker has no option to omit them.
fn without_names(component: &[u8]) -> Option<Vec<u8>> {
    let mut rest = component.get(..PREAMBLE)?.to_vec();
    for section in sections(component) {
        let section = section?;
        let content = component.get(section.content)?;
        // A custom section begins with the length of its name, and the name.
        let is_names = section.id == CUSTOM && content.get(1..)?.starts_with(b"component-name");
        if !is_names {
            rest.extend_from_slice(component.get(section.whole)?);
        }
    }
    Some(rest)
}

/// The magic number and the version.
pub(crate) const PREAMBLE: usize = 8;
const CUSTOM: u8 = 0;

/// A section of a module or component.
pub(crate) struct Section {
    pub(crate) id: u8,
    pub(crate) content: Range<usize>,
    /// The same with its header, which is the id and the length.
    pub(crate) whole: Range<usize>,
}

/// The sections of a module or component. The last item is `None` if the bytes are neither.
pub(crate) fn sections(wasm: &[u8]) -> impl Iterator<Item = Option<Section>> {
    let mut position = PREAMBLE;
    std::iter::from_fn(move || {
        (position < wasm.len()).then(|| {
            let section = section(wasm, position);
            position = section.as_ref().map_or(wasm.len(), |it| it.whole.end);
            section
        })
    })
}

fn section(wasm: &[u8], start: usize) -> Option<Section> {
    let id = *wasm.get(start)?;
    // LEB128: seven bits in each byte, the lowest first.
    let (mut length, mut position) = (0_usize, start.checked_add(1)?);
    for shift in (0..u32::BITS).step_by(7) {
        let byte = *wasm.get(position)?;
        position = position.checked_add(1)?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let end = position.checked_add(length)?;
            return (end <= wasm.len()).then_some(Section {
                id,
                content: position..end,
                whole: start..end,
            });
        }
    }
    None
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
