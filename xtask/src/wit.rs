//! WIT as text: of a component, and of the package.

use std::collections::BTreeSet;
use std::path::Path;

use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageId, Resolve, World, WorldItem, WorldKey};

use crate::Result;

/// What a component says of itself.
#[derive(Debug)]
pub(crate) struct Description {
    /// Its world and all that this needs, as one file.
    pub(crate) wit: String,
    /// What it imports, sorted, one per line.
    pub(crate) imports: String,
    /// What it exports.
    pub(crate) exports: String,
}

pub(crate) fn describe(component: &[u8]) -> Result<Description> {
    let decoded = wit_component::decode(component)?;
    let package = decoded.package();
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err("it is a WIT package, and no component".into());
    };
    let World {
        imports, exports, ..
    } = resolve
        .worlds
        .get(world)
        .ok_or("the component has no world")?;
    Ok(Description {
        imports: names(&resolve, imports.iter()),
        exports: names(&resolve, exports.iter()),
        wit: print(resolve, package)?,
    })
}

fn names<'a>(
    resolve: &Resolve,
    items: impl Iterator<Item = (&'a WorldKey, &'a WorldItem)>,
) -> String {
    let mut names: Vec<_> = items
        .map(|(key, _)| resolve.name_world_key(key) + "\n")
        .collect();
    names.sort_unstable();
    names.concat()
}

/// The package in a folder as one file that needs no other.
pub(crate) fn package(folder: &Path) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder)?;
    print(resolve, package)
}

/// The package, and of others what it needs. The comments are left away: they are in the package's own files.
fn print(mut resolve: Resolve, package: PackageId) -> Result<String> {
    let main = resolve
        .packages
        .get(package)
        .ok_or("the package is not there")?;
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
