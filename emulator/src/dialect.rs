//! The format of responses: status line, headers and their order, bodies of errors `[I2]` to `[I6]`
//! `[I8]` `[I11]` `[I14]` `[I19]` `[I20]` `[I31]` `[I33]`.
//!
//! | | `nitro` | `xen` |
//! | --- | --- | --- |
//! | status line | `HTTP/1.1` | `HTTP/1.0` |
//! | data | TTL, type, ranges (`none`), modified, length, date, server, connection | by name: ranges (`bytes`), length, type, date, modified, TTL; then connection, server |
//! | token, 400, 401, 403 to other methods, 405 | TTL, `Allow`, length, date, server, connection, type | by name, as above |
//! | 400, 401, 403 to other methods | no body | a page |
//! | 404, 403 to `GET` and `HEAD` | a page | a page |
//! | `Expect: 100-continue` | ignored | 417 |
//! | directory without a slash | the listing | 301: location, length, connection, date, server |

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, LAST_MODIFIED,
    LOCATION, SERVER,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::ReasonPhrase;

/// The header with the TTL of a token, in requests and responses.
pub(crate) const TOKEN_TTL: HeaderName =
    HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

/// The most headers that a response has.
const MOST_HEADERS: usize = 9;

/// One of the two formats that IMDS answers in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dialect {
    /// The format of instances on the Nitro system.
    #[default]
    Nitro,
    /// The format of older instances.
    Xen,
}

/// The content of a response, before it is written in a dialect.
#[derive(Clone, Debug)]
pub(crate) struct ResponseContent {
    pub(crate) kind: Kind,
    /// The remaining seconds of the request's token, or the TTL of the new token.
    pub(crate) ttl: Option<u32>,
}

/// The kinds of responses.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A value or a listing.
    Data {
        body: Bytes,
        content_type: &'static str,
        modified: DateTime<Utc>,
    },
    /// A new token.
    Token(String),
    /// A redirect from a directory without a slash to `path`, with one.
    Directory { path: String },
    /// The methods that the path supports, for an `OPTIONS` request `[I7]` `[I8]`.
    Options(&'static str),
    /// The path does not support the method; it supports these.
    NotAllowed(&'static str),
    /// An error.
    Error(StatusCode),
}

impl Dialect {
    /// The response to `request`.
    pub(crate) fn write(
        self,
        content: ResponseContent,
        request: &Parts,
        keep_alive: bool,
        now: DateTime<Utc>,
    ) -> Response<Bytes> {
        let ResponseContent { kind, ttl } = content;
        let mut fields = Fields {
            ttl,
            ..Fields::default()
        };
        let (status, body) = match kind {
            Kind::Data {
                body,
                content_type,
                modified,
            } => {
                fields.content_type = content_type;
                fields.modified = Some(modified);
                (StatusCode::OK, body)
            }
            Kind::Token(token) => (StatusCode::OK, token.into()),
            Kind::Directory { path } => {
                fields.location = location(request.headers.get(HOST), &path);
                (StatusCode::MOVED_PERMANENTLY, Bytes::new())
            }
            Kind::Options(methods) => {
                fields.allow = Some(methods);
                (StatusCode::OK, Bytes::new())
            }
            Kind::NotAllowed(methods) => {
                fields.allow = Some(methods);
                (StatusCode::METHOD_NOT_ALLOWED, Bytes::new())
            }
            Kind::Error(status) => {
                let page = self.error_page(status, &request.method);
                if page.is_some() {
                    fields.content_type = "text/html";
                }
                (status, page.unwrap_or_default())
            }
        };
        let mut response = Response::new(body);
        *response.headers_mut() = HeaderMap::with_capacity(MOST_HEADERS);
        *response.status_mut() = status;
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response
                .extensions_mut()
                .insert(ReasonPhrase("Not Allowed"));
        }
        let length = response.body().len();
        match self {
            Self::Nitro => fields.write_nitro(length, keep_alive, now, response.headers_mut()),
            Self::Xen => {
                *response.version_mut() = Version::HTTP_10;
                fields.write_xen(length, keep_alive, now, response.headers_mut());
            }
        }
        response
    }

    /// The page that IMDS sends with an error `[I33]`, or `None` if it sends the error without a
    /// body.
    pub(crate) fn error_page(self, status: StatusCode, method: &Method) -> Option<Bytes> {
        let is_read = [Method::GET, Method::HEAD].contains(method);
        match status {
            // [I8]
            StatusCode::METHOD_NOT_ALLOWED => None,
            // [I12] [I19]
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if self == Self::Nitro => None,
            // [I7] [I13] [I14] [I23]
            StatusCode::FORBIDDEN if self == Self::Nitro && !is_read => None,
            status => Some(self.page(status)),
        }
    }

    /// A page with the title that IMDS gives to `status` `[I33]`.
    pub(crate) fn page(self, status: StatusCode) -> Bytes {
        // What precedes the address of the DTD tells servers apart.
        let indent = match (self, status) {
            // [I61]
            (_, StatusCode::EXPECTATION_FAILED) => "         ",
            (Self::Nitro, _) => "\t\t ",
            (Self::Xen, _) => "\t",
        };
        let title = format!(
            "{} - {}",
            status.as_str(),
            status.canonical_reason().unwrap_or_default()
        );
        format!(
            r#"<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
{indent}"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"#
        )
        .into()
    }
}

/// The values of a response's headers.
struct Fields {
    ttl: Option<u32>,
    content_type: &'static str,
    modified: Option<DateTime<Utc>>,
    location: Option<HeaderValue>,
    allow: Option<&'static str>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            ttl: None,
            content_type: "text/plain",
            modified: None,
            location: None,
            allow: None,
        }
    }
}

impl Fields {
    /// `[I4]` `[I8]` `[I11]` `[I19]`. Header maps keep the order in which names are inserted.
    fn write_nitro(
        self,
        length: usize,
        keep_alive: bool,
        now: DateTime<Utc>,
        into: &mut HeaderMap,
    ) {
        let has_content = self.modified.is_some() || self.content_type != "text/plain";
        if let Some(ttl) = self.ttl {
            into.insert(TOKEN_TTL, ttl.into());
        }
        if has_content {
            into.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if let Some(modified) = self.modified {
            into.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
            into.insert(LAST_MODIFIED, http_date(modified));
        }
        if let Some(location) = self.location {
            into.insert(LOCATION, location);
        }
        if let Some(methods) = self.allow {
            into.insert(ALLOW, HeaderValue::from_static(methods));
        }
        into.insert(CONTENT_LENGTH, length.into());
        into.insert(DATE, http_date(now));
        into.insert(SERVER, HeaderValue::from_static("EC2ws"));
        if !keep_alive {
            into.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !has_content {
            into.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
    }

    /// `[I5]` `[I31]`
    fn write_xen(self, length: usize, keep_alive: bool, now: DateTime<Utc>, into: &mut HeaderMap) {
        let connection = HeaderValue::from_static(if keep_alive { "keep-alive" } else { "close" });
        let server = HeaderValue::from_static("EC2ws");
        if let Some(location) = self.location {
            into.insert(LOCATION, location);
            into.insert(CONTENT_LENGTH, length.into());
            if let Some(ttl) = self.ttl {
                into.insert(TOKEN_TTL, ttl.into());
            }
            into.insert(CONNECTION, connection);
            into.insert(DATE, http_date(now));
            into.insert(SERVER, server);
            return;
        }
        if self.modified.is_some() {
            into.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if let Some(methods) = self.allow {
            into.insert(ALLOW, HeaderValue::from_static(methods));
        }
        into.insert(CONTENT_LENGTH, length.into());
        into.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        into.insert(DATE, http_date(now));
        if let Some(modified) = self.modified {
            into.insert(LAST_MODIFIED, http_date(modified));
        }
        if let Some(ttl) = self.ttl {
            into.insert(TOKEN_TTL, ttl.into());
        }
        into.insert(CONNECTION, connection);
        into.insert(SERVER, server);
    }
}

/// The URL of `path` on `host`. On an instance the host is the link-local address; the emulator
/// does not send a client to another host.
fn location(host: Option<&HeaderValue>, path: &str) -> Option<HeaderValue> {
    let host = host.and_then(|host| host.to_str().ok());
    let url = match host {
        Some(host) => format!("http://{host}{path}"),
        None => path.to_owned(),
    };
    HeaderValue::try_from(url).ok()
}

/// The date in a header. Most responses have the dates of the one before, which are kept.
fn http_date(moment: DateTime<Utc>) -> HeaderValue {
    thread_local! {
        static KEPT: RefCell<[Option<(u64, HeaderValue)>; 2]> = const { RefCell::new([None, None]) };
    }
    // Clocks can be set to years that an HTTP date cannot express.
    let seconds = moment.timestamp().clamp(0, LAST_SECOND).unsigned_abs();
    KEPT.with_borrow_mut(|kept| {
        if let Some((_, date)) = kept.iter().flatten().find(|(of, _)| *of == seconds) {
            return date.clone();
        }
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let date = HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static(""));
        let [older, newer] = kept;
        *older = newer.replace((seconds, date.clone()));
        date
    })
}

/// The end of the year 9999, as a Unix time.
const LAST_SECOND: i64 = 253_402_300_799;
