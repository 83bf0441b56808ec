//! WIT: of a component, and of the package, as text and in its binary form.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageId, Resolve, World, WorldItem, WorldKey};

use crate::metadata::Metadata;
use crate::registry::Artefact;

/// The folders of the WIT packages.
pub(crate) const FOLDERS: [&str; 2] = ["wit", "wit/wasi-0-3"];
/// The name of the WIT packages, without their namespace.
pub(crate) const NAME: &str = "credentials";

/// What a component says of itself.
#[derive(Debug)]
pub(crate) struct Description {
    /// Its world and everything that the world needs, as one file.
    pub(crate) wit: String,
    /// What it imports, sorted, one per line.
    pub(crate) imports: String,
    /// What it exports.
    pub(crate) exports: String,
}

pub(crate) fn describe(component: &[u8]) -> Result<Description> {
    let decoded = wit_component::decode(component)?;
    let package = decoded.package();
    let DecodedWasm::Component(resolve, _) = decoded else {
        bail!("this is a WIT package, not a component");
    };
    let lines = |names: Vec<String>| names.iter().map(|name| format!("{name}\n")).collect();
    let Interfaces { imports, exports } = interfaces(component)?;
    Ok(Description {
        imports: lines(imports),
        exports: lines(exports),
        wit: print(resolve, package)?,
    })
}

/// Names of interfaces, sorted.
#[derive(Debug)]
pub(crate) struct Interfaces {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// What a component imports and exports. A WIT package exports its interfaces and worlds.
pub(crate) fn interfaces(wasm: &[u8]) -> Result<Interfaces> {
    let decoded = wit_component::decode(wasm)?;
    let resolve = decoded.resolve();
    let (imports, exports) = match &decoded {
        DecodedWasm::Component(_, world) => {
            let World {
                imports, exports, ..
            } = (resolve.worlds.get(*world)).context("the component has no world")?;
            let names = |keys: &mut dyn Iterator<Item = &WorldKey>| {
                keys.map(|key| resolve.name_world_key(key)).collect()
            };
            (names(&mut imports.keys()), names(&mut exports.keys()))
        }
        DecodedWasm::WitPackage(_, id) => {
            let package = resolve.packages.get(*id).context("there is no package")?;
            let names = package.interfaces.keys().chain(package.worlds.keys());
            let names = names.map(|name| resolve.id_of_name(*id, name)).collect();
            (Vec::new(), names)
        }
    };
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    Ok(Interfaces {
        imports: sorted(imports),
        exports: sorted(exports),
    })
}

/// The package in a folder, as one file that is complete by itself.
pub(crate) fn package(folder: &Path) -> Result<String> {
    let (resolve, package) = resolved(folder)?;
    print(resolve, package)
}

/// The package in a folder in its binary form, as `wkg build` makes it.
pub(crate) fn binary(folder: &Path) -> Result<Artefact> {
    let (resolve, package) = resolved(folder)?;
    let name = &resolve
        .packages
        .get(package)
        .context("the package has not been read")?
        .name;
    let version = (name.version.as_ref())
        .with_context(|| format!("the package in {} has no version", folder.display()))?;
    let metadata = Metadata::of_wit(
        folder,
        format!("{}:{}", name.namespace, name.name),
        version.to_string(),
    )?;
    let wasm = wit_component::encode(&resolve, package)?;
    Ok(Artefact {
        wasm: metadata.add_to(&wasm)?,
        metadata,
    })
}

fn resolved(folder: &Path) -> Result<(Resolve, PackageId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder)?;
    Ok((resolve, package))
}

/// The package for WASI 0.3, with its comments: the same interfaces with functions that are all
/// `async`, under the version that `wasi-0-3/worlds.wit` states.
fn wasi_0_3(folder: &Path) -> Result<String> {
    let interfaces = own_interfaces(folder)?;
    let worlds = read(&folder.join("wasi-0-3/worlds.wit"))?;
    let (version, _) = worlds.split_once('\n').unwrap_or_default();
    let (_, interfaces) = interfaces.split_once('\n').unwrap_or_default();
    let package = format!(
        "{version}\n{}",
        interfaces.replace(": func(", ": async func(")
    );

    let mut resolve = Resolve::default();
    resolve.push_str("credentials.wit", &package)?;
    let functions = (resolve.interfaces.iter()).flat_map(|(_, interface)| &interface.functions);
    match functions
        .into_iter()
        .find(|(_, function)| !function.kind.is_async())
    {
        None => Ok(package),
        Some((name, _)) => {
            bail!("{name} would not be async: write it as `{name}: func(` on one line")
        }
    }
}

/// A file that is printed from the package.
pub(crate) struct Copy {
    /// Relative to the workspace.
    pub(crate) file: &'static str,
    print: fn(&Path) -> Result<String>,
}

impl Copy {
    /// The text that the file should have.
    pub(crate) fn text(&self, workspace: &Path) -> Result<String> {
        (self.print)(&workspace.join("wit"))
    }
}

/// All files that are printed from the package; each may be printed from those before it. The crates
/// have copies, because a package of a crate contains nothing from outside its folder.
pub(crate) const COPIES: [Copy; 5] = [
    Copy {
        file: "wit/wasi-0-3/credentials.wit",
        print: wasi_0_3,
    },
    Copy {
        file: "component/guest/wit/credentials.wit",
        print: own_interfaces,
    },
    Copy {
        file: "component/examples/wit/deps/imds-credentials.wit",
        print: own_interfaces,
    },
    Copy {
        file: "component/wit/wasi-0-2.wit",
        print: package,
    },
    Copy {
        file: "component/wit/wasi-0-3.wit",
        print: |wit| package(&wit.join("wasi-0-3")),
    },
];

fn own_interfaces(wit: &Path) -> Result<String> {
    read(&wit.join("credentials.wit"))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Prints the package, and what it needs of others. Comments are omitted: they are in the package's
/// own files.
fn print(mut resolve: Resolve, package: PackageId) -> Result<String> {
    let main = resolve
        .packages
        .get(package)
        .context("the package has not been read")?;
    let mut open: Vec<_> = main.interfaces.values().copied().collect();
    for world in main.worlds.values() {
        let world = resolve.worlds.get(*world);
        open.extend(world.iter().flat_map(|world| {
            let items = world.imports.values().chain(world.exports.values());
            items.filter_map(|item| match item {
                WorldItem::Interface { id, .. } => Some(*id),
                _ => None,
            })
        }));
    }
    let mut needed = BTreeSet::new();
    while let Some(interface) = open.pop() {
        if needed.insert(interface) {
            open.extend(resolve.interface_direct_deps(interface));
        }
    }

    let mut others = Vec::new();
    for (id, other) in resolve.packages.iter_mut().filter(|(id, _)| *id != package) {
        other.worlds.clear();
        other.interfaces.retain(|_, id| needed.contains(id));
        if !other.interfaces.is_empty() {
            others.push(id);
        }
    }
    let mut printer = WitPrinter::default();
    printer.emit_docs(false).print(&resolve, package, &others)?;
    Ok(printer.output.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_from_the_package_is_up_to_date() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for copy in COPIES {
            let found = read(&workspace.join(copy.file)).unwrap();
            assert!(
                found == copy.text(workspace).unwrap(),
                "`cargo xtask bless wit` brings {} up to date",
                copy.file
            );
        }
    }
}
