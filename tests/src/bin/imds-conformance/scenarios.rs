//! `list`, `explain` and `new`.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use imds_conformance::scenario::{self, Scenario};

use crate::Outcome;
use crate::print::print;

/// Which scenarios there are.
#[derive(Debug, clap::Args)]
pub(crate) struct Library {
    /// Scenarios of your own in place of those that come with the tool: a folder, or a file
    #[arg(long, value_name = "PATH")]
    scenarios: Option<PathBuf>,
}

impl Library {
    pub(crate) fn read(&self) -> Result<Vec<Scenario>, Box<dyn std::error::Error>> {
        match &self.scenarios {
            Some(path) => Ok(scenario::folder(path)?),
            None => Ok(scenario::built_in()?),
        }
    }
}

/// Those whose id or sentence has one of these in it; all, if there are none.
pub(crate) fn select(
    scenarios: Vec<Scenario>,
    filters: &[String],
) -> Result<Vec<Scenario>, Box<dyn std::error::Error>> {
    let matches = |scenario: &Scenario| {
        let sentence = scenario.behaviour().to_lowercase();
        filters.is_empty()
            || filters.iter().any(|filter| {
                let filter = filter.to_lowercase();
                scenario.id.to_lowercase().contains(&filter) || sentence.contains(&filter)
            })
    };
    let selected: Vec<_> = scenarios.into_iter().filter(matches).collect();
    match selected.is_empty() {
        true if filters.is_empty() => Err("there are no scenarios: no file *.toml is there".into()),
        true => Err(format!(
            "no scenario has {} in its name or its sentence; `imds-conformance list` lists them",
            filters.join(" or ")
        )
        .into()),
        false => Ok(selected),
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance list
  imds-conformance list throttling --json")]
pub(crate) struct List {
    /// Only those with one of these in their name or their sentence
    filters: Vec<String>,

    /// Write JSON
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
    /// The name of a scenario
    name: String,

    #[command(flatten)]
    library: Library,
}

impl Explain {
    pub(crate) fn run(self) -> Outcome {
        let scenarios = self.library.read()?;
        let found = scenarios.iter().find(|scenario| scenario.id == self.name);
        let Some(scenario) = found else {
            return Err(format!(
                "there is no scenario {:?}; `imds-conformance list` lists them",
                self.name
            )
            .into());
        };
        let mut text = format!("{}\n\n", scenario.behaviour());
        writeln!(text, "  weight    {}", scenario.weight())?;
        writeln!(text, "  rests on  {}", scenario.rests_on().join("; "))?;
        writeln!(text, "  name      {}\n", scenario.id)?;
        for line in scenario.why().trim().lines() {
            writeln!(text, "{line}")?;
        }
        if !scenario.env().is_empty() {
            writeln!(text, "\nThe client's environment, beside the endpoint:")?;
            for (name, value) in scenario.env() {
                writeln!(text, "  {name}={value}")?;
            }
        }
        if !scenario.config.faults.is_empty() {
            writeln!(text, "\nFrom the start:")?;
            for rule in &scenario.config.faults {
                writeln!(text, "  {}", serde_json::to_string(rule)?)?;
            }
        }
        writeln!(text, "\nSteps:")?;
        for (at, step) in scenario.steps().iter().enumerate() {
            writeln!(text, "  {}. {step}", at + 1)?;
        }
        if !scenario.journal().is_empty() {
            writeln!(text, "\nAt the end the journal shows:")?;
            for assertion in scenario.journal() {
                writeln!(text, "  {}", serde_json::to_string(assertion)?)?;
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
    /// The file to write, which must not be there yet
    file: PathBuf,
}

impl New {
    pub(crate) fn run(self) -> Outcome {
        let named =
            |error: std::io::Error| format!("cannot write {}: {error}", self.file.display());
        if let Some(folder) = self.file.parent().filter(|folder| *folder != Path::new("")) {
            fs::create_dir_all(folder).map_err(named)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.file)
            .map_err(named)?;
        file.write_all(scenario::TEMPLATE.as_bytes())
            .map_err(named)?;
        eprintln!(
            "wrote {}; run it with `imds-conformance run --scenarios {}`",
            self.file.display(),
            self.file.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}
