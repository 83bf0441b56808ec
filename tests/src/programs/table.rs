//! The atlas as Markdown.

use std::fmt::Write as _;

use super::{Atlas, Measured, Reaction, Speaks};

/// The tables and the lists that follow from them.
pub fn markdown(atlas: &Atlas) -> String {
    let mut text = String::new();
    let _ = write(&mut text, atlas);
    text
}

fn write(out: &mut String, atlas: &Atlas) -> std::fmt::Result {
    writeln!(out, "## What they ask\n")?;
    writeln!(
        out,
        "| program | kind | finds IMDS | speaks | requests | for tokens | connections | packets | token lifetime | first request |"
    )?;
    writeln!(
        out,
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for program in &atlas.programs {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | `{}` |",
            title(program),
            program.kind,
            program.finds,
            program.speaks,
            program.cold.requests,
            program.cold.token_requests,
            program.cold.connections,
            program.cold.packets,
            lifetimes(program),
            program.cold.first,
        )?;
    }
    writeln!(out, "\n## Without a token, and away from EC2\n")?;
    writeln!(
        out,
        "| program | healthy | token refused (403) | hop limit of 1 | refused | unreachable | silent |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    for program in &atlas.programs {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            title(program),
            seconds(program.cold.milliseconds),
            with_imds(program.token_refused),
            with_imds(program.hop_limit),
            time(program.refused),
            time(program.unreachable),
            time(program.silent),
        )?;
    }
    for (heading, speaks) in [
        ("IMDSv1 only", Speaks::V1),
        ("Both versions in one use", Speaks::Both),
        ("Falls back to IMDSv1", Speaks::FallsBack),
    ] {
        let named: Vec<String> = atlas
            .programs
            .iter()
            .filter(|program| program.speaks == speaks)
            .map(title)
            .collect();
        if !named.is_empty() {
            writeln!(out, "\n## {heading}\n\n{}", named.join(", "))?;
        }
    }
    writeln!(out, "\n## Longest away from EC2\n")?;
    writeln!(
        out,
        "| program | address that never answers |\n| --- | --- |"
    )?;
    for program in slowest(atlas).iter().take(10) {
        writeln!(out, "| {} | {} |", title(program), time(program.silent))?;
    }
    Ok(())
}

/// The programs, those that take longest without IMDS first.
pub(super) fn slowest(atlas: &Atlas) -> Vec<&Measured> {
    let mut programs: Vec<&Measured> = atlas.programs.iter().collect();
    programs
        .sort_by_key(|program| std::cmp::Reverse(program.silent.milliseconds.unwrap_or(u64::MAX)));
    programs
}

/// The first package with its version, which says what was measured.
pub(super) fn title(program: &Measured) -> String {
    program.packages.first().map_or_else(
        || program.name.clone(),
        |package| package.replace("==", " ").replace('|', "\\|"),
    )
}

pub(super) fn lifetimes(program: &Measured) -> String {
    let lifetimes: Vec<String> = program
        .cold
        .token_lifetimes
        .iter()
        .map(|seconds| match seconds % 3600 {
            0 => format!("{} h", seconds / 3600),
            _ => format!("{seconds} s"),
        })
        .collect();
    lifetimes.join(", ")
}

pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1e3)
}

/// How long a program took.
pub(super) fn time(reaction: Reaction) -> String {
    reaction
        .milliseconds
        .map_or_else(|| "runs on".to_owned(), seconds)
}

/// What a program did with an IMDS that gives no tokens.
pub(super) fn with_imds(reaction: Reaction) -> String {
    let how = match (reaction.succeeded, reaction.without_token) {
        (true, 0) => "succeeds",
        (true, _) => "succeeds by IMDSv1",
        (false, 0) => "fails",
        (false, _) => "fails, with IMDSv1",
    };
    format!("{how}, {}", time(reaction))
}

impl std::fmt::Display for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V2 => "IMDSv2",
            Self::FallsBack => "IMDSv2, falls back",
            Self::Both => "both",
            Self::V1 => "IMDSv1 only",
        })
    }
}
