//! The report for people at a terminal.

use std::fmt::Write as _;

use super::picture::duration;
use super::{ClientUsage, Report, Usage};

/// The number of clients that are named in a sentence.
const NAMED: usize = 5;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let usage = &report.usage;
    writeln!(out, "IMDS: {}", summary(report))?;
    for client in &usage.clients {
        writeln!(out, "\n{}", client.name())?;
        for (name, value) in lines(client) {
            writeln!(out, "  {name:<16} {value}")?;
        }
    }
    if !usage.clients.is_empty() {
        writeln!(out, "\n{}", readiness(usage))?;
    }
    if let Some(verified) = &report.verified {
        write!(out, "\n{verified}")?;
    }
    Ok(())
}

/// All requests in a sentence.
pub(super) fn summary(report: &Report) -> String {
    let usage = &report.usage;
    let mut text = match usage.requests() {
        0 => "no request".to_owned(),
        requests => format!(
            "{} by {}",
            counted(requests, "request"),
            counted(usage.clients.len() as u64, "client")
        ),
    };
    let _ = write!(text, " in {}", duration(report.milliseconds));
    if let Some(packets) = usage.most_packets_per_second.filter(|packets| *packets > 0) {
        let _ = write!(text, ", at most {packets} packets within a second");
    }
    if usage.dropped > 0 {
        let _ = write!(
            text,
            "; {} before them are not counted, because `journal.capacity` is too low",
            usage.dropped
        );
    }
    text
}

/// Whether the clients need IMDSv1, in a sentence.
pub(super) fn readiness(usage: &Usage) -> String {
    let clients = usage.clients.iter();
    let unready: Vec<String> = clients
        .filter(|client| client.without_token > 0)
        .map(ClientUsage::name)
        .collect();
    match unready.as_slice() {
        [] => "IMDSv2 only: ready. Every request had a token, or asked for one.".to_owned(),
        unready => {
            let named: Vec<&str> = unready.iter().take(NAMED).map(String::as_str).collect();
            let others = match unready.len() - named.len() {
                0 => String::new(),
                others => format!(" and {}", counted(others as u64, "other client")),
            };
            format!(
                "IMDSv2 only: not ready. {}{others} sent requests without a token.",
                named.join(", ")
            )
        }
    }
}

/// What a client did: names and values.
pub(super) fn lines(client: &ClientUsage) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(parent) = client
        .process
        .as_ref()
        .and_then(|process| process.parent.as_ref())
    {
        lines.push((
            "parent",
            format!("{}[{}]", parent.name.escape_debug(), parent.pid),
        ));
    }
    for agent in &client.user_agents {
        lines.push(("User-Agent", agent.clone()));
    }
    let others = match client.for_other_services {
        0 => String::new(),
        others => format!(", {others} for services of other clouds"),
    };
    let failed = match client.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    lines.push((
        "requests",
        format!(
            "{}: {} for a token, {} with a token, {} without{others}{failed}",
            client.requests, client.token_requests, client.with_token, client.without_token
        ),
    ));
    if client.without_token > 0 {
        lines.push((
            "without a token",
            format!(
                "MetadataNoToken {}, MetadataNoTokenRejected {}",
                client.metadata_no_token, client.metadata_no_token_rejected
            ),
        ));
        for path in &client.paths_without_token {
            lines.push(("", path.clone()));
        }
    }
    if !client.token_lifetimes.is_empty() {
        let lifetimes = client.token_lifetimes.iter();
        let lifetimes: Vec<String> = lifetimes
            .map(|seconds| duration(u64::from(*seconds) * 1000))
            .collect();
        lines.push(("token lifetime", lifetimes.join(", ")));
    }
    lines.push((
        "connections",
        match client.packets {
            Some(packets) => format!("{}, {packets} packets", client.connections),
            None => client.connections.to_string(),
        },
    ));
    lines.push((
        "first metadata",
        match client.first_metadata_ms {
            Some(time) => format!("after {time:.2} ms"),
            None => "none".to_owned(),
        },
    ));
    lines
}

pub(super) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
