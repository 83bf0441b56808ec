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
    /// What it does, in one line.
    pub(crate) description: &'static str,
    /// Whether it contains the component.
    pub(crate) has_component: bool,
}

pub(crate) const BINARIES: [Binary; 3] = [
    Binary {
        name: "ec2-role-credentials",
        package: "ec2-role-credentials",
        folder: "host/command",
        description: "hands AWS credentials from the EC2 Instance Metadata Service to programs",
        has_component: true,
    },
    Binary {
        name: "imds-emulator",
        package: "imds-emulator",
        folder: "emulator",
        description: "emulator of the EC2 Instance Metadata Service (IMDS)",
        has_component: false,
    },
    Binary {
        name: "imds-conformance",
        package: "imds-conformance",
        folder: "tests",
        description: "tests of clients and servers of the EC2 Instance Metadata Service (IMDS)",
        has_component: true,
    },
];

/// A component or a command, as tools see it that list what it contains.
#[derive(Debug)]
pub(crate) struct Artefact {
    /// The file's name.
    pub(crate) file: String,
    /// The package that it is of.
    pub(crate) package: &'static str,
    /// The package's folder.
    pub(crate) folder: &'static str,
    /// The only target that it is built for.
    pub(crate) target: Option<&'static str>,
    /// The package's feature that makes it.
    pub(crate) feature: Option<&'static str>,
}

impl Artefact {
    /// The arguments of cargo that choose what is compiled.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = Vec::new();
        if let Some(target) = self.target {
            arguments.extend(["--target", target]);
        }
        if let Some(feature) = self.feature {
            arguments.extend(["--features", feature]);
        }
        arguments
    }
}

/// All components and commands.
pub(crate) fn artefacts() -> Vec<Artefact> {
    let components = COMPONENTS.iter().map(|component| Artefact {
        file: format!("{}.wasm", component.name),
        package: "ec2-role-component",
        folder: "component",
        target: Some(component::TARGET),
        feature: component.feature,
    });
    let binaries = BINARIES.iter().map(|binary| Artefact {
        file: binary.name.to_owned(),
        package: binary.package,
        folder: binary.folder,
        target: None,
        feature: None,
    });
    components.chain(binaries).collect()
}
