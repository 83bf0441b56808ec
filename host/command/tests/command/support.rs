//! What the tests of the command share: it is run as a user runs it, with an emulator as IMDS.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Deref;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use imds_emulator::{Builder, Emulator};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command without anything of the environment of this test. What it compiles is kept, for that
/// takes seconds in a debug build.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ec2-role-credentials"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env(
            "EC2_ROLE_CACHE",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/command"),
        );
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What the command prints when all is well, which is all that it prints.
pub(crate) fn result(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(stderr(&output), "");
    assert!(output.status.success(), "{:?}", output.status);
    stdout(&output).to_owned()
}

/// What the command says when it fails, which is all that it says.
pub(crate) fn failure(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    assert_eq!(stdout(&output), "");
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    stderr(&output).to_owned()
}

/// The value in the row that begins with `name`.
pub(crate) fn row<'a>(table: &'a str, name: &str) -> &'a str {
    let row = table.lines().find_map(|line| line.strip_prefix(name));
    row.unwrap_or_else(|| panic!("no {name} in {table}")).trim()
}

/// The URL of a port that nothing listens on.
pub(crate) fn closed() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An emulator for tests that are not async.
pub(crate) struct Imds {
    emulator: Emulator,
    // After the emulator, which is stopped on it.
    _runtime: tokio::runtime::Runtime,
}

impl Imds {
    pub(crate) fn start(builder: Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            emulator: runtime.block_on(builder.start()).unwrap(),
            _runtime: runtime,
        }
    }
}

impl Deref for Imds {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.emulator
    }
}

/// A command that goes on, and is killed with this.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line on its standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The first line for which this is true.
    pub(crate) fn line_with(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Asks it to stop, and gives its exit status.
    #[cfg(unix)]
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of an output.
pub(crate) fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// An HTTP answer: its status, its head and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends a request without a body to a URL with an address.
pub(crate) fn request(method: &str, url: &str, token: Option<&str>) -> Answer {
    let (address, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {address}\r\n{token}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Until `condition` holds; a test that waits in vain fails.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it did not come to pass");
        thread::sleep(Duration::from_millis(10));
    }
}
