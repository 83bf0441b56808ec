//! `imds-emulator ctl`: the admin API from a shell.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::input::Problem;
use super::{
    clock, credentials, faults, instance, packets, presets, requests, scenarios, service, timeline,
};
use crate::config::described;

pub use super::requests::cli::{ASSERTIONS, assertion};

/// The environment variable with the URL of the admin API.
pub const ADMIN_URL: &str = "IMDS_EMULATOR_ADMIN_URL";

/// The arguments of `imds-emulator ctl`.
#[derive(Args, Debug)]
pub struct Ctl {
    /// The URL of the admin API, as in the emulator's ready line, or, on Unix, the path of its Unix
    /// socket
    #[arg(long, value_name = "URL|PATH", env = ADMIN_URL, hide_env_values = true, default_value = "http://127.0.0.1:1339", global = true)]
    admin: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Inject, list and remove faults
    #[command(subcommand)]
    Fault(faults::cli::Command),
    /// Apply and remove presets, which are common faults by name
    #[command(subcommand)]
    Preset(presets::cli::Command),
    /// Show, move, set, freeze and run the emulator's clock
    #[command(subcommand)]
    Clock(clock::cli::Command),
    #[command(flatten)]
    Instance(instance::cli::Command),
    /// Show, replace and run the steps of the timeline
    #[command(subcommand)]
    Timeline(timeline::cli::Command),
    #[command(flatten)]
    Credentials(credentials::cli::Command),
    /// List, find, count and follow requests and their responses
    #[command(subcommand)]
    Requests(requests::cli::Command),
    #[command(flatten)]
    Packets(packets::cli::Command),
    /// Check assertions about the requests so far
    Verify(requests::cli::Verify),
    /// Show or set the state of a scenario, which rules can depend on
    Scenario(scenarios::cli::Scenario),
    #[command(flatten)]
    Service(service::cli::Command),
}

/// Runs `imds-emulator ctl`.
///
/// # Errors
///
/// If the admin API cannot be reached, or rejects the request.
pub async fn run(ctl: Ctl) -> anyhow::Result<ExitCode> {
    let api = Client(ctl.admin);
    match ctl.command {
        Command::Fault(command) => command.run(&api).await?,
        Command::Preset(command) => command.run(&api).await?,
        Command::Clock(command) => command.run(&api).await?,
        Command::Instance(command) => command.run(&api).await?,
        Command::Timeline(command) => command.run(&api).await?,
        Command::Credentials(command) => command.run(&api).await?,
        Command::Requests(command) => command.run(&api).await?,
        Command::Packets(command) => command.run(&api).await?,
        Command::Verify(verify) => return verify.run(&api).await,
        Command::Scenario(scenario) => scenario.run(&api).await?,
        Command::Service(command) => command.run(&api).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A client of the admin API at this URL, or at the Unix socket with this path.
pub(super) struct Client(String);

impl Client {
    /// A request without a body. An empty response is read as `()`.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> anyhow::Result<T> {
        read(self.request(method, path, None).await?).await
    }

    /// A request with a body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body)?;
        read(self.request(method, path, Some(body)).await?).await
    }

    /// A response that is plain text.
    pub(super) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let body = self.request(Method::GET, path, None).await?;
        Ok(String::from_utf8(body.collect().await?.to_bytes().into())?)
    }

    /// A response that is a stream of server-sent events.
    pub(super) async fn events(&self, path: &str) -> anyhow::Result<Events> {
        Ok(Events {
            body: self.request(Method::GET, path, None).await?,
            lines: Lines::default(),
        })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Incoming> {
        let Self(admin) = self;
        let host = match admin.strip_prefix("http://") {
            Some(address) => address.trim_end_matches('/'),
            None => "localhost",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/__admin/{path}"))
            .header(HOST, host);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let unreachable = |error| {
            // A user and a password in the URL are not shown.
            let shown = match admin.rsplit_once('@') {
                Some((_, host)) if admin.starts_with("http") => format!("http://..@{host}"),
                _ => admin.clone(),
            };
            anyhow!(
                "cannot reach the admin API at {shown}: {error}; give its URL with --admin, as in \
                 the emulator's ready line"
            )
        };
        let response = if admin.starts_with("http://") {
            let stream = TcpStream::connect(host).await;
            exchange(stream.map_err(unreachable)?, request).await?
        } else {
            #[cfg(unix)]
            let stream = tokio::net::UnixStream::connect(admin).await;
            #[cfg(not(unix))]
            let stream: std::io::Result<TcpStream> = Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "Unix sockets are not supported on this platform",
            ));
            exchange(stream.map_err(unreachable)?, request).await?
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let problem = response.into_body().collect().await?.to_bytes();
        Err(rejected(status, &problem))
    }
}

/// Sends a request on a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> hyper::Result<hyper::Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

async fn read<T: DeserializeOwned>(body: Incoming) -> anyhow::Result<T> {
    let bytes = body.collect().await?.to_bytes();
    let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(json).context("the response of the admin API is malformed")
}

/// The error that a response reports.
fn rejected(status: StatusCode, problem: &[u8]) -> anyhow::Error {
    match serde_json::from_slice(problem) {
        Ok(Problem { detail, field, .. }) => match field {
            Some(field) if !detail.starts_with(&field) => anyhow!("{field}: {detail} ({status})"),
            _ => anyhow!("{detail} ({status})"),
        },
        Err(_) => anyhow!("the server is not an admin API: it answered {status}"),
    }
}

/// Server-sent events.
pub(super) struct Events {
    body: Incoming,
    lines: Lines,
}

impl Events {
    /// The data of the next event, or `None` at the end of the stream.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(data) = line.strip_prefix(b"data: ") {
                    let data = serde_json::from_slice(data);
                    return Ok(Some(data.context("the event is malformed")?));
                }
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(bytes) = frame?.into_data() {
                        self.lines.push(&bytes);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

/// Bytes, cut into lines. A frame may end within a line, or within a character.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let rest = self.0.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.0, rest);
        line.truncate(end);
        Some(line)
    }
}

/// A value from JSON text, or, for `-`, from standard input.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    let mut input = String::new();
    let text = match text {
        "-" => {
            std::io::stdin().read_to_string(&mut input)?;
            &input
        }
        text => text,
    };
    let value: Value =
        serde_json::from_str(text).with_context(|| format!("{text:?} is not valid JSON"))?;
    typed(value)
}

/// A value, or an error that names the field that is wrong.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let (key, problem) = described(&error, Some(&value));
        match key.as_str() {
            "" => anyhow!("{problem}"),
            key => anyhow!("{key}: {problem}"),
        }
    })
}

/// KEY=VALUE pairs as a JSON object. Dots in a key separate the names of nested objects; a value is
/// JSON or else text.
pub(super) fn assignments<S: AsRef<str>>(pairs: &[S]) -> anyhow::Result<Map<String, Value>> {
    let mut object = Map::new();
    for pair in pairs {
        let pair = pair.as_ref();
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("invalid argument {pair:?}; accepted: KEY=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let (path, name) = match key.rsplit_once('.') {
            Some((path, name)) => (path.split('.').collect(), name),
            None => (Vec::new(), key),
        };
        let mut into = &mut object;
        for part in path {
            let inner = into.entry(part).or_insert_with(|| Map::new().into());
            into = inner
                .as_object_mut()
                .ok_or_else(|| anyhow!("{key:?}: {part:?} already has a value"))?;
        }
        into.insert(name.to_owned(), value);
    }
    Ok(object)
}

/// Prints a line.
pub(super) fn print(line: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_character_may_be_split_over_two_frames() {
        let mut lines = Lines::default();
        let (first, second) = "data: ä\n\ndata".as_bytes().split_at(7);
        lines.push(first);
        assert_eq!(lines.next(), None);
        lines.push(second);
        assert_eq!(lines.next(), Some("data: ä".into()));
        assert_eq!(lines.next(), Some(Vec::new()));
        assert_eq!(lines.next(), None);
        lines.push(b"\n");
        assert_eq!(lines.next(), Some(b"data".into()));
    }

    #[test]
    fn keys_with_dots_are_nested() {
        let pairs = ["a.b=1", "a.c=x", "d=[\"y\"]", "e.f.g=true"];
        assert_eq!(
            Value::Object(assignments(&pairs).unwrap()),
            json!({"a": {"b": 1, "c": "x"}, "d": ["y"], "e": {"f": {"g": true}}})
        );
        for (pairs, error) in [
            (&["a"][..], "invalid argument \"a\"; accepted: KEY=VALUE"),
            (&["a=1", "a.b=2"], "\"a.b\": \"a\" already has a value"),
        ] {
            assert_eq!(assignments(pairs).unwrap_err().to_string(), error);
        }
    }
}
