//! Any command as a client.
//!
//! # The line protocol
//!
//! The command is started in the scenario's environment. When it is ready, it writes one line to its standard
//! output: `ready`, followed by the optional commands that it supports (`concurrent`, `reject`, `metadata`),
//! separated by spaces. Then it reads one question per line from its standard input and answers each with one
//! line, until its input ends:
//!
//! | question | answer |
//! | --- | --- |
//! | `get` | `credentials ACCESS-KEY-ID [EXPIRATION]`, with the expiration as in RFC 3339; or `error [KIND] [MESSAGE]` |
//! | `get 10` | ten such lines, for ten concurrent callers |
//! | `reject ACCESS-KEY-ID` | `ok`, once the client has noted that AWS rejected these credentials; or `error …` |
//! | `metadata PATH` | `value TEXT`, with line breaks as `\n` and backslashes as `\\`; or `error …` |
//!
//! If the word after `error` is not one of [`KINDS`](crate::scenario::KINDS), it is part of the message.
//!
//! # A command that is run for each question
//!
//! A command that does not write `ready` is run once for each `get`. If its exit status is 0, the first word
//! of its output must be an access key ID, or its output must be JSON with `AccessKeyId`, as
//! `credential_process` writes it. Any other exit status is an error.
//!
//! # Time
//!
//! `libfaketime`, from Debian's package of that name, moves both clocks of a command between two questions.
//! It works for programs that get the time from the C library, which Go programs do not. Pauses and
//! time-outs take real time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::codec::{FramedRead, LinesCodec};

use super::{Answer, Client, Driver, Failed, Offers, Time, Unable, World};

pub(crate) mod answers;
mod start;
mod time;

pub use self::time::Faketime;

use self::answers::{failed, given, read_output, unescaped};
use self::start::{command, inherited, spawn};
use self::time::{Offset, are_moved, children, library};

/// How long a command may take to write `ready`. Interpreters and their libraries start slowly.
const START: Duration = Duration::from_secs(20);

/// The variable without which an SDK would send requests to the real IMDS.
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
    /// Limits how many commands start at once to the number of processors. Starting is work, and more
    /// commands would delay each other and miss their time limits.
    starts: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Lines,
    Once,
}

impl Process {
    /// Starts a command once, in a world with a healthy IMDS, to find out which protocol it uses and what
    /// it supports. `command` is split into words as a shell would.
    ///
    /// # Errors
    ///
    /// [`Unable`] if the command cannot be started, or gets no credentials.
    pub async fn find(
        name: Option<&str>,
        command: &str,
        faketime: Faketime,
        world: &World,
    ) -> Result<Self, Unable> {
        let words = shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| Unable(format!("invalid command {command:?}; use a program and its arguments, quoted as for a shell")))?;
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
        // With libfaketime first. A command that does not work with it is tried again without.
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
        let mut running = Running::start(self, world).await?;
        let started = tokio::time::timeout(START, running.stdout.next());
        let first = match started.await {
            Ok(line) => line.and_then(Result::ok),
            Err(_) => return Err(running.not_ready(START).await),
        };
        let words = first.as_deref().and_then(|line| line.strip_prefix("ready"));
        let time = match self.faketime.is_some() && running.is_moved(world) {
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
                "{} does not answer within {START:?}, although IMDS is healthy",
                self.name
            )));
        };
        match answers.as_slice() {
            [Ok(_)] => Ok(()),
            [Err(error)] => Err(Unable(
                format!(
                    "{} gets no credentials, although IMDS is healthy: {error}\n{}",
                    self.name,
                    client.said().await
                )
                .trim_end()
                .to_owned(),
            )),
            _ => Err(Unable(format!("{} does not answer", self.name))),
        }
    }

    async fn client(&self, world: &World) -> Result<Box<dyn Client>, Unable> {
        let endpoint = world.env.get(ENDPOINT);
        if world.isolated.is_none() && endpoint.is_none_or(|endpoint| endpoint.trim().is_empty()) {
            return Err(Unable(format!(
                "{} was not started, because without {ENDPOINT} it would send requests to the real IMDS",
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
                let mut running = Running::start(self, world).await?;
                match tokio::time::timeout(START, running.stdout.next()).await {
                    Ok(Some(Ok(line))) if line.starts_with("ready") => Ok(Box::new(running)),
                    _ => Err(running.not_ready(START).await),
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

/// Its standard output, line by line. A line that is too long is an error.
type Answers = FramedRead<ChildStdout, LinesCodec>;

const LONGEST_LINE: usize = 1024 * 1024;

/// The most bytes of its standard error that are kept.
const MOST: usize = 4 * 1024 * 1024;

/// How long it may take to exit after its input has ended.
const END: Duration = Duration::from_secs(2);

impl Running {
    async fn start(process: &Process, world: &World) -> Result<Self, Unable> {
        let cannot = |error: std::io::Error| {
            Unable(format!("cannot run {}: {error}", process.program.display()))
        };
        let offset = match process.faketime {
            Some(_) => Some(Offset::new(world).map_err(cannot)?),
            None => None,
        };
        let home = tempfile::tempdir().map_err(cannot)?;
        let mut command = command(process, world, offset.as_ref(), home.path());
        command.stdin(Stdio::piped());
        let mut child = spawn(command, world).await.map_err(cannot)?;
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

    /// Whether the clock of the command is moved, and, if it is a wrapper, of its children.
    fn is_moved(&self, world: &World) -> bool {
        self.child.id().is_some_and(|id| match world.isolated {
            // The child starts an init process, which starts the command.
            Some(_) => children(id).into_iter().flat_map(children).all(are_moved),
            None => are_moved(id),
        })
    }

    async fn not_ready(mut self, time: Duration) -> Unable {
        let exited = tokio::time::timeout(Duration::from_millis(200), self.child.wait()).await;
        let how = match exited {
            Ok(Ok(status)) => format!("it exited ({status})"),
            _ => format!("it did not write `ready` within {time:?}"),
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
                "cannot read the client's answer: {error}"
            ))),
            None => Err(self.gone().await),
        }
    }

    async fn gone(&mut self) -> Failed {
        let status = tokio::time::timeout(Duration::from_secs(1), self.child.wait()).await;
        let how = match status {
            Ok(Ok(status)) => format!("the client exited ({status})"),
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
                .map_err(|error| Failed::broken(format!("cannot move the client's clock: {error}")))
        })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            // Some clients write when they exit.
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
    /// Held throughout, because the command starts again for each question.
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
        let mut command = command(&self.process, &self.world, offset.as_ref(), home.path());
        command.stdin(Stdio::null());
        let mut child = spawn(command, &self.world).await.map_err(cannot)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::join!(whole(stdout), whole(stderr));
        let status = child.wait().await.map_err(cannot)?;
        self.said.push_str(&stderr);
        match (status.success(), status.code()) {
            (true, _) => read_output(&stdout),
            (false, Some(_)) => {
                // The output of a failed command must not contain secrets either.
                self.said.push_str(&stdout);
                Err(Failed::new(
                    None,
                    match stderr.trim().lines().last() {
                        Some(last) => format!("{status}: {last}"),
                        None => status.to_string(),
                    },
                ))
            }
            (false, None) => Err(Failed::broken(format!("the client exited ({status})"))),
        }
    }
}

/// Reads a stream to its end, and keeps the first [`MOST`] bytes.
async fn whole(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let most = u64::try_from(MOST).unwrap_or(u64::MAX);
        let _ = (&mut stream).take(most).read_to_end(&mut bytes).await;
        // Reads the rest, too, because the client would otherwise block.
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
    async fn no_command_sends_requests_to_the_real_imds() {
        let world = World {
            endpoint: String::new(),
            env: BTreeMap::from([(ENDPOINT.to_owned(), " ".to_owned())]),
            clock: crate::clock::Shared::running(),
            seed: 0,
            isolated: None,
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
