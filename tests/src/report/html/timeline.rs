//! What happened in a scenario as a picture: a lane for each kind of thing, over one axis of time.
//!
//! Hours that were skipped and milliseconds between two requests have to fit beside each other: stretches
//! in which nothing goes on are drawn as a gap of fixed width, and neighbours are kept far enough apart to
//! be told from each other. Times are therefore in the order that they have, and in proportion only where
//! there is room for it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use imds_emulator::fault::{ImdsVersion, TokenState};
use imds_emulator::journal::Outcome as Fate;

use super::escaped;
use crate::run::Outcome;
use crate::trace::{Call, Request, Trace};

/// What a picture takes at most, if it can.
const WIDTH: f64 = 1096.0;
/// Of the column with the lanes' names.
const NAMES: f64 = 92.0;
/// A character of the labels, which are all of one width, and one of the small ones.
const CHARACTER: f64 = 6.7;
const SMALL: f64 = 5.5;
/// Between two events.
const APART: f64 = 9.0;
/// Around what is in a lane.
const PADDING: f64 = 7.0;
/// So many rows are drawn of what happens at once.
const MOST_ROWS: usize = 14;

/// The names of the lanes, which stay where they are, and the lanes, which scroll beneath.
pub(super) fn draw(outcome: &Outcome, behaviour: &str) -> String {
    let trace = &outcome.trace;
    let axis = Axis::of(trace);
    let mut picture = Picture::new(&axis);
    picture.marks(trace);
    picture.faults(trace);
    picture.requests(trace);
    picture.tokens(trace);
    picture.credentials(trace);
    picture.calls(outcome);
    picture.finish(&format!("Timeline of {}: {behaviour}", outcome.client))
}

/// Where a moment is.
struct Axis {
    /// Moments and their places, in ascending order. In between, time is even.
    points: Vec<(u64, f64)>,
    gaps: Vec<Gap>,
}

/// A stretch in which nothing goes on.
struct Gap {
    from: u64,
    to: u64,
    /// Too short to be worth saying: the start and the end.
    silent: bool,
    /// Where a request begins with it, the room for that.
    inset: f64,
}

impl Gap {
    fn label(&self) -> Option<String> {
        (!self.silent).then(|| format!("+ {}", span(self.to - self.from)))
    }
}

impl Axis {
    fn of(trace: &Trace) -> Self {
        let slot = slot(trace);
        let mut busy: Vec<(u64, u64)> = Vec::new();
        busy.extend(trace.calls.iter().map(|call| (call.from, call.to)));
        let requests = trace.requests.iter();
        busy.extend(requests.map(|request| (request.from, end(trace, request))));
        let begun: BTreeSet<u64> = trace.requests.iter().map(|request| request.from).collect();

        let mut moments = BTreeSet::from([0, trace.length]);
        moments.extend(busy.iter().flat_map(|(from, to)| [*from, *to]));
        let spans = trace.faults.iter().chain(&trace.credentials);
        moments.extend(spans.flat_map(|span| [span.from, span.to]));
        moments.extend(trace.marks.iter().map(|mark| mark.at));
        let moments: Vec<u64> = moments.into_iter().collect();
        let first = busy.iter().map(|(from, _)| *from).min().unwrap_or(0);
        let last = busy.iter().map(|(_, to)| *to).max().unwrap_or(0);

        // What each stretch takes at least, and what of it is in proportion.
        let mut gaps = Vec::new();
        let mut stretches = Vec::new();
        for (from, to) in moments.iter().zip(moments.iter().skip(1)) {
            let (from, to) = (*from, *to);
            let idle = !busy
                .iter()
                .any(|(since, until)| *since <= from && *until >= to);
            // Neither how long a client takes to start nor the wait for the last entry of the journal
            // says anything.
            let silent = (from >= last || to <= first) && to - from < LONG;
            let begins = begun.contains(&from);
            if to - from > TOO_LONG || idle && (to - from >= IDLE || silent) {
                let inset = if begins { labelled(trace) } else { 0.0 };
                let gap = Gap {
                    from,
                    to,
                    silent,
                    inset,
                };
                let label = gap.label().map_or(0, |label| label.chars().count());
                let width = (text_width(label) + 16.0).max(if silent { 24.0 } else { 64.0 });
                stretches.push((to, inset + width, 0.0));
                gaps.push(gap);
            } else {
                let least = if begins { slot } else { APART };
                stretches.push((to, least, (to - from) as f64));
            }
        }
        let scale = scale(&stretches, WIDTH - NAMES - 2.0 * PADDING);
        let mut at = PADDING;
        let mut points = vec![(0, at)];
        for (to, least, time) in stretches {
            at += least.max(time * scale);
            points.push((to, at));
        }
        Self { points, gaps }
    }

    fn x(&self, moment: u64) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= moment);
        let before = after.checked_sub(1).and_then(|at| self.points.get(at));
        match (before, self.points.get(after)) {
            (Some((from, left)), Some((to, right))) => {
                left + (right - left) * (moment - from) as f64 / (to - from) as f64
            }
            (Some((_, x)), None) | (None, Some((_, x))) => *x,
            (None, None) => PADDING,
        }
    }

    fn end(&self) -> f64 {
        self.points.last().map_or(0.0, |(_, x)| *x)
    }

    /// What is even, between two gaps.
    fn runs(&self) -> Vec<(u64, u64)> {
        let ends = self.gaps.iter().map(|gap| gap.from);
        let length = self.points.last().map_or(0, |(at, _)| *at);
        let starts = self.gaps.iter().map(|gap| gap.to);
        [0].into_iter()
            .chain(starts)
            .zip(ends.chain([length]))
            .collect()
    }
}

/// The pixels of a millisecond with which stretches fill the room, if each takes at least what it needs.
fn scale(stretches: &[(u64, f64, f64)], room: f64) -> f64 {
    let width = |scale: f64| {
        let widths = stretches.iter();
        widths
            .map(|(_, least, time)| least.max(time * scale))
            .sum::<f64>()
    };
    let time: f64 = stretches.iter().map(|(_, _, time)| time).sum();
    let (mut low, mut high) = (0.0, room / time.max(1.0));
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        match width(middle) > room {
            true => high = middle,
            false => low = middle,
        }
    }
    low
}

/// Milliseconds in which nothing goes on, and that are drawn as a gap.
const IDLE: u64 = 1_500;
/// Not even a start takes so long: it is said.
const LONG: u64 = 5_000;
/// And that are drawn so whatever goes on.
const TOO_LONG: u64 = 60_000;

/// What requests take beside each other. Many of them are put closer, below each other: a storm is to be
/// seen as one.
fn slot(trace: &Trace) -> f64 {
    match trace.requests.len() {
        0..=12 => labelled(trace),
        _ => 14.0,
    }
}

/// What a request takes with its labels.
fn labelled(trace: &Trace) -> f64 {
    let longest = trace.requests.iter().map(|request| {
        let about = about(request).chars().count();
        about.max(fate(request).chars().count() + 2)
    });
    longest.max().unwrap_or(0) as f64 * SMALL + 7.0
}

/// When a request ended. Of one that is not answered, the journal does not know when the client gave it
/// up: when it sent the next one, or when it answered itself.
fn end(trace: &Trace, request: &Request) -> u64 {
    if request.exchange.outcome != Fate::Silence {
        return request.to;
    }
    let calls = trace.calls.iter();
    let call = calls
        .filter(|call| call.from <= request.from && request.from <= call.to)
        .map(|call| call.to)
        .max();
    let next = trace.requests.iter().map(|request| request.from);
    let next = next.filter(|from| *from > request.from).min();
    let end = [call, next].into_iter().flatten().min();
    end.unwrap_or(request.to).max(request.to)
}

/// What a request was about, in a word.
fn about(request: &Request) -> String {
    let path = request.exchange.path.trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let about = match path {
        _ if is_token(request) => "token".to_owned(),
        _ if last == "security-credentials" => "role".to_owned(),
        _ if path.contains("/iam/security-credentials/") => "keys".to_owned(),
        _ => shortened(last, 8),
    };
    match request.exchange.imds {
        ImdsVersion::V1 => format!("v1 {about}"),
        ImdsVersion::V2 => about,
    }
}

fn is_token(request: &Request) -> bool {
    request.exchange.method == "PUT" && request.exchange.path == "/latest/api/token"
}

/// Its status, or what became of it instead.
fn fate(request: &Request) -> String {
    match (request.exchange.status, request.exchange.outcome) {
        (Some(status), Fate::Answered) => status.to_string(),
        (_, Fate::Answered) => "none".into(),
        (_, Fate::Spoiled) => "spoilt".into(),
        (_, Fate::Reset) => "reset".into(),
        (_, Fate::Silence) => "silent".into(),
        (_, Fate::Abandoned) => "left".into(),
    }
}

/// What has been drawn so far.
struct Picture<'a> {
    axis: &'a Axis,
    /// The lanes, from the top down to `y`.
    lanes: String,
    names: String,
    y: f64,
    /// The lines of marks, which go through all lanes.
    lines: Vec<f64>,
    /// The right end of what was drawn.
    width: f64,
}

impl<'a> Picture<'a> {
    fn new(axis: &'a Axis) -> Self {
        Self {
            axis,
            lanes: String::new(),
            names: String::new(),
            y: 0.0,
            lines: Vec::new(),
            width: axis.end() + PADDING,
        }
    }

    /// What was done.
    fn marks(&mut self, trace: &Trace) {
        if trace.marks.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        let mut drawn = String::new();
        for mark in &trace.marks {
            let x = self.axis.x(mark.at);
            let label = shortened(&mark.name, 40);
            let right = x + 10.0 + text_width(label.chars().count());
            let y = self.y + PADDING + 16.0 * rows.place(x, right) as f64;
            let _ = write!(
                drawn,
                "<g>{}<text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
                title(mark.at, &mark.name),
                x + 4.0,
                y + 11.0,
                escaped(&label)
            );
            self.lines.push(x);
            self.width = self.width.max(right + PADDING);
        }
        self.lane("done", rows.count() as f64 * 16.0, &drawn);
    }

    fn faults(&mut self, trace: &Trace) {
        if trace.faults.is_empty() {
            return;
        }
        let mut rows = Rows::default();
        let mut drawn = String::new();
        for fault in &trace.faults {
            let (left, right) = self.ends(fault.from, fault.to);
            let label = shortened(&fault.name, 48);
            let text = label_at(left, right, &label);
            let ends = right.max(text + text_width(label.chars().count()) + 5.0);
            let y = self.y + PADDING + 22.0 * rows.place(left.min(text), ends) as f64;
            let told = format!("{}, until {}", fault.name, clock(fault.to));
            bar(
                &mut drawn,
                "f",
                (left, right, y),
                &title(fault.from, &told),
                &label,
            );
            self.width = self.width.max(ends + PADDING);
        }
        self.lane("faults", rows.count() as f64 * 22.0, &drawn);
    }

    fn requests(&mut self, trace: &Trace) {
        let mut rows = Rows::default();
        let mut drawn = String::new();
        let mut beyond = 0_usize;
        let named = trace.requests.len() <= 60;
        let slot = if named { labelled(trace) } else { 12.0 };
        for request in &trace.requests {
            let end = end(trace, request);
            let (left, right) = (self.axis.x(request.from), self.axis.x(end));
            let row = rows.place(left, right.max(left + slot));
            if row >= MOST_ROWS {
                beyond += 1;
                continue;
            }
            let y = self.y + PADDING + 27.0 * row as f64;
            let class = match request.exchange.status {
                Some(200..=299) if request.exchange.outcome == Fate::Answered => "ok",
                Some(_) if request.exchange.outcome == Fate::Answered => "bad",
                _ => "bad none",
            };
            let _ = write!(drawn, "<g class=\"r {class}\">");
            drawn.push_str(&title(request.from, &told(request)));
            if right - left > slot {
                let width = right - left;
                let _ = write!(
                    drawn,
                    "<rect class=\"w\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"11\"/>"
                );
            }
            let _ = match request.exchange.method == "PUT" {
                true => write!(
                    drawn,
                    "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\"/>",
                    y + 1.0
                ),
                false => write!(
                    drawn,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/>",
                    left + 5.0,
                    y + 5.5
                ),
            };
            if named {
                let _ = write!(
                    drawn,
                    "<text x=\"{:.1}\" y=\"{:.1}\">{}</text><text x=\"{left:.1}\" y=\"{:.1}\">{}</text>",
                    left + 12.0,
                    y + 9.0,
                    fate(request),
                    y + 20.0,
                    escaped(&about(request))
                );
            }
            drawn.push_str("</g>");
            self.width = self.width.max(left + slot + PADDING);
        }
        let mut height = rows.count().clamp(1, MOST_ROWS) as f64 * 27.0;
        if beyond > 0 {
            let y = self.y + PADDING + height + 10.0;
            let _ = write!(
                drawn,
                "<text x=\"{PADDING}\" y=\"{y:.1}\">and {beyond} more at once</text>"
            );
            height += 16.0;
        }
        self.lane("requests", height, &drawn);
    }

    /// From the answer that brought a token to the one that brought the next.
    fn tokens(&mut self, trace: &Trace) {
        let brought = |request: &&Request| {
            let exchange = &request.exchange;
            let answered = exchange.status == Some(200) && exchange.outcome == Fate::Answered;
            is_token(request) && answered && exchange.bytes > 0
        };
        let tokens: Vec<u64> = trace
            .requests
            .iter()
            .filter(brought)
            .map(|token| token.to)
            .collect();
        let ends = tokens.iter().skip(1).copied().chain([trace.length]);
        let mut drawn = String::new();
        for (at, (from, to)) in tokens.iter().zip(ends).enumerate() {
            let (left, right) = self.ends(*from, to);
            let label = format!("token {}", at + 1);
            let told = format!("{label} came");
            let shown = fitting(&label, right - left);
            let place = (left, right - 1.0, self.y + PADDING);
            bar(&mut drawn, "t", place, &title(*from, &told), &shown);
        }
        self.lane("token", 18.0, &drawn);
    }

    fn credentials(&mut self, trace: &Trace) {
        let mut drawn = String::new();
        for (at, credentials) in trace.credentials.iter().enumerate() {
            let (left, right) = self.ends(credentials.from, credentials.to);
            let label = format!("{} {}", letter(at), credentials.name);
            let given = trace
                .calls
                .iter()
                .any(|call| call.ok && call.answer == credentials.name);
            let class = format!("k{}{}", at % 4, if given { "" } else { " hollow" });
            let told = format!(
                "IMDS has {label} until {}, {}",
                clock(credentials.to),
                if given {
                    "given to the caller"
                } else {
                    "never given to the caller"
                }
            );
            let shown = fitting(&label, right - left);
            let place = (left, right - 1.0, self.y + PADDING);
            bar(
                &mut drawn,
                &class,
                place,
                &title(credentials.from, &told),
                &shown,
            );
        }
        self.lane("credentials", 18.0, &drawn);
    }

    /// What the caller was given.
    fn calls(&mut self, outcome: &Outcome) {
        let trace = &outcome.trace;
        let mut rows = Rows::default();
        let mut drawn = String::new();
        for call in &trace.calls {
            let known = trace
                .credentials
                .iter()
                .position(|known| known.name == call.answer);
            let findings = outcome.findings.iter();
            let wrong = findings
                .filter(|finding| finding.step == Some(call.step))
                .any(|finding| !finding.holds);
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
            let label = format!(
                "{}{}",
                if wrong { "✕ " } else { "" },
                label(call, known, most)
            );
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
            let not = if wrong {
                ", which is not as expected"
            } else {
                ""
            };
            let told = format!("step {step}, {question}: {answer}, at {}{not}", clock(*to));
            bar(
                &mut drawn,
                &class,
                (left, right, y),
                &title(call.from, &told),
                &label,
            );
            self.width = self.width.max(ends + PADDING);
        }
        self.lane("caller", rows.count().max(1) as f64 * 22.0, &drawn);
    }

    /// The ends of a bar that can be seen.
    fn ends(&self, from: u64, to: u64) -> (f64, f64) {
        let left = self.axis.x(from);
        (left, self.axis.x(to).max(left + 5.0))
    }

    fn lane(&mut self, name: &str, height: f64, drawn: &str) {
        let _ = write!(
            self.names,
            "<text x=\"0\" y=\"{:.1}\">{name}</text>",
            self.y + PADDING + 12.0
        );
        let _ = write!(
            self.lanes,
            "<g class=\"lane\" data-lane=\"{name}\">{drawn}</g>"
        );
        self.y += height + 2.0 * PADDING;
        let rule = format!("<path class=\"rule\" d=\"M0 {:.1}h9999\"/>", self.y);
        self.names.push_str(&rule);
        self.lanes.push_str(&rule);
    }

    fn finish(mut self, label: &str) -> String {
        let floor = self.y;
        let ticks = self.ticks();
        let (height, width) = (floor + 36.0, self.width.ceil());
        let mut svg = format!(
            "<div class=\"timeline\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline\"><svg class=\"names\" width=\"{NAMES}\" height=\"{height}\" aria-hidden=\"true\">{}</svg><svg class=\"lanes\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
            self.names,
            escaped(label)
        );
        for gap in &self.axis.gaps {
            let (left, right) = (self.axis.x(gap.from) + gap.inset, self.axis.x(gap.to));
            let _ = write!(
                svg,
                "<rect class=\"gap\" x=\"{left:.1}\" y=\"0\" width=\"{:.1}\" height=\"{floor:.1}\"/>",
                right - left
            );
        }
        for x in &self.lines {
            let _ = write!(svg, "<path class=\"mark\" d=\"M{x:.1} 0V{floor:.1}\"/>");
        }
        svg.push_str(&self.lanes);
        svg.push_str(&ticks);
        svg.push_str("</svg></div>");
        svg
    }

    /// What the axis says: when a run starts, how far it is from there, and how long a gap is.
    fn ticks(&mut self) -> String {
        let floor = self.y;
        let mut drawn = String::from("<g class=\"axis\">");
        let mut taken = f64::MIN;
        for (from, to) in self.axis.runs() {
            let (left, right) = (self.axis.x(from), self.axis.x(to));
            // Between two gaps that touch there is nothing to tell.
            if to <= from && from != 0 {
                continue;
            }
            let room = ((right - left) / 60.0).max(1.0);
            let step = nice((to - from) as f64 / room);
            let mut at = from;
            while at <= to {
                let label = match at == from {
                    true => span(at),
                    false => format!("+{}", span(at - from)),
                };
                let x = self.axis.x(at);
                let ends = x + 3.0 + label.chars().count() as f64 * SMALL;
                if x >= taken && (at == from || x + 3.0 <= right) {
                    let _ = write!(
                        drawn,
                        "<path d=\"M{x:.1} {floor:.1}v6\"/><text x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                        x + 2.0,
                        floor + 13.0
                    );
                    taken = ends + 8.0;
                    self.width = self.width.max(ends + PADDING);
                }
                at += step;
            }
        }
        for gap in &self.axis.gaps {
            let middle = f64::midpoint(self.axis.x(gap.from) + gap.inset, self.axis.x(gap.to));
            if let Some(label) = gap.label() {
                let _ = write!(
                    drawn,
                    "<text class=\"skip\" x=\"{middle:.1}\" y=\"{:.1}\">{label}</text>",
                    floor + 28.0
                );
            }
        }
        drawn.push_str("</g>");
        drawn
    }
}

fn bar(drawn: &mut String, class: &str, place: (f64, f64, f64), title: &str, label: &str) {
    let (left, right, y) = place;
    let width = (right - left).max(3.0);
    let _ = write!(
        drawn,
        "<g class=\"b {class}\">{title}<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>"
    );
    if !label.is_empty() {
        let text = label_at(left, right, label);
        let _ = write!(
            drawn,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            text,
            y + 13.0,
            escaped(label)
        );
    }
    drawn.push_str("</g>");
}

/// Where a bar's label begins: in it, or beside it if it is too narrow.
fn label_at(left: f64, right: f64, label: &str) -> f64 {
    let width = text_width(label.chars().count());
    if width + 9.0 <= right - left {
        return left + 5.0;
    }
    // Rather before it than where one has to scroll.
    match right + width > WIDTH - NAMES && left > width + PADDING {
        true => left - width - 4.0,
        false => right + 4.0,
    }
}

/// Rows that are filled from the left: nothing is drawn over anything else.
#[derive(Default)]
struct Rows(Vec<f64>);

impl Rows {
    fn place(&mut self, left: f64, right: f64) -> usize {
        // What touches does not overlap, however it was rounded.
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

/// What is read out, and shown under the pointer.
fn title(at: u64, text: &str) -> String {
    format!(
        "<title>{} {}</title>",
        clock(at),
        escaped(&shortened(text, 600))
    )
}

fn told(request: &Request) -> String {
    let exchange = &request.exchange;
    let mut told = format!("{} {}", exchange.method, exchange.path);
    let _ = match (exchange.status, exchange.outcome) {
        (Some(status), Fate::Answered) => write!(told, ": {status}"),
        (_, Fate::Answered) => write!(told, ": no answer"),
        (_, Fate::Spoiled) => write!(told, ": no sound answer"),
        (_, Fate::Reset) => write!(told, ": the connection was reset"),
        (_, Fate::Silence) => write!(told, ": no answer, or not all of it"),
        (_, Fate::Abandoned) => write!(told, ": the client did not wait for the answer"),
    };
    if request.to > request.from {
        let _ = write!(told, " after {}", span(request.to - request.from));
    }
    if exchange.imds == ImdsVersion::V1 {
        told.push_str(", IMDSv1");
    }
    match exchange.token {
        TokenState::Expired => told.push_str(", with a token that had ended"),
        TokenState::Invalid => told.push_str(", with a token that is not valid"),
        TokenState::None | TokenState::Valid => {}
    }
    if !exchange.rules.is_empty() {
        let _ = write!(told, ", fault: {}", exchange.rules.join(", "));
    }
    told
}

/// What was asked and answered, with at most so much of the answer.
fn label(call: &Call, known: Option<usize>, most: usize) -> String {
    // That it was `get` goes without saying.
    let asked = match call.question.strip_prefix("get") {
        Some(callers) => callers.replace(' ', ""),
        None => format!(" {}", shortened(&call.question, 24)),
    };
    let answer = match known {
        Some(at) if call.ok => letter(at),
        _ => shortened(&call.answer, most),
    };
    format!("{}{asked}: {answer}", call.step)
}

/// By which credentials are told from each other.
fn letter(at: usize) -> String {
    let letters = ('A'..='Z').nth(at);
    letters.map_or_else(|| format!("#{}", at + 1), String::from)
}

/// As much of a label as fits into a bar.
fn fitting(label: &str, width: f64) -> String {
    let characters = ((width - 11.0) / CHARACTER).max(0.0) as usize;
    match characters {
        0 => String::new(),
        characters => shortened(label, characters),
    }
}

fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() <= most {
        true => text.to_owned(),
        false => {
            let kept = text.chars().take(most.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}

fn text_width(characters: usize) -> f64 {
    characters as f64 * CHARACTER
}

/// The first of 1, 2, 5, 10, … that is not less.
fn nice(milliseconds: f64) -> u64 {
    let mut step = 1;
    for factor in [2, 5, 10].iter().cycle().take(27) {
        if step as f64 >= milliseconds {
            break;
        }
        // 1, 2, 5 of a power of ten.
        step = match factor {
            5 => step / 2 * 5,
            _ => step * 2,
        };
    }
    step
}

/// A time in the largest units that say it.
fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0 => "0".into(),
        1..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{} s", (milliseconds as f64 / 100.0).round() / 10.0),
        60_000..3_600_000 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600_000..172_800_000 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn two(large: u64, unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    }
}

/// A moment, to the millisecond.
fn clock(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!(
        "{}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000
    )
}
