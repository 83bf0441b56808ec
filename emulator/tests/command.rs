//! The command `imds-emulator`, as a user runs it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imds-emulator"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running emulator, and its ready line.
struct Running {
    child: Child,
    ready: serde_json::Value,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap(),
        }
    }

    fn address(&self) -> &str {
        self.ready["metadata"]
            .as_str()
            .unwrap()
            .strip_prefix("http://")
            .unwrap()
    }

    /// The body of the answer to a request for the role list.
    fn role(&self) -> String {
        let ask = |head: &str| {
            let mut stream = TcpStream::connect(self.address()).unwrap();
            write!(stream, "{head}\r\nHost: imds\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        let token =
            ask("PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60");
        ask(&format!(
            "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}"
        ))
    }

    /// Sends a signal, and waits for the end.
    fn stop(self, signal: &str) -> (Output, Duration) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        (self.child.wait_with_output().unwrap(), began.elapsed())
    }
}

#[test]
fn it_says_when_it_is_ready_and_stops_cleanly_on_signals() {
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&["--port", "0"]);
        assert_eq!(running.ready["ready"], true);
        assert_eq!(running.ready.as_object().unwrap().len(), 3);
        assert_eq!(
            running.ready["listening"],
            serde_json::json!([running.ready["metadata"]])
        );
        assert!(
            running.address().starts_with("127.0.0.1:"),
            "{}",
            running.ready
        );
        assert_eq!(running.role(), "emulated-role");
        let (output, _) = running.stop(signal);
        assert_eq!(output.status.code(), Some(0), "{signal}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "",
            "nothing after the ready line"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

#[test]
fn a_connection_that_nobody_uses_does_not_keep_it_from_stopping() {
    let running = Running::start(&["--port", "0"]);
    let mut idle = TcpStream::connect(running.address()).unwrap();
    idle.write_all(b"GET /latest/").unwrap();
    let (output, took) = running.stop("-TERM");
    assert_eq!(output.status.code(), Some(0));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn the_role_can_be_chosen() {
    let running = Running::start(&["--port", "0", "--role", "mine"]);
    assert_eq!(running.role(), "mine");
    running.stop("-TERM");
    let running = Running::start(&["--port", "0", "--no-role"]);
    assert!(running.role().contains("404 - Not Found"));
    running.stop("-TERM");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = command(&["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{error}"
    );
    assert!(error.contains("--port 0"), "{error}");
}
