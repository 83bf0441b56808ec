//! `programs`: measures what real programs do with IMDS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use imds_conformance::programs::{self, Atlas, Measured, Program};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Outcome;
use crate::print::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance programs s3cmd restic
  imds-conformance programs --all --json programs.json --html programs.html

Each program is installed from its registry into a folder of its own, without root, and run in a network in which the address of IMDS is an emulator and nothing else is reachable (Linux). It is run with IMDS as it should be, without tokens, and away from EC2, where a program can take minutes to give up.

Exit status: 0 if every program could be measured and, with --check, did what FILE says; 1 otherwise.")]
pub(crate) struct Arguments {
    /// Measure these programs: names of files in the folder, without .toml
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,

    /// Measure all programs of the folder
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Read the files of programs from FOLDER
    #[arg(long, value_name = "FOLDER", default_value = "tests/programs")]
    folder: PathBuf,

    /// Install programs into FOLDER
    #[arg(long, value_name = "FOLDER", default_value = "target/programs")]
    into: PathBuf,

    /// Keep the measurements in FILE, as JSON. Those of other programs that it has are kept
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write all measurements of the JSON file as Markdown, to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write all measurements of the JSON file as an HTML page, to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Compare with the measurements in FILE: versions of IMDS, paths, numbers of requests, and
    /// whether each situation was a success, but no times
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(self.run_all())
    }

    async fn run_all(self) -> Outcome {
        let programs = self.selected()?;
        let expected = self.check.as_deref().map(read).transpose()?;
        let mut atlas = match &self.json {
            Some(file) if file.exists() => read(file)?,
            _ => Atlas::default(),
        };
        let mut failures = Vec::new();
        let progress = progress(programs.len());
        for program in &programs {
            progress.set_message(program.name.clone());
            match self.measure(program).await {
                Ok(measured) => {
                    if let Some(expected) = &expected {
                        failures.extend(difference(&measured, expected));
                    }
                    atlas.put(measured);
                    // What was measured is kept, whatever comes next.
                    self.write(&atlas)?;
                }
                Err(error) => failures.push(format!("{}: {error:#}", program.name)),
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        if self.json.is_none() && self.markdown.is_none() && self.html.is_none() {
            print(&programs::markdown(&atlas))?;
        }
        for failure in &failures {
            eprintln!("{failure}");
        }
        Ok(match failures.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn selected(&self) -> anyhow::Result<Vec<Program>> {
        let programs = programs::folder(&self.folder)?;
        if self.all {
            return Ok(programs);
        }
        for name in &self.names {
            if !programs.iter().any(|program| program.name == *name) {
                bail!("{} has no file {name}.toml", self.folder.display());
            }
        }
        let mut programs = programs;
        programs.retain(|program| self.names.contains(&program.name));
        Ok(programs)
    }

    async fn measure(&self, program: &Program) -> anyhow::Result<Measured> {
        let installed = programs::install(program, &self.into).await?;
        Ok(programs::measure(program, &installed).await?)
    }

    fn write(&self, atlas: &Atlas) -> anyhow::Result<()> {
        let json = || serde_json::to_string_pretty(atlas).map(|json| json + "\n");
        for (file, text) in [
            (&self.json, json()?),
            (&self.markdown, programs::markdown(atlas)),
            (&self.html, programs::page(atlas)),
        ] {
            if let Some(file) = file {
                fs::write(file, text)
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
        Ok(())
    }
}

fn read(file: &Path) -> anyhow::Result<Atlas> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} has no measurements"))
}

fn progress(programs: usize) -> ProgressBar {
    let progress = ProgressBar::new(programs as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {msg} {elapsed}") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_secs(1));
    progress
}

/// What is different from the measurements in a file, if anything is.
fn difference(measured: &Measured, expected: &Atlas) -> Option<String> {
    let name = &measured.name;
    let mut others = expected.programs.iter();
    let Some(expected) = others.find(|other| other.name == *name) else {
        return Some(format!("{name}: the file to compare with does not have it"));
    };
    let (seen, expected) = (measured.lasting(), expected.lasting());
    (seen != expected).then(|| format!("{name}: expected\n{expected:#}\nbut saw\n{seen:#}"))
}
