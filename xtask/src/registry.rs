//! Components and WIT packages as a registry stores them, in the form that `wkg` pushes and pulls and
//! that the [guidance for Wasm in OCI] describes.
//!
//! [guidance for Wasm in OCI]: https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::metadata::Metadata;
use crate::oci::{Annotations, Layout};
use crate::release::COMPONENTS;
use crate::wit::Interfaces;
use crate::{dist, wit};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// The namespace of the packages: `wkg` looks for `imds:credentials` in the repository
/// `imds/credentials`.
const NAMESPACE: &str = "imds";

/// A component, or a WIT package in its binary form.
#[derive(Debug)]
pub(crate) struct Artefact {
    pub(crate) wasm: Vec<u8>,
    pub(crate) metadata: Metadata,
}

/// Adds the WIT packages in their binary form to a release, and layouts of everything that goes to a
/// registry. The layouts state `created`, in seconds since 1970, as their time.
pub(crate) fn run(workspace: &Path, out: &Path, created: u64) -> Result<()> {
    let layouts = out.join("oci").join(NAMESPACE);
    for component in &COMPONENTS {
        let file = out.join(format!("{}.wasm", component.name));
        let artefact = Artefact {
            wasm: fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?,
            metadata: Metadata::of_component(workspace, component.name)?,
        };
        let name = component.package;
        write(&layouts.join(name), name, &[artefact], created)?;
    }
    let mut versions = Vec::new();
    for folder in wit::FOLDERS {
        let package = wit::binary(&workspace.join(folder))?;
        let version = &package.metadata.version;
        fs::write(
            out.join(format!("{NAMESPACE}-{}-{version}.wasm", wit::NAME)),
            &package.wasm,
        )?;
        versions.push(package);
    }
    write(&layouts.join(wit::NAME), wit::NAME, &versions, created)
}

/// Writes versions of the package `name` as a layout, each with its version as the tag.
fn write(folder: &Path, name: &str, versions: &[Artefact], created: u64) -> Result<()> {
    let mut layout = Layout::create(folder)?;
    for Artefact { wasm, metadata } in versions {
        let mut layer = layout.add(LAYER, wasm)?;
        let title = "org.opencontainers.image.title".to_owned();
        layer.annotations = Annotations::from([(title, format!("{name}.wasm"))]);
        let config = serde_json::to_vec(&Config::new(wasm, created)?)?;
        let config = layout.add(CONFIG, &config)?;
        let manifest = layout.add_manifest(&config, &[layer], &metadata.annotations())?;
        layout.tag(manifest, &metadata.version);
    }
    layout.finish()
}

/// The configuration of an artefact, with the fields of the crate `oci-wasm`, which `wkg` uses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    created: String,
    author: Option<String>,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    component: Listed,
}

#[derive(Serialize)]
struct Listed {
    exports: Vec<String>,
    imports: Vec<String>,
    /// A world that the component implements. Nothing writes it.
    target: Option<String>,
}

impl Config {
    fn new(wasm: &[u8], created: u64) -> Result<Self> {
        let created = SystemTime::UNIX_EPOCH + Duration::from_secs(created);
        let Interfaces { imports, exports } = wit::interfaces(wasm)?;
        Ok(Self {
            created: humantime::format_rfc3339_seconds(created).to_string(),
            author: None,
            architecture: "wasm",
            // That of WASI 0.3 has no name of its own.
            os: "wasip2",
            layer_digests: [format!("sha256:{}", dist::hash(wasm))],
            component: Listed {
                exports,
                imports,
                target: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Reads the content that a descriptor refers to, and compares it with its sum and size.
    fn content(layout: &Path, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let sum = digest.strip_prefix("sha256:").unwrap();
        let content = fs::read(layout.join("blobs/sha256").join(sum)).unwrap();
        assert_eq!(dist::hash(&content), sum);
        assert_eq!(descriptor["size"], content.len());
        content
    }

    fn json(content: &[u8]) -> Value {
        serde_json::from_slice(content).unwrap()
    }

    #[test]
    fn a_layout_holds_each_version_under_its_tag() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let version = |version: &str| {
            let mut package = wit::binary(&workspace.join("wit")).unwrap();
            version.clone_into(&mut package.metadata.version);
            // Other bytes, as another version has.
            package.wasm = package.metadata.add_to(&package.wasm).unwrap();
            package
        };
        let versions = [version("0.1.0"), version("0.1.1")];
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("imds/credentials");
        write(&layout, "credentials", &versions, 1_700_000_000).unwrap();

        let marker = json(&fs::read(layout.join("oci-layout")).unwrap());
        assert_eq!(marker["imageLayoutVersion"], "1.0.0");
        let index = json(&fs::read(layout.join("index.json")).unwrap());
        let tagged = index["manifests"].as_array().unwrap();
        assert_eq!(tagged.len(), 2);
        for (descriptor, artefact) in tagged.iter().zip(&versions) {
            let version = &artefact.metadata.version;
            assert_eq!(
                descriptor["annotations"]["org.opencontainers.image.ref.name"],
                **version
            );
            assert_eq!(
                descriptor["mediaType"],
                "application/vnd.oci.image.manifest.v1+json"
            );
            let manifest = json(&content(&layout, descriptor));
            assert_eq!(manifest["mediaType"], descriptor["mediaType"]);
            let annotations = &manifest["annotations"];
            assert_eq!(annotations["org.opencontainers.image.version"], **version);
            assert_eq!(
                annotations["org.opencontainers.image.licenses"],
                env!("CARGO_PKG_LICENSE")
            );

            let [layer] = &manifest["layers"].as_array().unwrap()[..] else {
                panic!("{manifest}");
            };
            assert_eq!(layer["mediaType"], "application/wasm");
            assert_eq!(
                layer["annotations"]["org.opencontainers.image.title"],
                "credentials.wasm"
            );
            assert_eq!(content(&layout, layer), artefact.wasm);

            assert_eq!(
                manifest["config"]["mediaType"],
                "application/vnd.wasm.config.v0+json"
            );
            let config = json(&content(&layout, &manifest["config"]));
            assert_eq!(config["created"], "2023-11-14T22:13:20Z");
            assert_eq!(config["layerDigests"], serde_json::json!([layer["digest"]]));
            let exports = config["component"]["exports"].as_array().unwrap();
            let provider = "imds:credentials/provider@0.1.0";
            assert!(exports.iter().any(|name| name == provider), "{config}");
            assert_eq!(config["component"]["imports"], serde_json::json!([]));
        }
    }
}
