//! An emulator on a clock that stands still, and a way to talk to it.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::config::Config;
use imds_emulator::{Clock, Emulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const LIST: &str = "/latest/meta-data/iam/security-credentials/";
pub(crate) const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
pub(crate) const OK: &str = "HTTP/1.1 200 OK";
pub(crate) const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized";
pub(crate) const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden";
pub(crate) const NOT_FOUND: &str = "HTTP/1.1 404 Not Found";

/// A response as it came.
pub(crate) struct Response {
    pub(crate) status: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, OK);
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends bytes and reads until the connection ends.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> String {
    String::from_utf8(send_bytes(address, request).await).unwrap()
}

/// The same, where the response may be no text.
pub(crate) async fn send_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    response
}

/// The bytes of a request for `head`: a request line and headers.
pub(crate) fn request(head: &str) -> String {
    format!(
        "{}\r\nHost: imds\r\n\r\n",
        head.trim_end().replace('\n', "\r\n")
    )
}

pub(crate) struct Bench {
    pub(crate) imds: Emulator,
    pub(crate) clock: Clock,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a configuration; the role is called `the-role`, unless it is changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::manual(began());
        let imds = Emulator::builder()
            .role("the-role")
            .clock(clock.clone())
            .with(change)
            .start()
            .await
            .unwrap();
        Self { imds, clock }
    }

    /// With a configuration as TOML.
    pub(crate) async fn configured(toml: &str) -> Self {
        let mut config = Config::from_toml(toml).unwrap();
        config.server.port = 0;
        Self::with(|into| *into = config).await
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds)).unwrap();
    }

    pub(crate) async fn ask(&self, head: &str) -> Response {
        let response = send(self.imds.address(), request(head).as_bytes()).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        Response {
            status: lines.next().unwrap().to_owned(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) async fn token(&self, ttl: &str) -> Response {
        self.ask(&format!(
            "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}"
        ))
        .await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.ask(&format!(
            "GET {path} HTTP/1.1\nX-aws-ec2-metadata-token: {token}"
        ))
        .await
    }

    /// With a token of its own.
    pub(crate) async fn read(&self, path: &str) -> Response {
        let token = self.token("60").await.body;
        self.get(path, &token).await
    }

    /// The body of what must be there, below `latest`.
    pub(crate) async fn value(&self, path: &str) -> String {
        let response = self.read(&format!("/latest/{path}")).await;
        assert_eq!(response.status, OK, "{path}");
        response.body
    }

    /// Whether something is there, below `latest`.
    pub(crate) async fn has(&self, path: &str) -> bool {
        let response = self.read(&format!("/latest/{path}")).await;
        assert!(
            response.status == OK || response.status == NOT_FOUND,
            "{path}: {}",
            response.status
        );
        response.status == OK
    }
}

pub(crate) fn began() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().unwrap()
}
