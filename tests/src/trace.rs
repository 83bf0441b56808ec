//! What happened in a scenario, moment by moment: the picture in the report is drawn from it.

use std::sync::Arc;

use imds_emulator::journal::Exchange;
use serde::Serialize;

/// What happened. Moments are milliseconds since the start; time that was skipped counts.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    /// What the client was asked.
    pub calls: Vec<Call>,
    /// What it asked IMDS.
    pub requests: Vec<Request>,
    /// What went wrong, and for how long.
    pub faults: Vec<Span>,
    /// What else happened.
    pub marks: Vec<Mark>,
    /// The life of each of the role's credentials, as IMDS has it.
    pub credentials: Vec<Span>,
    /// The whole.
    pub length: u64,
}

/// A question to the client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Call {
    /// The step, counted from 1.
    pub step: usize,
    /// When it was asked.
    pub from: u64,
    /// When the answer was there.
    pub to: u64,
    /// What was asked.
    pub question: String,
    /// What came of it.
    pub answer: String,
    /// Whether that was no error.
    pub ok: bool,
}

/// A request to IMDS.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// When it came.
    pub from: u64,
    /// When it was answered, or given up.
    pub to: u64,
    /// The journal's entry.
    #[serde(flatten)]
    pub exchange: Arc<Exchange>,
}

/// Something that lasts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Span {
    /// What.
    pub name: String,
    /// From when.
    pub from: u64,
    /// Until when.
    pub to: u64,
}

/// Something that happens.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mark {
    /// What.
    pub name: String,
    /// When.
    pub at: u64,
}
