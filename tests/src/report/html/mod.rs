//! A self-contained HTML page: the matrix and, behind each of its cells, what was expected and seen, with
//! a timeline of what happened.
//!
//! The content of a cell waits in a `template` until the cell is opened: one for each scenario, and one for
//! each outcome. A browser does not lay out templates, so the page is fast with any number of cells.

use imds_emulator::report::picture;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{ClientSummary, Report, ScenarioSummary, Subject};
use crate::judge::{AS_EXPECTED, Finding};
use crate::run::{Outcome, Verdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(picture::POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "IMDS conformance, " (report.date.format("%Y-%m-%d")) }
                style { "\n" (PreEscaped(picture::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                (signs())
                (picture::patterns())
                header { (head(report)) }
                main { (filters()) (matrix(report)) }
                (dialog())
                @for (row, scenario) in report.scenarios.iter().enumerate() {
                    (scenario_template(row, scenario))
                }
                @for (row, scenario) in report.scenarios.iter().enumerate() {
                    @for (column, client) in report.clients.iter().enumerate() {
                        @if let Some(outcome) = report.outcome(&client.name, &scenario.id) {
                            (cell_template((column, row), scenario, outcome))
                        }
                    }
                }
                script { "\n" (PreEscaped(SCRIPT)) (PreEscaped(picture::SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The icons that distinguish cells without colours.
fn signs() -> Markup {
    html! {
        svg.signs width="0" height="0" aria-hidden="true" {
            defs {
                @for (id, path) in [
                    ("passed", "M3 8.5l3.4 3.5L13 4.5"),
                    ("failed", "M4 4l8 8M12 4l-8 8"),
                    ("not-run", "M4 8h8"),
                ] {
                    symbol id=(id) viewBox="0 0 16 16" { path d=(path) {} }
                }
            }
        }
    }
}

fn head(report: &Report) -> Markup {
    let [scenario, client, _] = words(report.subject);
    html! {
        h1 { "IMDS conformance" }
        p.facts {
            time datetime=(report.date.format("%Y-%m-%dT%H:%M:%SZ")) {
                (report.date.format("%Y-%m-%d %H:%M UTC"))
            }
            " " span { "seed " (report.seed) }
            " " span { "version " (report.version) }
            " " span { (counted(report.scenarios.len(), scenario)) }
            " " span { (counted(report.clients.len(), client)) }
        }
        ul.tallies { @for client in &report.clients { (tally(report, client)) } }
        p.legend {
            (sign("passed")) ": every expectation was met. "
            (sign("failed")) ": an expectation was not met. "
            (sign("not-run")) ": the " (client) " does not support what the " (scenario) " needs."
        }
        p.legend {
            b { "must" } ": without it, programs fail or leak secrets. "
            b { "should" } ": without it, programs keep working, but worse. "
            b { "may" } ": nice to have. Open a cell to see the details."
        }
    }
}

/// What the rows and the columns are, and how a sentence in a row begins.
fn words(subject: Subject) -> [&'static str; 3] {
    match subject {
        Subject::Clients => ["scenario", "client", "The client …"],
        Subject::Server => ["check", "server", "Check"],
    }
}

fn tally(report: &Report, client: &ClientSummary) -> Markup {
    let tally = report.tally(&client.name);
    let counts = [
        ("passed", tally.passed),
        ("failed", tally.failed),
        ("not-run", tally.not_run),
    ];
    html! {
        li {
            b { (client.name) }
            span.bar aria-hidden="true" {
                @for (class, count) in counts.iter().filter(|(_, count)| *count > 0) {
                    i class=(class) style={ "flex-grow:" (count) } {}
                }
            }
            span.counts {
                @for (class, count) in counts {
                    span class={ (class) @if count == 0 { " zero" } } { (count) " " (label(class)) } " "
                }
            }
        }
    }
}

fn filters() -> Markup {
    html! {
        form.filters #filters {
            label { input type="checkbox" #only-failed; " failures only" }
            " "
            label.search {
                span { "Filter" } " "
                input type="search" #search autocomplete="off" spellcheck="false"
                    placeholder="name or description";
            }
            " " output #count {}
        }
        noscript { p { "Enable scripts to open the cells." } }
    }
}

fn matrix(report: &Report) -> Markup {
    let [.., first] = words(report.subject);
    let scenarios: Vec<(usize, &ScenarioSummary)> = report.scenarios.iter().enumerate().collect();
    html! {
        div.matrix tabindex="0" role="region" aria-label="Matrix of results" {
            table {
                thead {
                    tr {
                        th scope="col" { (first) }
                        @for client in &report.clients { th scope="col" { (client.name) } }
                    }
                }
                @for group in scenarios.chunk_by(|(_, one), (_, other)| one.group == other.group) {
                    tbody {
                        @if let Some((_, scenario)) = group.first() {
                            tr.group {
                                th scope="rowgroup" { (scenario.group) }
                                td colspan=(report.clients.len().max(1)) {}
                            }
                        }
                        @for (row, scenario) in group { (matrix_row(report, *row, scenario)) }
                    }
                }
            }
        }
    }
}

fn matrix_row(report: &Report, row: usize, scenario: &ScenarioSummary) -> Markup {
    let failed = report
        .outcomes
        .iter()
        .any(|outcome| outcome.scenario == scenario.id && outcome.verdict == Verdict::Failed);
    html! {
        tr data-id=(scenario.id) data-failed[failed] {
            th scope="row" { (scenario.behaviour) " " (weight(scenario)) }
            @for (column, client) in report.clients.iter().enumerate() {
                td {
                    @if let Some(outcome) = report.outcome(&client.name, &scenario.id) {
                        @let class = class(outcome);
                        button type="button" class={ "cell " (class) }
                            data-cell=(cell_id((column, row)))
                            data-link={ (client.name) "/" (scenario.id) }
                            aria-label={ (label(class)) ", " (client.name) ": " (scenario.behaviour) }
                            { (sign(class)) }
                    }
                }
            }
        }
    }
}

/// What every cell of a scenario shows.
fn scenario_template(row: usize, scenario: &ScenarioSummary) -> Markup {
    html! {
        template id={ "s" (row) } {
            @if !scenario.steps.is_empty() {
                h3 { "Steps" }
                ol.steps { @for step in &scenario.steps { li { (step) } } }
            }
            @if !scenario.journal.is_empty() {
                h3 { "Expected in the journal" }
                ul.journal { @for assertion in &scenario.journal { li { (assertion) } } }
            }
            @if !scenario.why.is_empty() {
                h3 { "Why it matters" }
                p { (scenario.why) }
            }
            p.quiet { "Sources: " (scenario.rests_on.join(", ")) "." }
        }
    }
}

/// What the cell of an outcome shows.
fn cell_template(place: (usize, usize), scenario: &ScenarioSummary, outcome: &Outcome) -> Markup {
    let class = class(outcome);
    let happened = outcome.trace.length > 0 || !outcome.trace.calls.is_empty();
    html! {
        template id=(cell_id(place)) data-scenario={ "s" (place.1) } {
            div.top {
                div {
                    p.quiet { code { (scenario.id) } }
                    h2 { (scenario.behaviour) }
                    p {
                        span class={ "badge " (class) } { (sign(class)) }
                        " " b { (outcome.client) } " " (weight(scenario))
                    }
                }
                form method="dialog" {
                    button aria-label="Close" title="Close" { (icon("failed")) }
                }
            }
            @if let Verdict::NotRun(reason) = &outcome.verdict {
                p.reason { "Not run, because " (reason) "." }
            }
            div.columns {
                section.findings { (findings(outcome)) }
                section.scenario {}
                @if happened && !matches!(outcome.verdict, Verdict::NotRun(_)) {
                    section.happened {
                        h3 { "Timeline" }
                        (picture::draw(&outcome.trace, &format!("Timeline of {}: {}", outcome.client, scenario.behaviour)))
                    }
                }
            }
        }
    }
}

/// The expectations, failed ones first.
fn findings(outcome: &Outcome) -> Markup {
    let (met, failed): (Vec<_>, Vec<_>) = outcome
        .findings
        .iter()
        .partition(|finding: &&Finding| finding.holds);
    html! {
        @for (title, findings) in [("Failed expectations", failed), ("Met expectations", met)] {
            @if !findings.is_empty() {
                h3 { (title) }
                ul { @for finding in findings { (self::finding(finding)) } }
            }
        }
    }
}

fn finding(finding: &Finding) -> Markup {
    let class = if finding.holds { "passed" } else { "failed" };
    html! {
        li class=(class) data-step=[finding.step] {
            (icon(class))
            div {
                p {
                    span.quiet {
                        @match finding.step {
                            Some(step) => { "step " (step) }
                            None => { "at the end" }
                        }
                    }
                    " "
                    (finding.expected)
                }
                // For an expectation that was met, this text alone adds nothing.
                @if !finding.holds || finding.seen != AS_EXPECTED {
                    p.seen { span.quiet { "seen" } " " (finding.seen) }
                }
            }
        }
    }
}

fn dialog() -> Markup {
    html! {
        dialog #detail aria-labelledby="detail-title" {
            div #detail-content {}
            (picture::legend())
            details.words #words {
                summary { "Timeline as text" }
                dl {}
            }
        }
    }
}

/// The id of a cell's template.
fn cell_id((column, row): (usize, usize)) -> String {
    format!("c{column}-{row}")
}

fn class(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::NotRun(_) => "not-run",
    }
}

fn label(class: &str) -> &str {
    match class {
        "not-run" => "not run",
        other => other,
    }
}

fn weight(scenario: &ScenarioSummary) -> Markup {
    html! { span class={ "weight " (scenario.weight) } { (scenario.weight) } }
}

fn sign(class: &str) -> Markup {
    html! { span class={ "sign " (class) } { (icon(class)) (label(class)) } }
}

fn icon(class: &str) -> Markup {
    html! { svg.icon aria-hidden="true" { use href={ "#" (class) } {} } }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
