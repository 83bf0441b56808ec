//! The texts of a timeline, and their widths.

use std::fmt::Write as _;

use super::trace::{Call, Request, Trace};
use crate::fault::{ImdsVersion, TokenState};
use crate::journal::Outcome as Fate;

/// The width of a character in a label, and in a small label. Both fonts are monospaced.
pub(super) const CHARACTER: f64 = 6.7;
pub(super) const SMALL: f64 = 5.5;

/// The width of a request with its labels.
pub(super) fn request_width(trace: &Trace) -> f64 {
    let longest = trace.requests.iter().map(|request| {
        let about = about(request).chars().count();
        about.max(fate(request).chars().count() + 2)
    });
    longest.max().unwrap_or(0) as f64 * SMALL + 7.0
}

/// The subject of a request, in a word.
pub(super) fn about(request: &Request) -> String {
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

pub(super) fn is_token(request: &Request) -> bool {
    request.exchange.asks_for_token()
}

/// The status of a request, or what happened instead.
pub(super) fn fate(request: &Request) -> String {
    match (request.exchange.status, request.exchange.outcome) {
        (Some(status), Fate::Answered) => status.to_string(),
        (_, Fate::Answered) => "none".into(),
        (_, Fate::Spoiled) => "invalid".into(),
        (_, Fate::Reset) => "reset".into(),
        (_, Fate::NoResponse) => "no response".into(),
        (_, Fate::Abandoned) => "aborted".into(),
    }
}

/// A request as a sentence.
pub(super) fn sentence(request: &Request) -> String {
    let exchange = &request.exchange;
    let mut text = format!("{} {}", exchange.method, exchange.path);
    let _ = match (exchange.status, exchange.outcome) {
        (Some(status), Fate::Answered) => write!(text, ": {status}"),
        (_, Fate::Answered) => write!(text, ": no response"),
        (_, Fate::Spoiled) => write!(text, ": no valid response"),
        (_, Fate::Reset) => write!(text, ": the connection was reset"),
        (_, Fate::NoResponse) => write!(text, ": no response, or only part of it"),
        (_, Fate::Abandoned) => write!(text, ": the client abandoned the request"),
    };
    if request.to > request.from {
        let _ = write!(text, " after {}", duration(request.to - request.from));
    }
    if exchange.imds == ImdsVersion::V1 {
        text.push_str(", IMDSv1");
    }
    match exchange.token {
        TokenState::Expired => text.push_str(", with an expired token"),
        TokenState::Invalid => text.push_str(", with an invalid token"),
        TokenState::None | TokenState::Valid => {}
    }
    if !exchange.rules.is_empty() {
        let _ = write!(text, ", fault: {}", exchange.rules.join(", "));
    }
    text
}

/// The question and the answer of a call, with up to `most` characters of the answer.
pub(super) fn call(call: &Call, known: Option<usize>, most: usize) -> String {
    // `get` is implied.
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

/// A letter that identifies credentials.
pub(super) fn letter(at: usize) -> String {
    let letters = ('A'..='Z').nth(at);
    letters.map_or_else(|| format!("#{}", at + 1), String::from)
}

/// The part of a label that fits into a bar.
pub(super) fn fitting(label: &str, width: f64) -> String {
    let characters = ((width - 11.0) / CHARACTER).max(0.0) as usize;
    match characters {
        0 => String::new(),
        characters => shortened(label, characters),
    }
}

pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() <= most {
        true => text.to_owned(),
        false => {
            let kept = text.chars().take(most.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}

pub(super) fn text_width(characters: usize) -> f64 {
    characters as f64 * CHARACTER
}

/// The first of 1, 2, 5, 10, … that is not less.
pub(super) fn nice(milliseconds: f64) -> u64 {
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

/// A duration in its largest units.
pub fn duration(milliseconds: u64) -> String {
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
pub(super) fn clock(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!(
        "{}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000
    )
}
