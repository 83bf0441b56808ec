//! Faults of the response's status and headers, and faults that replace the response.

use std::collections::BTreeMap;

use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, SERVER};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::effect::{check_status, number, read_optional_status, read_status};
use super::samples::Draw;
use super::{Change, Deliver, Kind, Nature, Requests, group};
use crate::decision::Delivery;
use crate::fault::delay::to_std;
use crate::fault::draft::Draft;
use crate::fault::header;
use crate::value::{Invalid, Key, Span, all};

group! {
    /// Faults of the response's status and headers, and other responses.
    Response(ResponseFault), "Response":
    Status = "status" | "error" | "abort", status(code: u16);
    Replace = "replace", replace();
    Redirect = "redirect", redirect(to: impl Into<String>);
    DropHeader = "drop_header", drop_header(name: impl Into<String>);
    WrongContentType = "wrong_content_type", wrong_content_type(to: impl Into<String>);
    WrongServer = "wrong_server", wrong_server();
}

fn check_header_name(key: &Key, name: &str) -> Result<(), Invalid> {
    key.unless(header(name).is_some(), name, "the name of a header")
}

fn check_header_value(key: &Key, value: &str) -> Result<(), Invalid> {
    key.unless(
        HeaderValue::from_str(value).is_ok(),
        value,
        "the value of a header",
    )
}

/// Answers with an error.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Status {
    /// Status code, 200 to 999.
    #[serde(deserialize_with = "read_status")]
    pub code: u16,
    /// `aws` (the error page of IMDS), `empty` or `{ text = "…" }`. Default: `aws`.
    #[serde(default)]
    pub body: StatusBody,
    /// Time in a `Retry-After` header, in whole seconds. Default: no such header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

impl Status {
    /// Answers with this status code and the error page of IMDS.
    pub fn new(code: u16) -> Self {
        Self {
            code,
            body: StatusBody::Aws,
            retry_after: None,
        }
    }

    /// Sends this body.
    #[must_use]
    pub fn body(mut self, body: StatusBody) -> Self {
        self.body = body;
        self
    }

    /// Adds a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, time: impl Into<Span>) -> Self {
        self.retry_after = Some(time.into());
        self
    }
}

impl Kind for Status {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_status(&key.field("code"), self.code)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let code = draw.of(
            400,
            [401, 403, 404, 405, 429, 500, 502, 503, 504, 204, 301, 418],
        );
        vec![
            Self::new(code),
            Self::new(503)
                .body(StatusBody::Empty)
                .retry_after(Span::seconds(2)),
            Self::new(429).retry_after(Span::minutes(60)),
            Self::new(500).body(StatusBody::Text {
                text: "out of order".into(),
            }),
        ]
    }
}

impl Change for Status {
    fn change(&self, draft: &mut Draft) {
        draft.set_status(self.code);
        match &self.body {
            StatusBody::Aws => draft.set_error_page(),
            StatusBody::Empty => draft.set_text(String::new()),
            StatusBody::Text { text } => draft.set_text(text.clone()),
        }
        if let Some(retry_after) = self.retry_after {
            let seconds = to_std(retry_after).as_secs();
            draft
                .response
                .headers_mut()
                .insert(RETRY_AFTER, seconds.into());
        }
    }
}

/// The body of an error.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(
    expecting = "expected `aws`, `empty` or `{ text = \"…\" }`",
    rename_all = "lowercase"
)]
#[non_exhaustive]
pub enum StatusBody {
    /// The error page of IMDS `[I33]`.
    #[default]
    Aws,
    /// No body.
    Empty,
    /// A text.
    #[serde(untagged)]
    Text {
        /// The text.
        text: String,
    },
}

/// Replaces parts of the response.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Replace {
    /// Status code, 200 to 999. Default: that of the response.
    #[serde(
        default,
        deserialize_with = "read_optional_status",
        skip_serializing_if = "Option::is_none"
    )]
    pub code: Option<u16>,
    /// Headers that are added or replaced. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The new body. Default: that of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Replace {
    /// Replaces nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the status code.
    #[must_use]
    pub fn code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds or replaces a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Kind for Replace {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let code = self.code.map(|code| check_status(&key.field("code"), code));
        let key = key.field("headers");
        let headers = self.headers.iter().flat_map(|(name, value)| {
            [
                check_header_name(&key, name),
                check_header_value(&key.field(name), value),
            ]
        });
        all(code.into_iter().chain(headers))
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let body = draw.of(
            "",
            [
                "null",
                "{}",
                "a role with spaces\n",
                "\u{7f}",
                "{\"Code\":\"Success\"}",
                "<html>",
            ],
        );
        vec![Self::new().body(body)]
    }
}

impl Change for Replace {
    fn change(&self, draft: &mut Draft) {
        if let Some(code) = self.code {
            draft.set_status(code);
        }
        if let Some(body) = &self.body {
            draft.set_body(body.clone().into());
        }
        for (name, value) in &self.headers {
            if let Some(name) = header(name) {
                draft.set_header(name, value);
            }
        }
    }
}

/// Omits a header.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DropHeader {
    /// Name of the header.
    pub name: String,
}

impl DropHeader {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl Kind for DropHeader {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_header_name(&key.field("name"), &self.name)
    }

    fn nature(&self) -> Nature<'_> {
        match header(&self.name) {
            // The HTTP library would add the header again.
            Some(CONNECTION | CONTENT_LENGTH | DATE) => Nature::Delivery(Requests::All, self),
            _ => Nature::Response(Requests::All, self),
        }
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let name = draw.of(
            "content-length",
            ["x-aws-ec2-metadata-token-ttl-seconds", "server"],
        );
        vec![Self::new(name)]
    }
}

impl Change for DropHeader {
    fn change(&self, draft: &mut Draft) {
        let Some(name) = header(&self.name) else {
            return;
        };
        // `remove` would leave the other headers in another order.
        let headers = std::mem::take(draft.response.headers_mut());
        let kept = headers.iter().filter(|(other, _)| **other != name);
        draft
            .response
            .headers_mut()
            .extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl Deliver for DropHeader {
    fn deliver(&self, mut draft: Draft) -> Delivery {
        self.change(&mut draft);
        draft.verbatim()
    }
}

/// Sends another `Content-Type`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct WrongContentType {
    /// The content type.
    pub to: String,
}

impl WrongContentType {
    fn new(to: impl Into<String>) -> Self {
        Self { to: to.into() }
    }
}

impl Kind for WrongContentType {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_header_value(&key.field("to"), &self.to)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new("text/html")]
    }
}

impl Change for WrongContentType {
    fn change(&self, draft: &mut Draft) {
        draft.set_header(CONTENT_TYPE, &self.to);
    }
}

/// Redirects to another URL.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Redirect {
    /// URL, for the `Location` header.
    pub to: String,
    /// Status code, 300 to 399. Default: `301`.
    #[serde(default = "moved_permanently", deserialize_with = "read_redirection")]
    pub code: u16,
}

impl Redirect {
    /// Redirects with the status 301.
    pub fn new(to: impl Into<String>) -> Self {
        Self {
            to: to.into(),
            code: moved_permanently(),
        }
    }

    /// Redirects with this status code, 300 to 399.
    #[must_use]
    pub fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }
}

impl Kind for Redirect {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            check_header_value(&key.field("to"), &self.to),
            key.field("code")
                .unless((300..400).contains(&self.code), self.code, REDIRECTION),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new("http://203.0.113.1/elsewhere")]
    }
}

impl Change for Redirect {
    fn change(&self, draft: &mut Draft) {
        draft.set_status(self.code);
        draft.set_text(String::new());
        draft.set_header(LOCATION, &self.to);
    }
}

const REDIRECTION: &str = "a status from 300 to 399";

fn moved_permanently() -> u16 {
    301
}

fn read_redirection<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    number(deserializer, REDIRECTION)
}

/// Sends another `Server` header, as a server that is not IMDS does.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct WrongServer {
    /// Value of the header. Default: `nginx`.
    pub to: String,
}

impl Default for WrongServer {
    fn default() -> Self {
        Self { to: "nginx".into() }
    }
}

impl WrongServer {
    /// Sends `Server: nginx`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends this value.
    #[must_use]
    pub fn to(mut self, to: impl Into<String>) -> Self {
        self.to = to.into();
        self
    }
}

impl Kind for WrongServer {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_header_value(&key.field("to"), &self.to)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

impl Change for WrongServer {
    fn change(&self, draft: &mut Draft) {
        draft.set_header(SERVER, &self.to);
    }
}
