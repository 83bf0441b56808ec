//! The atlas as an HTML page.

use imds_emulator::report::picture;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words::{facts, title};
use super::{Atlas, Measured, Speaks};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A self-contained page: one table, which can be filtered and fits a phone.
pub fn page(atlas: &Atlas) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(picture::POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "What programs ask of IMDS" }
                style { "\n" (PreEscaped(picture::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                header { (head(atlas)) }
                main { (programs(atlas)) (not_measured(atlas)) }
                script { "\n" (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn head(atlas: &Atlas) -> Markup {
    let count = |speaks| {
        atlas
            .programs
            .iter()
            .filter(|program| program.speaks == speaks)
            .count()
    };
    html! {
        h1 { "What programs ask of IMDS" }
        p.facts {
            span { (atlas.programs.len()) " programs, unmodified, in an isolated network" } " "
            span { (count(Speaks::V1)) " speak IMDSv1 only" } " "
            span { (count(Speaks::FallsBack)) " fall back to it" }
        }
        form.filters #filters {
            label.search {
                span { "Filter" } " "
                input type="search" #search autocomplete="off" spellcheck="false"
                    placeholder="program, language or kind";
            }
        }
    }
}

fn programs(atlas: &Atlas) -> Markup {
    html! {
        div.cards {
            @for program in &atlas.programs { (card(program)) }
        }
    }
}

fn not_measured(atlas: &Atlas) -> Markup {
    html! {
        @if !atlas.not_measured.is_empty() {
            h2 { "Not measured" }
            ul {
                @for failure in &atlas.not_measured {
                    li { (failure.name) ": " (failure.why.lines().next().unwrap_or_default()) }
                }
            }
        }
    }
}

fn card(program: &Measured) -> Markup {
    let class = match program.speaks {
        Speaks::V2 => "passed",
        Speaks::FallsBack => "fault",
        Speaks::Both | Speaks::V1 => "failed",
    };
    html! {
        section.client id=(program.name) data-words={
            (program.name) " " (program.language) " " (program.kind) " " (program.speaks)
        } {
            h2 { (title(program)) }
            p.quiet { (program.about) ", " (program.language) ", " (program.kind) }
            p class={ "speaks " (class) } { (program.speaks) }
            dl {
                @for (name, value) in facts(program) { dt { (name) } dd { (value) } }
            }
            details {
                summary { (program.cold.paths.len()) " paths" }
                ul { @for path in &program.cold.paths { li { code { (path) } } } }
            }
            p.quiet {
                "Measured " (program.at.format("%Y-%m-%d")) ": "
                code { "imds-conformance programs " (program.name) }
            }
        }
    }
}
