//! The atlas as Markdown: a narrow table or list for each question.

use std::collections::BTreeMap;

use super::words::{
    NONE, again, expire_soon, expired, lifetime, rotated, time, token_revoked, version, wait,
    without_tokens,
};
use super::{Atlas, Finds, Measured, Speaks};

/// The width of text in Markdown.
const WIDTH: usize = 100;
/// A program that takes this much longer if nothing answers waits for IMDS.
const WAITS_MILLISECONDS: u64 = 500;

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
        "{} programs, including {} older versions, were run unmodified {when}, each in [a network in which only the emulator is reachable](../../emulator/docs/isolated.md). `imds-conformance programs NAME` repeats the row of the program NAME; [tests/programs](../programs) says how each is installed and started. [programs.json](programs.json) has all measurements, and `--html FILE` makes a page of them with `User-Agent`, paths and first requests.",
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
        "![The versions of IMDS that programs speak, and how long they wait off EC2](programs.svg)",
    );
    page.paragraph("Times cover the whole script of a program, including its start and exit, and depend on the machine and what else it did. Compare within a row: the extra time with no response, compared with refused connections, is time spent waiting for IMDS.");
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
                without_tokens(&program.token_refused),
                without_tokens(&program.hop_limit),
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
    page.list(&programs);
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
    page.paragraph("The address of IMDS refuses connections, has no route, or never answers, as in most networks. A program that ran for more than 180 s was stopped. Those that wait longest come first.");
    let mut programs = of(atlas, |_| true);
    let key = |program: &Measured| wait(program).unwrap_or(u64::MAX);
    programs.sort_by_key(|program| std::cmp::Reverse(key(program)));
    let waits = |program: &&Measured| key(program) >= WAITS_MILLISECONDS;
    let (wait, ready): (Vec<_>, Vec<_>) = programs.into_iter().partition(waits);
    page.table(
        ["program", "refused", "no route", "no response"],
        wait,
        |program| {
            [
                link(program),
                time(&program.refused),
                time(&program.unreachable),
                time(&program.silent),
            ]
        },
    );
    if !ready.is_empty() {
        page.paragraph("These take no more than half a second longer if nothing answers than if connections are refused. Some ask nothing, because the machine does not look like an EC2 instance:");
        page.list(&ready);
    }
}

fn tokens(page: &mut Page, atlas: &Atlas) {
    page.heading("## Which lifetime do programs request for a token?");
    let mut lifetimes: BTreeMap<u32, Vec<&Measured>> = BTreeMap::new();
    for program in &atlas.programs {
        for seconds in &program.cold.token_lifetimes {
            lifetimes.entry(*seconds).or_default().push(program);
        }
    }
    for (seconds, programs) in lifetimes.iter().rev() {
        page.paragraph(&format!("**{}**:", lifetime(*seconds)));
        page.list(programs);
    }
    page.heading("## What do programs do when their token is revoked?");
    page.paragraph("The emulator revokes the first token as soon as it has issued it. A request with that token is answered with 401.");
    page.groups(atlas, token_revoked);
}

fn credentials(page: &mut Page, atlas: &Atlas) {
    page.heading("## What do programs do with credentials that have expired?");
    page.paragraph("Every response has credentials that expired an hour ago, as in a long outage of IMDS. AWS would reject them. A program *uses them* if it succeeds or connects to its service as with fresh credentials.");
    page.groups(atlas, expired);
    page.heading("## Which programs ask again for credentials that expire soon?");
    page.paragraph("Every response has credentials that expire within two minutes. A program that refreshes its credentials early asks for them more than once.");
    page.groups(atlas, expire_soon);
    page.heading("## Which programs keep credentials on disk?");
    page.paragraph("Each program was run twice with the same home, and the credentials were rotated in between.");
    page.groups(atlas, rotated);
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
                time(reaction),
            ],
            None => [link(program), NONE.into(), String::new(), String::new()],
        },
    );
}

fn addresses(page: &mut Page, atlas: &Atlas) {
    page.heading("## How do programs find IMDS?");
    for (finds, text) in [
        (Finds::CompiledIn, "The address is compiled in:"),
        (
            Finds::Variable,
            "`AWS_EC2_METADATA_SERVICE_ENDPOINT` replaces the address:",
        ),
        (
            Finds::Option,
            "An option of the program replaces the address:",
        ),
    ] {
        let programs = of(atlas, |program| program.finds == finds);
        if !programs.is_empty() {
            page.paragraph(text);
            page.list(&programs);
        }
    }
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
                arrow(time(&older.silent), time(&newer.silent)),
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

    /// Programs with their versions, as a sentence without a verb.
    fn list(&mut self, programs: &[&Measured]) {
        let named: Vec<String> = programs
            .iter()
            .map(|program| format!("{} {}", program.name, version(program)))
            .collect();
        self.paragraph(&named.join(", "));
    }

    /// The programs that do the same, the most frequent first.
    fn groups<T: Into<String>>(&mut self, atlas: &Atlas, what: impl Fn(&Measured) -> T) {
        let mut groups: BTreeMap<String, Vec<&Measured>> = BTreeMap::new();
        for program in &atlas.programs {
            groups
                .entry(what(program).into())
                .or_default()
                .push(program);
        }
        groups.remove(NONE);
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, programs)| std::cmp::Reverse(programs.len()));
        for (what, programs) in groups {
            self.paragraph(&format!("**{what}** ({}):", programs.len()));
            self.list(&programs);
        }
    }

    fn space(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }
}
