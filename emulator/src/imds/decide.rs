//! The core's decision about one request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderName, Method, StatusCode};

use super::{Client, Imds};
use crate::decision::{Decision, Delivery, Step, Summary, WithoutBody};
use crate::dialect::{Dialect, Kind, ResponseContent, TOKEN_TTL};
use crate::fault::{Asked, Fired};
use crate::instance::{HttpTokens, Switch};
use crate::request::{ImdsVersion, Path, SentToken, TokenState};
use crate::token::{Prefix, TTL_RANGE};
use crate::tree::{Found, LATEST, VERSIONS};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORBIDDEN: Kind = Kind::Error(StatusCode::FORBIDDEN);
const NOT_FOUND: Kind = Kind::Error(StatusCode::NOT_FOUND);

impl Imds {
    /// Decides how to answer `request`, which `client` sends at the moment `now`.
    pub fn decide(&self, request: &Parts, client: Client<'_>, now: DateTime<Utc>) -> Decision {
        let path = Path::new(request.uri.path());
        let for_token = path.is_for_tokens() && request.method == Method::PUT;
        let sent = SentToken::new(request, &self.tokens);
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut summary = Summary {
            number,
            imds: match sent {
                SentToken::None if !for_token => ImdsVersion::V1,
                _ => ImdsVersion::V2,
            },
            token: sent.state(now),
            lifetime: if for_token { lifetime(request) } else { None },
            rules: Vec::new(),
            status: None,
        };
        if self.rules.is_empty() {
            return self.conclude(request, &path, sent, client, now, &[], summary);
        }
        let asked = Asked {
            request,
            path: &path.normal(),
            for_token,
            version: path.version(),
            imds: summary.imds,
            token: summary.token,
            peer: client.address.to_canonical(),
            process: client.process,
            connections: client.connections,
            network_is_ours: client.network_is_ours,
            number,
        };
        let fired = self.rules.fire(&asked, now);
        summary.rules = fired.iter().map(|fired| Arc::clone(fired.name())).collect();
        match self.under(&fired, now) {
            Some(imds) => imds.conclude(request, &path, sent, client, now, &fired, summary),
            None => self.conclude(request, &path, sent, client, now, &fired, summary),
        }
    }

    /// Answers the request, and lets the faults of `fired` change the response.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a property of the request"
    )]
    fn conclude(
        &self,
        request: &Parts,
        path: &Path<'_>,
        sent: SentToken,
        client: Client<'_>,
        now: DateTime<Utc>,
        fired: &[Fired],
        mut summary: Summary,
    ) -> Decision {
        let dialect = self.config.server.dialect;
        if let SentToken::Ours(token) = sent
            && summary.token == TokenState::Valid
            && !self.quirks.accept(token, now)
        {
            summary.token = TokenState::Invalid;
        }
        let delivery = if request.method == Method::PUT
            && path.is_for_tokens()
            && self.is_out_of_reach(client.address)
        {
            Delivery::NoResponse
        } else {
            let mut content = self.answer(request, path, sent, summary.number, now);
            if let Kind::Data { modified, .. } = &mut content.kind {
                *modified = modified
                    .checked_add_signed(self.quirks.skew)
                    .unwrap_or(*modified);
            }
            let spoiling = fired.iter().find(|fired| fired.replaces());
            let mut response = dialect.write(
                content,
                request,
                // A fault that replaces the response closes the connection.
                self.config.server.keep_alive && spoiling.is_none(),
                now.checked_add_signed(self.quirks.skew).unwrap_or(now),
            );
            if request.method == Method::HEAD {
                response.extensions_mut().insert(WithoutBody);
            }
            match spoiling {
                Some(fired) => fired.deliver(response, request, dialect),
                None => Delivery::Response(response),
            }
        };
        summary.status = match &delivery {
            Delivery::Response(response) => Some(response.status().as_u16()),
            Delivery::Script(steps) => status_of(steps),
            Delivery::NoResponse => None,
        };
        Decision {
            delay: fired.iter().map(Fired::delay).sum(),
            delivery,
            summary,
        }
    }

    /// Whether responses to `PUT` do not reach the client, because it is more network hops away than
    /// the hop limit allows `[I21]`.
    fn is_out_of_reach(&self, peer: IpAddr) -> bool {
        let peers = &self.config.server.peers;
        let hops = peers
            .iter()
            .find(|peers| peers.network.contains(&peer.to_canonical()))
            .map_or(1, |peers| peers.hops);
        hops > self.config.metadata_options.http_put_response_hop_limit
    }

    fn answer(
        &self,
        request: &Parts,
        path: &Path<'_>,
        sent: SentToken,
        number: u64,
        now: DateTime<Utc>,
    ) -> ResponseContent {
        let content = |kind| ResponseContent { kind, ttl: None };
        if request.headers.contains_key(EXPECT) && self.refuses_expectations() {
            return content(Kind::Error(StatusCode::EXPECTATION_FAILED));
        }
        if self.config.metadata_options.http_endpoint == Switch::Disabled {
            return content(FORBIDDEN);
        }
        if path.is_for_tokens() && path.version() == Some(LATEST) {
            return self.token(request, number, now);
        }
        self.guard(sent, now, || match (&request.method, path.target()) {
            (&Method::GET | &Method::HEAD, Some((version, below))) => {
                let then = now.checked_sub_signed(self.quirks.age).unwrap_or(now);
                self.read(path, version, below, then)
            }
            (&Method::GET | &Method::HEAD, None) => NOT_FOUND,
            (&Method::OPTIONS, _) => Kind::Options("OPTIONS, GET, HEAD"),
            // [I7] [I13]
            _ => FORBIDDEN,
        })
    }

    /// Whether a request with an `Expect` header is refused `[I61]`.
    fn refuses_expectations(&self) -> bool {
        let is_xen = self.config.server.dialect == Dialect::Xen;
        self.quirks.refuses_expectations.unwrap_or(is_xen)
    }

    /// Issues a token `[I8]` `[I10]` to `[I14]`.
    fn token(&self, request: &Parts, number: u64, now: DateTime<Utc>) -> ResponseContent {
        const METHODS: &str = "OPTIONS, PUT";
        let content = |kind| ResponseContent { kind, ttl: None };
        match request.method {
            Method::PUT => {}
            Method::OPTIONS => return content(Kind::Options(METHODS)),
            _ => return content(Kind::NotAllowed(METHODS)),
        }
        if request.headers.contains_key(FORWARDED_FOR) {
            return content(FORBIDDEN);
        }
        match lifetime(request).filter(|ttl| TTL_RANGE.contains(ttl)) {
            Some(ttl) => {
                let ttl = self.quirks.ttl_cap.map_or(ttl, |cap| cap.min(ttl));
                let prefix = match self.config.server.dialect {
                    Dialect::Nitro => Prefix::NITRO,
                    Dialect::Xen => Prefix::XEN,
                };
                ResponseContent {
                    kind: Kind::Token(self.tokens.issue(ttl, now, number, prefix)),
                    ttl: Some(ttl),
                }
            }
            None => content(Kind::Error(StatusCode::BAD_REQUEST)),
        }
    }

    /// Answers with what `read` returns if the request has a valid token, or needs none `[I16]` to
    /// `[I18]`. The token is checked before the method `[I7]`.
    fn guard(
        &self,
        sent: SentToken,
        now: DateTime<Utc>,
        read: impl FnOnce() -> Kind,
    ) -> ResponseContent {
        let needed = self.config.metadata_options.http_tokens == HttpTokens::Required;
        let ttl = match sent {
            SentToken::Ours(token) if self.quirks.accept(token, now) => token.remaining(now),
            _ => None,
        };
        match (sent, ttl) {
            (SentToken::None, _) if !needed => {}
            (_, Some(_)) => {}
            _ => {
                return ResponseContent {
                    kind: Kind::Error(StatusCode::UNAUTHORIZED),
                    ttl: None,
                };
            }
        }
        ResponseContent { kind: read(), ttl }
    }

    /// Looks up a path in the tree `[I27]` to `[I36]`.
    fn read(&self, path: &Path<'_>, version: &str, below: &str, now: DateTime<Utc>) -> Kind {
        if version.is_empty() {
            let versions = VERSIONS.join("\n") + "\n" + LATEST;
            return data(versions, self.modified);
        }
        if version != LATEST && !VERSIONS.contains(&version) {
            return NOT_FOUND;
        }
        if self.quirks.missing.iter().any(|glob| glob.is_match(below)) {
            return NOT_FOUND;
        }
        let snapshot = self.snapshot(now);
        match snapshot.tree.find(version, below, &snapshot) {
            Some(Found::Leaf(value)) => Kind::Data {
                body: value.body,
                content_type: match below {
                    // [I34]
                    "user-data" => "application/octet-stream",
                    _ => "text/plain",
                },
                modified: value.modified.unwrap_or(self.modified.min(now)),
            },
            Some(Found::Folder(_))
                if self.config.server.dialect == Dialect::Xen
                    && !path.ends_in_slash()
                    && !below.is_empty() =>
            {
                Kind::Directory {
                    path: format!("{}/", path.text),
                }
            }
            Some(Found::Folder(mut names)) => {
                if !self.quirks.unlisted.is_empty() {
                    names.retain(|name| {
                        let path = format!("{below}/{}", name.trim_end_matches('/'));
                        !self.quirks.unlisted.iter().any(|glob| glob.is_match(&path))
                    });
                }
                data(names.join("\n"), self.modified.min(now))
            }
            None => NOT_FOUND,
        }
    }
}

fn data(body: impl Into<Bytes>, modified: DateTime<Utc>) -> Kind {
    Kind::Data {
        body: body.into(),
        content_type: "text/plain",
        modified,
    }
}

/// The status in the status line that a script sends, if it sends one.
fn status_of(steps: &[Step]) -> Option<u16> {
    let Some(Step::Send(bytes)) = steps.first() else {
        return None;
    };
    let digits = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The lifetime that a request for a token asks for, in seconds.
fn lifetime(request: &Parts) -> Option<u32> {
    let digits = request.headers.get(TOKEN_TTL)?.to_str().ok()?;
    // `parse` alone would accept a sign.
    (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}
