//! A page that stands alone: the matrix, and behind each of its cells what was expected and seen, with a
//! picture of what happened.
//!
//! What a cell opens waits in a `template` until then: one for each scenario, and one for each outcome. The
//! browser does not lay templates out, so the page is quick however many there are.

mod timeline;

use std::fmt::Write as _;

use super::junit::escaped;
use super::{ClientSummary, Report, ScenarioSummary};
use crate::judge::{AS_EXPECTED, Finding};
use crate::run::{Outcome, Verdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The signs, by which cells are told apart without colours; and what a gap in time is filled with.
const SIGNS: &str = r##"<svg class="signs" width="0" height="0" aria-hidden="true"><defs>
<symbol id="passed" viewBox="0 0 16 16"><path d="M3 8.5l3.4 3.5L13 4.5"/></symbol>
<symbol id="failed" viewBox="0 0 16 16"><path d="M4 4l8 8M12 4l-8 8"/></symbol>
<symbol id="not-run" viewBox="0 0 16 16"><path d="M4 8h8"/></symbol>
<pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v6"/></pattern>
</defs></svg>
"##;

pub(super) fn render(report: &Report) -> String {
    // What is not allowed cannot be loaded by mistake.
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>IMDS conformance, {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{SIGNS}",
        report.date.format("%Y-%m-%d"),
    );
    page.push_str("<header>\n");
    head(&mut page, report);
    page.push_str("</header>\n<main>\n");
    matrix(&mut page, report);
    page.push_str("</main>\n");
    page.push_str(DIALOG);
    for (row, scenario) in report.scenarios.iter().enumerate() {
        told(&mut page, row, scenario);
    }
    for (row, scenario) in report.scenarios.iter().enumerate() {
        for (column, client) in report.clients.iter().enumerate() {
            if let Some(outcome) = report.outcome(&client.name, &scenario.id) {
                cell_opened(&mut page, (column, row), scenario, outcome);
            }
        }
    }
    let _ = write!(page, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

const DIALOG: &str = r##"<dialog id="detail" aria-labelledby="detail-title">
<div id="detail-content"></div>
<div class="key" id="key" aria-label="What the timeline shows">
<span><svg width="10" height="10"><rect width="9" height="9" class="ink"/></svg> PUT</span>
<span><svg width="11" height="11"><circle cx="5" cy="5.5" r="5" class="ink"/></svg> GET</span>
<span><svg width="11" height="11"><circle cx="5" cy="5.5" r="5" class="ok"/></svg> answered 2xx</span>
<span><svg width="11" height="11"><circle cx="5" cy="5.5" r="5" class="bad"/></svg> any other status</span>
<span><svg width="12" height="12"><circle cx="6" cy="6" r="4.5" class="none"/></svg> no sound answer</span>
<span><svg width="22" height="12"><rect x="1" y="1" width="20" height="10" rx="2" class="given"/></svg> credentials the caller was given</span>
<span><svg width="22" height="12"><rect x="1" y="1" width="20" height="10" rx="2" class="hollow"/></svg> never given</span>
<span><svg width="22" height="12"><rect width="22" height="12" class="gap"/></svg> time left out</span>
</div>
<details class="words" id="words"><summary>The timeline in words</summary><dl></dl></details>
</dialog>
"##;

/// What was measured, and how it came out.
fn head(page: &mut String, report: &Report) {
    let _ = write!(
        page,
        "<h1>IMDS conformance</h1>\n<p class=\"facts\"><time datetime=\"{}\">{}</time> \
         <span>seed {}</span> <span>version {}</span> <span>{}</span> <span>{}</span></p>\n\
         <ul class=\"tallies\">\n",
        report.date.format("%Y-%m-%dT%H:%M:%SZ"),
        report.date.format("%Y-%m-%d %H:%M UTC"),
        report.seed,
        escaped(report.version),
        counted(report.scenarios.len(), "scenario"),
        counted(report.clients.len(), "client"),
    );
    for client in &report.clients {
        tally(page, report, client);
    }
    page.push_str("</ul>\n");
    let _ = write!(
        page,
        "<p class=\"legend\">{}: as the scenario expects. {}: otherwise. {}: the client cannot do what the \
         scenario needs.</p>\n<p class=\"legend\"><b>must</b>: programs fail, or secrets get lost, where \
         it is otherwise. <b>should</b>: programs get along, but worse. <b>may</b>: it would be nice. \
         Open a cell to see what happened.</p>\n",
        sign("passed"),
        sign("failed"),
        sign("not-run"),
    );
}

fn tally(page: &mut String, report: &Report, client: &ClientSummary) {
    let tally = report.tally(&client.name);
    let _ = write!(
        page,
        "<li><b>{}</b><span class=\"bar\" aria-hidden=\"true\">",
        escaped(&client.name)
    );
    let counts = [
        ("passed", tally.passed),
        ("failed", tally.failed),
        ("not-run", tally.not_run),
    ];
    for (class, count) in counts.iter().filter(|(_, count)| *count > 0) {
        let _ = write!(
            page,
            "<i class=\"{class}\" style=\"flex-grow:{count}\"></i>"
        );
    }
    page.push_str("</span><span class=\"counts\">");
    for (class, count) in counts {
        let quiet = if count == 0 { " zero" } else { "" };
        let _ = write!(
            page,
            "<span class=\"{class}{quiet}\">{count} {}</span> ",
            words(class)
        );
    }
    page.push_str("</span></li>\n");
}

fn matrix(page: &mut String, report: &Report) {
    page.push_str(
        "<form class=\"filters\" id=\"filters\"><label><input type=\"checkbox\" id=\"only-failed\"> only \
         what failed</label> <label class=\"search\"><span>Filter</span> <input type=\"search\" \
         id=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"words of a scenario\"></label> \
         <output id=\"count\"></output></form>\n\
         <noscript><p>The cells open only where scripts may run.</p></noscript>\n\
         <div class=\"matrix\" tabindex=\"0\" role=\"region\" aria-label=\"Scenarios and clients\"><table>\n\
         <thead><tr><th scope=\"col\">Scenario</th>",
    );
    for client in &report.clients {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(&client.name));
    }
    page.push_str("</tr></thead>\n");
    let scenarios: Vec<(usize, &ScenarioSummary)> = report.scenarios.iter().enumerate().collect();
    for group in scenarios.chunk_by(|(_, one), (_, other)| one.group == other.group) {
        let name = group
            .first()
            .map_or("", |(_, scenario)| scenario.group.as_str());
        let _ = write!(
            page,
            "<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\">{}</th><td colspan=\"{}\"></td></tr>\n",
            escaped(name),
            report.clients.len().max(1)
        );
        for (row, scenario) in group {
            matrix_row(page, report, *row, scenario);
        }
        page.push_str("</tbody>\n");
    }
    page.push_str("</table></div>\n");
}

fn matrix_row(page: &mut String, report: &Report, row: usize, scenario: &ScenarioSummary) {
    let failed = report
        .outcomes
        .iter()
        .any(|outcome| outcome.scenario == scenario.id && outcome.verdict == Verdict::Failed);
    let _ = write!(
        page,
        "<tr data-id=\"{}\"{}><th scope=\"row\">{} <span class=\"weight {}\">{}</span></th>",
        escaped(&scenario.id),
        if failed { " data-failed" } else { "" },
        escaped(&scenario.behaviour),
        scenario.weight,
        scenario.weight,
    );
    for (column, client) in report.clients.iter().enumerate() {
        let Some(outcome) = report.outcome(&client.name, &scenario.id) else {
            page.push_str("<td></td>");
            continue;
        };
        let class = class(outcome);
        let _ = write!(
            page,
            "<td><button type=\"button\" class=\"cell {class}\" data-cell=\"{}\" data-link=\"{}\" \
             aria-label=\"{}\">{}</button></td>",
            name((column, row)),
            escaped(&format!("{}/{}", client.name, scenario.id)),
            escaped(&format!(
                "{}, {}: {}",
                words(class),
                client.name,
                scenario.behaviour
            )),
            sign(class),
        );
    }
    page.push_str("</tr>\n");
}

/// A scenario in words, for all clients.
fn told(page: &mut String, row: usize, scenario: &ScenarioSummary) {
    let _ = write!(
        page,
        "<template id=\"s{row}\"><h3>What is done</h3><ol class=\"steps\">",
    );
    for step in &scenario.steps {
        let _ = write!(page, "<li>{}</li>", escaped(step));
    }
    page.push_str("</ol>");
    if !scenario.journal.is_empty() {
        page.push_str("<h3>What the journal must show</h3><ul class=\"journal\">");
        for assertion in &scenario.journal {
            let _ = write!(page, "<li><code>{}</code></li>", escaped(assertion));
        }
        page.push_str("</ul>");
    }
    let _ = writeln!(
        page,
        "<h3>Why</h3><p>{}</p><p class=\"quiet\">Rests on {}.</p></template>",
        escaped(&scenario.why),
        escaped(&scenario.rests_on.join(", "))
    );
}

/// What a cell opens.
fn cell_opened(
    page: &mut String,
    place: (usize, usize),
    scenario: &ScenarioSummary,
    outcome: &Outcome,
) {
    let class = class(outcome);
    let _ = write!(
        page,
        "<template id=\"{}\" data-scenario=\"s{}\"><div class=\"top\"><div><p class=\"quiet\">\
         <code>{}</code></p><h2>{}</h2><p><span class=\"badge {class}\">{}</span> \
         <b>{}</b> <span class=\"weight {}\">{}</span></p></div><form method=\"dialog\"><button \
         aria-label=\"Close\" title=\"Close\">{}</button></form></div>",
        name(place),
        place.1,
        escaped(&scenario.id),
        escaped(&scenario.behaviour),
        sign(class),
        escaped(&outcome.client),
        scenario.weight,
        scenario.weight,
        icon("failed"),
    );
    if let Verdict::NotRun(reason) = &outcome.verdict {
        let _ = write!(
            page,
            "<p class=\"reason\">It was not run: {}.</p>",
            escaped(reason)
        );
    }
    page.push_str("<div class=\"columns\"><section class=\"findings\">");
    findings(page, outcome);
    page.push_str("</section><section class=\"scenario\"></section>");
    let happened = outcome.trace.length > 0 || !outcome.trace.calls.is_empty();
    if happened && !matches!(outcome.verdict, Verdict::NotRun(_)) {
        page.push_str("<section class=\"happened\"><h3>What happened</h3>");
        page.push_str(&timeline::draw(outcome, &scenario.behaviour));
        page.push_str("</section>");
    }
    page.push_str("</div></template>\n");
}

/// What was not as expected comes first.
fn findings(page: &mut String, outcome: &Outcome) {
    let (held, failed): (Vec<_>, Vec<_>) = outcome
        .findings
        .iter()
        .partition(|finding: &&Finding| finding.holds);
    for (title, findings) in [("Not as expected", failed), ("As expected", held)] {
        if findings.is_empty() {
            continue;
        }
        let _ = write!(page, "<h3>{title}</h3><ul>");
        for finding in findings {
            let class = if finding.holds { "passed" } else { "failed" };
            let (step, of) = match finding.step {
                Some(step) => (format!("step {step}"), format!(" data-step=\"{step}\"")),
                None => ("at the end".to_owned(), String::new()),
            };
            let _ = write!(
                page,
                "<li class=\"{class}\"{of}>{}<div><p><span class=\"quiet\">{step}</span> {}</p>",
                icon(class),
                worded(&finding.expected)
            );
            // For an expectation that was met, this text alone adds nothing.
            if !finding.holds || finding.seen != AS_EXPECTED {
                let _ = write!(
                    page,
                    "<p class=\"seen\"><span class=\"quiet\">seen</span> {}</p>",
                    escaped(&finding.seen)
                );
            }
            page.push_str("</div></li>");
        }
        page.push_str("</ul>");
    }
}

/// Assertions on the journal are JSON.
fn worded(expected: &str) -> String {
    let word = expected.starts_with('"') && expected.ends_with('"');
    match expected.starts_with('{') || word {
        true => format!("<code>{}</code>", escaped(expected)),
        false => escaped(expected),
    }
}

/// By which a cell finds its template.
fn name((column, row): (usize, usize)) -> String {
    format!("c{column}-{row}")
}

fn class(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::NotRun(_) => "not-run",
    }
}

fn words(class: &str) -> &str {
    match class {
        "not-run" => "not run",
        other => other,
    }
}

fn sign(class: &str) -> String {
    format!(
        "<span class=\"sign {class}\">{}{}</span>",
        icon(class),
        words(class)
    )
}

fn icon(class: &str) -> String {
    format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#{class}\"/></svg>")
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
