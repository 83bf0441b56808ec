//! The base URL of IMDS, and the encoding of paths.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// What the parser of [`Endpoint`] accepts, for error messages.
pub const ACCEPTED: &str = "http://HOST, http://HOST:PORT or http://HOST:PORT/PATH, where HOST is a name, an IPv4 address or an IPv6 address in brackets";

/// The base URL of IMDS: the scheme `http`, an authority, and optionally a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
    base: String,
}

impl Endpoint {
    /// `http://169.254.169.254` `[B1.1]`.
    pub fn ipv4() -> Self {
        Self {
            authority: "169.254.169.254".to_string(),
            base: String::new(),
        }
    }

    /// `http://[fd00:ec2::254]` `[B1.1]`.
    pub fn ipv6() -> Self {
        Self {
            authority: "[fd00:ec2::254]".to_string(),
            base: String::new(),
        }
    }

    /// The host, with the port if one is given.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path to send for `path` below `root`: it begins with the endpoint's own path, is
    /// percent-encoded, and has no repeated slashes and no dot segments, so it never leaves `root`
    /// `[B1.2]`.
    ///
    /// ```
    /// use ec2_role_component::imds::endpoint::Endpoint;
    ///
    /// let endpoint: Endpoint = "http://127.0.0.1:1338/base/".parse()?;
    /// assert_eq!(endpoint.path("latest/meta-data", "/tags/instance/a b"), "/base/latest/meta-data/tags/instance/a%20b");
    /// assert_eq!(endpoint.path("latest/meta-data", "../../x/"), "/base/latest/meta-data/x/");
    /// # Ok::<(), ec2_role_component::imds::endpoint::InvalidEndpoint>(())
    /// ```
    pub fn path(&self, root: &str, path: &str) -> String {
        let mut segments = alloc::vec::Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                _ => segments.push(segment),
            }
        }
        let mut whole = String::with_capacity(self.base.len() + root.len() + path.len() + 2);
        whole.push_str(&self.base);
        whole.push('/');
        whole.push_str(root);
        for segment in segments {
            whole.push('/');
            for byte in segment.bytes() {
                push_encoded(&mut whole, byte);
            }
        }
        if path.ends_with('/') {
            whole.push('/');
        }
        whole
    }
}

/// The URL is not a valid endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEndpoint;

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid endpoint; accepted: {ACCEPTED}")
    }
}

impl core::error::Error for InvalidEndpoint {}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(url: &str) -> Result<Self, InvalidEndpoint> {
        let rest = strip_scheme(url).ok_or(InvalidEndpoint)?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, base) = rest.split_at_checked(slash).ok_or(InvalidEndpoint)?;
        if !is_authority(authority) || !base.bytes().all(is_path_byte) {
            return Err(InvalidEndpoint);
        }
        if base.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(InvalidEndpoint);
        }
        Ok(Self {
            authority: authority.to_ascii_lowercase(),
            base: base.trim_end_matches('/').to_string(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

fn strip_scheme(url: &str) -> Option<&str> {
    let scheme = "http://";
    let (begin, rest) = url.split_at_checked(scheme.len())?;
    begin.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn is_authority(authority: &str) -> bool {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => (None, rest),
            _ => return false,
        },
        None => {
            let colon = authority.find(':').unwrap_or(authority.len());
            match authority.split_at_checked(colon) {
                Some((host, rest)) => (Some(host), rest),
                None => return false,
            }
        }
    };
    let port = rest.strip_prefix(':');
    host.is_none_or(is_host_name) && (rest.is_empty() || port.is_some_and(is_port))
}

fn is_host_name(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_port(port: &str) -> bool {
    // `u16::from_str` accepts a sign.
    port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether the path of an endpoint may contain this byte.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || byte == b'/'
}

/// Whether this byte needs no encoding in a path segment (RFC 3986, `pchar` without the percent
/// sign).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn push_encoded(path: &mut String, byte: u8) {
    if is_unreserved(byte) {
        path.push(char::from(byte));
        return;
    }
    path.push('%');
    for digit in [byte >> 4, byte & 0xf] {
        path.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::Endpoint;

    #[test]
    fn urls_that_are_endpoints() {
        for (url, written) in [
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://169.254.169.254/", "http://169.254.169.254"),
            ("HTTP://LocalHost:1338", "http://localhost:1338"),
            ("http://[::1]", "http://[::1]"),
            ("http://[fd00:ec2::254]:80/", "http://[fd00:ec2::254]:80"),
            ("http://imds.test/base/path/", "http://imds.test/base/path"),
        ] {
            assert_eq!(
                url.parse::<Endpoint>().unwrap().to_string(),
                written,
                "{url}"
            );
        }
    }

    #[test]
    fn urls_that_are_not() {
        for url in [
            "",
            "http://",
            "169.254.169.254",
            "localhost:80",
            "[::1]",
            "://",
            "https://localhost",
            "ftp://x",
            "http://::1",
            "http://[::1",
            "http://[::g]",
            "http://[::1]:",
            "http://[::1]:0x50",
            "http://user@host",
            "http://host:",
            "http://host:0",
            "http://host:65536",
            "http://host:+1",
            "http://host:80:80",
            "http://ho st",
            "http://host/a b",
            "http://host/?q",
            "http://host/#f",
            "http://host/%2e",
            "http://host/../x",
            "http://host?q",
            "http://h\u{f6}st",
            "http://host\r\n",
            " http://host",
        ] {
            assert!(url.parse::<Endpoint>().is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_path_keeps_its_trailing_slash_and_nothing_else_that_matters() {
        let endpoint = Endpoint::ipv4();
        for (path, whole) in [
            ("", "/latest/meta-data"),
            ("/", "/latest/meta-data/"),
            ("abc", "/latest/meta-data/abc"),
            ("/abc", "/latest/meta-data/abc"),
            ("/abc/", "/latest/meta-data/abc/"),
            ("//a///b", "/latest/meta-data/a/b"),
            ("a/../../../b", "/latest/meta-data/b"),
            ("a%2Fb?c#d", "/latest/meta-data/a%252Fb%3Fc%23d"),
            (" r1 ", "/latest/meta-data/%20r1%20"),
            ("\u{e9}\r\n", "/latest/meta-data/%C3%A9%0D%0A"),
            ("a+=,.@_-", "/latest/meta-data/a+=,.@_-"),
        ] {
            assert_eq!(endpoint.path("latest/meta-data", path), whole, "{path:?}");
        }
    }
}
