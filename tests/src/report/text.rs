//! The report for a terminal.

use std::fmt::Write as _;

use super::Report;
use crate::run::Verdict;

/// The maximum width of the column of scenarios.
const WIDTH: usize = 76;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let width = report
        .scenarios
        .iter()
        .map(|scenario| scenario.behaviour.chars().count().min(WIDTH) + 2)
        .max()
        .unwrap_or_default();
    // The names of the clients above their columns, each on its own line.
    let pad = " ".repeat(width + 9);
    for (at, client) in report.clients.iter().enumerate() {
        let bars = "│ ".repeat(at);
        let _ = writeln!(text, "{pad}{bars}{}", client.name);
    }
    let mut group = "";
    for scenario in &report.scenarios {
        if scenario.group != group {
            let _ = writeln!(text, "{}", scenario.group);
            group = &scenario.group;
        }
        let behaviour = shortened(&scenario.behaviour);
        let marks: Vec<&str> = report
            .clients
            .iter()
            .map(|client| mark(report, &client.name, &scenario.id))
            .collect();
        let _ = writeln!(
            text,
            "  {behaviour:<width$}{:<7}{}",
            scenario.weight,
            marks.join(" "),
            width = width
        );
    }
    text.push('\n');
    for client in &report.clients {
        let tally = report.tally(&client.name);
        let _ = writeln!(
            text,
            "{}: {} passed, {} failed, {} not run",
            client.name, tally.passed, tally.failed, tally.not_run
        );
    }
    failures(&mut text, report);
    reasons(&mut text, report);
    text.push_str("\n✓ passed   ✗ failed   · not run\n");
    text
}

fn shortened(sentence: &str) -> String {
    match sentence.chars().count() <= WIDTH {
        true => sentence.to_owned(),
        false => sentence.chars().take(WIDTH - 1).chain(['…']).collect(),
    }
}

fn mark(report: &Report, client: &str, scenario: &str) -> &'static str {
    match report
        .outcome(client, scenario)
        .map(|outcome| &outcome.verdict)
    {
        Some(Verdict::Passed) => "✓",
        Some(Verdict::Failed) => "✗",
        _ => "·",
    }
}

fn failures(text: &mut String, report: &Report) {
    let failed = |verdict: &Verdict| *verdict == Verdict::Failed;
    for outcome in report
        .outcomes
        .iter()
        .filter(|outcome| failed(&outcome.verdict))
    {
        let Some(scenario) = report.scenario(&outcome.scenario) else {
            continue;
        };
        let _ = writeln!(
            text,
            "\n✗ {} ({}): {}",
            outcome.client, scenario.weight, scenario.behaviour
        );
        for finding in outcome.findings.iter().filter(|finding| !finding.holds) {
            let place = match finding.step {
                Some(step) => format!("step {step}"),
                None => "at the end".to_owned(),
            };
            let _ = writeln!(text, "    {place}: expected {}", finding.expected);
            let _ = writeln!(
                text,
                "    {}  seen: {}",
                " ".repeat(place.len()),
                finding.seen
            );
        }
        let _ = writeln!(text, "    {}", explain(report, &outcome.scenario));
    }
}

/// The command that explains a scenario, for a shell. Its name comes from the path of its file.
fn explain(report: &Report, scenario: &str) -> String {
    let mut words = vec!["imds-conformance", "explain"];
    let library = report.library.as_ref().map(|path| path.to_string_lossy());
    if let Some(library) = &library {
        words.extend(["--scenarios", library]);
    }
    words.push(scenario);
    // Only a NUL cannot be quoted, and paths contain none.
    shlex::try_join(words).unwrap_or_default()
}

/// Why scenarios were not run, with each reason once.
fn reasons(text: &mut String, report: &Report) {
    for client in &report.clients {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for outcome in &report.outcomes {
            if let (true, Verdict::NotRun(reason)) =
                (outcome.client == client.name, &outcome.verdict)
            {
                match counts.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((reason, 1)),
                }
            }
        }
        for (reason, count) in counts {
            let _ = writeln!(text, "· {}: {count} not run, because {reason}", client.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_explains_can_be_pasted_into_a_shell() {
        let mut report = Report::new(0, &[], &[], Vec::new());
        assert_eq!(
            explain(&report, "token/reused"),
            "imds-conformance explain token/reused"
        );
        report.library = Some("my scenarios".into());
        assert_eq!(
            explain(&report, "a/it's"),
            "imds-conformance explain --scenarios 'my scenarios' \"a/it's\""
        );
    }
}
