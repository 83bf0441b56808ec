//! JUnit XML, as CI systems read it: a suite for each client.

use std::fmt::Write as _;

use super::Report;
use crate::run::{Outcome, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for client in &report.clients {
        let tally = report.tally(&client.name);
        let outcomes = report.outcomes.iter();
        let of_client: Vec<&Outcome> = outcomes
            .filter(|outcome| outcome.client == client.name)
            .collect();
        let time: u64 = of_client.iter().map(|outcome| outcome.milliseconds).sum();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\" timestamp=\"{}\">",
            escaped(&client.name),
            of_client.len(),
            tally.failed,
            tally.not_run,
            seconds(time),
            report.date.format("%Y-%m-%dT%H:%M:%S"),
        );
        for outcome in of_client {
            case(&mut xml, report, outcome);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn case(xml: &mut String, report: &Report, outcome: &Outcome) {
    let behaviour = report
        .scenario(&outcome.scenario)
        .map_or("", |scenario| scenario.behaviour.as_str());
    let _ = write!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        escaped(&format!(
            "{}.{}",
            outcome.client,
            outcome.scenario.replace('/', ".")
        )),
        escaped(behaviour),
        seconds(outcome.milliseconds),
    );
    match &outcome.verdict {
        Verdict::Passed => xml.push_str("/>\n"),
        Verdict::NotRun(reason) => {
            let _ = writeln!(
                xml,
                "><skipped message=\"{}\"/></testcase>",
                escaped(reason)
            );
        }
        Verdict::Failed => {
            let wrong = outcome.findings.iter().filter(|finding| !finding.holds);
            let lines: Vec<String> = wrong
                .map(|finding| format!("expected {}; seen: {}", finding.expected, finding.seen))
                .collect();
            let _ = writeln!(
                xml,
                "><failure message=\"{}\">{}</failure></testcase>",
                escaped(lines.first().map_or("", String::as_str)),
                escaped(&lines.join("\n")),
            );
        }
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// For text and attributes of XML and HTML. What XML cannot carry at all is replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            control if control.is_control() => safe.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}
