//! Where a server is, and whether it may be asked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;

/// Where a server is. It has been looked up, once: the addresses that were approved are those that are
/// asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Endpoint {
    /// Looks up where `url` is. Without `owned`, it must be on the loopback interface, whatever its
    /// name: these checks are many, and some of them are rude. Nothing is connected to.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if it is no URL that is accepted, cannot be found, or must not be asked.
    pub async fn find(url: &str, owned: bool) -> Result<Self, EndpointError> {
        let (host, port) = parse(url)?;
        // In a URL, an IPv6 address stands in brackets.
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

    /// What it is called in the `Host` header.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The addresses that it has, at least one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn parse(url: &str) -> Result<(String, u16), EndpointError> {
    // What stands before an `@` may be a password.
    let shown = url.rsplit('@').next().unwrap_or_default();
    let refused = || EndpointError::Url(shown.to_owned());
    let uri: Uri = url.parse().map_err(|_| refused())?;
    let authority = uri.authority().ok_or_else(refused)?;
    let bare = uri.scheme_str() == Some("http")
        && uri.path().trim_end_matches('/').is_empty()
        && uri.query().is_none()
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    // By hand: for `http`, a port that is none is as good as no port.
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
        Err(_) => return Err(unknown(format!("no answer within {PATIENCE:?}"))),
    };
    match found.is_empty() {
        true => Err(unknown("it has no address".into())),
        false => Ok(found),
    }
}

/// Why a server cannot be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// The URL is not accepted.
    Url(String),
    /// The host has no address.
    Unknown {
        /// The host.
        host: String,
        /// What was said.
        why: String,
    },
    /// It is on another machine, and nobody has said that it may be asked.
    Foreign {
        /// The host.
        host: String,
        /// An address that is not on the loopback interface.
        address: IpAddr,
    },
    /// Nothing there speaks HTTP.
    Unreachable(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "the endpoint {url:?} is not accepted; accepted: http://HOST or http://HOST:PORT"
            ),
            Self::Unknown { host, why } => write!(f, "there is no host {host:?}: {why}"),
            Self::Foreign { host, address } => write!(
                f,
                "{host} is not on the loopback interface ({address}), and was not asked anything; \
                 if the server is yours, say --i-own-this-endpoint"
            ),
            Self::Unreachable(why) => write!(f, "there is no server ({why})"),
        }
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_on_the_loopback_interface_may_be_asked() {
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
    async fn what_is_not_needs_a_word_of_its_owner() {
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
    async fn what_is_no_endpoint_is_refused() {
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
