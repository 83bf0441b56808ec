//! Counts, in the text format of Prometheus.

use std::fmt::Write as _;

use crate::control::Control;

pub(super) fn text(control: &Control) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let requests: Vec<(String, u64)> = control
        .counts()
        .into_iter()
        .map(|((imds, outcome, status), count)| {
            let imds = word(&imds);
            let outcome = word(&outcome);
            let status = status.map_or_else(String::new, |status| status.to_string());
            let labels = format!("{{imds=\"{imds}\",outcome=\"{outcome}\",status=\"{status}\"}}");
            (labels, count)
        })
        .collect();
    family(
        "imds_requests_total",
        "counter",
        "Requests, by the version of IMDS, what became of them, and the status.",
        &requests,
    );
    let faults: Vec<(String, u64)> = control
        .faults()
        .into_iter()
        .map(|(rule, applied)| (format!("{{name=\"{}\"}}", rule.name), applied))
        .collect();
    family(
        "imds_fault_applied_total",
        "counter",
        "Requests that a rule has applied to.",
        &faults,
    );
    let single = |value| [(String::new(), value)];
    family(
        "imds_connections",
        "gauge",
        "Connections that are open.",
        &single(control.connections()),
    );
    let (kept, dropped) = control.journal_length();
    family(
        "imds_journal_exchanges",
        "gauge",
        "Exchanges that the journal has.",
        &single(kept),
    );
    family(
        "imds_journal_dropped_total",
        "counter",
        "Exchanges that the journal has dropped to keep newer ones.",
        &single(dropped),
    );
    text
}

/// A unit variant as JSON has it, without quotes.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
