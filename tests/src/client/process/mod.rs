//! Any command.
//!
//! # The line protocol
//!
//! The command is started in the scenario's environment. When it is ready it writes a line on its standard
//! output, `ready`, and after it, with spaces between, what it knows beside `get`: `concurrent`, `reject`,
//! `metadata`. Then it reads questions from its standard input, a line each, and answers each with one
//! line, until its input ends:
//!
//! | question | answer |
//! | --- | --- |
//! | `get` | `credentials ACCESS-KEY-ID [EXPIRATION]`, the expiration as RFC 3339 has it; or `error [KIND] [MESSAGE]` |
//! | `get 10` | ten callers ask at once: ten such lines |
//! | `reject ACCESS-KEY-ID` | AWS did not accept these: `ok`, or `error …` |
//! | `metadata PATH` | `value TEXT`, with line breaks as `\n` and backslashes as `\\`; or `error …` |
//!
//! A word after `error` that is none of [`KINDS`](crate::scenario::KINDS) belongs to the message.
//!
//! # A command that is run once
//!
//! A command that does not say `ready` is run for each `get`. With exit status 0 it has written an access
//! key id: as the first word of its output, or as `AccessKeyId` in JSON, as `credential_process` has it.
//! With any other it has failed.
//!
//! # Time
//!
//! With `libfaketime`, from Debian's package of that name, a command is moved through time. It works for
//! programs that ask the C library for the time, and not for those of Go. Both clocks are moved, between
//! two questions; pauses and time-outs take as long as they do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::codec::{FramedRead, LinesCodec};

use super::{Answer, Client, Driver, Failed, Offers, Time, Unable, World};

pub(crate) mod answers;
mod time;

pub use self::time::Faketime;

use self::answers::{failed, given, read_output, unescaped};
use self::time::{Offset, are_moved, library};

/// How long a command may take to say `ready`. Interpreters and their libraries are slow to start.
const START: Duration = Duration::from_secs(20);

/// The variable without which an SDK would ask the real IMDS.
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// A command as a client.
#[derive(Clone, Debug)]
pub struct Process {
    name: String,
    program: OsString,
    arguments: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    faketime: Option<PathBuf>,
    speaks: Speaks,
    offers: Offers,
    /// To start is work. If more did it at once than there are processors, they would be late for each
    /// other's sake, and that would count against them.
    starts: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Lines,
    Once,
}

impl Process {
    /// Looks at a command, as a shell would split it: what it speaks and what it knows. It is started once,
    /// in this world, where IMDS is well.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not get any credentials in a world that is well.
    pub async fn find(
        name: Option<&str>,
        command: &str,
        faketime: Faketime,
        world: &World,
    ) -> Result<Self, Unable> {
        let words = shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| Unable(format!("the command is {command:?}; accepted: a program and its arguments, quoted as for a shell")))?;
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Unable("the command is empty".into()))?;
        let mut process = Self {
            name: name.unwrap_or(command).to_owned(),
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            env: inherited(),
            faketime: None,
            speaks: Speaks::Lines,
            offers: Offers::default(),
            starts: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(1, NonZero::get),
            )),
        };
        // With time faked: what does not bear that shows here.
        for library in [library(faketime), None] {
            process.faketime = library;
            match process.probe(world).await {
                Ok(()) => return Ok(process),
                Err(error) if process.faketime.is_none() => return Err(error),
                Err(_) => {}
            }
        }
        Err(Unable(format!("{command} cannot be started")))
    }

    async fn probe(&mut self, world: &World) -> Result<(), Unable> {
        let mut running = Running::start(self, world)?;
        let started = tokio::time::timeout(START, running.stdout.next());
        let first = match started.await {
            Ok(line) => line.and_then(Result::ok),
            Err(_) => return Err(running.silent(START).await),
        };
        let words = first.as_deref().and_then(|line| line.strip_prefix("ready"));
        let time = match self.faketime.is_some() && running.is_moved() {
            true => Time::World,
            false => Time::Machine,
        };
        if let Some(words) = words {
            let knows = |word| words.split_whitespace().any(|known| known == word);
            self.speaks = Speaks::Lines;
            self.offers = Offers {
                session: true,
                time,
                concurrent: knows("concurrent"),
                reject: knows("reject"),
                metadata: knows("metadata"),
                settings: true,
            };
        } else {
            self.speaks = Speaks::Once;
            self.offers = Offers {
                time,
                settings: true,
                ..Offers::default()
            };
        }
        drop(running);
        let mut client = self.client(world).await?;
        let Ok(answers) = tokio::time::timeout(START, client.get(1)).await else {
            return Err(Unable(format!(
                "{} gives no answer within {START:?} where all is well",
                self.name
            )));
        };
        match answers.as_slice() {
            [Ok(_)] => Ok(()),
            [Err(error)] => Err(Unable(format!(
                "{} gets no credentials where all is well: {error}\n{}",
                self.name,
                client.said().await
            ))),
            _ => Err(Unable(format!("{} gives no answer", self.name))),
        }
    }

    async fn client(&self, world: &World) -> Result<Box<dyn Client>, Unable> {
        if world
            .env
            .get(ENDPOINT)
            .is_none_or(|endpoint| endpoint.trim().is_empty())
        {
            return Err(Unable(format!(
                "{}: not started, because {ENDPOINT} is not set and it would ask the real IMDS",
                self.name
            )));
        }
        let turn = Arc::clone(&self.starts).acquire_owned().await;
        let turn = turn.map_err(|error| Unable(error.to_string()))?;
        match self.speaks {
            Speaks::Once => Ok(Box::new(Once {
                process: self.clone(),
                world: world.clone(),
                said: String::new(),
                _turn: turn,
            })),
            Speaks::Lines => {
                let mut running = Running::start(self, world)?;
                match tokio::time::timeout(START, running.stdout.next()).await {
                    Ok(Some(Ok(line))) if line.starts_with("ready") => Ok(Box::new(running)),
                    _ => Err(running.silent(START).await),
                }
            }
        }
    }
}

impl Driver for Process {
    fn name(&self) -> &str {
        &self.name
    }

    fn offers(&self) -> Offers {
        self.offers
    }

    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(self.client(world))
    }
}

/// What a program needs of the machine's environment; nothing that could be about AWS.
fn inherited() -> BTreeMap<OsString, OsString> {
    const NAMES: [&str; 12] = [
        "PATH",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TEMP",
        "SYSTEMROOT",
        "NODE_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "GOPATH",
        "GOCACHE",
        "LD_LIBRARY_PATH",
    ];
    NAMES
        .into_iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect()
}

fn command(process: &Process, world: &World, offset: Option<&Offset>, home: &Path) -> Command {
    let mut command = Command::new(&process.program);
    command
        .args(&process.arguments)
        .env_clear()
        .envs(&process.env)
        // A home without any configuration.
        .env("HOME", home)
        .env("AWS_CONFIG_FILE", home.join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join("credentials"))
        .envs(&world.env)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let (Some(library), Some(offset)) = (&process.faketime, offset) {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", offset.path())
            // The monotonic clock is moved too: with it left alone, `time.sleep` of Python is an error.
            .env("FAKETIME_NO_CACHE", "1");
    }
    command
}

/// A command that speaks the line protocol.
struct Running {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Answers,
    stderr: Arc<Mutex<Vec<u8>>>,
    said: String,
    offset: Option<Offset>,
    _home: TempDir,
}

/// Its standard output, line by line. A longer line is no answer.
type Answers = FramedRead<ChildStdout, LinesCodec>;

const LONGEST_LINE: usize = 1024 * 1024;

/// More of what it writes beside its answers is not kept.
const MOST: usize = 4 * 1024 * 1024;

/// How long it may take to end, once nothing is asked any more.
const END: Duration = Duration::from_secs(2);

impl Running {
    fn start(process: &Process, world: &World) -> Result<Self, Unable> {
        let cannot = |error: std::io::Error| {
            Unable(format!("cannot run {}: {error}", process.program.display()))
        };
        let offset = match process.faketime {
            Some(_) => Some(Offset::new(world).map_err(cannot)?),
            None => None,
        };
        let home = tempfile::tempdir().map_err(cannot)?;
        let mut child = command(process, world, offset.as_ref(), home.path())
            .spawn()
            .map_err(cannot)?;
        let (Some(stdin), Some(stdout), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Unable("the command has no standard streams".into()));
        };
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&stderr);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = errors.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MOST.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
        });
        Ok(Self {
            name: process.name.clone(),
            child,
            stdin: Some(stdin),
            stdout: FramedRead::new(stdout, LinesCodec::new_with_max_length(LONGEST_LINE)),
            stderr,
            said: String::new(),
            offset,
            _home: home,
        })
    }

    /// Whether time is faked for it: for it and, if it is a wrapper, for what it has started.
    fn is_moved(&self) -> bool {
        self.child.id().is_some_and(are_moved)
    }

    async fn silent(mut self, time: Duration) -> Unable {
        let exited = tokio::time::timeout(Duration::from_millis(200), self.child.wait()).await;
        let how = match exited {
            Ok(Ok(status)) => format!("it ended with {status}"),
            _ => format!("it did not say `ready` within {time:?}"),
        };
        let said = self.errors();
        Unable(format!("{}: {how}\n{}", self.name, said.trim_end()))
    }

    fn errors(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&stderr).into_owned()
    }

    async fn ask(&mut self, question: &str) -> Result<(), Failed> {
        let line = format!("{question}\n");
        if let Some(stdin) = &mut self.stdin
            && stdin.write_all(line.as_bytes()).await.is_ok()
            && stdin.flush().await.is_ok()
        {
            return Ok(());
        }
        Err(self.gone().await)
    }

    async fn answer(&mut self) -> Result<String, Failed> {
        match self.stdout.next().await {
            Some(Ok(line)) => Ok(line),
            Some(Err(error)) => Err(Failed::broken(format!(
                "the client's answer cannot be read: {error}"
            ))),
            None => Err(self.gone().await),
        }
    }

    async fn gone(&mut self) -> Failed {
        let status = tokio::time::timeout(Duration::from_secs(1), self.child.wait()).await;
        let how = match status {
            Ok(Ok(status)) => format!("the client ended with {status}"),
            _ => "the client closed its standard output".to_owned(),
        };
        Failed::broken(how)
    }

    fn failed(&mut self, text: &str) -> Failed {
        let failed = failed(text);
        self.said.push_str(&failed.message);
        self.said.push('\n');
        failed
    }
}

impl Client for Running {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move {
            let question = match callers {
                1 => "get".to_owned(),
                callers => format!("get {callers}"),
            };
            if let Err(failed) = self.ask(&question).await {
                return vec![Err(failed); callers];
            }
            let mut answers = Vec::new();
            for _ in 0..callers {
                let line = match self.answer().await {
                    Ok(line) => line,
                    Err(failed) => {
                        answers.resize(callers, Err(failed));
                        return answers;
                    }
                };
                answers.push(match line.split_once(' ').unwrap_or((&line, "")) {
                    ("credentials", rest) => given(rest),
                    ("error", rest) => Err(self.failed(rest)),
                    _ => Err(Failed::broken(format!(
                        "the client answered {line:?}; accepted: credentials …, error …"
                    ))),
                });
            }
            answers
        })
    }

    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let question = format!("metadata {path}");
        Box::pin(async move {
            self.ask(&question).await?;
            let line = self.answer().await?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("value", text) => Ok(unescaped(text)),
                ("error", rest) => Err(self.failed(rest)),
                _ => Err(Failed::broken(format!(
                    "the client answered {line:?}; accepted: value …, error …"
                ))),
            }
        })
    }

    fn reject(&mut self, access_key_id: &str) -> BoxFuture<'_, Result<(), Failed>> {
        let question = format!("reject {access_key_id}");
        Box::pin(async move {
            self.ask(&question).await?;
            let line = self.answer().await?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("ok", _) => Ok(()),
                ("error", rest) => Err(self.failed(rest)),
                _ => Err(Failed::broken(format!(
                    "the client answered {line:?}; accepted: ok, error …"
                ))),
            }
        })
    }

    fn moved(&mut self, by: TimeDelta) -> BoxFuture<'_, Result<(), Failed>> {
        Box::pin(async move {
            let Some(offset) = &mut self.offset else {
                return Ok(());
            };
            offset.ahead += by;
            offset
                .write()
                .map_err(|error| Failed::broken(format!("its time cannot be moved: {error}")))
        })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            // Some write when they end.
            self.stdin = None;
            let _ = tokio::time::timeout(END, self.child.wait()).await;
            let mut said = std::mem::take(&mut self.said);
            said.push_str(&self.errors());
            said
        })
    }
}

/// A command that is run for each question.
struct Once {
    process: Process,
    world: World,
    said: String,
    /// It starts again for each question.
    _turn: OwnedSemaphorePermit,
}

impl Once {
    async fn run(&mut self) -> Answer {
        let cannot =
            |error: std::io::Error| Failed::broken(format!("cannot run the client: {error}"));
        let offset = match self.process.faketime {
            Some(_) => Some(Offset::new(&self.world).map_err(cannot)?),
            None => None,
        };
        let home = tempfile::tempdir().map_err(cannot)?;
        let mut child = command(&self.process, &self.world, offset.as_ref(), home.path())
            .stdin(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::join!(whole(stdout), whole(stderr));
        let status = child.wait().await.map_err(cannot)?;
        self.said.push_str(&stderr);
        match (status.success(), status.code()) {
            (true, _) => read_output(&stdout),
            (false, Some(_)) => {
                // Nor does a failure excuse secrets.
                self.said.push_str(&stdout);
                let last = stderr.trim().lines().last().unwrap_or_default();
                Err(Failed::new(None, format!("{status}: {last}")))
            }
            (false, None) => Err(Failed::broken(format!("the client ended with {status}"))),
        }
    }
}

/// All that comes, and no more than is kept.
async fn whole(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let most = u64::try_from(MOST).unwrap_or(u64::MAX);
        let _ = (&mut stream).take(most).read_to_end(&mut bytes).await;
        // The rest is read too, or the client would wait for ever.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Client for Once {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for _ in 0..callers {
                answers.push(self.run().await);
            }
            answers
        })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { std::mem::take(&mut self.said) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_command_is_left_to_ask_the_real_imds() {
        let world = World {
            endpoint: String::new(),
            env: BTreeMap::from([(ENDPOINT.to_owned(), " ".to_owned())]),
            clock: crate::clock::Shared::running(),
            seed: 0,
        };
        let driver = Process {
            name: "mine".into(),
            program: "true".into(),
            arguments: Vec::new(),
            env: BTreeMap::new(),
            faketime: None,
            speaks: Speaks::Once,
            offers: Offers::default(),
            starts: Arc::new(Semaphore::new(1)),
        };
        let error = driver.start(&world).await.err().unwrap();
        assert!(error.to_string().contains(ENDPOINT), "{error}");
    }
}
