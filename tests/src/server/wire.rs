//! A strict HTTP/1.1 client: each request has its own connection, and the response is kept byte for byte.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long to wait for a response.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The most requests that are sent to a server.
pub(super) const MOST: usize = 1_900;

/// The most bytes that are read of a response.
const LONGEST: usize = 4 << 20;

/// How long to wait for more bytes after the end of a response.
const GRACE: Duration = Duration::from_millis(50);

/// A server's address, and the secrets that its responses contained.
#[derive(Debug)]
pub(super) struct Wire {
    address: SocketAddr,
    host: String,
    sent: AtomicUsize,
    secrets: Mutex<BTreeSet<String>>,
}

impl Wire {
    /// For the server at `address`, with `host` as the `Host` header.
    pub(super) fn new(address: SocketAddr, host: String) -> Self {
        Self {
            address,
            host,
            sent: AtomicUsize::new(0),
            secrets: Mutex::default(),
        }
    }

    /// Sends a request and reads the response.
    ///
    /// # Errors
    ///
    /// [`Broken`] if there is no valid HTTP response.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, Broken> {
        let broken = |what: String| Broken {
            asked: request.name(),
            what,
        };
        if self.sent.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(broken(format!(
                "not sent, because the limit of {MOST} requests is reached"
            )));
        }
        let start = Instant::now();
        let mut came = Vec::new();
        let exchanged = self.exchange(request, &mut came);
        let took = match tokio::time::timeout(PATIENCE, exchanged).await {
            Ok(Ok(())) => start.elapsed(),
            Ok(Err(error)) => return Err(broken(error.to_string())),
            Err(_) if came.is_empty() => {
                return Err(broken(format!("no response within {PATIENCE:?}")));
            }
            Err(_) => {
                return Err(broken(format!(
                    "only {} bytes of the response within {PATIENCE:?}",
                    came.len()
                )));
            }
        };
        let mut response = Response::parse(request, &came, took).map_err(broken)?;
        self.learn(request, &response);
        response.excerpt = self.excerpt(request, &response);
        Ok(response)
    }

    /// `text` without any token or secret that a response contained so far.
    pub(super) fn redacted(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        redacted(text, &secrets)
    }

    /// Reads until the end of the response, or until the connection closes.
    async fn exchange(&self, request: &Request<'_>, came: &mut Vec<u8>) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream
            .write_all(request.bytes(&self.host).as_bytes())
            .await?;
        let mut piece = vec![0; 16 << 10];
        loop {
            let read = match is_over(request, came) {
                true => match tokio::time::timeout(GRACE, stream.read(&mut piece)).await {
                    Ok(read) => read.unwrap_or(0),
                    Err(_) => 0,
                },
                // The bytes before a reset may be a complete response.
                false => match stream.read(&mut piece).await {
                    Err(error) if came.is_empty() => return Err(error),
                    read => read.unwrap_or(0),
                },
            };
            came.extend(piece.iter().take(read));
            if read == 0 || came.len() > LONGEST {
                return Ok(());
            }
        }
    }

    /// Remembers the secrets of a response, so that they are never shown.
    fn learn(&self, request: &Request<'_>, response: &Response) {
        let text = response.text();
        let mut found = secrets_of(&text);
        // For every spelling of the token path.
        if request.path.contains("api/token") && response.status == 200 {
            found.extend(text.split_whitespace().map(str::to_owned));
        }
        // Redacting short texts would make findings unreadable, and no secret is that short.
        found.retain(|secret| secret.len() >= 8);
        self.secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(found);
    }

    /// The part of a body that may be shown.
    fn excerpt(&self, request: &Request<'_>, response: &Response) -> String {
        const SHOWN: usize = 60;
        let size = response.body.len();
        let text = self.redacted(&response.text());
        if size == 0 {
            "empty body".into()
        } else if request.method == "PUT" && response.status == 200 {
            format!("a token of {size} bytes")
        } else if request.path.contains("user-data") {
            format!("user data of {size} bytes")
        } else if text.contains("SecretAccessKey") {
            format!("credentials of {size} bytes")
        } else if text.chars().count() <= SHOWN {
            format!("{text:?}")
        } else {
            let begin: String = text.chars().take(SHOWN).collect();
            format!("{begin:?}… of {size} bytes")
        }
    }
}

fn redacted(text: &str, secrets: &BTreeSet<String>) -> String {
    let mut text = text.to_owned();
    // Longest first, because one may contain another.
    let mut secrets: Vec<&String> = secrets.iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        text = text.replace(secret.as_str(), "[secret]");
    }
    text
}

/// The secret values in a document, which may be incomplete.
fn secrets_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["\"SecretAccessKey\"", "\"Token\""] {
        for (at, _) in text.match_indices(name) {
            let rest = text.get(at + name.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ':']);
            if let Some(rest) = rest.strip_prefix('"') {
                let value = rest.split('"').next().unwrap_or_default();
                found.push(value.to_owned());
                found.push(value.replace("\\/", "/"));
            }
        }
    }
    found
}

/// Whether a response is complete. Without a length, it ends when the connection closes.
fn is_over(request: &Request<'_>, came: &[u8]) -> bool {
    let Some((head, body)) = split(came) else {
        return false;
    };
    let Ok(head) = Head::parse(&head) else {
        return false;
    };
    match head.length() {
        _ if request.method == "HEAD" => true,
        Length::Chunked => unchunked(body).is_some(),
        Length::Bytes(bytes) => body.len() >= bytes,
        Length::Unknown => false,
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    closes: bool,
}

impl<'a> Request<'a> {
    /// A request with only the headers that every request has.
    pub(super) fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            closes: true,
        }
    }

    /// A GET request.
    pub(super) fn get(path: &'a str) -> Self {
        Self::new("GET", path)
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Does not ask the server to close the connection.
    #[must_use]
    pub(super) fn keeping(mut self) -> Self {
        self.closes = false;
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn bytes(&self, host: &str) -> String {
        let Self { method, path, .. } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        text.push_str("User-Agent: imds-conformance\r\nAccept: */*\r\n");
        if self.closes {
            text.push_str("Connection: close\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\n"
    }
}

/// There is no valid response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The request.
    pub(super) asked: String,
    /// What happened instead.
    pub(super) what: String,
}

/// A response, unmodified.
#[derive(Clone, Debug)]
pub(super) struct Response {
    /// The request.
    pub(super) asked: String,
    /// Such as `HTTP/1.1`.
    pub(super) version: String,
    /// The status.
    pub(super) status: u16,
    /// The reason phrase.
    pub(super) reason: String,
    /// The headers, in their order.
    pub(super) headers: Vec<(String, String)>,
    /// The body, with any bytes after its Content-Length.
    pub(super) body: Vec<u8>,
    /// How long it took.
    pub(super) took: Duration,
    /// The part of the body that may be shown.
    pub(super) excerpt: String,
}

impl Response {
    fn parse(request: &Request<'_>, came: &[u8], took: Duration) -> Result<Self, String> {
        let Some((head, body)) = split(came) else {
            return Err(match came.len() {
                0 => "the connection was closed without a response".into(),
                bytes => format!("{bytes} bytes that are not an HTTP response"),
            });
        };
        let head = Head::parse(&head)?;
        let body = match head.length() {
            Length::Chunked if request.method != "HEAD" => {
                unchunked(body).ok_or("an invalid chunked body")?
            }
            _ => body.to_vec(),
        };
        Ok(Self {
            asked: request.name(),
            version: head.version,
            status: head.status,
            reason: head.reason,
            headers: head.headers,
            body,
            took,
            excerpt: String::new(),
        })
    }

    /// The value of a header, or the first value if it is repeated.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The lines of the body, without empty lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// A summary of the response, without secrets.
    pub(super) fn told(&self) -> String {
        let Self {
            asked,
            status,
            reason,
            excerpt,
            ..
        } = self;
        format!("{asked}: {status} {reason}, {excerpt}")
    }
}

struct Head {
    version: String,
    status: u16,
    reason: String,
    headers: Vec<(String, String)>,
}

enum Length {
    Chunked,
    Bytes(usize),
    Unknown,
}

impl Head {
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().unwrap_or_default();
        if !version.starts_with("HTTP/") || status.len() != 3 {
            return Err("a response that is not HTTP".into());
        }
        let status = status
            .parse()
            .map_err(|_| "a status that is not a number")?;
        let reason = words.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self {
            version,
            status,
            reason,
            headers,
        })
    }

    fn length(&self) -> Length {
        if header(&self.headers, "transfer-encoding").is_some() {
            return Length::Chunked;
        }
        match header(&self.headers, "content-length").map(str::parse) {
            Some(Ok(bytes)) => Length::Bytes(bytes),
            _ => Length::Unknown,
        }
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter();
    let found = found.find(|(have, _)| have.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The head without its final blank line, and the bytes after it. Skips interim responses such as
/// `100 Continue`.
fn split(mut came: &[u8]) -> Option<(String, &[u8])> {
    loop {
        let end = came.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(came.get(..end)?).into_owned();
        came = came.get(end + 4..)?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !(head.starts_with("HTTP/") && status.len() == 3 && status.starts_with('1')) {
            return Some((head, came));
        }
    }
}

/// The content of the chunks, if the last chunk is there.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(body.get(..end)?).ok()?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = body.get(end + 2..)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend(chunk.get(..size)?);
        body = chunk.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_invalid_documents_and_not_shown() {
        let text = "{\"SecretAccessKey\" : \"abc\\/def0123\",\n\"Token\": \"IQoJ0123456789";
        let found = secrets_of(text);
        assert!(found.contains(&"abc/def0123".to_owned()));
        assert!(found.contains(&"IQoJ0123456789".to_owned()));
        let shown = redacted(text, &found.into_iter().collect());
        assert!(!shown.contains("IQoJ") && !shown.contains("def"), "{shown}");
    }

    #[test]
    fn chunks_are_joined_and_invalid_chunks_are_reported() {
        let whole = b"4;x=y\r\nami-\r\n2\r\n01\r\n0\r\n\r\n";
        assert_eq!(unchunked(whole).unwrap(), b"ami-01");
        for broken in [&b"4\r\nam"[..], b"zz\r\n", b"4\r\nami-01\r\n0\r\n\r\n", b""] {
            assert_eq!(unchunked(broken), None);
        }
    }

    #[test]
    fn a_response_that_is_not_http_is_reported() {
        let request = Request::get("/");
        for (came, what) in [
            (&b""[..], "closed without a response"),
            (b"\x16\x03\x01", "not an HTTP response"),
            (b"SSH-2.0 abc\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "without a colon"),
        ] {
            let error = Response::parse(&request, came, PATIENCE).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
