//! The matrix, for documentation.

use std::fmt::Write as _;

use super::Report;
use crate::run::Verdict;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::from("| | |");
    for client in &report.clients {
        let _ = write!(text, " {} |", client.name);
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" --- |".repeat(report.clients.len()));
    text.push('\n');
    let mut group = "";
    for scenario in &report.scenarios {
        if scenario.group != group {
            let empty = " |".repeat(report.clients.len());
            let _ = writeln!(text, "| **{}** | |{empty}", scenario.group);
            group = &scenario.group;
        }
        let _ = write!(text, "| {} | {} |", scenario.behaviour, scenario.weight);
        for client in &report.clients {
            let outcome = report.outcome(&client.name, &scenario.id);
            let mark = match outcome.map(|outcome| &outcome.verdict) {
                Some(Verdict::Passed) => "🟩",
                Some(Verdict::Failed) => "🟥",
                _ => "·",
            };
            let _ = write!(text, " {mark} |");
        }
        text.push('\n');
    }
    text.push_str("| **passed, failed, not run** | |");
    for client in &report.clients {
        let tally = report.tally(&client.name);
        let _ = write!(text, " {}, {}, {} |", tally.passed, tally.failed, tally.not_run);
    }
    text.push('\n');
    text
}
