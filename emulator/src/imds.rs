//! The core: a request and a moment in, an answer out.
//!
//! It reads no socket, no clock and no randomness of its own, so that a simulation can use it as it
//! is.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, SERVER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::credentials::Issuer;
use crate::token::{TTL_RANGE, Tokens};

pub use crate::credentials::Rotation;

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const ROLE_LIST: &str = "meta-data/iam/security-credentials";

/// What the emulated instance is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The role, if the instance has one.
    pub role: Option<String>,
    /// How its credentials come and go.
    pub rotation: Rotation,
    /// Everything that looks random follows from this.
    pub seed: [u8; 32],
    /// When the instance began.
    pub began: DateTime<Utc>,
}

/// IMDS of one instance.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "it holds the keys that tokens are sealed with"
)]
pub struct Imds {
    tokens: Tokens,
    issuer: Option<Issuer>,
}

impl Imds {
    /// IMDS of the instance that `settings` describe.
    pub fn new(settings: Settings) -> Self {
        let Settings {
            role,
            rotation,
            seed,
            began,
        } = settings;
        Self {
            tokens: Tokens::new(&seed),
            issuer: role.map(|role| Issuer::new(seed, role, began, rotation)),
        }
    }

    /// The answer to `request` at the moment `now`.
    ///
    /// It lacks `Date` and `Content-Length`, which the server adds.
    pub fn respond(&self, request: &Parts, now: DateTime<Utc>) -> Response<Bytes> {
        let mut response = self.route(request, now);
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("text/plain"));
        response
    }

    fn route(&self, request: &Parts, now: DateTime<Utc>) -> Response<Bytes> {
        let path: Vec<&str> = request
            .uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        match path.as_slice() {
            ["latest", "api", "token"] => self.token(request, now),
            [_, "api", "token"] if request.method == Method::PUT => empty(StatusCode::FORBIDDEN),
            _ if request.method != Method::GET && request.method != Method::HEAD => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            path => self.read(request, path, now),
        }
    }

    /// Rules 8 and 10 to 14.
    fn token(&self, request: &Parts, now: DateTime<Utc>) -> Response<Bytes> {
        if request.method != Method::PUT {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("OPTIONS, PUT"));
            response.extensions_mut().insert(NOT_ALLOWED);
            return response;
        }
        if request.headers.contains_key(FORWARDED_FOR) {
            return empty(StatusCode::FORBIDDEN);
        }
        let asked = request.headers.get(TOKEN_TTL).and_then(ttl);
        let Some(ttl) = asked.filter(|ttl| TTL_RANGE.contains(ttl)) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let mut response = Response::new(Bytes::from(self.tokens.issue(ttl, now)));
        response.headers_mut().insert(TOKEN_TTL, ttl.into());
        response
    }

    /// Rules 16, 17 and 33.
    fn read(&self, request: &Parts, path: &[&str], now: DateTime<Utc>) -> Response<Bytes> {
        let token = request
            .headers
            .get(TOKEN)
            .and_then(|token| token.to_str().ok());
        let Some(remaining) = token.and_then(|token| self.tokens.remaining(token, now)) else {
            return empty(StatusCode::UNAUTHORIZED);
        };
        let mut response = match self.value(path, now) {
            Some(value) => Response::new(Bytes::from(value)),
            None => empty(StatusCode::NOT_FOUND),
        };
        response.headers_mut().insert(TOKEN_TTL, remaining.into());
        response
    }

    fn value(&self, path: &[&str], now: DateTime<Utc>) -> Option<String> {
        let issuer = self.issuer.as_ref()?;
        let ["latest", rest @ ..] = path else {
            return None;
        };
        let below = rest.join("/");
        match below.strip_prefix(ROLE_LIST)? {
            "" => Some(issuer.role().to_owned()),
            role if role.strip_prefix('/') == Some(issuer.role()) => Some(issuer.document(now)),
            _ => None,
        }
    }
}

/// The reason phrase of IMDS for 405 on the token path (rule 8), for the server to write.
#[derive(Clone, Copy, Debug)]
pub struct ReasonPhrase(pub &'static str);

const NOT_ALLOWED: ReasonPhrase = ReasonPhrase("Not Allowed");

fn ttl(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok()?;
    // `parse` alone would take a sign.
    (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
