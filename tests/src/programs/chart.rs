//! The atlas as a picture for a README: two charts of bars.

use maud::{Markup, html};

use super::words::{longest, off_ec2};
use super::{Atlas, Measured, Speaks};

/// Works on a light and on a dark page.
const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1b2430; }
.heading { font-weight: 600; }
.count { fill: #566373; }
.v2 { fill: #1b6e45; } .falls-back { fill: #b07b10; } .both, .v1 { fill: #b1271f; } .time { fill: #2459a8; }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e8ee; }
  .count { fill: #9ba8b7; }
  .v2 { fill: #74cf9c; } .falls-back { fill: #e0b252; } .both, .v1 { fill: #ff8a80; } .time { fill: #7fb0ff; }
}
";

/// The width of the picture.
const WIDTH: usize = 640;
/// The height of a row, with its space.
const ROW: usize = 24;
/// The left end of the bars, to the right of their names.
const LEFT: usize = 190;
/// The length of the longest bar.
const LONGEST: usize = 380;

/// Bounds of the longest time in seconds that programs take off EC2.
const BOUNDS: [(u64, &str); 5] = [
    (1, "under 1 s"),
    (3, "1 to 3 s"),
    (10, "3 to 10 s"),
    (30, "10 to 30 s"),
    (u64::MAX, "over 30 s"),
];

struct Bar {
    name: &'static str,
    class: &'static str,
    count: usize,
}

/// An SVG picture: the versions of IMDS that programs speak, and how long they take off EC2, in
/// whichever way takes longest.
pub fn chart(atlas: &Atlas) -> String {
    let versions = [
        (Speaks::V2, "IMDSv2", "v2"),
        (Speaks::FallsBack, "falls back to IMDSv1", "falls-back"),
        (Speaks::Both, "both in one use", "both"),
        (Speaks::V1, "IMDSv1 only", "v1"),
    ];
    let versions = versions.map(|(speaks, name, class)| Bar {
        name,
        class,
        count: count(atlas, |program| program.speaks == speaks),
    });
    let is_stopped = |program: &Measured| {
        let mut reactions = off_ec2(program).into_iter();
        reactions.any(|reaction| reaction.milliseconds.is_none())
    };
    let mut from = 0;
    let times = BOUNDS.map(|(to, name)| {
        let is_within = |program: &Measured| (from..to).contains(&(longest(program) / 1000));
        let count = count(atlas, |program| !is_stopped(program) && is_within(program));
        from = to;
        Bar {
            name,
            class: "time",
            count,
        }
    });
    let mut times = Vec::from(times);
    times.push(Bar {
        name: "still running when stopped",
        class: "time",
        count: count(atlas, is_stopped),
    });
    let first = 20;
    let second = first + (versions.len() + 2) * ROW;
    let height = second + (times.len() + 1) * ROW;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(height)
            viewBox={ "0 0 " (WIDTH) " " (height) } role="img" {
            title { (atlas.programs.len()) " programs: the version of IMDS that they speak, and how long they take off EC2" }
            style { (STYLE) }
            (bars("The version of IMDS that they speak", first, &versions))
            (bars("How long they take off EC2", second, &times))
        }
    };
    picture.into_string() + "\n"
}

fn count(atlas: &Atlas, is_one: impl Fn(&Measured) -> bool) -> usize {
    atlas
        .programs
        .iter()
        .filter(|program| is_one(program))
        .count()
}

fn bars(heading: &str, top: usize, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(1).max(1);
    html! {
        text x="0" y=(top) class="heading" { (heading) }
        @for (place, bar) in bars.iter().enumerate() {
            @let y = top + (place + 1) * ROW;
            @let length = bar.count * LONGEST / most;
            text x="0" y=(y) { (bar.name) }
            rect x=(LEFT) y=(y - 13) width=(length.max(1)) height="16" rx="2" class=(bar.class) {}
            text x=(LEFT + length + 8) y=(y) class="count" { (bar.count) }
        }
    }
}
