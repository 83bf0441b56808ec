//! The base URL of IMDS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// The base URL of IMDS: `http`, a host, and a port and a path where needed.
///
/// ```
/// use ec2_role_host::Endpoint;
///
/// let endpoint: Endpoint = "http://LocalHost:80/base/".parse()?;
/// assert_eq!(endpoint.to_string(), "http://localhost/base");
/// assert!("https://localhost".parse::<Endpoint>().is_err());
/// # Ok::<(), ec2_role_host::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: Host,
    port: u16,
    base: String,
}

impl Endpoint {
    /// `http://169.254.169.254`, where IMDS is on EC2.
    pub fn ipv4() -> Self {
        Self::well_known(Ipv4Addr::new(169, 254, 169, 254).into())
    }

    /// `http://[fd00:ec2::254]`, where IMDS is on EC2 for clients that use IPv6.
    pub fn ipv6() -> Self {
        Self::well_known(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254).into())
    }

    fn well_known(address: IpAddr) -> Self {
        Self {
            host: Host::Address(address),
            port: 80,
            base: String::new(),
        }
    }

    /// The name or the address of the host, an IPv6 address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// The port, 80 if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path below which IMDS is, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether a request to `authority` goes to this host and port.
    pub(crate) fn has_authority(&self, authority: &Authority) -> bool {
        parse_authority(authority)
            .is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(url: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint {
            url: without_user_information(url),
        };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() || url.contains('#') {
            return Err(invalid());
        }
        let (host, port) = uri
            .authority()
            .and_then(parse_authority)
            .ok_or_else(invalid)?;
        Ok(Self {
            host,
            port,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "http://[{address}]")?,
            Host::Address(address) => write!(f, "http://{address}")?,
            Host::Name(name) => write!(f, "http://{name}")?,
        }
        if self.port != 80 {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.base)
    }
}

/// A URL that is not accepted as an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEndpoint {
    url: String,
}

impl InvalidEndpoint {
    pub(crate) const ACCEPTED: &str = "http://HOST, http://HOST:PORT or http://HOST:PORT/PATH, where HOST is a name, an IPv4 address or an IPv6 address in brackets";

    /// The URL, without its user information.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the endpoint is {:?}; accepted: {}",
            self.url,
            Self::ACCEPTED
        )
    }
}

impl std::error::Error for InvalidEndpoint {}

/// The text of a URL as it may be printed. What stands before an `@` may be a password, even where
/// the text is not a valid URL.
pub(crate) fn without_user_information(url: &str) -> String {
    let Some((before, after)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    match scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        Some(scheme) => format!("{scheme}://..@{after}"),
        None => format!("..@{after}"),
    }
}

/// The value of any setting as it may be printed: a URL may have been set in the wrong place.
pub(crate) fn without_password(value: &str) -> String {
    match value.contains("://") {
        true => without_user_information(value),
        false => value.to_owned(),
    }
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

/// The host and the port. `None` if the authority has user information or is malformed.
pub(crate) fn parse_authority(authority: &Authority) -> Option<(Host, u16)> {
    if authority.as_str().contains('@') {
        return None;
    }
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        // A colon without a port, or with a port that is not a number.
        None if authority.as_str() != authority.host() => return None,
        None => 80,
    };
    let host = authority.host();
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => Host::Address(address.parse::<Ipv6Addr>().ok()?.into()),
        None => match host.parse::<IpAddr>() {
            Ok(address) => Host::Address(address),
            Err(_) if host.is_empty() => return None,
            Err(_) => Host::Name(host.to_ascii_lowercase()),
        },
    };
    (port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_printed_in_one_form() {
        for (url, printed) in [
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://169.254.169.254:80/", "http://169.254.169.254"),
            ("http://[fd00:ec2:0::254]/", "http://[fd00:ec2::254]"),
            ("http://LocalHost:1338", "http://localhost:1338"),
            ("http://127.0.0.1:1/base/", "http://127.0.0.1:1/base"),
        ] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!(endpoint.to_string(), printed);
            assert_eq!(printed.parse(), Ok(endpoint));
        }
    }

    #[test]
    fn the_well_known_endpoints() {
        assert_eq!("http://169.254.169.254".parse(), Ok(Endpoint::ipv4()));
        assert_eq!("http://[fd00:ec2::254]/".parse(), Ok(Endpoint::ipv6()));
    }

    #[test]
    fn invalid_urls_are_refused() {
        for url in [
            "",
            "http://",
            "169.254.169.254",
            "localhost:80",
            "[::1]",
            "https://localhost",
            "http://user@host",
            "http://host:",
            "http://host:0",
            "http://host:65536",
            "http://[::g]",
            "http://host/?query",
            "http://host/#fragment",
            "http://ho st",
        ] {
            assert!(url.parse::<Endpoint>().is_err(), "{url:?}");
        }
    }

    #[test]
    fn user_information_is_not_printed() {
        for (url, printed) in [
            ("http://user:hunter2@host", "http://..@host"),
            ("https://user:hunter2@host:1/x", "https://..@host:1/x"),
            ("http://user:hunter2/@@host", "http://..@host"),
            ("http://user:hun ter2@ho st", "http://..@ho st"),
            ("user:hunter2@host", "..@host"),
            ("hunter2://user@host", "hunter2://..@host"),
            ("user:hunter2://@host", "..@host"),
            ("http://host", "http://host"),
        ] {
            assert_eq!(without_user_information(url), printed);
            let Err(invalid) = url.parse::<Endpoint>() else {
                continue;
            };
            assert_eq!(invalid.url(), printed);
            assert!(invalid.to_string().contains(&format!("{printed:?}")));
            assert!(!format!("{invalid:?}").contains("user:"), "{invalid:?}");
        }
    }
}
