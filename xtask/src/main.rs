//! Tasks of this repository that are written in Rust: `cargo xtask --help` lists them.

#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

mod archive;
mod bless;
mod commands;
// The host's build script and the tests use it too.
#[path = "../../host/component.rs"]
mod component;
mod debian;
mod dist;
mod docs;
mod images;
mod links;
mod metadata;
mod notices;
mod npm;
mod oci;
mod optimise;
mod package;
mod public_api;
mod python;
mod registry;
mod release;
mod reproducible;
mod rules;
mod sbom;
mod sources;
mod wheels;
mod wit;

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Rewrite golden files and printed pages, where a change of them is intended. Without a name:
    /// everything that needs no SDK.
    Bless {
        /// What to rewrite.
        goldens: Vec<bless::Golden>,
    },
    /// Run `.ci/run`.
    Ci {
        /// Run only the steps that take minutes rather than half an hour.
        #[arg(long, conflicts_with = "steps")]
        fast: bool,
        /// Run only these steps.
        steps: Vec<String>,
    },
    /// Build one component as a release carries it, and print its path.
    Component {
        /// Name of the artefact, without `.wasm`.
        #[arg(value_parser = PossibleValuesParser::new(release::COMPONENTS.map(|component| component.name)))]
        name: String,
    },
    /// Write everything that a release carries into one folder.
    Dist(dist::Options),
    /// Build the documentation as a site, with a search and the API of the crates, and check its links.
    Docs(docs::Options),
    /// Check that links in Markdown lead to files and headings that exist, and that its lines are wrapped.
    Links,
    /// Write the packages for npm into a folder: the emulator, and the component as JavaScript.
    Npm(npm::Options),
    /// Compare the public API of the libraries with the golden files in tests/golden/api.
    PublicApi(public_api::Options),
    /// Build the components from clean in two different places and compare the bytes.
    Reproducible(reproducible::Options),
    /// Print the pages of rules from the rules.toml beside them: component/docs/behaviour.md and
    /// emulator/docs/protocol.md.
    Rules,
    /// Package compiled commands as wheels for PyPI.
    Wheels(wheels::Options),
    /// Print a WIT package and everything that it needs as one file, without comments: the form of the
    /// baselines in tests/golden/wit.
    Wit {
        /// The folder of the package.
        #[arg(default_value = wit::FOLDERS[0], value_parser = PossibleValuesParser::new(wit::FOLDERS))]
        folder: String,
    },
}

fn main() -> ExitCode {
    if let Some(code) = public_api::as_rustdoc() {
        return code;
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the folder of xtask has no parent")?;
    match arguments.command {
        Task::Bless { goldens } => bless::run(workspace, &target()?, &goldens),
        Task::Ci { fast, steps } => {
            let mut command = Command::new("bash");
            command.arg(".ci/run").current_dir(workspace);
            if fast {
                command.arg("--fast");
            }
            must(command.args(steps))
        }
        Task::Component { name } => {
            let target = target()?;
            let component =
                release::build(&name, workspace, &target, &optimise::install(&target)?)?;
            let folder = target.join("components");
            std::fs::create_dir_all(&folder)?;
            let file = folder.join(format!("{name}.wasm"));
            std::fs::write(&file, component)?;
            println!("{}", file.display());
            Ok(())
        }
        Task::Dist(options) => dist::run(workspace, &target()?, &options),
        Task::Docs(options) => docs::run(workspace, &target()?, &options),
        Task::Links => links::run(workspace),
        Task::Npm(options) => npm::run(workspace, &target()?, &options),
        Task::PublicApi(options) => public_api::run(workspace, &target()?, &options),
        Task::Reproducible(options) => reproducible::run(workspace, &target()?, &options),
        Task::Rules => print_rules(workspace),
        Task::Wheels(options) => wheels::run(workspace, &target()?, &options),
        Task::Wit { folder } => {
            print!("{}", wit::package(&workspace.join(folder))?);
            Ok(())
        }
    }
}

fn print_rules(workspace: &Path) -> Result<()> {
    let books = rules::books(workspace).map_err(|error| anyhow!("{error}"))?;
    for book in books {
        std::fs::write(&book.page, book.print())?;
        println!("{}: {} rules", book.page.display(), book.rules().count());
    }
    Ok(())
}

/// The target folder, derived from the path of this program: `<target>/<profile>/xtask`.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).with_context(|| {
        format!(
            "{} is not in a target folder; run `cargo xtask`",
            program.display()
        )
    })?;
    Ok(target.to_owned())
}

/// The cargo that runs this program.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command that must succeed.
fn must(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !status.success() {
        bail!(
            "`{}` failed ({status}); see its output above",
            line(command)
        );
    }
    Ok(())
}

/// Whether a command exists and succeeds. Its output is not shown.
fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
