//! Makes the components of a release smaller with `wasm-opt` of [Binaryen].
//!
//! Only a release pays for that: the host's build script would need Node.js or a C++ compiler, and a
//! minute. The version is fixed, because others would give other bytes.
//!
//! [Binaryen]: https://github.com/WebAssembly/binaryen

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::component::{PREAMBLE, sections};
use crate::{must, npm};

/// The package of npm that carries `wasm-opt`.
const BINARYEN: &str = "binaryen@132.0.0";
/// The instructions that rustc may use for `wasm32-unknown-unknown`.
const FEATURES: [&str; 7] = [
    "bulk-memory",
    "bulk-memory-opt",
    "call-indirect-overlong",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "sign-ext",
];
/// The first three make what follows find more.
const PASSES: [&str; 6] = [
    "--flatten",
    "--rereloop",
    "--merge-similar-functions",
    "-Oz",
    "--converge",
    "--strip-producers",
];
/// The id of a section of a component that is a module.
const MODULE: u8 = 1;

/// Installs the tool into `<target>/tools`, unless it is there.
pub(crate) fn install(target: &Path) -> Result<Optimiser> {
    let tool = npm::install(target, BINARYEN)?.join("wasm-opt");
    Ok(Optimiser { tool: Some(tool) })
}

/// `wasm-opt`, installed.
#[derive(Debug)]
pub(crate) struct Optimiser {
    tool: Option<PathBuf>,
}

impl Optimiser {
    /// Leaves components as they are.
    pub(crate) const NONE: Self = Self { tool: None };

    /// Optimises the modules of a component, and leaves the rest of it as it is.
    pub(crate) fn component(&self, component: &[u8]) -> Result<Vec<u8>> {
        let Some(tool) = &self.tool else {
            return Ok(component.to_vec());
        };
        let broken = "the component is cut off";
        let mut optimised = component.get(..PREAMBLE).context(broken)?.to_vec();
        let mut modules = 0_u32;
        for section in sections(component) {
            let section = section.context(broken)?;
            if section.id != MODULE {
                optimised.extend_from_slice(component.get(section.whole).context(broken)?);
                continue;
            }
            modules += 1;
            let module = optimised_module(tool, component.get(section.content).context(broken)?)?;
            optimised.push(MODULE);
            push_length(&mut optimised, module.len());
            optimised.extend_from_slice(&module);
        }
        if modules == 0 {
            bail!("the component has no module");
        }
        Ok(optimised)
    }
}

fn optimised_module(tool: &Path, module: &[u8]) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (
        folder.path().join("from.wasm"),
        folder.path().join("to.wasm"),
    );
    fs::write(&from, module)?;
    must(
        Command::new(tool)
            .args(FEATURES.map(|feature| format!("--enable-{feature}")))
            .args(PASSES)
            .arg("--output")
            .args([&to, &from]),
    )?;
    Ok(fs::read(&to)?)
}

/// Appends a length as LEB128: seven bits in each byte, the lowest first.
fn push_length(wasm: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            return wasm.push(low);
        }
        wasm.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_they_are_read() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 1_000_000] {
            let mut wasm = b"\0asm\x0d\0\x01\0\x01".to_vec();
            push_length(&mut wasm, length);
            let start = wasm.len();
            wasm.resize(start + length, 0);
            let all: Option<Vec<_>> = sections(&wasm).collect();
            let [section] = all.unwrap().try_into().ok().unwrap();
            assert_eq!(
                (section.id, section.content),
                (MODULE, start..start + length)
            );
            wasm.pop();
            // Without its last byte, a section is cut off. An empty one loses its length.
            assert!(sections(&wasm).last().unwrap().is_none());
        }
    }
}
