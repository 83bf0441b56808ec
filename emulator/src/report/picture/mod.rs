//! What happened as a picture: one lane for each kind of event, over one axis of time.

mod axis;
mod labels;
mod trace;

use std::sync::Arc;

use maud::{Markup, Render, html};

use self::axis::{Axis, end};
pub use self::labels::duration;
use self::labels::{
    CHARACTER, SMALL, about, clock, fate, fitting, is_token, letter, nice, request_width, sentence,
    shortened, text_width,
};
pub use self::trace::{Call, Mark, Request, Span, Trace};
use crate::journal::Outcome as Fate;

/// The style of pages with timelines.
pub const STYLE: &str = include_str!("picture.css");
/// A function that tells a timeline as text.
pub const SCRIPT: &str = include_str!("picture.js");

/// The width of a picture, if everything fits.
const WIDTH: f64 = 1096.0;
/// The width of the column with the lanes' names.
const NAMES: f64 = 92.0;
/// The space around the content of a lane.
const PADDING: f64 = 7.0;
/// The maximum number of rows for concurrent requests.
const MOST_ROWS: usize = 14;

/// With this policy, a page cannot load anything.
pub const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The pattern for skipped time, which every page with a timeline needs once.
pub fn patterns() -> Markup {
    html! {
        svg width="0" height="0" aria-hidden="true" style="position:absolute" {
            defs {
                pattern #gap width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    path d="M0 0v6" {}
                }
            }
        }
    }
}

/// Draws the names of the lanes, which stay in place, and the lanes, which scroll. `label` tells
/// people who cannot see the picture what it shows.
pub fn draw(trace: &Trace, label: &str) -> Markup {
    let axis = Axis::of(trace);
    let mut picture = Picture::new(&axis);
    picture.marks(trace);
    picture.faults(trace);
    for lane in lanes(trace) {
        picture.requests(trace, &lane);
    }
    picture.tokens(trace);
    picture.credentials(trace);
    picture.calls(trace);
    picture.finish(label)
}

/// The lanes of the requests, in the order in which they begin.
fn lanes(trace: &Trace) -> Vec<Arc<str>> {
    let mut lanes: Vec<Arc<str>> = Vec::new();
    for request in &trace.requests {
        if !lanes.contains(&request.lane) {
            lanes.push(Arc::clone(&request.lane));
        }
    }
    if lanes.is_empty() {
        lanes.push("requests".into());
    }
    lanes
}

/// The legend below every timeline.
pub fn legend() -> Markup {
    let dot = |class: &str| html! { circle cx="5" cy="5.5" r="5" class=(class) {} };
    let bar = |class: &str| {
        html! { rect x="1" y="1" width="20" height="10" rx="2" class=(class) {} }
    };
    let entries = [
        (
            10,
            10,
            html! { rect width="9" height="9" class="ink" {} },
            "PUT",
        ),
        (11, 11, dot("ink"), "GET"),
        (11, 11, dot("ok"), "status 2xx"),
        (11, 11, dot("bad"), "any other status"),
        (
            12,
            12,
            html! { circle cx="6" cy="6" r="4.5" class="none" {} },
            "no valid response",
        ),
        (22, 12, bar("given"), "credentials received"),
        (22, 12, bar("hollow"), "credentials not received"),
        (
            22,
            12,
            html! { rect width="22" height="12" class="gap" {} },
            "skipped time",
        ),
    ];
    html! {
        div.key #key aria-label="Legend of the timeline" {
            @for (width, height, symbol, meaning) in entries {
                span { svg width=(width) height=(height) { (symbol) } " " (meaning) }
            }
        }
    }
}

/// A length or a position in pixels.
struct Px(f64);

impl Render for Px {
    fn render_to(&self, out: &mut String) {
        out.push_str(&format!("{:.1}", self.0));
    }
}

/// What has been drawn so far.
struct Picture<'a> {
    axis: &'a Axis,
    /// The lanes, from the top down to `y`, and their names.
    lanes: Vec<Markup>,
    names: Vec<Markup>,
    y: f64,
    /// The positions of marks, whose lines cross all lanes.
    lines: Vec<f64>,
    /// The right end of what was drawn.
    width: f64,
}

impl<'a> Picture<'a> {
    fn new(axis: &'a Axis) -> Self {
        Self {
            axis,
            lanes: Vec::new(),
            names: Vec::new(),
            y: 0.0,
            lines: Vec::new(),
            width: axis.end() + PADDING,
        }
    }

    /// The actions of the scenario.
    fn marks(&mut self, trace: &Trace) {
        if trace.marks.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        let mut drawn = Vec::new();
        for mark in &trace.marks {
            let x = self.axis.x(mark.at);
            let label = shortened(&mark.name, 40);
            let right = x + 10.0 + text_width(label.chars().count());
            let y = self.y + PADDING + 16.0 * rows.place(x, right) as f64;
            drawn.push(html! {
                g {
                    (title(mark.at, &mark.name))
                    text x=(Px(x + 4.0)) y=(Px(y + 11.0)) { (label) }
                }
            });
            self.lines.push(x);
            self.width = self.width.max(right + PADDING);
        }
        self.lane("actions", rows.count() as f64 * 16.0, drawn);
    }

    fn faults(&mut self, trace: &Trace) {
        if trace.faults.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        let mut drawn = Vec::new();
        for fault in &trace.faults {
            let (left, right) = self.ends(fault.from, fault.to);
            let label = shortened(&fault.name, 48);
            let text = label_at(left, right, &label);
            let ends = right.max(text + text_width(label.chars().count()) + 5.0);
            let y = self.y + PADDING + 22.0 * rows.place(left.min(text), ends) as f64;
            let sentence = format!("{}, until {}", fault.name, clock(fault.to));
            let title = title(fault.from, &sentence);
            drawn.push(bar("f", (left, right, y), &title, &label));
            self.width = self.width.max(ends + PADDING);
        }
        self.lane("faults", rows.count() as f64 * 22.0, drawn);
    }

    fn requests(&mut self, trace: &Trace, lane: &str) {
        let mut rows = Rows::default();
        let mut drawn = Vec::new();
        let mut beyond = 0_usize;
        let named = trace.requests.len() <= 60;
        let slot = if named { request_width(trace) } else { 12.0 };
        for request in trace
            .requests
            .iter()
            .filter(|request| *request.lane == *lane)
        {
            let (left, right) = (self.axis.x(request.from), self.axis.x(end(trace, request)));
            let row = rows.place(left, right.max(left + slot));
            if row >= MOST_ROWS {
                beyond += 1;
                continue;
            }
            let y = self.y + PADDING + 27.0 * row as f64;
            drawn.push(symbol(request, (left, right, y), slot, named));
            self.width = self.width.max(left + slot + PADDING);
        }
        let mut height = rows.count().clamp(1, MOST_ROWS) as f64 * 27.0;
        if beyond > 0 {
            let y = self.y + PADDING + height + 10.0;
            drawn.push(html! {
                text x=(PADDING) y=(Px(y)) { "and " (beyond) " more concurrent requests" }
            });
            height += 16.0;
        }
        self.lane(lane, height, drawn);
    }

    /// One bar for each token, from the response with it to the response with the next one.
    fn tokens(&mut self, trace: &Trace) {
        let issues = |request: &&Request| {
            let exchange = &request.exchange;
            let answered = exchange.status == Some(200) && exchange.outcome == Fate::Answered;
            is_token(request) && answered && exchange.bytes > 0
        };
        let tokens: Vec<u64> = trace
            .requests
            .iter()
            .filter(issues)
            .map(|token| token.to)
            .collect();
        let ends = tokens.iter().skip(1).copied().chain([trace.length]);
        let mut drawn = Vec::new();
        for (at, (from, to)) in tokens.iter().zip(ends).enumerate() {
            let (left, right) = self.ends(*from, to);
            let label = format!("token {}", at + 1);
            let title = title(*from, &format!("IMDS issues {label}"));
            let place = (left, right - 1.0, self.y + PADDING);
            drawn.push(bar("t", place, &title, &fitting(&label, right - left)));
        }
        self.lane("token", 18.0, drawn);
    }

    fn credentials(&mut self, trace: &Trace) {
        let mut drawn = Vec::new();
        for (at, credentials) in trace.credentials.iter().enumerate() {
            let (left, right) = self.ends(credentials.from, credentials.to);
            let label = format!("{} {}", letter(at), credentials.name);
            let received = received(trace, credentials);
            let class = format!("k{}{}", at % 4, if received { "" } else { " hollow" });
            let sentence = format!(
                "IMDS issues {label} until {}, {}",
                clock(credentials.to),
                match received {
                    true => "and the caller received them",
                    false => "and no caller received them",
                }
            );
            let title = title(credentials.from, &sentence);
            let place = (left, right - 1.0, self.y + PADDING);
            drawn.push(bar(&class, place, &title, &fitting(&label, right - left)));
        }
        self.lane("credentials", 18.0, drawn);
    }

    /// What the callers received.
    fn calls(&mut self, trace: &Trace) {
        if trace.calls.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        let mut drawn = Vec::new();
        for call in &trace.calls {
            let known = trace
                .credentials
                .iter()
                .position(|known| known.name == call.answer);
            let wrong = call.unexpected;
            let class = match (known, call.ok) {
                (Some(at), true) => format!("k{}", at % 4),
                (None, true) => "k".to_owned(),
                (_, false) => "e".to_owned(),
            };
            let class = if wrong { class + " wrong" } else { class };
            let (left, right) = self.ends(call.from, call.to);
            let most = (((right - left) / CHARACTER) as usize)
                .saturating_sub(12)
                .clamp(30, 100);
            let sign = if wrong { "✕ " } else { "" };
            let label = format!("{sign}{}", labels::call(call, known, most));
            let text = label_at(left, right, &label);
            let ends = right.max(text + text_width(label.chars().count()) + 5.0);
            let y = self.y + PADDING + 22.0 * rows.place(left.min(text), ends) as f64;
            let Call {
                step,
                question,
                answer,
                to,
                ..
            } = call;
            let unexpected = if wrong { ", which is unexpected" } else { "" };
            let sentence = format!(
                "step {step}, {question}: {answer}, at {}{unexpected}",
                clock(*to)
            );
            let title = title(call.from, &sentence);
            drawn.push(bar(&class, (left, right, y), &title, &label));
            self.width = self.width.max(ends + PADDING);
        }
        self.lane("caller", rows.count().max(1) as f64 * 22.0, drawn);
    }

    /// The ends of a bar that is wide enough to be seen.
    fn ends(&self, from: u64, to: u64) -> (f64, f64) {
        let left = self.axis.x(from);
        (left, self.axis.x(to).max(left + 5.0))
    }

    fn lane(&mut self, name: &str, height: f64, drawn: Vec<Markup>) {
        let middle = self.y + PADDING + 12.0;
        self.y += height + 2.0 * PADDING;
        let rule = html! { path.rule d={ "M0 " (Px(self.y)) "h9999" } {} };
        self.names.push(html! {
            text x="0" y=(Px(middle)) { title { (name) } (shortened(name, 13)) }
            (rule)
        });
        self.lanes.push(html! {
            g.lane data-lane=(name) { @for part in drawn { (part) } }
            (rule)
        });
    }

    fn finish(mut self, label: &str) -> Markup {
        let floor = self.y;
        let ticks = self.ticks();
        let (height, width) = (floor + 36.0, self.width.ceil());
        html! {
            div.timeline tabindex="0" role="region" aria-label="Timeline" {
                svg.names width=(NAMES) height=(height) aria-hidden="true" {
                    @for name in &self.names { (name) }
                }
                svg.lanes width=(width) height=(height) role="img" aria-label=(label) {
                    @for gap in &self.axis.gaps {
                        @let left = self.axis.x(gap.from) + gap.inset;
                        rect.gap x=(Px(left)) y="0" width=(Px(self.axis.x(gap.to) - left)) height=(Px(floor)) {}
                    }
                    @for x in &self.lines {
                        path.mark d={ "M" (Px(*x)) " 0V" (Px(floor)) } {}
                    }
                    @for lane in &self.lanes { (lane) }
                    g.axis { @for tick in ticks { (tick) } }
                }
            }
        }
    }

    /// The labels of the axis: when a run starts, how far a tick is from there, and how long a gap is.
    fn ticks(&mut self) -> Vec<Markup> {
        let floor = self.y;
        let mut drawn = Vec::new();
        let mut taken = f64::MIN;
        for (from, to) in self.axis.runs() {
            let (left, right) = (self.axis.x(from), self.axis.x(to));
            // Two adjacent gaps have nothing between them.
            if to <= from && from != 0 {
                continue;
            }
            let room = ((right - left) / 60.0).max(1.0);
            let step = nice((to - from) as f64 / room);
            let mut at = from;
            while at <= to {
                let label = match at == from {
                    true => duration(at),
                    false => format!("+{}", duration(at - from)),
                };
                let x = self.axis.x(at);
                let ends = x + 3.0 + label.chars().count() as f64 * SMALL;
                if x >= taken && (at == from || x + 3.0 <= right) {
                    drawn.push(html! {
                        path d={ "M" (Px(x)) " " (Px(floor)) "v6" } {}
                        text x=(Px(x + 2.0)) y=(Px(floor + 13.0)) { (label) }
                    });
                    taken = ends + 8.0;
                    self.width = self.width.max(ends + PADDING);
                }
                at += step;
            }
        }
        for gap in &self.axis.gaps {
            let middle = f64::midpoint(self.axis.x(gap.from) + gap.inset, self.axis.x(gap.to));
            if let Some(label) = gap.label() {
                drawn.push(html! {
                    text.skip x=(Px(middle)) y=(Px(floor + 28.0)) { (label) }
                });
            }
        }
        drawn
    }
}

/// Whether a caller received the credentials, or, if the calls are not known, a client.
fn received(trace: &Trace, credentials: &Span) -> bool {
    if !trace.calls.is_empty() {
        let calls = trace.calls.iter();
        return calls
            .filter(|call| call.ok)
            .any(|call| call.answer == credentials.name);
    }
    trace.requests.iter().any(|request| {
        let exchange = &request.exchange;
        let path = exchange.path.as_str();
        (credentials.from..=credentials.to).contains(&request.from)
            && exchange.status == Some(200)
            && path.contains("/iam/security-credentials/")
            && !path.ends_with('/')
    })
}

/// A request, from `left` to `right`.
fn symbol(request: &Request, (left, right, y): (f64, f64, f64), slot: f64, named: bool) -> Markup {
    let class = match request.exchange.status {
        Some(200..=299) if request.exchange.outcome == Fate::Answered => "r ok",
        Some(_) if request.exchange.outcome == Fate::Answered => "r bad",
        _ => "r bad none",
    };
    html! {
        g class=(class) {
            (title(request.from, &sentence(request)))
            @if right - left > slot {
                rect.w x=(Px(left)) y=(Px(y)) width=(Px(right - left)) height="11" {}
            }
            @if request.exchange.method == "PUT" {
                rect x=(Px(left)) y=(Px(y + 1.0)) width="9" height="9" {}
            } @else {
                circle cx=(Px(left + 5.0)) cy=(Px(y + 5.5)) r="5" {}
            }
            @if named {
                text x=(Px(left + 12.0)) y=(Px(y + 9.0)) { (fate(request)) }
                text x=(Px(left)) y=(Px(y + 20.0)) { (about(request)) }
            }
        }
    }
}

fn bar(class: &str, (left, right, y): (f64, f64, f64), title: &Markup, label: &str) -> Markup {
    let width = (right - left).max(3.0);
    html! {
        g class={ "b " (class) } {
            (title)
            rect x=(Px(left)) y=(Px(y)) width=(Px(width)) height="18" rx="2" {}
            @if !label.is_empty() {
                text x=(Px(label_at(left, right, label))) y=(Px(y + 13.0)) { (label) }
            }
        }
    }
}

/// The position of a bar's label: in the bar, or beside it if the bar is too narrow.
fn label_at(left: f64, right: f64, label: &str) -> f64 {
    let width = text_width(label.chars().count());
    if width + 9.0 <= right - left {
        return left + 5.0;
    }
    // To the left of the bar, if the label would otherwise be visible only after scrolling.
    match right + width > WIDTH - NAMES && left > width + PADDING {
        true => left - width - 4.0,
        false => right + 4.0,
    }
}

/// The text for screen readers and for the pointer.
fn title(at: u64, text: &str) -> Markup {
    html! { title { (clock(at)) " " (shortened(text, 600)) } }
}

/// Rows that are filled from the left, so that nothing overlaps.
#[derive(Default)]
struct Rows(Vec<f64>);

impl Rows {
    fn place(&mut self, left: f64, right: f64) -> usize {
        // Things that touch do not overlap, however the position was rounded.
        let free = self.0.iter().position(|taken| *taken <= left + 0.01);
        match free {
            Some(row) => {
                if let Some(taken) = self.0.get_mut(row) {
                    *taken = right;
                }
                row
            }
            None => {
                self.0.push(right);
                self.0.len() - 1
            }
        }
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}
