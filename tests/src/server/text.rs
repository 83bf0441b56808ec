//! The text report about a server.

use std::fmt::Write as _;

use crate::report::{Report, ScenarioSummary};
use crate::run::{Outcome, Verdict};

/// Renders all checks, what failed, why some are not applicable, and the score.
pub fn render(report: &Report, server: &str) -> String {
    let rows: Vec<(&ScenarioSummary, &Outcome)> = report
        .scenarios
        .iter()
        .filter_map(|check| Some((check, report.outcome(server, &check.id)?)))
        .collect();
    let mut text = String::new();
    let mut group = "";
    for (check, outcome) in &rows {
        if check.group != group {
            let _ = writeln!(text, "{}", check.group);
            group = &check.group;
        }
        let mark = match outcome.verdict {
            Verdict::Passed => '✓',
            Verdict::Failed => '✗',
            Verdict::NotRun(_) => '·',
        };
        let _ = writeln!(text, "  {mark} {:<6} {}", check.weight, check.behaviour);
        if let Verdict::NotRun(why) = &outcome.verdict {
            let _ = writeln!(text, "           not applicable: {why}");
        }
        for finding in &outcome.findings {
            let _ = writeln!(text, "           expected {}", finding.expected);
            let _ = writeln!(text, "           seen     {}", finding.seen);
            let rules = check.rests_on.join(", ");
            let _ = writeln!(text, "           {}, rests on {rules}", check.id);
        }
    }
    let _ = writeln!(text, "\n{}", score(report, server));
    text.push_str("✓ passed   ✗ failed   · not applicable\n");
    text
}

/// The score of a server in one line.
pub fn score(report: &Report, server: &str) -> String {
    let tally = report.tally(server);
    format!(
        "{server}: {} passed, {} failed, {} not applicable",
        tally.passed, tally.failed, tally.not_run
    )
}
