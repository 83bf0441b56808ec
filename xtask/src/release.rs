//! The components and commands of a release.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::component;
use crate::metadata::Metadata;
use crate::optimise::Optimiser;

/// A build of the package `ec2-role-component`.
#[derive(Debug)]
pub(crate) struct Component {
    /// The artefact's name, without `.wasm`.
    pub(crate) name: &'static str,
    /// Its name in a registry, where each word begins with a letter.
    pub(crate) package: &'static str,
    /// The package's feature that makes it.
    pub(crate) feature: Option<&'static str>,
}

pub(crate) const COMPONENTS: [Component; 3] = [
    Component {
        name: "ec2-role-credentials",
        package: "ec2-role-credentials",
        feature: None,
    },
    Component {
        name: "ec2-role-credentials-custom-client",
        package: "ec2-role-credentials-custom-client",
        feature: Some("custom-client"),
    },
    Component {
        name: "ec2-role-credentials-wasi-0-3",
        package: "ec2-role-credentials-wasip3",
        feature: Some("wasi-0-3"),
    },
];

impl Component {
    /// Builds it from the sources in `workspace`, in the folder `target`, optimises it, and adds its
    /// metadata.
    pub(crate) fn build(
        &self,
        workspace: &Path,
        home: &Path,
        target: &Path,
        optimiser: &Optimiser,
    ) -> Result<Vec<u8>> {
        let mut arguments = vec!["--locked"];
        if let Some(feature) = self.feature {
            arguments.extend(["--features", feature]);
        }
        let built = component::build(workspace, home, target, "ec2-role-component", &arguments)
            .map_err(|error| anyhow!("{error}"))?;
        let optimised = optimiser.component(&built.content)?;
        Metadata::of_component(workspace, self.name)?.add_to(&optimised)
    }

    /// The name of its target folder, which the tests use too.
    pub(crate) fn folder(&self) -> String {
        match self.feature {
            None => "component".to_owned(),
            Some(feature) => format!("component-{feature}"),
        }
    }
}

/// Builds the component of that name in its own folder of `target`.
pub(crate) fn build(
    name: &str,
    workspace: &Path,
    target: &Path,
    optimiser: &Optimiser,
) -> Result<Vec<u8>> {
    let component = COMPONENTS
        .iter()
        .find(|component| component.name == name)
        .with_context(|| format!("unknown component {name}"))?;
    let home = component::cargo_home().map_err(|error| anyhow!("{error}"))?;
    component.build(
        workspace,
        &home,
        &target.join(component.folder()),
        optimiser,
    )
}

/// A command.
#[derive(Debug)]
pub(crate) struct Binary {
    /// The command's name.
    pub(crate) name: &'static str,
    /// The package that it is of.
    pub(crate) package: &'static str,
    /// The package's folder.
    pub(crate) folder: &'static str,
}

pub(crate) const BINARIES: [Binary; 3] = [
    Binary {
        name: "ec2-role-credentials",
        package: "ec2-role-credentials",
        folder: "host/command",
    },
    Binary {
        name: "imds-emulator",
        package: "imds-emulator",
        folder: "emulator",
    },
    Binary {
        name: "imds-conformance",
        package: "imds-conformance",
        folder: "tests",
    },
];
