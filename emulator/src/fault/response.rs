//! Faults in an answer: another one, a spoiled one, or one that comes in another way.

use bytes::{Bytes, BytesMut};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use rand::RngExt as _;

use super::delay::to_std;
use super::engine::Fired;
use super::{Effect, Fault, Malformed, ResetAfter, StatusBody};
use crate::decision::{Delivery, ReasonPhrase, Step, WithoutBody};
use crate::dialect::{Dialect, page};

/// What a fault makes of an answer. `dialect` says how it would look.
pub(crate) fn apply(fired: &Fired, mut response: Response<Bytes>, dialect: Dialect) -> Delivery {
    match fired.fault().effect() {
        Some(Effect::Silence) => return Delivery::NoResponse,
        Some(Effect::Reset) => return Delivery::Script(vec![Step::Reset]),
        Some(Effect::Status(code)) => {
            set_status(&mut response, code);
            set_page(&mut response, dialect);
            return Delivery::Response(response);
        }
        None => {}
    }
    match fired.fault() {
        Fault::EmptyResponse {} => Delivery::Script(vec![Step::Close]),
        Fault::ResetPeer {
            after: ResetAfter::Bytes { bytes },
        } => cut(&response, *bytes, Step::Reset),
        Fault::Stall { after } => cut(&response, *after, Step::Stall),
        Fault::SlowClose { delay } => {
            let (mut head, body) = written(&response);
            head.extend_from_slice(&body);
            Delivery::Script(vec![
                Step::Send(head.freeze()),
                Step::Wait(to_std(*delay)),
                Step::Close,
            ])
        }
        Fault::SlowHeaders { delay } => {
            let (mut head, body) = written(&response);
            let line = head
                .windows(2)
                .position(|two| two == b"\r\n")
                .map_or(0, |at| at + 2);
            let line = head.split_to(line);
            Delivery::Script(vec![
                Step::Send(line.freeze()),
                Step::Wait(to_std(*delay)),
                Step::Send(head.freeze()),
                Step::Send(body),
                Step::Close,
            ])
        }
        Fault::SlowBody { chunks, total } => {
            let (head, body) = written(&response);
            let count = (*chunks as usize).clamp(1, body.len().max(1));
            let size = body.len().div_ceil(count);
            let pause = to_std(*total) / u32::try_from(count).unwrap_or(u32::MAX);
            let mut steps = vec![Step::Send(head.freeze())];
            for piece in pieces(body, || size) {
                steps.push(Step::Wait(pause));
                steps.push(Step::Send(piece));
            }
            steps.push(Step::Close);
            Delivery::Script(steps)
        }
        Fault::Slicer {
            size,
            variation,
            delay,
        } => {
            let (mut head, body) = written(&response);
            head.extend_from_slice(&body);
            let mut random = fired.random();
            let (least, most) = (size - variation, size.saturating_add(*variation));
            let mut steps = Vec::new();
            for piece in pieces(head.freeze(), || random.random_range(least..=most)) {
                steps.push(Step::Send(piece));
                steps.push(Step::Wait(to_std(*delay)));
            }
            steps.push(Step::Close);
            Delivery::Script(steps)
        }
        Fault::TruncateBody {
            fraction,
            bytes,
            fix_content_length,
        } => {
            let length = response.body().len();
            let left = match (fraction, bytes) {
                (_, Some(bytes)) => *bytes,
                (fraction, None) => (length as f64 * fraction.unwrap_or(0.5)) as usize,
            };
            if *fix_content_length {
                let body = response.body().slice(..left.min(length));
                set_body(&mut response, body);
                return Delivery::Response(response);
            }
            cut(&response, left, Step::Close)
        }
        Fault::LongBody { bytes } => {
            let mut body = response.body().to_vec();
            body.resize(body.len().saturating_add(*bytes), b' ');
            set_body(&mut response, body.into());
            Delivery::Response(response)
        }
        Fault::MalformedChunk {} => {
            response.headers_mut().remove(CONTENT_LENGTH);
            let chunked = HeaderValue::from_static("chunked");
            response.headers_mut().insert(TRANSFER_ENCODING, chunked);
            *response.version_mut() = Version::HTTP_11;
            let (mut head, _) = written(&response);
            head.extend_from_slice(b"this is no length\r\n");
            Delivery::Script(vec![Step::Send(head.freeze()), Step::Close])
        }
        Fault::RandomDataThenClose { bytes } => {
            let mut data = vec![0; *bytes];
            fired.random().fill(data.as_mut_slice());
            Delivery::Script(vec![Step::Send(data.into()), Step::Close])
        }
        Fault::WrongContentLength { delta } => {
            let length = i64::try_from(response.body().len()).unwrap_or(i64::MAX);
            let wrong = length.saturating_add(*delta).max(0);
            response.headers_mut().insert(CONTENT_LENGTH, wrong.into());
            let (mut head, body) = written(&response);
            head.extend_from_slice(&body);
            Delivery::Script(vec![Step::Send(head.freeze()), Step::Close])
        }
        Fault::DropHeader { name } => {
            if let Some(name) = super::header(name) {
                // `remove` would leave the others in another order.
                let headers = std::mem::take(response.headers_mut());
                let kept = headers.iter().filter(|(other, _)| **other != name);
                response
                    .headers_mut()
                    .extend(kept.map(|(name, value)| (name.clone(), value.clone())));
                // hyper would put some of them in again.
                let (mut head, body) = written(&response);
                head.extend_from_slice(&body);
                return Delivery::Script(vec![Step::Send(head.freeze()), Step::Close]);
            }
            Delivery::Response(response)
        }
        fault => {
            edit(fault, &mut response, dialect);
            Delivery::Response(response)
        }
    }
}

/// Changes that leave it a proper answer.
fn edit(fault: &Fault, response: &mut Response<Bytes>, dialect: Dialect) {
    match fault {
        Fault::Status {
            code,
            body,
            retry_after,
        } => {
            set_status(response, *code);
            match body {
                StatusBody::Aws => set_page(response, dialect),
                StatusBody::Empty => set_text(response, String::new()),
                StatusBody::Text { text } => set_text(response, text.clone()),
            }
            if let Some(retry_after) = retry_after {
                let seconds = to_std(*retry_after).as_secs();
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
        }
        Fault::Replace {
            code,
            headers,
            body,
        } => {
            if let Some(code) = code {
                set_status(response, *code);
            }
            if let Some(body) = body {
                set_body(response, body.clone().into());
            }
            for (name, value) in headers {
                set_header(response.headers_mut(), super::header(name), value);
            }
        }
        Fault::Patch { json } => {
            if let Ok(mut document) = serde_json::from_slice(response.body()) {
                json_patch::merge(&mut document, &serde_json::Value::Object(json.clone()));
                let text = serde_json::to_string_pretty(&document).unwrap_or_default();
                set_body(response, text.into());
            }
        }
        Fault::MalformedJson { how } => {
            let body = malformed(*how, response.body());
            set_body(response, body);
        }
        Fault::Redirect { to, code } => {
            set_status(response, *code);
            set_text(response, String::new());
            set_header(response.headers_mut(), Some(LOCATION), to);
        }
        Fault::WrongContentType { to } => {
            set_header(response.headers_mut(), Some(CONTENT_TYPE), to);
        }
        Fault::WrongServer { to } => set_header(response.headers_mut(), Some(SERVER), to),
        _ => {}
    }
}

fn malformed(how: Malformed, body: &Bytes) -> Bytes {
    match how {
        Malformed::Cut => body.slice(..body.len() / 2),
        Malformed::TrailingComma => {
            let Some(end) = body.iter().rposition(|byte| *byte == b'}') else {
                return body.clone();
            };
            let (document, rest) = body.split_at(end);
            [document.trim_ascii_end(), b",\n", rest].concat().into()
        }
        Malformed::Html => page(StatusCode::OK),
        Malformed::EmptyObject => Bytes::from_static(b"{}"),
    }
}

fn set_status(response: &mut Response<Bytes>, code: u16) {
    // The check has seen to it that it is one.
    if let Ok(status) = StatusCode::from_u16(code) {
        *response.status_mut() = status;
    }
    response.extensions_mut().remove::<ReasonPhrase>();
}

fn set_page(response: &mut Response<Bytes>, dialect: Dialect) {
    if response.status() == StatusCode::UNAUTHORIZED && dialect == Dialect::Nitro {
        return set_text(response, String::new());
    }
    let page = page(response.status());
    set_body(response, page);
    set_header(response.headers_mut(), Some(CONTENT_TYPE), "text/html");
}

fn set_text(response: &mut Response<Bytes>, text: String) {
    set_body(response, text.into());
    set_header(response.headers_mut(), Some(CONTENT_TYPE), "text/plain");
}

fn set_body(response: &mut Response<Bytes>, body: Bytes) {
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = body;
}

fn set_header(headers: &mut HeaderMap, name: Option<HeaderName>, value: &str) {
    if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// All of the head and so many bytes of the body, and then something else.
fn cut(response: &Response<Bytes>, bytes: usize, end: Step) -> Delivery {
    let (mut head, body) = written(response);
    head.extend_from_slice(body.get(..bytes).unwrap_or(&body));
    Delivery::Script(vec![Step::Send(head.freeze()), end])
}

fn pieces(mut bytes: Bytes, mut size: impl FnMut() -> usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        pieces.push(bytes.split_to(size().clamp(1, bytes.len())));
    }
    pieces
}

/// Head and body as the server would write them.
fn written(response: &Response<Bytes>) -> (BytesMut, Bytes) {
    let version = match response.version() {
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let status = response.status();
    let reason = match response.extensions().get() {
        Some(ReasonPhrase(phrase)) => phrase,
        None => status.canonical_reason().unwrap_or("Unknown"),
    };
    let mut head = BytesMut::new();
    head.extend_from_slice(format!("{version} {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in response.headers() {
        head.extend_from_slice(title_case(name.as_str()).as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let body = match response.extensions().get() {
        Some(WithoutBody) => Bytes::new(),
        None => response.body().clone(),
    };
    (head, body)
}

fn title_case(name: &str) -> String {
    let mut first = true;
    name.chars()
        .map(|letter| {
            let written = if first {
                letter.to_ascii_uppercase()
            } else {
                letter
            };
            first = letter == '-';
            written
        })
        .collect()
}
