//! What clients did with IMDS: counts for each client, and a report as text, JSON or an HTML page
//! with a timeline.
//!
//! `imds-emulator run --report` writes it. It contains neither tokens nor secrets.

pub mod picture;

mod page;
mod recorder;
mod text;
mod usage;

use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

pub use self::recorder::Recorder;
pub use self::usage::{ClientUsage, Usage};

use self::picture::Trace;
use crate::journal;

/// What happened while a [`Recorder`] recorded.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// The version of the emulator.
    pub version: &'static str,
    /// What was run, for the title; empty if nothing was.
    pub title: String,
    /// The start, on the emulator's clock.
    pub started: DateTime<Utc>,
    /// How long the recording took, in milliseconds of real time.
    pub milliseconds: u64,
    /// What clients did.
    pub usage: Usage,
    /// The verdicts on the assertions, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<journal::Report>,
    /// What happened over time.
    pub trace: Trace,
}

impl Report {
    /// The report in a format.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text => text::render(self),
            Format::Json => {
                let json = serde_json::to_string_pretty(self);
                json.unwrap_or_default() + "\n"
            }
            Format::Html => page::render(self),
        }
    }
}

/// The format of a report.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// For people at a terminal.
    Text,
    /// For programs.
    Json,
    /// A self-contained page, with a timeline.
    Html,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "text" => Self::Text,
            "json" => Self::Json,
            "html" => Self::Html,
            _ => {
                return Err(format!(
                    "{name:?} is not a format; the formats are text, json and html"
                ));
            }
        })
    }
}
