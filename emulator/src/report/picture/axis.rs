//! The axis of time.
//!
//! The picture must show hours that were skipped beside the milliseconds between two requests. So stretches
//! without an event are drawn as a gap of fixed width, and neighbouring events are kept far enough apart to
//! be distinguished. The order of events is exact; distances are proportional only where there is room.

use std::collections::BTreeSet;

use super::labels::{duration, request_width, text_width};
use super::trace::{Request, Trace};
use super::{NAMES, PADDING, WIDTH};
use crate::journal::Outcome as Fate;

/// The minimum distance between two events.
const APART: f64 = 9.0;

/// The axis of time.
pub(super) struct Axis {
    /// Moments and their positions, in ascending order. Between two of them, time is linear.
    points: Vec<(u64, f64)>,
    pub(super) gaps: Vec<Gap>,
}

/// A stretch of time that is drawn as a gap.
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whether it has no label, because it is short and at the start or the end.
    silent: bool,
    /// The room for a request that begins with the gap.
    pub(super) inset: f64,
}

impl Gap {
    pub(super) fn label(&self) -> Option<String> {
        (!self.silent).then(|| format!("+ {}", duration(self.to - self.from)))
    }
}

impl Axis {
    pub(super) fn of(trace: &Trace) -> Self {
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

        // The minimum width of each stretch, and the time that it represents.
        let mut gaps = Vec::new();
        let mut stretches = Vec::new();
        for (from, to) in moments.iter().zip(moments.iter().skip(1)) {
            let (from, to) = (*from, *to);
            let idle = !busy
                .iter()
                .any(|(since, until)| *since <= from && *until >= to);
            // The start of the client and the wait for the last entry of the journal are not
            // interesting.
            let silent = (from >= last || to <= first) && to - from < LONG;
            let begins = begun.contains(&from);
            if to - from > TOO_LONG || idle && (to - from >= IDLE || silent) {
                let inset = if begins { request_width(trace) } else { 0.0 };
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

    /// The position of a moment.
    pub(super) fn x(&self, moment: u64) -> f64 {
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

    pub(super) fn end(&self) -> f64 {
        self.points.last().map_or(0.0, |(_, x)| *x)
    }

    /// The stretches between the gaps.
    pub(super) fn runs(&self) -> Vec<(u64, u64)> {
        let ends = self.gaps.iter().map(|gap| gap.from);
        let length = self.points.last().map_or(0, |(at, _)| *at);
        let starts = self.gaps.iter().map(|gap| gap.to);
        [0].into_iter()
            .chain(starts)
            .zip(ends.chain([length]))
            .collect()
    }
}

/// The pixels per millisecond with which the stretches fill `room`, if each has at least its minimum width.
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

/// From this many milliseconds without an event, a stretch is drawn as a gap.
const IDLE: u64 = 1_500;
/// From this many milliseconds, a gap at the start or the end has a label, too.
const LONG: u64 = 5_000;
/// Longer stretches are always drawn as a gap.
const TOO_LONG: u64 = 60_000;

/// The minimum width of a request. Many requests are drawn close together, to show a storm as one.
fn slot(trace: &Trace) -> f64 {
    match trace.requests.len() {
        0..=12 => request_width(trace),
        _ => 14.0,
    }
}

/// When a request ended. The journal does not know when the client abandoned a request without a response:
/// it did so when it sent the next request or answered the caller.
pub(super) fn end(trace: &Trace, request: &Request) -> u64 {
    if request.exchange.outcome != Fate::NoResponse {
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
