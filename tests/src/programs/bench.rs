//! Runs the script of a program, isolated, in a situation.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use imds_emulator::journal::{Filter, Found, Packets};
use imds_emulator::{Clock, Emulator, Isolated, Isolation};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::measure::MeasureError;
use super::situation::{BRIEF, Situation};
use super::{Installed, Program};

/// How much later than by its limit a script has ended at the latest.
const GRACE: Duration = Duration::from_secs(10);
/// The emulator learns of the end of the last connections a little after the program has ended.
const SETTLE: Duration = Duration::from_millis(50);
/// Runs the first argument, and keeps the counters of its network in the file that the second names.
/// Stops it after the seconds of the third. What it leaves behind ends together with its network.
const SCRIPT: &str = r#"timeout --foreground --signal=KILL "$3" sh -c "$1"
status=$?; cat /proc/net/snmp > "$2"; exit $status"#;
/// What a script that uses IMDS twice writes between its two uses.
const AGAIN: &str = "again";

/// Where a program is measured.
pub(super) struct Bench<'a> {
    pub(super) program: &'a Program,
    pub(super) installed: &'a Installed,
    /// One permit for each command that may run at the same time.
    pub(super) permits: &'a Semaphore,
}

/// What happened in a situation.
pub(super) struct Ran {
    /// Absent if the program was stopped.
    pub(super) took: Option<Duration>,
    /// Whether the exit status was 0.
    pub(super) exited_well: bool,
    /// Whether it wrote something to its standard output.
    pub(super) has_printed: bool,
    /// The end of what the program printed.
    pub(super) output: String,
    /// The connections that were refused. A service of AWS is a closed port in most scripts.
    pub(super) refused: Option<u64>,
    pub(super) found: Found,
    pub(super) packets: Option<Packets>,
}

impl Bench<'_> {
    /// Runs the script once.
    pub(super) async fn run(&self, situation: Situation) -> Result<Ran, MeasureError> {
        let _permit = self.permits.acquire().await;
        let emulator = self.emulator(situation).await?;
        let home = self.home(situation.name())?;
        let ran = self.run_once(&emulator, situation, &home).await;
        emulator.stop().await;
        ran
    }

    /// Runs the script twice, in the same home, and rotates the credentials in between. Returns the
    /// second run.
    pub(super) async fn run_rotated(&self) -> Result<Ran, MeasureError> {
        let _permit = self.permits.acquire().await;
        let emulator = self.emulator(Situation::Healthy).await?;
        let home = self.home("rotated")?;
        self.run_once(&emulator, Situation::Healthy, &home).await?;
        emulator.rotate_credentials();
        emulator.clear_journal();
        let ran = self.run_once(&emulator, Situation::Healthy, &home).await;
        emulator.stop().await;
        ran
    }

    /// Runs a script that uses IMDS twice, in one process. In between its token is revoked, and its
    /// credentials expire. Returns the second use.
    pub(super) async fn run_again(&self, script: &str) -> Result<Ran, MeasureError> {
        let _permit = self.permits.acquire().await;
        let situation = Situation::CredentialsExpire;
        let emulator = self.emulator(situation).await?;
        let home = self.home("again")?;
        let limit = self.limit();
        let both = limit * 2 + BRIEF;
        let child = self.spawn(&emulator, situation, script, &home, Stdio::piped(), both);
        let mut child = child.await?;
        let taken = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = taken else {
            return Err(MeasureError::Io(io::ErrorKind::BrokenPipe.into()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = async {
            while let Some(line) = lines.next_line().await? {
                if line == AGAIN {
                    return io::Result::Ok(true);
                }
            }
            Ok(false)
        };
        let first = tokio::time::timeout(limit, first).await;
        if !matches!(first, Ok(Ok(true))) {
            drop(stdin);
            let mut output = String::new();
            if let Some(stderr) = &mut child.stderr {
                let _ = tokio::time::timeout(SETTLE, stderr.read_to_string(&mut output)).await;
            }
            return Err(MeasureError::Unexpected(format!(
                "the script `use.again` did not write the line {AGAIN:?} after its first use. Its output:\n{}",
                last_lines(&output)
            )));
        }
        tokio::time::sleep(BRIEF + Duration::from_secs(1)).await;
        emulator.revoke_tokens();
        emulator.clear_journal();
        let began = Instant::now();
        stdin.write_all(b"\n").await.map_err(MeasureError::Io)?;
        drop(stdin);
        let rest = async {
            let mut stdout = Vec::new();
            while let Some(line) = lines.next_line().await? {
                stdout.extend_from_slice(line.as_bytes());
                stdout.push(b'\n');
            }
            let output = child.wait_with_output().await?;
            Ok(std::process::Output { stdout, ..output })
        };
        let ended = tokio::time::timeout(limit, rest).await;
        let ran = ran(&emulator, ended.ok(), began, limit, &counters(&home)).await;
        emulator.stop().await;
        ran
    }

    async fn emulator(&self, situation: Situation) -> Result<Emulator, MeasureError> {
        let config = situation.config(self.program);
        let builder = Emulator::builder()
            .config(config.map_err(MeasureError::Config)?)
            .clock(Clock::adjustable());
        builder.start().await.map_err(MeasureError::Start)
    }

    /// An empty folder.
    fn home(&self, name: &str) -> Result<PathBuf, MeasureError> {
        let home = self.installed.root.join("home").join(name);
        let make = || {
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            fs::create_dir_all(&home)
        };
        make().map_err(MeasureError::Io)?;
        Ok(home)
    }

    async fn run_once(
        &self,
        emulator: &Emulator,
        situation: Situation,
        home: &Path,
    ) -> Result<Ran, MeasureError> {
        let limit = self.limit();
        let began = Instant::now();
        let script = &self.program.usage.script;
        let child = self.spawn(emulator, situation, script, home, Stdio::null(), limit);
        let child = child.await?;
        let ended = tokio::time::timeout(limit + GRACE, child.wait_with_output()).await;
        ran(emulator, ended.ok(), began, limit, &counters(home)).await
    }

    /// The time after which the script is stopped.
    fn limit(&self) -> Duration {
        Duration::from_secs(self.program.usage.limit)
    }

    async fn spawn(
        &self,
        emulator: &Emulator,
        situation: Situation,
        script: &str,
        home: &Path,
        stdin: Stdio,
        limit: Duration,
    ) -> Result<Child, MeasureError> {
        let mut isolation = Isolation::default();
        isolation.map_root = self.program.usage.root;
        if let Situation::Off(off) = situation {
            isolation.off_ec2 = Some(off);
        }
        let mut command = self.command(script, home, limit);
        let mut reports = emulator
            .isolate(&mut command, &isolation)
            .map_err(MeasureError::Io)?;
        let mut command = Command::from(command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(stdin).kill_on_drop(true);
        match command.spawn() {
            Ok(child) => Ok(child),
            Err(error) => Err(match reports.recv().await {
                Some(Isolated::Failed(error)) => MeasureError::Isolation(error),
                _ => MeasureError::Io(error),
            }),
        }
    }

    fn command(&self, script: &str, home: &Path, limit: Duration) -> std::process::Command {
        let root = &self.installed.root;
        let folders = ["bin", "usr/bin", "usr/sbin", "node_modules/.bin"];
        let mut path: Vec<_> = folders.map(|folder| root.join(folder)).into();
        let system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
        path.extend(system.map(Into::into));
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh", script])
            .arg(counters(home))
            .arg(limit.as_secs().to_string());
        command.current_dir(home).env_clear().envs(HashMap::from([
            ("PATH", std::env::join_paths(path).unwrap_or_default()),
            ("ROOT", root.into()),
            ("HOME", home.into()),
            ("NODE_PATH", root.join("node_modules").into()),
            ("GEM_PATH", root.into()),
            ("LANG", "C.UTF-8".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]));
        command
    }
}

/// The file that a script's counters are kept in.
fn counters(home: &Path) -> PathBuf {
    home.with_extension("counters")
}

/// What happened, once a program has ended. `ended` is absent if it did not end by its limit.
async fn ran(
    emulator: &Emulator,
    ended: Option<io::Result<std::process::Output>>,
    began: Instant,
    limit: Duration,
    counters: &Path,
) -> Result<Ran, MeasureError> {
    let took = began.elapsed();
    let output = ended.transpose().map_err(MeasureError::Io)?;
    tokio::time::sleep(SETTLE).await;
    let found = emulator.find(&Filter::default());
    let found = found.map_err(|invalid| MeasureError::Unexpected(invalid.to_string()))?;
    let refused = fs::read_to_string(counters)
        .ok()
        .and_then(|counters| failed_connections(&counters));
    let _ = fs::remove_file(counters);
    Ok(Ran {
        took: (output.is_some() && took < limit).then_some(took),
        exited_well: output
            .as_ref()
            .is_some_and(|output| output.status.success()),
        has_printed: output
            .as_ref()
            .is_some_and(|output| !output.stdout.is_empty()),
        output: output.map_or_else(String::new, |output| {
            let text = [&*output.stdout, &*output.stderr].concat();
            last_lines(&String::from_utf8_lossy(&text))
        }),
        refused,
        found,
        packets: emulator.packets(),
    })
}

/// `AttemptFails` of `/proc/net/snmp`: a line with the names of the counters of TCP precedes the one
/// with their values.
fn failed_connections(counters: &str) -> Option<u64> {
    let mut lines = counters.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut counters = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = counters.find(|(name, _)| *name == "AttemptFails")?;
    value.parse().ok()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(8);
    lines.get(last..).unwrap_or_default().join("\n")
}
