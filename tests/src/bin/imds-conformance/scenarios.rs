//! `list`, `explain` and `new`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use imds_conformance::scenario::{self, Scenario};

use crate::Outcome;
use crate::print::print;

/// The scenarios to use.
#[derive(Debug, clap::Args)]
pub(crate) struct Library {
    /// Use the scenarios in PATH, a folder or a file, instead of the built-in scenarios
    #[arg(long, value_name = "PATH")]
    scenarios: Option<PathBuf>,
}

impl Library {
    /// The path given. `None` for the built-in scenarios.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.scenarios.as_deref()
    }

    pub(crate) fn read(&self) -> anyhow::Result<Vec<Scenario>> {
        match &self.scenarios {
            Some(path) => Ok(scenario::folder(path)?),
            None => Ok(scenario::built_in()?),
        }
    }
}

/// The scenarios that match one of the filters, or all scenarios if there are no filters.
pub(crate) fn select(
    scenarios: Vec<Scenario>,
    filters: &[String],
) -> anyhow::Result<Vec<Scenario>> {
    let matches = |scenario: &Scenario| {
        filters.is_empty() || filters.iter().any(|filter| scenario.matches(filter))
    };
    let selected: Vec<_> = scenarios.into_iter().filter(matches).collect();
    match (selected.is_empty(), filters) {
        (false, _) => Ok(selected),
        (true, []) => bail!("there are no scenarios (*.toml) in the path given with --scenarios"),
        (true, filters) => bail!(
            "no name or description of a scenario contains {}; list them with `imds-conformance list`",
            filters.join(" or ")
        ),
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance list
  imds-conformance list throttling --json")]
pub(crate) struct List {
    /// List only scenarios whose name or description contains one of WORDS
    #[arg(value_name = "WORDS")]
    filters: Vec<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    library: Library,
}

impl List {
    pub(crate) fn run(self) -> Outcome {
        let scenarios = select(self.library.read()?, &self.filters)?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&scenarios)? + "\n",
            false => {
                let width = scenarios.iter().map(|scenario| scenario.id.len()).max();
                let width = width.unwrap_or_default();
                let mut text = String::new();
                for scenario in &scenarios {
                    let (id, weight) = (&scenario.id, scenario.weight());
                    writeln!(text, "{id:<width$}  {weight:<6}  {}", scenario.behaviour())?;
                }
                writeln!(text, "\n{} scenarios", scenarios.len())?;
                text
            }
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  imds-conformance explain token/replaced-after-401")]
pub(crate) struct Explain {
    /// The name of the scenario, such as token/reused
    name: String,

    #[command(flatten)]
    library: Library,
}

impl Explain {
    pub(crate) fn run(self) -> Outcome {
        let scenarios = self.library.read()?;
        let found = scenarios
            .iter()
            .find(|scenario| scenario.is_named(&self.name));
        let Some(scenario) = found else {
            bail!(
                "no scenario is named {:?}; list them with `imds-conformance list`",
                self.name
            );
        };
        let mut text = format!("{}\n\n", scenario.behaviour());
        writeln!(text, "  weight    {}", scenario.weight())?;
        writeln!(text, "  rests on  {}", scenario.rests_on().join("; "))?;
        writeln!(text, "  name      {}\n", scenario.id)?;
        for line in scenario.why().trim().lines() {
            writeln!(text, "{line}")?;
        }
        if !scenario.env().is_empty() {
            writeln!(
                text,
                "\nEnvironment of the client, in addition to the endpoint:"
            )?;
            for (name, value) in scenario.env() {
                writeln!(text, "  {name}={value}")?;
            }
        }
        if !scenario.config.faults.is_empty() {
            writeln!(text, "\nFaults from the start:")?;
            for rule in &scenario.config.faults {
                writeln!(text, "  {}", serde_json::to_string(rule)?)?;
            }
        }
        writeln!(text, "\nSteps:")?;
        for (at, step) in scenario.steps().iter().enumerate() {
            writeln!(text, "  {}. {step}", at + 1)?;
        }
        if !scenario.journal().is_empty() {
            writeln!(text, "\nExpected in the journal at the end:")?;
            for assertion in scenario.journal() {
                writeln!(text, "  {assertion}")?;
            }
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance new scenarios/my-own.toml
  imds-conformance run --scenarios scenarios")]
pub(crate) struct New {
    /// The file to write, which must not exist yet
    file: PathBuf,
}

impl New {
    pub(crate) fn run(self) -> Outcome {
        let cannot = || format!("cannot write {}", self.file.display());
        if let Some(folder) = self.file.parent().filter(|folder| *folder != Path::new("")) {
            fs::create_dir_all(folder).with_context(cannot)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.file)
            .with_context(cannot)?;
        file.write_all(scenario::TEMPLATE.as_bytes())
            .with_context(cannot)?;
        let path = self.file.to_string_lossy();
        let quoted = shlex::try_quote(&path).unwrap_or(Cow::Borrowed(&path));
        eprintln!("wrote {path}; run it with `imds-conformance run --scenarios {quoted}`");
        Ok(ExitCode::SUCCESS)
    }
}
