//! Which requests leave the sandbox.
//!
//! **Threat.** An attacker who controls the component, through a bug in it or because it comes from a
//! third party, could send requests from inside the instance's network: to other services, to other
//! paths of IMDS, or to another host with the session token.
//!
//! **Protection.** The component has no sockets. It can only hand an HTTP request to the host. Before
//! the host opens a connection, it checks the request in this order: scheme, authority (parsed),
//! method, path. A request that fails a check gets the error `HTTP-request-denied`; no name is
//! resolved and nothing is sent. A [`Transport`](crate::transport::Transport) sends the requests that
//! pass.
//!
//! | endpoint | request | result |
//! | --- | --- | --- |
//! | `http://169.254.169.254` | `GET http://169.254.169.254/latest/meta-data/` | allowed |
//! | `http://169.254.169.254` | `PUT http://169.254.169.254:80/latest/api/token` | allowed: the same authority |
//! | `http://[fd00:ec2::254]` | `GET http://[fd00:ec2:0::254]/latest/` | allowed: the same address |
//! | `http://127.0.0.1:1338/base` | `GET http://127.0.0.1:1338/base/latest/user-data` | allowed |
//! | `http://169.254.169.254` | `GET https://169.254.169.254/latest/meta-data/` | refused: scheme |
//! | `http://169.254.169.254` | `GET http://169.254.169.253/latest/meta-data/` | refused: host |
//! | `http://169.254.169.254` | `GET http://169.254.169.254:8080/latest/meta-data/` | refused: port |
//! | `http://169.254.169.254` | `GET http://x@169.254.169.254/latest/meta-data/` | refused: user information |
//! | `http://169.254.169.254` | `POST http://169.254.169.254/latest/meta-data/` | refused: method |
//! | `http://169.254.169.254` | `GET http://169.254.169.254/other` | refused: path |

use std::str::FromStr;

use http::uri::Scheme;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::endpoint::{Endpoint, InvalidEndpoint};

/// The only endpoint that requests may go to.
///
/// ```
/// use ec2_role_host::egress::Egress;
///
/// let egress: Egress = "http://127.0.0.1:1338".parse()?;
/// assert!("https://127.0.0.1:1338".parse::<Egress>().is_err());
/// # Ok::<(), ec2_role_host::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    endpoint: Endpoint,
}

/// Why a request may not leave the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The scheme is not `http`.
    Scheme,
    /// The host and the port are not those of the endpoint, or the URL has user information.
    Authority,
    /// The method is neither GET nor PUT.
    Method,
    /// The path is not below the endpoint's path and `/latest/`.
    Path,
}

impl Egress {
    /// Checks whether a request may leave the sandbox.
    ///
    /// # Errors
    ///
    /// The reason if it may not.
    pub fn check(&self, method: &Method, uri: &Uri) -> Result<(), Refusal> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(Refusal::Scheme);
        }
        if !uri
            .authority()
            .is_some_and(|authority| self.endpoint.has_authority(authority))
        {
            return Err(Refusal::Authority);
        }
        if *method != Method::GET && *method != Method::PUT {
            return Err(Refusal::Method);
        }
        let base = self.endpoint.base();
        let path = uri.path().strip_prefix(base).ok_or(Refusal::Path)?;
        match path.starts_with("/latest/") && path.split('/').all(stays) {
            true => Ok(()),
            false => Err(Refusal::Path),
        }
    }
}

/// Whether a segment of a path stays below the prefix, however the server decodes it. Dot segments,
/// encoded or followed by parameters, and encoded slashes could lead out of the prefix.
fn stays(segment: &str) -> bool {
    let plain = percent_decode_str(segment).decode_utf8_lossy();
    let name = plain.split(';').next().unwrap_or_default();
    !matches!(name, "." | "..") && !plain.contains(['/', '\\', '%'])
}

impl From<Endpoint> for Egress {
    fn from(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }
}

impl FromStr for Egress {
    type Err = InvalidEndpoint;

    fn from_str(endpoint: &str) -> Result<Self, InvalidEndpoint> {
        endpoint.parse().map(|endpoint| Self { endpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str, method: Method, uri: &str) -> Result<(), Refusal> {
        endpoint
            .parse::<Egress>()
            .unwrap()
            .check(&method, &uri.parse().unwrap())
    }

    #[test]
    fn what_is_below_latest_at_the_endpoint_may_leave() {
        for (endpoint, uri) in [
            (
                "http://169.254.169.254",
                "http://169.254.169.254/latest/meta-data/",
            ),
            (
                "http://169.254.169.254/",
                "http://169.254.169.254:80/latest/api/token",
            ),
            (
                "http://[fd00:ec2::254]",
                "http://[fd00:ec2:0::254]/latest/user-data",
            ),
            (
                "http://LocalHost:1338",
                "http://localhost:1338/latest/user-data",
            ),
            (
                "http://127.0.0.1:1338/base/",
                "http://127.0.0.1:1338/base/latest/user-data",
            ),
        ] {
            assert_eq!(
                check(endpoint, Method::GET, uri),
                Ok(()),
                "{endpoint} {uri}"
            );
            assert_eq!(
                check(endpoint, Method::PUT, uri),
                Ok(()),
                "{endpoint} {uri}"
            );
        }
    }

    #[test]
    fn everything_else_stays() {
        let endpoint = "http://169.254.169.254";
        for (uri, refusal) in [
            ("https://169.254.169.254/latest/meta-data/", Refusal::Scheme),
            ("ftp://169.254.169.254/latest/meta-data/", Refusal::Scheme),
            ("/latest/meta-data/", Refusal::Scheme),
            (
                "http://169.254.169.253/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://169.254.169.254:8080/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://169.254.169.254:/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://169.254.169.254.example/latest/meta-data/",
                Refusal::Authority,
            ),
            ("http://0xa9fea9fe/latest/meta-data/", Refusal::Authority),
            ("http://2852039166/latest/meta-data/", Refusal::Authority),
            (
                "http://user@169.254.169.254/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://169.254.169.254@example.com/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://[fd00:ec2::254]/latest/meta-data/",
                Refusal::Authority,
            ),
            (
                "http://[::ffff:169.254.169.254]/latest/meta-data/",
                Refusal::Authority,
            ),
            ("http://169.254.169.254/", Refusal::Path),
            ("http://169.254.169.254/latest", Refusal::Path),
            ("http://169.254.169.254/latestx/meta-data", Refusal::Path),
            (
                "http://169.254.169.254/2021-03-23/meta-data/",
                Refusal::Path,
            ),
            ("http://169.254.169.254//latest/meta-data/", Refusal::Path),
            ("http://169.254.169.254/latest/../other", Refusal::Path),
            ("http://169.254.169.254/latest/./other", Refusal::Path),
            ("http://169.254.169.254/latest/%2e%2E/other", Refusal::Path),
            ("http://169.254.169.254/latest/.%2e/other", Refusal::Path),
            ("http://169.254.169.254/latest/..;x/other", Refusal::Path),
            ("http://169.254.169.254/latest/x%2f..%2F..", Refusal::Path),
            ("http://169.254.169.254/latest/x%5c..", Refusal::Path),
            ("http://169.254.169.254/latest/%252e%252e/x", Refusal::Path),
        ] {
            assert_eq!(check(endpoint, Method::GET, uri), Err(refusal), "{uri}");
        }
        for method in [
            Method::POST,
            Method::DELETE,
            Method::CONNECT,
            Method::HEAD,
            Method::OPTIONS,
        ] {
            let uri = "http://169.254.169.254/latest/meta-data/";
            assert_eq!(check(endpoint, method, uri), Err(Refusal::Method));
        }
        let below = "http://127.0.0.1:1338/base";
        assert_eq!(
            check(below, Method::GET, "http://127.0.0.1:1338/latest/x"),
            Err(Refusal::Path)
        );
    }
}
