//! `programs`: measures what real programs do with IMDS.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use imds_conformance::programs::{self, Atlas, MeasureError, Measured, NotMeasured, Program};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;

use crate::Outcome;
use crate::print::print;

/// Names that are more similar than this, of 1, are suggested for each other.
const SIMILAR: f64 = 0.8;
/// The exit status if this system does not let this user isolate commands, as in scripts of tests.
const NOT_ISOLATED: u8 = 77;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance programs s3cmd restic
  imds-conformance programs --all --jobs 2 --json programs.json --html programs.html
  imds-conformance programs --from programs.json --html programs.html

Each program is installed from its registry into a folder of its own, without root, and run in a network in which the address of IMDS is an emulator and nothing else is reachable (Linux). It is run with a healthy IMDS, without tokens, with revoked tokens, with credentials that expire, and off EC2, where a program can take minutes to give up.

Exit status: 0 if every program could be measured and, with --check, did what FILE says; 77 if this system does not let this user isolate commands; 1 otherwise.")]
pub(crate) struct Arguments {
    /// Measure these programs
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "list", "from"])]
    names: Vec<String>,

    /// Print the names of all programs, and measure none
    #[arg(long, conflicts_with_all = ["names", "all", "from"])]
    list: bool,

    /// Measure nothing. Write the measurements in FILE as pages, or print them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "all", "json", "check"])]
    from: Option<PathBuf>,

    /// Measure all programs. Skip those that the file of --json has in these versions
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// With --all, skip no program
    #[arg(long, requires = "all")]
    again: bool,

    /// Run NUM commands at the same time. More than the machine has cores is useful, because
    /// programs mostly wait; but then they also take longer
    #[arg(long, value_name = "NUM", default_value = "1")]
    jobs: NonZeroUsize,

    /// Read the files NAME.toml of programs from FOLDER [default: the built-in programs]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,

    /// Install programs into FOLDER
    #[arg(long, value_name = "FOLDER", default_value = "target/programs")]
    into: PathBuf,

    /// Remove each program after it was measured
    #[arg(long)]
    remove: bool,

    /// Keep the measurements in FILE, as JSON. Those of other programs that it has are kept
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write all measurements of the JSON file as Markdown, to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write all measurements of the JSON file as an HTML page, to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Draw the versions of IMDS and the times off EC2 of all programs of the JSON file, as SVG, to
    /// FILE
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Compare with the measurements in FILE: versions of IMDS, paths, numbers of requests, of
    /// connections and, within two for each connection, of packets, and whether each situation was a
    /// success, but no times
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
        if self.list {
            let names = self.programs()?.into_iter().map(|program| program.name);
            print(&names.map(|name| name + "\n").collect::<String>())?;
            return Ok(ExitCode::SUCCESS);
        }
        for file in self.outputs().into_iter().flatten() {
            check_writable(file)?;
        }
        if let Some(file) = &self.from {
            return self.present(&read(file)?).map(|()| ExitCode::SUCCESS);
        }
        let expected = self.check.as_deref().map(read).transpose()?;
        let mut atlas = match &self.json {
            Some(file) if file.exists() => read(file)?,
            _ => Atlas::default(),
        };
        let mut programs = self.selected(&atlas)?;
        if self.all {
            programs.retain(|program| !put_not_measured(&mut atlas, program));
        }
        let permits = Semaphore::new(self.jobs.get());
        let progress = Progress::new(programs.len());
        let measurements = stream::iter(&programs).map(|program| {
            let (this, progress, permits) = (&self, &progress, &permits);
            async move {
                progress.begins(program);
                let measured = this.measure(program, permits).await;
                progress.ends(program, measured.as_ref().err());
                (program, measured)
            }
        });
        let mut measurements = measurements.buffer_unordered(self.jobs.get());
        let (mut failures, mut checked) = (Vec::new(), 0);
        while let Some((program, measured)) = measurements.next().await {
            match measured {
                Ok(measured) => {
                    if let Some(expected) = &expected {
                        failures.extend(difference(&measured, expected));
                        checked += 1;
                    }
                    atlas.put(measured);
                }
                Err(error) if is_not_isolated(&error) => {
                    eprintln!("{}: {error:#}", program.name);
                    return Ok(ExitCode::from(NOT_ISOLATED));
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    failures.push(format!("{}: {why}", program.name));
                    atlas.put_failure(NotMeasured {
                        name: program.name.clone(),
                        about: program.about.clone(),
                        at: Utc::now(),
                        why,
                    });
                }
            }
            // What was measured is kept, whatever comes next.
            self.write(&atlas)?;
        }
        progress.bar.finish_and_clear();
        if programs.is_empty() || self.check.is_none() {
            self.present(&atlas)?;
        }
        for failure in &failures {
            eprintln!("{failure}");
        }
        if let Some(file) = self.check.as_ref().filter(|_| failures.is_empty()) {
            print(&format!(
                "{checked} programs do what {} says\n",
                file.display()
            ))?;
        }
        Ok(match failures.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn selected(&self, atlas: &Atlas) -> anyhow::Result<Vec<Program>> {
        let mut programs = self.programs()?;
        if self.all {
            programs.retain(|program| {
                let measured = atlas.get(&program.name);
                self.again
                    || !measured.is_some_and(|measured| program.install.gave(&measured.packages))
            });
            return Ok(programs);
        }
        for name in &self.names {
            if !programs.iter().any(|program| program.name == *name) {
                bail!(unknown(name, &programs));
            }
        }
        programs.retain(|program| self.names.contains(&program.name));
        Ok(programs)
    }

    fn programs(&self) -> anyhow::Result<Vec<Program>> {
        Ok(match &self.folder {
            Some(folder) => programs::folder(folder)?,
            None => programs::built_in()?,
        })
    }

    async fn measure(&self, program: &Program, permits: &Semaphore) -> anyhow::Result<Measured> {
        let installed = {
            let _permit = permits.acquire().await;
            programs::install(program, &self.into).await?
        };
        let measured = programs::measure(program, &installed, permits).await;
        if self.remove {
            fs::remove_dir_all(&installed.root)
                .with_context(|| format!("cannot remove {}", installed.root.display()))?;
        }
        Ok(measured?)
    }

    fn outputs(&self) -> [Option<&Path>; 4] {
        [&self.json, &self.markdown, &self.html, &self.svg].map(|output| output.as_deref())
    }

    /// Writes the measurements where they are wanted, or prints them.
    fn present(&self, atlas: &Atlas) -> anyhow::Result<()> {
        match self.outputs().iter().any(Option::is_some) {
            true => self.write(atlas),
            false => Ok(print(&programs::text(atlas))?),
        }
    }

    fn write(&self, atlas: &Atlas) -> anyhow::Result<()> {
        let json = || serde_json::to_string_pretty(atlas).map(|json| json + "\n");
        for (file, text) in [
            (&self.json, json()?),
            (&self.markdown, programs::markdown(atlas)),
            (&self.html, programs::page(atlas)),
            (&self.svg, programs::chart(atlas)),
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

/// Fails now rather than after hours of measurements if a file cannot be written.
fn check_writable(file: &Path) -> anyhow::Result<()> {
    let exists = file.exists();
    let opened = fs::File::options().append(true).create(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))?;
    if !exists {
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// Whether a program's file says why `--all` does not measure it. Then the atlas says so.
fn put_not_measured(atlas: &mut Atlas, program: &Program) -> bool {
    let Some(why) = &program.not_measured else {
        return false;
    };
    atlas.put_failure(NotMeasured {
        name: program.name.clone(),
        about: program.about.clone(),
        at: Utc::now(),
        why: why.clone(),
    });
    true
}

/// Says that no program has this name, and which have a similar one.
fn unknown(name: &str, programs: &[Program]) -> String {
    let alike = |program: &Program| strsim::jaro_winkler(&program.name, &name.to_lowercase());
    let mut similar: Vec<_> = programs
        .iter()
        .map(|program| (alike(program), &*program.name))
        .collect();
    similar.retain(|(alike, _)| *alike > SIMILAR);
    similar.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let names: Vec<String> = similar
        .iter()
        .take(3)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    let hint = match names.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", names.join(" or ")),
    };
    format!("no program is named {name:?}{hint} (--list prints all names)")
}

fn is_not_isolated(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<MeasureError>();
    matches!(error, Some(MeasureError::Isolation(_)))
}

/// Which programs are being measured: a bar on a terminal, or else a line for each that is done.
struct Progress {
    bar: ProgressBar,
    running: Mutex<Vec<String>>,
}

impl Progress {
    fn new(programs: usize) -> Self {
        let bar = ProgressBar::new(programs as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self {
            bar,
            running: Mutex::default(),
        }
    }

    fn begins(&self, program: &Program) {
        self.change(|running| running.push(program.name.clone()));
    }

    fn ends(&self, program: &Program, error: Option<&anyhow::Error>) {
        self.change(|running| running.retain(|name| *name != program.name));
        self.bar.inc(1);
        let how = if error.is_some() {
            "not measured"
        } else {
            "measured"
        };
        if self.bar.is_hidden() {
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            eprintln!("{done}/{all} {}: {how}", program.name);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut running = self
            .running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        change(&mut running);
        self.bar.set_message(running.join(", "));
    }
}

/// What is different from the measurements in a file, if anything is.
fn difference(measured: &Measured, expected: &Atlas) -> Option<String> {
    let name = &measured.name;
    let Some(expected) = expected.get(name) else {
        return Some(format!("{name}: the file to compare with does not have it"));
    };
    let differences = measured.differences(expected);
    (!differences.is_empty()).then(|| format!("{name}:\n  {}", differences.join("\n  ")))
}
