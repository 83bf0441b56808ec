//! What happened over time, from which a timeline is drawn.

use std::sync::Arc;

use serde::Serialize;

use crate::journal::Exchange;

/// What happened. Times are milliseconds since the start, including the time that was skipped.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    /// The calls to the client.
    pub calls: Vec<Call>,
    /// The requests to IMDS.
    pub requests: Vec<Request>,
    /// The faults.
    pub faults: Vec<Span>,
    /// Everything else that happened.
    pub marks: Vec<Mark>,
    /// When IMDS issued which credentials of the role.
    pub credentials: Vec<Span>,
    /// The length of the timeline.
    pub length: u64,
}

/// A call to the client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Call {
    /// The step, counted from 1.
    pub step: usize,
    /// When the call began.
    pub from: u64,
    /// When the answer arrived.
    pub to: u64,
    /// The question.
    pub question: String,
    /// A summary of the answer.
    pub answer: String,
    /// Whether the answer was not an error.
    pub ok: bool,
    /// Whether an expectation of the step was not met.
    #[serde(skip)]
    pub unexpected: bool,
}

/// A request to IMDS.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// When it arrived.
    pub from: u64,
    /// When it was answered or abandoned.
    pub to: u64,
    /// The lane that shows it.
    #[serde(skip)]
    pub lane: Arc<str>,
    /// The journal's entry.
    #[serde(flatten)]
    pub exchange: Arc<Exchange>,
}

/// Something with a duration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Its start.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// Something at a moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// Its time.
    pub at: u64,
}
