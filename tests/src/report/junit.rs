//! JUnit XML for CI systems: one test suite for each client.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::Report;
use crate::run::{Outcome, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut xml = quick_junit::Report::unnamed();
    xml.add_test_suites(report.clients.iter().map(|client| {
        let mut suite = TestSuite::new(text(&client.name));
        let outcomes = report.outcomes.iter();
        let outcomes = outcomes.filter(|outcome| outcome.client == client.name);
        let time = outcomes.clone().map(|outcome| outcome.milliseconds).sum();
        suite.set_timestamp(report.date);
        suite.set_time(Duration::from_millis(time));
        suite.add_test_cases(outcomes.map(|outcome| case(report, outcome)));
        suite
    }));
    // Writing to memory does not fail.
    xml.to_string().unwrap_or_default()
}

fn case(report: &Report, outcome: &Outcome) -> TestCase {
    let behaviour = report
        .scenario(&outcome.scenario)
        .map_or("", |scenario| &scenario.behaviour);
    let scenario = outcome.scenario.replace('/', ".");
    let mut case = TestCase::new(text(behaviour), status(outcome));
    case.set_classname(text(&format!("{}.{scenario}", outcome.client)));
    case.set_time(Duration::from_millis(outcome.milliseconds));
    case
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    let mut status;
    match &outcome.verdict {
        Verdict::Passed => return TestCaseStatus::success(),
        Verdict::NotRun(reason) => {
            status = TestCaseStatus::skipped();
            status.set_message(text(reason));
        }
        Verdict::Failed => {
            let failed = outcome.findings.iter().filter(|finding| !finding.holds);
            let lines: Vec<String> = failed
                .map(|finding| format!("expected {}; seen: {}", finding.expected, finding.seen))
                .collect();
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(text(lines.first().map_or("", String::as_str)));
            status.set_description(text(&lines.join("\n")));
        }
    }
    status
}

/// Replaces the two characters that XML forbids and that [`XmlString`] keeps.
fn text(text: &str) -> XmlString {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}").into()
}
