//! Counters in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::control::Control;
use crate::journal::word;

pub(super) fn text(control: &Control) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let requests: Vec<(String, u64)> = control
        .shared
        .journal
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
        "Requests by version of IMDS, outcome and status.",
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
        "Open connections.",
        &single(control.shared.connections.load(Ordering::Relaxed) as u64),
    );
    let (kept, dropped) = control.shared.journal.length();
    family(
        "imds_journal_exchanges",
        "gauge",
        "Exchanges in the journal.",
        &single(kept),
    );
    family(
        "imds_journal_dropped_total",
        "counter",
        "Exchanges that the journal has dropped to make room for newer exchanges.",
        &single(dropped),
    );
    text
}
