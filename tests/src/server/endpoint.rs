//! The address of a server, and whether it may receive requests.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;

/// The address of a server. The name is resolved once, so that requests go only to addresses that were
/// checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Endpoint {
    /// Resolves `url`, without connecting. Unless `owned` is set, every address must be a loopback
    /// address, because the checks send many requests, some of which are invalid on purpose.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if the URL is invalid, cannot be resolved, or must not receive requests.
    pub async fn find(url: &str, owned: bool) -> Result<Self, EndpointError> {
        let (host, port) = parse(url)?;
        // A URL has an IPv6 address in brackets.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match name.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => look_up(name, port).await?,
        };
        match addresses.iter().find(|address| !address.ip().is_loopback()) {
            Some(foreign) if !owned => Err(EndpointError::Foreign {
                host,
                address: foreign.ip(),
            }),
            _ => Ok(Self {
                host: format!("{host}:{port}"),
                addresses,
            }),
        }
    }

    /// The value of the `Host` header.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its addresses, at least one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn parse(url: &str) -> Result<(String, u16), EndpointError> {
    // The part before an `@` may be a password.
    let shown = url.rsplit('@').next().unwrap_or_default();
    let refused = || EndpointError::Url(shown.to_owned());
    let uri: Uri = url.parse().map_err(|_| refused())?;
    let authority = uri.authority().ok_or_else(refused)?;
    let bare = uri.scheme_str() == Some("http")
        && uri.path().trim_end_matches('/').is_empty()
        && uri.query().is_none()
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    // By hand, because `http` ignores an invalid port.
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => Some(80),
        Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        None => None,
    };
    let port = port.filter(|port| *port > 0).ok_or_else(refused)?;
    match bare {
        true => Ok((authority.host().to_owned(), port)),
        false => Err(refused()),
    }
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, EndpointError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let unknown = |why: String| EndpointError::Unknown {
        host: name.to_owned(),
        why,
    };
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(found) => found.map_err(|error| unknown(error.to_string()))?.collect(),
        Err(_) => return Err(unknown(format!("no response within {PATIENCE:?}"))),
    };
    match found.is_empty() {
        true => Err(unknown("it has no address".into())),
        false => Ok(found),
    }
}

/// Why a server cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// The URL is invalid.
    Url(String),
    /// The host cannot be resolved.
    Unknown {
        /// The host.
        host: String,
        /// The reason.
        why: String,
    },
    /// The server is on another machine, and the caller did not confirm that they own it.
    Foreign {
        /// The host.
        host: String,
        /// The address that is not a loopback address.
        address: IpAddr,
    },
    /// The server sends no HTTP response.
    Unreachable(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "invalid endpoint {url:?}; use http://HOST or http://HOST:PORT"
            ),
            Self::Unknown { host, why } => write!(f, "cannot resolve the host {host:?}: {why}"),
            Self::Foreign { host, address } => write!(
                f,
                "no request was sent to {host}, because {address} is not a loopback address; \
                 if the server is yours, pass --i-own-this-endpoint"
            ),
            Self::Unreachable(why) => write!(
                f,
                "cannot reach the server ({why}); check that it is running at this endpoint"
            ),
        }
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_addresses_are_accepted() {
        for (url, host) in [
            ("http://127.0.0.1:1338", "127.0.0.1:1338"),
            ("http://127.5.4.3/", "127.5.4.3:80"),
            ("http://[::1]:80", "[::1]:80"),
            ("http://localhost:1338", "localhost:1338"),
        ] {
            let endpoint = Endpoint::find(url, false).await.unwrap();
            assert_eq!(endpoint.host(), host);
            let addresses = endpoint.addresses();
            assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        }
    }

    #[tokio::test]
    async fn other_addresses_need_the_owners_consent() {
        for url in [
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
            "http://0.0.0.0:1338",
            "http://[::]:1338",
            "http://[::ffff:127.0.0.1]:1338",
            "http://192.0.2.1",
            "http://128.0.0.1",
        ] {
            let error = Endpoint::find(url, false).await.unwrap_err();
            assert!(
                matches!(error, EndpointError::Foreign { .. }),
                "{url}: {error}"
            );
            assert!(error.to_string().contains("--i-own-this-endpoint"));
            assert!(Endpoint::find(url, true).await.is_ok(), "{url}");
        }
    }

    #[tokio::test]
    async fn invalid_endpoints_are_rejected() {
        for url in [
            "https://127.0.0.1",
            "127.0.0.1:1338",
            "localhost",
            "http://",
            "http://user@127.0.0.1",
            "http://127.0.0.1@192.0.2.1",
            "http://127.0.0.1/latest",
            "http://127.0.0.1?x",
            "http://127.0.0.1:0",
            "http://127.0.0.1:70000",
            "http://127.0.0.1:",
            "",
        ] {
            let error = Endpoint::find(url, true).await.unwrap_err();
            assert!(matches!(error, EndpointError::Url(_)), "{url}: {error}");
        }
    }
}
