//! The atlas as Markdown: narrow tables for each question.

use std::collections::BTreeMap;

use super::words::{
    NONE, again, expire_soon, expired, lifetime, lifetimes, longest, rotated, time, token_revoked,
    version, without_tokens,
};
use super::{Atlas, Measured, Speaks};

/// The width of text in Markdown.
const WIDTH: usize = 100;
/// Where the page is in the repository.
const FOLDER: &str = "tests/docs";

/// The page with all tables.
pub fn markdown(atlas: &Atlas) -> String {
    let mut page = Page::default();
    page.heading("# What programs ask of IMDS");
    summary(&mut page, atlas);
    only_v1(&mut page, atlas);
    falls_back(&mut page, atlas);
    both(&mut page, atlas);
    budget(&mut page, atlas);
    off_ec2(&mut page, atlas);
    tokens(&mut page, atlas);
    credentials(&mut page, atlas);
    second_use(&mut page, atlas);
    addresses(&mut page, atlas);
    versions(&mut page, atlas);
    not_measured(&mut page, atlas);
    page.text
}

fn summary(page: &mut Page, atlas: &Atlas) {
    let (mut first, mut last) = (String::new(), String::new());
    let mut days: Vec<_> = atlas.programs.iter().map(|program| program.at).collect();
    days.sort();
    if let [earliest, .., latest] | [earliest @ latest] = days.as_slice() {
        first = earliest.format("%Y-%m-%d").to_string();
        last = latest.format("%Y-%m-%d").to_string();
    }
    let when = match first == last {
        true => format!("on {first}"),
        false => format!("from {first} to {last}"),
    };
    let older = atlas
        .programs
        .iter()
        .filter(|program| program.version_of.is_some());
    page.paragraph(&format!(
        "{} programs, including {} older versions, were run unmodified {when}, each in [a network in which only the emulator is reachable](../../emulator/docs/isolated.md). `imds-conformance programs NAME` repeats the row of the program NAME; [tests/programs](../programs) says how each is installed and started. [programs.json](programs.json) has all measurements.",
        atlas.programs.len(),
        older.count(),
    ));
    let count = |speaks| of(atlas, |program| program.speaks == speaks).len();
    page.paragraph(&format!(
        "{} speak IMDSv2 only, {} fall back to IMDSv1, {} use both versions, and {} speak IMDSv1 only.",
        count(Speaks::V2),
        count(Speaks::FallsBack),
        count(Speaks::Both),
        count(Speaks::V1),
    ));
    page.paragraph(
        "![The versions of IMDS that programs speak, and how long they take off EC2](programs.svg)",
    );
    page.paragraph("Times cover the whole script of a program, including its start and exit, and depend on the machine and what else it did. Each time is of a single run, and the next run can differ by seconds: compare within a row, and ignore small differences. The extra time with no response, compared with refused connections, is time spent waiting for IMDS. A program that was still running at its limit was stopped: after 180 s, or after the `limit` of its file.");
    page.paragraph("This command, in the top folder of the repository, measures the programs whose versions have changed and writes these pages; with `--again` it measures all:");
    page.block(&format!("cargo run -p imds-conformance -- programs --all --jobs 3 \\\n    --json {FOLDER}/programs.json --markdown {FOLDER}/programs.md --svg {FOLDER}/programs.svg"));
    page.paragraph("And this one writes a page that can be filtered, with the `User-Agent`, paths and first request of each program:");
    page.block(&format!("cargo run -p imds-conformance -- programs --from {FOLDER}/programs.json --html programs.html"));
}

fn only_v1(page: &mut Page, atlas: &Atlas) {
    page.heading("## Which programs speak IMDSv1 only?");
    page.paragraph(
        "They fail on an instance that requires tokens, which is the default of new instances.",
    );
    page.table(
        ["program", "version", "asks for"],
        of(atlas, |program| program.speaks == Speaks::V1),
        |program| {
            let path = program.asks.trim_start_matches('/');
            let (_, path) = path.split_once('/').unwrap_or(("", path));
            [
                link(program),
                version(program).to_owned(),
                format!("`{path}`"),
            ]
        },
    );
}

fn falls_back(page: &mut Page, atlas: &Atlas) {
    page.heading("## Which programs fall back to IMDSv1, and when?");
    page.paragraph("The emulator answers requests for a token with 403, as IMDS answers a proxy; or its responses to them do not arrive, as in a container with a hop limit of 1. It answers requests without a token.");
    get_no_tokens(page, atlas, Speaks::FallsBack);
    page.paragraph("These do not fall back. The table says how long they take to fail:");
    get_no_tokens(page, atlas, Speaks::V2);
}

/// What the programs that speak so do without a token.
fn get_no_tokens(page: &mut Page, atlas: &Atlas, speaks: Speaks) {
    page.table(
        ["program", "403", "hop limit of 1"],
        of(atlas, |program| program.speaks == speaks),
        |program| {
            [
                link(program),
                without_tokens(program, &program.token_refused),
                without_tokens(program, &program.hop_limit),
            ]
        },
    );
}

fn both(page: &mut Page, atlas: &Atlas) {
    let programs = of(atlas, |program| program.speaks == Speaks::Both);
    if programs.is_empty() {
        return;
    }
    page.heading("## Which programs use both versions?");
    page.paragraph("They send requests with and without a token although IMDS issues tokens.");
    page.table(["program", "version"], programs, |program| {
        [link(program), version(program).to_owned()]
    });
}

fn budget(page: &mut Page, atlas: &Atlas) {
    page.heading("## What does one cold use cost?");
    page.paragraph("Requests, those of them for tokens, connections, and packets sent to IMDS. EC2 lets an instance send 1,024 packets per second to IMDS, DNS and the time server together.");
    let mut programs = of(atlas, |_| true);
    programs.sort_by_key(|program| std::cmp::Reverse(program.cold.packets));
    page.table(
        ["program", "requests", "tokens", "conn.", "packets"],
        programs,
        |program| {
            let cold = &program.cold;
            [
                link(program),
                cold.requests.to_string(),
                cold.token_requests.to_string(),
                cold.connections.to_string(),
                cold.packets.to_string(),
            ]
        },
    );
}

fn off_ec2(page: &mut Page, atlas: &Atlas) {
    page.heading("## How long do programs take off EC2?");
    page.paragraph("The address of IMDS refuses connections, has no route, or never answers, as in most networks. The programs that take longest, in any of the three, come first. Some ask nothing, because the machine does not look like an EC2 instance.");
    let mut programs = of(atlas, |_| true);
    programs.sort_by_key(|program| std::cmp::Reverse(longest(program)));
    page.table(
        ["program", "refused", "no route", "no response"],
        programs,
        |program| {
            [
                link(program),
                time(program, &program.refused),
                time(program, &program.unreachable),
                time(program, &program.silent),
            ]
        },
    );
}

fn tokens(page: &mut Page, atlas: &Atlas) {
    page.heading("## Which lifetime do programs request for a token?");
    let mut lifetimes_of: BTreeMap<u32, usize> = BTreeMap::new();
    for program in &atlas.programs {
        for seconds in &program.cold.token_lifetimes {
            *lifetimes_of.entry(*seconds).or_default() += 1;
        }
    }
    page.table_of(
        ["lifetime", "programs"],
        lifetimes_of
            .iter()
            .rev()
            .map(|(seconds, programs)| [lifetime(*seconds), programs.to_string()]),
    );
    page.heading("## What do programs do when their token is revoked?");
    page.paragraph("The emulator revokes the first token as soon as it has issued it. A request with that token is answered with 401.");
    page.counts("token revoked", atlas, token_revoked);
    page.heading("## What does each program do with tokens?");
    page.table(
        ["program", "version", "lifetime", "token revoked"],
        of(atlas, |program| program.token_revoked.is_some()),
        |program| {
            [
                link(program),
                version(program).to_owned(),
                lifetimes(program),
                token_revoked(program).to_owned(),
            ]
        },
    );
}

fn credentials(page: &mut Page, atlas: &Atlas) {
    page.heading("## What do programs do with credentials that have expired?");
    page.paragraph("Every response has credentials that expired an hour ago, as in a long outage of IMDS. AWS would reject them. A program *uses them* if it succeeds or connects to its service as with fresh credentials.");
    page.counts("expired", atlas, expired);
    page.heading("## Which programs ask again for credentials that expire soon?");
    page.paragraph("Every response has credentials that expire within two minutes. A program that refreshes its credentials early asks for them more than once.");
    page.counts("expire soon", atlas, expire_soon);
    page.heading("## Which programs keep credentials on disk?");
    page.paragraph("Each program was run twice with the same home, and the credentials were rotated in between.");
    page.counts("run again", atlas, rotated);
    page.heading("## What does each program do with credentials?");
    page.table(
        ["program", "expired", "expire soon", "run again"],
        of(atlas, |program| program.credentials_expired.is_some()),
        |program| {
            [
                link(program),
                expired(program).to_owned(),
                expire_soon(program).to_owned(),
                rotated(program).to_owned(),
            ]
        },
    );
}

fn second_use(page: &mut Page, atlas: &Atlas) {
    let programs = of(atlas, |program| program.again.is_some());
    if programs.is_empty() {
        return;
    }
    page.heading("## What does a second use in one process cost?");
    page.paragraph("The credentials of the first use expire after half a minute, and its token is revoked; then comes the second use. Most programs exit after one use, so they are not listed.");
    page.table(
        ["program", "second use", "requests", "time"],
        programs,
        |program| match &program.again {
            Some(reaction) => [
                link(program),
                again(reaction).to_owned(),
                reaction.requests.to_string(),
                time(program, reaction),
            ],
            None => [link(program), NONE.into(), String::new(), String::new()],
        },
    );
}

fn addresses(page: &mut Page, atlas: &Atlas) {
    page.heading("## How do programs find IMDS?");
    page.paragraph("In most programs the address of IMDS is compiled in. `AWS_EC2_METADATA_SERVICE_ENDPOINT` replaces the address (*variable*), or an option of the program does (*option*). This is not measured: the files of the programs state it.");
    page.counts("finds IMDS", atlas, |program| program.finds.to_string());
    page.table(
        ["program", "version", "language", "finds IMDS"],
        of(atlas, |_| true),
        |program| {
            [
                link(program),
                version(program).to_owned(),
                program.language.clone(),
                program.finds.to_string(),
            ]
        },
    );
}

fn versions(page: &mut Page, atlas: &Atlas) {
    let older = of(atlas, |program| program.version_of.is_some());
    let pairs: Vec<(&Measured, &Measured)> = older
        .into_iter()
        .filter_map(|older| Some((older, atlas.get(older.version_of.as_deref()?)?)))
        .collect();
    if pairs.is_empty() {
        return;
    }
    page.heading("## What changed from one version to another?");
    page.table_of(
        ["program", "versions", "speaks", "requests", "no response"],
        pairs.into_iter().map(|(older, newer)| {
            let arrow = |old: String, new: String| match old == new {
                true => new,
                false => format!("{old} → {new}"),
            };
            [
                link(newer),
                format!("{} → {}", version(older), version(newer)),
                arrow(older.speaks.to_string(), newer.speaks.to_string()),
                arrow(
                    older.cold.requests.to_string(),
                    newer.cold.requests.to_string(),
                ),
                arrow(time(older, &older.silent), time(newer, &newer.silent)),
            ]
        }),
    );
}

fn not_measured(page: &mut Page, atlas: &Atlas) {
    if atlas.not_measured.is_empty() {
        return;
    }
    page.heading("## Which programs could not be measured?");
    page.table_of(
        ["program", "tried", "reason"],
        atlas.not_measured.iter().map(|failure| {
            let reason = failure.why.lines().next().unwrap_or_default();
            [
                format!("[{0}](../programs/{0}.toml)", failure.name),
                failure.at.format("%Y-%m-%d").to_string(),
                reason.replace('|', "\\|"),
            ]
        }),
    );
}

fn of(atlas: &Atlas, is_one: impl Fn(&Measured) -> bool) -> Vec<&Measured> {
    let programs = atlas.programs.iter();
    programs.filter(|program| is_one(program)).collect()
}

fn link(program: &Measured) -> String {
    format!("[{0}](../programs/{0}.toml)", program.name)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        self.space();
        self.text.push_str(heading);
        self.text.push('\n');
    }

    /// A paragraph, wrapped.
    fn paragraph(&mut self, text: &str) {
        self.space();
        let mut width = 0;
        for word in text.split(' ') {
            let length = word.chars().count();
            if width > 0 && width + 1 + length > WIDTH {
                self.text.push('\n');
                width = 0;
            } else if width > 0 {
                self.text.push(' ');
                width += 1;
            }
            self.text.push_str(word);
            width += length;
        }
        self.text.push('\n');
    }

    /// Commands for a shell.
    fn block(&mut self, commands: &str) {
        self.space();
        self.text.push_str(&format!("```sh\n{commands}\n```\n"));
    }

    fn table<const COLUMNS: usize>(
        &mut self,
        names: [&str; COLUMNS],
        programs: Vec<&Measured>,
        row: impl Fn(&Measured) -> [String; COLUMNS],
    ) {
        self.table_of(names, programs.into_iter().map(row));
    }

    fn table_of<const COLUMNS: usize>(
        &mut self,
        names: [&str; COLUMNS],
        rows: impl Iterator<Item = [String; COLUMNS]>,
    ) {
        self.space();
        let rule = ["---"; COLUMNS];
        self.text.push_str(&format!(
            "| {} |\n| {} |\n",
            names.join(" | "),
            rule.join(" | ")
        ));
        for row in rows {
            self.text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
    }

    /// How many programs do what, the most frequent first.
    fn counts<T: Into<String>>(
        &mut self,
        column: &str,
        atlas: &Atlas,
        what: impl Fn(&Measured) -> T,
    ) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for program in &atlas.programs {
            *counts.entry(what(program).into()).or_default() += 1;
        }
        counts.remove(NONE);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rows = counts.into_iter();
        self.table_of(
            [column, "programs"],
            rows.map(|(what, count)| [what, count.to_string()]),
        );
    }

    fn space(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }
}
