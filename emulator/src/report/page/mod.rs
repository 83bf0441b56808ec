//! The report as a self-contained HTML page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{counted, lines, readiness, summary};
use super::{ClientUsage, Report, picture};

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
                title { "IMDS: " (report.title) }
                style { "\n" (PreEscaped(picture::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                (picture::patterns())
                header { (head(report)) }
                main {
                    @if !report.usage.clients.is_empty() { (clients(report)) }
                    @if let Some(verified) = &report.verified { (verdicts(verified)) }
                    (timeline(report))
                }
                script { "\n" (PreEscaped(picture::SCRIPT)) (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    let usage = &report.usage;
    html! {
        h1 { "What used IMDS" }
        @if !report.title.is_empty() { p { code { (report.title) } } }
        p.facts {
            time datetime=(report.started.format("%Y-%m-%dT%H:%M:%SZ")) {
                (report.started.format("%Y-%m-%d %H:%M UTC"))
            }
            " " span { (summary(report)) }
            " " span { "imds-emulator " (report.version) }
        }
        @if !usage.clients.is_empty() {
            p class={ "ready " @if usage.is_ready_for_imdsv2_only() { "passed" } @else { "failed" } } {
                (readiness(usage))
            }
        }
    }
}

fn clients(report: &Report) -> Markup {
    html! {
        h2 { "Clients" }
        div.clients { @for client in &report.usage.clients { (card(client)) } }
    }
}

fn card(client: &ClientUsage) -> Markup {
    html! {
        section.client {
            h3 { (client.name()) }
            dl {
                @for (name, value) in lines(client) {
                    @if !name.is_empty() { dt { (name) } }
                    dd { (value) }
                }
            }
        }
    }
}

fn verdicts(verified: &crate::journal::Report) -> Markup {
    html! {
        h2 { "Assertions" }
        ul.verdicts {
            @for verdict in &verified.verdicts {
                li class=(if verdict.holds { "passed" } else { "failed" }) {
                    p {
                        b { (if verdict.holds { "holds" } else { "fails" }) } " "
                        (verdict.assertion) ": " (verdict.why)
                    }
                    @if !verdict.holds {
                        @for exchange in &verdict.exchanges { p { code { (exchange) } } }
                    }
                }
            }
        }
    }
}

fn timeline(report: &Report) -> Markup {
    let requests = counted(report.trace.requests.len() as u64, "request");
    html! {
        h2 { "Timeline" }
        (picture::draw(&report.trace, &format!("Timeline of {requests}")))
        (picture::legend())
        details.words #words {
            summary { "Timeline as text" }
            dl {}
        }
        noscript { p { "Enable scripts to read the timeline as text." } }
    }
}
