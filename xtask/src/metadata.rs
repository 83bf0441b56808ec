//! What a component or a WIT package says about itself, in the custom sections that registries and
//! `wasm-tools metadata show` read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_metadata::{AddMetadata, AddMetadataField};

/// Where the workspace states the version, the licence and the address of the sources.
const WORKSPACE: &str = "Cargo.toml";
/// Where the component is described.
const COMPONENT: &str = "component/Cargo.toml";
/// The manifest of a WIT package, in its folder. `wkg` reads the same file.
const WKG: &str = "wkg.toml";

/// The metadata of an artefact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    name: String,
    pub(crate) version: String,
    description: String,
    licences: String,
    /// The address of the repository, once there is one.
    source: Option<String>,
}

impl Metadata {
    /// That of the component `name`: the workspace's, and the description of the component's package.
    pub(crate) fn of_component(workspace: &Path, name: &str) -> Result<Self> {
        let shared = shared(workspace)?;
        let Component { package } = read(&workspace.join(COMPONENT))?;
        Ok(Self {
            name: name.to_owned(),
            version: shared.version,
            description: package.description,
            licences: shared.license,
            source: shared.repository,
        })
    }

    /// That of the WIT package in `folder`, as `wkg build` writes it.
    pub(crate) fn of_wit(folder: &Path, name: String, version: String) -> Result<Self> {
        let Wkg { metadata } = read(&folder.join(WKG))?;
        Ok(Self {
            name,
            version,
            description: metadata.description,
            licences: metadata.licenses,
            source: metadata.source,
        })
    }

    /// Adds it to a component, or to a WIT package in its binary form.
    pub(crate) fn add_to(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let mut add = AddMetadata::default();
        add.name = AddMetadataField::Set(self.name.clone());
        add.version = set(&self.version)?;
        add.description = set(&self.description)?;
        add.licenses = set(&self.licences)?;
        if let Some(source) = &self.source {
            add.source = set(source)?;
        }
        add.to_wasm(wasm)
    }

    /// The annotations of OCI that state the same, as `wkg publish` writes them.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        for (key, value) in [
            ("version", Some(&self.version)),
            ("description", Some(&self.description)),
            ("licenses", Some(&self.licences)),
            ("source", self.source.as_ref()),
        ] {
            if let Some(value) = value {
                annotations.insert(format!("org.opencontainers.image.{key}"), value.clone());
            }
        }
        annotations
    }
}

/// A field whose text has to be valid: for example, a licence is an expression of SPDX.
fn set<T>(text: &str) -> Result<AddMetadataField<T>>
where
    T: std::str::FromStr<Err = anyhow::Error> + std::fmt::Debug + Clone,
{
    let value = text
        .parse()
        .with_context(|| format!("{text:?} is not valid as metadata"))?;
    Ok(AddMetadataField::Set(value))
}

#[derive(Deserialize)]
struct Workspace {
    workspace: Members,
}

#[derive(Deserialize)]
struct Members {
    package: Shared,
}

/// What all packages of the workspace share.
#[derive(Deserialize)]
struct Shared {
    version: String,
    license: String,
    repository: Option<String>,
}

fn shared(workspace: &Path) -> Result<Shared> {
    let manifest: Workspace = read(&workspace.join(WORKSPACE))?;
    Ok(manifest.workspace.package)
}

#[derive(Deserialize)]
struct Component {
    package: Described,
}

#[derive(Deserialize)]
struct Described {
    description: String,
}

#[derive(Deserialize)]
struct Wkg {
    metadata: WkgMetadata,
}

#[derive(Deserialize)]
struct WkgMetadata {
    description: String,
    licenses: String,
    source: Option<String>,
}

fn read<T: DeserializeOwned>(manifest: &Path) -> Result<T> {
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot read {}", manifest.display()))
}

#[cfg(test)]
mod tests {
    use wasm_metadata::Payload;

    use super::*;
    use crate::wit;

    /// The magic number and the version of a component.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn workspace() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn of_component() -> Metadata {
        Metadata::of_component(workspace(), "a-name").unwrap()
    }

    /// Adds the metadata to a component that has nothing else, and reads it from there.
    fn read_back(metadata: &Metadata) -> Metadata {
        let component = metadata.add_to(EMPTY).unwrap();
        let payload = Payload::from_binary(&component).unwrap();
        let found = payload.metadata();
        Metadata {
            name: found.name.clone().unwrap(),
            version: found.version.as_ref().unwrap().to_string(),
            description: found.description.as_ref().unwrap().to_string(),
            licences: found.licenses.as_ref().unwrap().to_string(),
            source: found.source.as_ref().map(ToString::to_string),
        }
    }

    #[test]
    fn a_component_states_what_cargo_knows_of_it() {
        let metadata = of_component();
        assert_eq!(metadata.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(metadata.licences, env!("CARGO_PKG_LICENSE"));
        assert!(metadata.description.contains("WASI component"));
        assert_eq!(read_back(&metadata), metadata);
    }

    #[test]
    fn the_source_is_stated_once_there_is_one() {
        const KEY: &str = "org.opencontainers.image.source";
        let mut metadata = of_component();
        metadata.source = None;
        assert_eq!(read_back(&metadata), metadata);
        assert_eq!(metadata.annotations().get(KEY), None);
        metadata.source = Some("https://example.com/owner/imds-credentials".to_owned());
        assert_eq!(read_back(&metadata), metadata);
        assert_eq!(metadata.annotations().get(KEY), metadata.source.as_ref());
    }

    #[test]
    fn a_licence_that_spdx_does_not_know_is_refused() {
        let metadata = Metadata {
            licences: "MIT or so".to_owned(),
            ..of_component()
        };
        let error = metadata.add_to(EMPTY).unwrap_err();
        assert!(error.to_string().contains("\"MIT or so\""), "{error}");
    }

    #[test]
    fn the_wit_packages_state_what_the_workspace_states() {
        let shared = shared(workspace()).unwrap();
        for folder in wit::FOLDERS {
            let folder = workspace().join(folder);
            let metadata = wit::binary(&folder).unwrap().metadata;
            assert_eq!(metadata.licences, shared.license, "{}", folder.display());
            assert_eq!(metadata.source, shared.repository, "{}", folder.display());
        }
    }
}
