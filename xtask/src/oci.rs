//! OCI image layouts: folders with all that a registry stores, which `skopeo`, `oras` and `crane` copy
//! to one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::dist;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation that says the tag of a manifest in a layout.
const TAG: &str = "org.opencontainers.image.ref.name";

/// Annotations of a manifest or of what it refers to.
pub(crate) type Annotations = BTreeMap<String, String>;

/// Refers to content by its sum.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    media_type: String,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub(crate) annotations: Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

/// What an image runs on, in the words of Go.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Platform {
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
}

/// A layout that is being written: one repository of a registry, with its tags.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    tagged: Vec<Descriptor>,
}

impl Layout {
    /// A new layout in the folder, which must not exist.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)
            .with_context(|| format!("cannot create the folder {}", blobs.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            tagged: Vec::new(),
        })
    }

    /// Stores content.
    pub(crate) fn add(&self, media_type: &str, content: &[u8]) -> Result<Descriptor> {
        let sum = dist::hash(content);
        let file = self.folder.join("blobs/sha256").join(&sum);
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{sum}"),
            size: content.len(),
            annotations: Annotations::new(),
            platform: None,
        })
    }

    /// Stores a manifest: its configuration, its layers, and what it says about itself.
    pub(crate) fn add_manifest(
        &self,
        config: &Descriptor,
        layers: &[Descriptor],
        annotations: &Annotations,
    ) -> Result<Descriptor> {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": annotations,
        });
        self.add(MANIFEST, &serde_json::to_vec(&manifest)?)
    }

    /// Stores an image for several platforms: the manifest of each.
    pub(crate) fn add_index(&self, manifests: &[Descriptor]) -> Result<Descriptor> {
        self.add(INDEX, &serde_json::to_vec(&index(manifests))?)
    }

    /// Gives a manifest or an index a tag.
    pub(crate) fn tag(&mut self, mut manifest: Descriptor, tag: &str) {
        manifest.annotations.insert(TAG.to_owned(), tag.to_owned());
        self.tagged.push(manifest);
    }

    /// Writes the list of tags, which makes the folder a layout.
    pub(crate) fn finish(self) -> Result<()> {
        self.write("index.json", &index(&self.tagged))?;
        self.write("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))
    }

    fn write(&self, name: &str, content: &Value) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, serde_json::to_vec(content)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn index(manifests: &[Descriptor]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}
