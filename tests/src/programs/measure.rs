//! Runs a program in each situation, and counts what it did.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Utc;
use imds_emulator::config::{Config, ConfigError, HttpTokens, Layers, Peers};
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::{Exchange, Filter, Found, Packets};
use imds_emulator::report::{ClientUsage, Usage};
use imds_emulator::{Clock, Emulator, Isolated, Isolation, IsolationError, OffEc2, StartError};
use tokio::process::Command;

use super::{Cold, Installed, Measured, Program, Reaction, Speaks};

/// A program that runs on is stopped after this time, and counts as one that does not give up.
const LIMIT: Duration = Duration::from_secs(180);
/// The emulator learns of the end of the last connections a little after the program has ended.
const SETTLE: Duration = Duration::from_millis(50);
/// The role of the emulated instance. Program files name it.
const ROLE: &str = "app";
const TOKENS: &str = "/latest/api/token";

/// How IMDS is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Situation {
    Healthy,
    TokenRefused,
    HopLimit,
    Off(OffEc2),
}

/// What happened in a situation.
struct Ran {
    /// Absent if the program was stopped.
    took: Option<Duration>,
    succeeded: bool,
    output: String,
    found: Found,
    packets: Option<Packets>,
}

/// A program could not be measured.
#[derive(Debug)]
#[non_exhaustive]
pub enum MeasureError {
    /// A setting in its file is not accepted.
    Config(ConfigError),
    /// The emulator did not start.
    Start(StartError),
    /// This system does not let this user isolate commands.
    Isolation(IsolationError),
    /// The program could not be started.
    Io(io::Error),
    /// The program did not do what its file says.
    Unexpected(String),
}

impl fmt::Display for MeasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Isolation(error) => write!(f, "{error}. {}", error.remedy()),
            Self::Io(error) => write!(f, "the script cannot be run: {error}"),
            Self::Unexpected(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for MeasureError {}

/// Measures a program that is installed.
///
/// # Errors
///
/// [`MeasureError`] if the program cannot be run, or does not do what its file says.
pub async fn measure(program: &Program, installed: &Installed) -> Result<Measured, MeasureError> {
    // The first run also writes caches, such as compiled Python.
    run(program, installed, Situation::Healthy).await?;
    let healthy = run(program, installed, Situation::Healthy).await?;
    expect(program, &healthy)?;
    let token_refused = run(program, installed, Situation::TokenRefused).await?;
    let hop_limit = run(program, installed, Situation::HopLimit).await?;
    let refused = run(program, installed, Situation::Off(OffEc2::Refused)).await?;
    let unreachable = run(program, installed, Situation::Off(OffEc2::Unreachable)).await?;
    let silent = run(program, installed, Situation::Off(OffEc2::Silent)).await?;
    let reaction = |ran: &Ran| reaction(program, ran);
    Ok(Measured {
        name: program.name.clone(),
        about: program.about.clone(),
        language: program.language.clone(),
        kind: program.kind,
        finds: program.usage.finds,
        version_of: program.version_of.clone(),
        packages: installed.packages.clone(),
        at: Utc::now(),
        speaks: speaks(&healthy, [&token_refused, &hop_limit]),
        cold: cold(&healthy),
        token_refused: reaction(&token_refused),
        hop_limit: reaction(&hop_limit),
        refused: reaction(&refused),
        unreachable: reaction(&unreachable),
        silent: reaction(&silent),
    })
}

async fn run(
    program: &Program,
    installed: &Installed,
    situation: Situation,
) -> Result<Ran, MeasureError> {
    let config = config(program, situation).map_err(MeasureError::Config)?;
    let builder = Emulator::builder()
        .config(config)
        .clock(Clock::adjustable());
    let emulator = builder.start().await.map_err(MeasureError::Start)?;
    let mut isolation = Isolation::default();
    isolation.map_root = program.usage.root;
    if let Situation::Off(off) = situation {
        isolation.off_ec2 = Some(off);
    }
    let mut command = command(program, installed);
    let mut reports = emulator
        .isolate(&mut command, &isolation)
        .map_err(MeasureError::Io)?;
    let mut command = Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let began = Instant::now();
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Err(match reports.recv().await {
                Some(Isolated::Failed(error)) => MeasureError::Isolation(error),
                _ => MeasureError::Io(error),
            });
        }
    };
    let limit = match situation {
        Situation::Healthy => Duration::from_secs(program.usage.seconds),
        _ => LIMIT,
    };
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    let took = began.elapsed();
    let output = ended.ok().transpose().map_err(MeasureError::Io)?;
    tokio::time::sleep(SETTLE).await;
    let found = emulator.find(&Filter::default());
    let found = found.map_err(|invalid| MeasureError::Unexpected(invalid.to_string()))?;
    let packets = emulator.packets();
    emulator.stop().await;
    let is_success = output
        .as_ref()
        .is_some_and(|output| output.status.success());
    let asked = found
        .exchanges
        .iter()
        .any(|exchange| exchange.status == Some(200) && exchange.path == program.usage.asks);
    Ok(Ran {
        took: output.is_some().then_some(took),
        succeeded: asked && (is_success || !program.usage.succeeds),
        output: output.map(|output| last_lines(&output)).unwrap_or_default(),
        found,
        packets,
    })
}

/// The configuration of the emulator: an instance as AWS launches it today, but for IMDSv1, which is
/// allowed so that a program that falls back to it is seen to succeed.
fn config(program: &Program, situation: Situation) -> Result<Config, ConfigError> {
    let mut layers = Layers::new();
    for setting in &program.usage.set {
        layers.assign("use.set", setting);
    }
    let mut config = layers.config()?;
    config.server.port = 0;
    config.journal.packets = true;
    config.metadata_options.http_tokens = HttpTokens::Optional;
    if let Some(iam) = &mut config.instance.iam {
        iam.role = Some(ROLE.to_owned());
    }
    match situation {
        Situation::Healthy | Situation::Off(_) => {}
        Situation::TokenRefused => {
            let rule = Rule::new("no tokens", Fault::status(403)).on(TOKENS);
            config.faults.push(rule);
        }
        Situation::HopLimit => {
            config.metadata_options.http_put_response_hop_limit = 1;
            let everyone = ["0.0.0.0/0", "::/0"];
            let networks = everyone.iter().filter_map(|network| network.parse().ok());
            config.server.peers = networks.map(|network| Peers::new(network, 2)).collect();
        }
    }
    Ok(config)
}

fn command(program: &Program, installed: &Installed) -> std::process::Command {
    let root = &installed.root;
    let folders = ["bin", "usr/bin", "usr/sbin", "node_modules/.bin"];
    let mut path: Vec<_> = folders.map(|folder| root.join(folder)).into();
    let system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    path.extend(system.map(Into::into));
    let home = root.join("home");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &program.usage.script])
        .current_dir(&home);
    command.env_clear().envs(HashMap::from([
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

/// The end of what a program printed.
fn last_lines(output: &std::process::Output) -> String {
    let text = [&*output.stdout, &*output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(8);
    lines.get(last..).unwrap_or_default().join("\n")
}

/// Checks that a program did what its file says.
fn expect(program: &Program, healthy: &Ran) -> Result<(), MeasureError> {
    if healthy.succeeded {
        return Ok(());
    }
    let exchanges = healthy.found.exchanges.iter();
    let requests: Vec<String> = exchanges.map(|exchange| exchange.to_string()).collect();
    Err(MeasureError::Unexpected(format!(
        "with IMDS as it should be, it did not get {} or failed. Its requests:\n{}\nIts output:\n{}",
        program.usage.asks,
        requests.join("\n"),
        healthy.output,
    )))
}

fn is_for_token(exchange: &Exchange) -> bool {
    exchange.method == "PUT" && exchange.path.trim_end_matches('/') == TOKENS
}

fn speaks(healthy: &Ran, without_tokens: [&Ran; 2]) -> Speaks {
    let usage = Usage::of(&healthy.found, None);
    let with = usage.clients.iter().any(|client| client.with_token > 0);
    match (with, usage.is_ready_for_imdsv2_only()) {
        (false, _) => Speaks::V1,
        (true, false) => Speaks::Both,
        (true, true) => {
            let strict = |ran: &&Ran| Usage::of(&ran.found, None).is_ready_for_imdsv2_only();
            match without_tokens.iter().all(strict) {
                true => Speaks::V2,
                false => Speaks::FallsBack,
            }
        }
    }
}

fn cold(ran: &Ran) -> Cold {
    let usage = Usage::of(&ran.found, ran.packets.as_ref());
    let exchanges = &ran.found.exchanges;
    let first = exchanges.first();
    let mut cold = Cold {
        first: first.map_or_else(String::new, |first| {
            format!("{} {}", first.method, first.path)
        }),
        requests: usage.requests(),
        milliseconds: milliseconds(ran.took.unwrap_or_default()),
        ..Cold::default()
    };
    for exchange in exchanges.iter().filter(|exchange| !is_for_token(exchange)) {
        if !cold.paths.contains(&exchange.path) {
            cold.paths.push(exchange.path.clone());
        }
    }
    for client in &usage.clients {
        let ClientUsage {
            token_requests,
            token_lifetimes,
            connections,
            packets,
            user_agents,
            ..
        } = client;
        cold.token_requests += token_requests;
        cold.token_lifetimes.extend(token_lifetimes);
        cold.connections += connections;
        cold.packets += packets.unwrap_or(0);
        cold.user_agents.extend(user_agents.iter().cloned());
    }
    cold.user_agents.sort();
    cold.user_agents.dedup();
    cold
}

fn reaction(program: &Program, ran: &Ran) -> Reaction {
    let usage = Usage::of(&ran.found, None);
    let clients = usage.clients.iter();
    let exchanges = &ran.found.exchanges;
    Reaction {
        milliseconds: ran.took.map(milliseconds),
        requests: usage.requests(),
        without_token: clients.map(|client| client.without_token).sum(),
        succeeded: exchanges
            .iter()
            .any(|exchange| exchange.status == Some(200) && exchange.path == program.usage.asks),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
