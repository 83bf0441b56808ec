//! The reports and the baseline of `run` and `server`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use imds_conformance::report::{Baseline, Format, Report};

use crate::print::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Reports {
    /// Write a report as text, json, junit, tap, html or markdown, to standard output or to FILE; repeat for several reports [default: text]
    #[arg(long = "report", value_name = "FORMAT[=FILE]", value_parser = report)]
    reports: Vec<Wanted>,

    /// Fail only on regressions against FILE, the JSON report of an earlier run
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Treat every weight as `must`
    #[arg(long)]
    strict: bool,
}

/// A report, and where to write it.
#[derive(Clone, Debug)]
struct Wanted {
    format: Format,
    file: Option<PathBuf>,
}

fn report(text: &str) -> Result<Wanted, String> {
    let (format, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file name after `=` is missing".into()),
        Some((format, file)) => (format, Some(file.into())),
        None => (text, None),
    };
    let format = format.parse()?;
    Ok(Wanted { format, file })
}

impl Reports {
    /// Reads the baseline. Call it first, so that a wrong file is an error before anything is run.
    pub(crate) fn baseline(&self) -> anyhow::Result<Option<Baseline>> {
        let Some(file) = &self.baseline else {
            return Ok(None);
        };
        let shown = file.display();
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the baseline {shown}"))?;
        let baseline = Baseline::parse(&text).with_context(|| {
            format!("{shown} is not a baseline; use a file written by --report json=FILE")
        })?;
        Ok(Some(baseline))
    }

    /// Writes the requested reports.
    pub(crate) fn write(&self, render: impl Fn(Format) -> String) -> anyhow::Result<()> {
        if self.reports.is_empty() {
            print(&render(Format::Text))?;
        }
        for Wanted { format, file } in &self.reports {
            let rendered = render(*format);
            match file {
                Some(file) => fs::write(file, rendered)
                    .with_context(|| format!("cannot write {}", file.display()))?,
                None => print(&rendered)?,
            }
        }
        Ok(())
    }

    /// The exit status.
    pub(crate) fn judge(&self, report: &Report, baseline: Option<&Baseline>) -> ExitCode {
        match report.objections(baseline, self.strict).is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
