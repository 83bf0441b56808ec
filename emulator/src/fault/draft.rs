//! A response that a fault changes.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::occurrence::Occurrence;
use crate::decision::{Delivery, ReasonPhrase, Step, WithoutBody};
use crate::dialect::Dialect;

/// The response that IMDS would send.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) response: Response<Bytes>,
    pub(crate) dialect: Dialect,
    /// The method of the request.
    pub(crate) method: Method,
    /// The application of the rule whose fault changes the response.
    pub(crate) occurrence: Occurrence,
}

/// The bytes of a response. A script sends those that a fault leaves.
pub(super) struct Written {
    pub(super) head: BytesMut,
    pub(super) body: Bytes,
}

impl Draft {
    pub(super) fn set_status(&mut self, code: u16) {
        // The check of the fault has accepted the code.
        if let Ok(status) = StatusCode::from_u16(code) {
            *self.response.status_mut() = status;
        }
        self.response.extensions_mut().remove::<ReasonPhrase>();
    }

    /// Sets the body that IMDS sends with the status.
    pub(super) fn set_error_page(&mut self) {
        let status = self.response.status();
        match self.dialect.error_page(status, &self.method) {
            Some(page) => {
                self.set_body(page);
                self.set_header(CONTENT_TYPE, "text/html");
            }
            None => self.set_text(String::new()),
        }
    }

    pub(super) fn set_text(&mut self, text: String) {
        self.set_body(text.into());
        self.set_header(CONTENT_TYPE, "text/plain");
    }

    pub(super) fn set_body(&mut self, body: Bytes) {
        self.response
            .headers_mut()
            .insert(CONTENT_LENGTH, body.len().into());
        *self.response.body_mut() = body;
    }

    pub(super) fn set_header(&mut self, name: HeaderName, value: &str) {
        // The check of the fault has accepted the value.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }

    /// The response as the server would write it.
    pub(super) fn written(&self) -> Written {
        let response = &self.response;
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
        Written { head, body }
    }

    /// Sends exactly these bytes, and closes the connection. The HTTP library would correct some
    /// headers.
    pub(super) fn verbatim(&self) -> Delivery {
        Delivery::Script(vec![Step::Send(self.written().whole()), Step::Close])
    }

    /// Sends the head and the first `bytes` of the body, followed by `end`.
    pub(super) fn cut(&self, bytes: usize, end: Step) -> Delivery {
        let Written { mut head, body } = self.written();
        head.extend_from_slice(body.get(..bytes).unwrap_or(&body));
        Delivery::Script(vec![Step::Send(head.freeze()), end])
    }
}

impl From<Draft> for Delivery {
    fn from(draft: Draft) -> Self {
        Self::Response(draft.response)
    }
}

impl Written {
    pub(super) fn whole(self) -> Bytes {
        let Self { mut head, body } = self;
        head.extend_from_slice(&body);
        head.freeze()
    }
}

/// Splits `bytes` into pieces, each of the size that `size` says.
pub(super) fn pieces(mut bytes: Bytes, mut size: impl FnMut() -> usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        pieces.push(bytes.split_to(size().clamp(1, bytes.len())));
    }
    pieces
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
