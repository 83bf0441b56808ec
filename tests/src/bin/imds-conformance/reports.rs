//! What `run` and `server` have in common: reports, and what they are held against.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use imds_conformance::report::{Baseline, Format, Report};

use crate::print::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Reports {
    /// A report: text, json, junit, tap, html or markdown, with `=FILE` behind it to write it there;
    /// more than one if given more than once [default: text]
    #[arg(long = "report", value_name = "FORMAT[=FILE]", value_parser = report)]
    reports: Vec<Wanted>,

    /// The JSON report of an earlier run: fail for what has become worse, not for what was always so
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Fail for everything that is not as expected, whatever its weight
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
        Some((_, "")) => return Err("accepted: a file's name after the `=`".into()),
        Some((format, file)) => (format, Some(file.into())),
        None => (text, None),
    };
    let format = format.parse()?;
    Ok(Wanted { format, file })
}

impl Reports {
    /// Reads the baseline, before anything is run.
    pub(crate) fn baseline(&self) -> Result<Option<Baseline>, Box<dyn Error>> {
        let Some(file) = &self.baseline else {
            return Ok(None);
        };
        let text = fs::read_to_string(file)
            .map_err(|error| format!("cannot read the baseline {}: {error}", file.display()))?;
        let baseline = Baseline::parse(&text).map_err(|error| {
            format!(
                "the baseline {} is none; accepted: the file of an earlier --report json=FILE ({error})",
                file.display()
            )
        })?;
        Ok(Some(baseline))
    }

    /// Writes all that is wanted.
    pub(crate) fn write(&self, render: impl Fn(Format) -> String) -> Result<(), Box<dyn Error>> {
        if self.reports.is_empty() {
            print(&render(Format::Text))?;
        }
        for Wanted { format, file } in &self.reports {
            let rendered = render(*format);
            match file {
                Some(file) => fs::write(file, rendered)
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?,
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
