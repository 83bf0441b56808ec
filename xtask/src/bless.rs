//! Rewrites golden files and printed pages, where a change of them is intended.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{cargo, must, optimise, print_rules, public_api, release, wit};

/// What can be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Golden {
    /// Public API of the libraries: tests/golden/api.
    Api,
    /// Imports and exports of the components: tests/golden/*.txt.
    Components,
    /// The table of the emulator's faults: emulator/docs/faults.md.
    Faults,
    /// Types of the npm package: emulator/npm/schema.d.ts. Installs the packages of its test.
    Npm,
    /// Responses of the emulator: emulator/tests/protocol/golden.
    Responses,
    /// Pages of rules, and the list of categories in one of them: component/docs/behaviour.md,
    /// emulator/docs/{rules.toml,protocol.md}.
    Rules,
    /// What is printed from the WIT package: wit/wasi-0-3/credentials.wit, component/wit,
    /// component/guest/wit and component/examples/wit/deps.
    Wit,
    /// What SDKs do when IMDS fails: emulator/docs/clients.md. Installs boto3.
    Clients,
    /// The conformance matrix of SDKs: tests/docs/matrix.json and matrix.md. Installs the SDKs and takes
    /// half an hour. CLIENTS=NAME measures one of them alone.
    Matrix,
}

impl Golden {
    /// What is rewritten without a name: everything that needs no SDK.
    const DEFAULT: [Self; 6] = [
        Self::Api,
        Self::Components,
        Self::Faults,
        Self::Responses,
        Self::Rules,
        Self::Wit,
    ];
}

pub(crate) fn run(workspace: &Path, target: &Path, chosen: &[Golden]) -> Result<()> {
    let chosen = if chosen.is_empty() {
        &Golden::DEFAULT[..]
    } else {
        chosen
    };
    for golden in chosen {
        match golden {
            Golden::Api => {
                public_api::run(workspace, target, &public_api::Options { bless: true })?
            }
            Golden::Components => components(workspace, target)?,
            Golden::Faults => test(workspace, "faults", "table")?,
            Golden::Npm => script(workspace, "npm-package")?,
            Golden::Responses => test(workspace, "protocol", "dialects")?,
            Golden::Rules => {
                test(workspace, "protocol", "rule_40_lists")?;
                print_rules(workspace)?;
            }
            Golden::Wit => {
                for copy in wit::COPIES {
                    fs::write(workspace.join(copy.file), copy.text(workspace)?)?;
                }
            }
            Golden::Clients => {
                test(workspace, "aws_sdk", "table")?;
                script(workspace, "boto3-faults")?;
            }
            Golden::Matrix => script(workspace, "conformance")?,
        }
    }
    let changes = Command::new("git")
        .args(["status", "--short"])
        .current_dir(workspace)
        .output()?;
    print!("{}", String::from_utf8_lossy(&changes.stdout));
    Ok(())
}

/// Runs tests of the test program `program` that rewrite what they compare with. The whole workspace
/// is selected for the reason that `.ci/run` states.
fn test(workspace: &Path, program: &str, filter: &str) -> Result<()> {
    let mut command = cargo();
    command
        .args(["test", "--quiet", "--workspace", "--test", program, filter])
        .current_dir(workspace)
        .env("BLESS", "1");
    must(&mut command)
}

/// Runs a script of tests/clients that rewrites what it compares with.
fn script(workspace: &Path, name: &str) -> Result<()> {
    let mut command = Command::new(workspace.join(format!("tests/clients/{name}.sh")));
    must(command.env("BLESS", "1"))
}

fn components(workspace: &Path, target: &Path) -> Result<()> {
    let optimiser = optimise::install(target)?;
    for component in &release::COMPONENTS {
        let content = release::build(component.name, workspace, target, &optimiser)?;
        let description = wit::describe(&content)?;
        let golden = workspace.join("tests/golden");
        let name = component.feature.unwrap_or("component");
        fs::write(
            golden.join(format!("{name}.imports.txt")),
            description.imports,
        )?;
        fs::write(
            golden.join(format!("{name}.exports.txt")),
            description.exports,
        )?;
    }
    Ok(())
}
