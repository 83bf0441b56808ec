//! The matrix for documentation, and a line for each failure.

use std::fmt::Write as _;

use super::{Report, Subject};
use crate::run::{Outcome, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Version {}, {}, seed {}: {} {}.\n",
        report.version,
        report.date.format("%Y-%m-%d"),
        report.seed,
        report.scenarios.len(),
        match report.subject {
            Subject::Clients => "scenarios",
            Subject::Server => "checks",
        }
    );
    matrix(&mut text, report);
    for client in &report.clients {
        failures(&mut text, report, &client.name);
    }
    text
}

fn matrix(text: &mut String, report: &Report) {
    text.push_str(match report.subject {
        Subject::Clients => "| The client … | weight |",
        Subject::Server => "| Check | weight |",
    });
    for client in &report.clients {
        let _ = write!(text, " {} |", client.name);
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" --- |".repeat(report.clients.len()));
    text.push_str("\n| **passed, failed, not run** | |");
    for client in &report.clients {
        let tally = report.tally(&client.name);
        let _ = write!(
            text,
            " {}, {}, {} |",
            tally.passed, tally.failed, tally.not_run
        );
    }
    text.push('\n');
    let mut group = "";
    for scenario in &report.scenarios {
        if scenario.group != group {
            let empty = " |".repeat(report.clients.len());
            let _ = writeln!(text, "| **{}** | |{empty}", scenario.group);
            group = &scenario.group;
        }
        let _ = write!(
            text,
            "| {} | {} |",
            escaped(&scenario.behaviour),
            scenario.weight
        );
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
}

/// For each failed scenario of a client, the first expectation that was not met.
fn failures(text: &mut String, report: &Report, client: &str) {
    let failed: Vec<&Outcome> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.client == client && outcome.verdict == Verdict::Failed)
        .collect();
    if failed.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Failures of {client}\n");
    for outcome in failed {
        let finding = outcome.findings.iter().find(|finding| !finding.holds);
        let seen = finding.map_or("", |finding| finding.seen.as_str());
        let expected = finding.map_or("", |finding| finding.expected.as_str());
        let _ = writeln!(
            text,
            "* `{}`: expected {}; seen: {}",
            outcome.scenario,
            escaped(&shortened(expected)),
            escaped(&shortened(seen))
        );
    }
}

/// The start of the first line.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() <= MOST {
        true => line.to_owned(),
        false => line.chars().take(MOST).chain(['…']).collect(),
    }
}

/// Escapes the characters that have a meaning in a Markdown table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
