//! Faults of the response's body.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, Version};
use rand::RngExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::samples::Draw;
use super::{Change, Deliver, Kind, Nature, Requests, group, no_parameters};
use crate::decision::{Delivery, Step};
use crate::dialect::Dialect;
use crate::documents;
use crate::fault::draft::Draft;
use crate::value::{Invalid, Key, all};

group! {
    /// Faults of the response's body.
    Body(BodyFault), "Body":
    TruncateBody = "truncate_body" | "limit_data", truncate_body();
    LongBody = "long_body", long_body(bytes: usize);
    WrongContentLength = "wrong_content_length", wrong_content_length(delta: i64);
    MalformedChunk = "malformed_chunk" | "MALFORMED_RESPONSE_CHUNK", malformed_chunk();
    RandomDataThenClose = "random_data_then_close" | "RANDOM_DATA_THEN_CLOSE", random_data_then_close();
    MalformedJson = "malformed_json", malformed_json(how: Malformed);
    Patch = "patch", patch(json: Map<String, Value>);
}

/// The maximum number of bytes that a fault adds or generates.
const MOST_BYTES: usize = 16 * 1024 * 1024;

fn check_bytes(key: &Key, bytes: usize) -> Result<(), Invalid> {
    key.field("bytes").unless(
        bytes <= MOST_BYTES,
        bytes,
        format_args!("{MOST_BYTES} or less"),
    )
}

/// Ends the body early.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TruncateBody {
    /// Share of the body that is sent, 0 to 1. Default: `0.5`, unless `bytes` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Number of bytes of the body that are sent. Cannot be combined with `fraction`. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Whether `Content-Length` is the length of the part that is sent (`true`) or of the whole body
    /// (`false`). Default: `false`.
    #[serde(default)]
    pub fix_content_length: bool,
}

impl TruncateBody {
    /// Sends half of the body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends this share of the body, 0 to 1.
    #[must_use]
    pub fn fraction(mut self, fraction: f64) -> Self {
        self.fraction = Some(fraction);
        self
    }

    /// Sends `bytes` bytes of the body.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sends the length of the part that is sent as `Content-Length`.
    #[must_use]
    pub fn fix_content_length(mut self) -> Self {
        self.fix_content_length = true;
        self
    }

    /// How many bytes of a body of this length are sent.
    fn sent(&self, length: usize) -> usize {
        let share = || (length as f64 * self.fraction.unwrap_or(0.5)) as usize;
        self.bytes.unwrap_or_else(share).min(length)
    }
}

impl Kind for TruncateBody {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.unless(
                self.fraction.is_none() || self.bytes.is_none(),
                "fraction and bytes",
                "one of them",
            ),
            self.fraction.map_or(Ok(()), |fraction| {
                key.field("fraction")
                    .unless((0.0..=1.0).contains(&fraction), fraction, "0 to 1")
            }),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        match self.fix_content_length {
            true => Nature::Response(Requests::All, self),
            false => Nature::Delivery(Requests::All, self),
        }
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(), Self::new().fraction(0.3).fix_content_length()]
    }
}

impl Change for TruncateBody {
    fn change(&self, draft: &mut Draft) {
        let body = draft.response.body();
        let body = body.slice(..self.sent(body.len()));
        draft.set_body(body);
    }
}

impl Deliver for TruncateBody {
    fn deliver(&self, draft: Draft) -> Delivery {
        draft.cut(self.sent(draft.response.body().len()), Step::Close)
    }
}

/// Adds spaces to the end of the body. `Content-Length` counts them.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LongBody {
    /// Number of spaces, at most 16 MiB.
    pub bytes: usize,
}

impl LongBody {
    fn new(bytes: usize) -> Self {
        Self { bytes }
    }
}

impl Kind for LongBody {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_bytes(key, self.bytes)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(10, [70_000, 2_000_000]))]
    }
}

impl Change for LongBody {
    fn change(&self, draft: &mut Draft) {
        let mut body = draft.response.body().to_vec();
        body.resize(body.len().saturating_add(self.bytes), b' ');
        draft.set_body(body.into());
    }
}

no_parameters! {
    /// Sends a chunked body with an invalid chunk.
    MalformedChunk: Delivery(All);
}

impl Deliver for MalformedChunk {
    fn deliver(&self, mut draft: Draft) -> Delivery {
        let headers = draft.response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        *draft.response.version_mut() = Version::HTTP_11;
        let mut head = draft.written().head;
        head.extend_from_slice(b"this is no length\r\n");
        Delivery::Script(vec![Step::Send(head.freeze()), Step::Close])
    }
}

/// Sends random bytes in place of HTTP, and closes the connection.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RandomDataThenClose {
    /// Number of bytes, at most 16 MiB. Default: `64`.
    pub bytes: usize,
}

impl Default for RandomDataThenClose {
    fn default() -> Self {
        Self { bytes: 64 }
    }
}

impl RandomDataThenClose {
    /// Sends 64 bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends `bytes` bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Kind for RandomDataThenClose {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_bytes(key, self.bytes)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

impl Deliver for RandomDataThenClose {
    fn deliver(&self, draft: Draft) -> Delivery {
        let mut data = vec![0; self.bytes];
        draft.occurrence.random().fill(data.as_mut_slice());
        Delivery::Script(vec![Step::Send(data.into()), Step::Close])
    }
}

/// Damages the JSON document.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MalformedJson {
    /// `cut` (it ends in the middle), `trailing_comma` (a comma before the last brace), `html` (a
    /// page of HTML in its place) or `empty_object` (`{}` in its place). Default: `cut`.
    #[serde(default)]
    pub how: Malformed,
}

impl MalformedJson {
    fn new(how: Malformed) -> Self {
        Self { how }
    }
}

impl Kind for MalformedJson {
    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let how = draw.of(
            Malformed::Cut,
            [
                Malformed::TrailingComma,
                Malformed::Html,
                Malformed::EmptyObject,
            ],
        );
        vec![Self::new(how)]
    }
}

impl Change for MalformedJson {
    fn change(&self, draft: &mut Draft) {
        let body = self.how.damage(draft.response.body(), draft.dialect);
        draft.set_body(body);
    }
}

/// How a JSON document is damaged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Malformed {
    /// It ends in the middle.
    #[default]
    Cut,
    /// It has a comma before the last brace.
    TrailingComma,
    /// A page of HTML is in its place.
    Html,
    /// `{}` is in its place.
    EmptyObject,
}

impl Malformed {
    fn damage(self, body: &Bytes, dialect: Dialect) -> Bytes {
        match self {
            Self::Cut => body.slice(..body.len() / 2),
            Self::TrailingComma => {
                let Some(end) = body.iter().rposition(|byte| *byte == b'}') else {
                    return body.clone();
                };
                let (document, rest) = body.split_at(end);
                [document.trim_ascii_end(), b",\n", rest].concat().into()
            }
            Self::Html => dialect.page(StatusCode::OK),
            Self::EmptyObject => Bytes::from_static(b"{}"),
        }
    }
}

/// Changes the JSON document by a merge patch (RFC 7386).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Patch {
    /// The merge patch.
    pub json: Map<String, Value>,
}

impl Patch {
    fn new(json: Map<String, Value>) -> Self {
        Self { json }
    }
}

impl Kind for Patch {
    fn nature(&self) -> Nature<'_> {
        Nature::Response(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let expiration = draw.of(
            json!("2000-01-01T00:00:00Z"),
            [json!("9999-12-31T23:59:59Z"), json!("soon"), json!(7)],
        );
        vec![Self::new(Map::from_iter([(
            "Expiration".to_owned(),
            expiration,
        )]))]
    }
}

impl Change for Patch {
    fn change(&self, draft: &mut Draft) {
        if let Ok(mut document) = serde_json::from_slice(draft.response.body()) {
            json_patch::merge(&mut document, &Value::Object(self.json.clone()));
            let text = match &document {
                Value::Object(fields) => documents::changed(draft.response.body(), fields),
                document => document.to_string(),
            };
            draft.set_body(text.into());
        }
    }
}

/// Sends a `Content-Length` that is larger or smaller than the body.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct WrongContentLength {
    /// Number of bytes that are added to the length; can be negative.
    pub delta: i64,
}

impl WrongContentLength {
    fn new(delta: i64) -> Self {
        Self { delta }
    }
}

impl Kind for WrongContentLength {
    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(-5, [5, 5000]))]
    }
}

impl Deliver for WrongContentLength {
    fn deliver(&self, mut draft: Draft) -> Delivery {
        let length = i64::try_from(draft.response.body().len()).unwrap_or(i64::MAX);
        let wrong = length.saturating_add(self.delta).max(0);
        draft
            .response
            .headers_mut()
            .insert(CONTENT_LENGTH, wrong.into());
        draft.verbatim()
    }
}
