//! The Test Anything Protocol, version 14.

use std::fmt::Write as _;

use super::Report;
use crate::run::Verdict;

pub(super) fn render(report: &Report) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", report.outcomes.len());
    for (at, outcome) in report.outcomes.iter().enumerate() {
        let behaviour = report
            .scenario(&outcome.scenario)
            .map_or("", |scenario| scenario.behaviour.as_str());
        let name = escaped(&format!(
            "{}: {}: {behaviour}",
            outcome.client, outcome.scenario
        ));
        let number = at + 1;
        let _ = match &outcome.verdict {
            Verdict::Passed => writeln!(text, "ok {number} - {name}"),
            Verdict::Failed => writeln!(text, "not ok {number} - {name}"),
            Verdict::NotRun(reason) => {
                writeln!(text, "ok {number} - {name} # SKIP {}", escaped(reason))
            }
        };
        let wrong = outcome.findings.iter().filter(|finding| !finding.holds);
        let mut wrong = wrong.peekable();
        if wrong.peek().is_some() {
            text.push_str("  ---\n  findings:\n");
            for finding in wrong {
                // JSON is YAML.
                let finding = serde_json::to_string(finding).unwrap_or_default();
                let _ = writeln!(text, "    - {finding}");
            }
            text.push_str("  ...\n");
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('#', "\\#")
        .replace('\n', " ")
}
