//! Checks that the components are the same bytes wherever they are built.

use std::fs;
use std::iter::zip;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::Args;

use crate::optimise::{self, Optimiser};
use crate::release::COMPONENTS;
use crate::{component, dist, sources};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Build once instead of twice, to compare the printed sums with those of another build, such as
    /// the file SHA256SUMS of `cargo xtask dist`.
    #[arg(long)]
    once: bool,
}

/// Builds the components in two copies of the sources and prints their sums as `sha256sum` does. The two
/// builds differ in time and in the paths of the sources, of the target folder, and of cargo's home, in
/// which the sources of libraries are.
pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("reproducible").tempdir()?;
    let home = component::cargo_home().map_err(|error| anyhow!("{error}"))?;
    let other_home = folder.path().join("home-of-cargo");
    symlink(&home, &other_home)?;
    let optimiser = optimise::install(target)?;
    let second = folder.path().join("and/second");
    let second = build(workspace, &second, &other_home, &optimiser)?;
    if options.once {
        for (component, content) in zip(&COMPONENTS, &second) {
            println!("{}  {}.wasm", dist::hash(content), component.name);
        }
        return Ok(());
    }
    let first = build(workspace, &folder.path().join("first"), &home, &optimiser)?;

    let mut differ = Vec::new();
    for (component, (first, second)) in zip(&COMPONENTS, zip(&first, &second)) {
        match difference(first, second) {
            None => println!("{}  {}.wasm", dist::hash(first), component.name),
            Some(offset) => {
                let kept = |place: &str, content: &[u8]| {
                    let file = format!("{}.{place}.wasm", component.name);
                    let file = target.join(file);
                    fs::write(&file, content).map(|()| file)
                };
                differ.push(format!(
                    "{}.wasm differs from byte {offset}: {} in {}, {} in {}",
                    component.name,
                    dist::hash(first),
                    kept("first", first)?.display(),
                    dist::hash(second),
                    kept("second", second)?.display(),
                ));
            }
        }
    }
    if differ.is_empty() {
        eprintln!("Two builds from clean gave the same bytes.");
        return Ok(());
    }
    bail!(
        "two builds of the same sources differ. Compare the files with `cmp -l` and `strings`; host/component.rs keeps \
         paths out of them.\n{}",
        differ.join("\n")
    )
}

/// Copies the sources to a new folder and builds all components there.
fn build(
    workspace: &Path,
    folder: &Path,
    home: &Path,
    optimiser: &Optimiser,
) -> Result<Vec<Vec<u8>>> {
    sources::copy(workspace, folder)?;
    COMPONENTS
        .iter()
        .map(|component| component.build(folder, home, &folder.join("target"), optimiser))
        .collect()
}

/// Where two files begin to differ.
fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    match zip(one, other).position(|(one, other)| one != other) {
        None if one.len() != other.len() => Some(one.len().min(other.len())),
        place => place,
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(difference(b"wasm", b"wasm"), None);
        assert_eq!(difference(b"wasm", b"warm"), Some(2));
        assert_eq!(difference(b"wasm", b"wasm!"), Some(4));
        assert_eq!(difference(b"", b"w"), Some(0));
    }
}
