//! Measures a program: runs it in each situation, and counts what it did.

use std::fmt;
use std::fs;
use std::io;
use std::time::Duration;

use chrono::Utc;
use imds_emulator::config::ConfigError;
use imds_emulator::journal::Exchange;
use imds_emulator::report::{ClientUsage, Usage};
use imds_emulator::{IsolationError, OffEc2, StartError};
use tokio::sync::Semaphore;

use super::bench::{Bench, Ran};
use super::situation::{Situation, TOKENS};
use super::{Cold, Installed, Measured, Program, Reaction, Speaks};

/// Programs that ask for credentials ask for a path that contains this.
const CREDENTIALS: &str = "/iam/security-credentials/";

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

/// Measures a program that is installed. Each of its commands takes one of the permits, so there are
/// never more of them at the same time than permits.
///
/// # Errors
///
/// [`MeasureError`] if the program cannot be run, or does not do what its file says.
pub async fn measure(
    program: &Program,
    installed: &Installed,
    permits: &Semaphore,
) -> Result<Measured, MeasureError> {
    let bench = Bench {
        program,
        installed,
        permits,
    };
    // The first run also writes caches, such as compiled Python.
    bench.run(Situation::Healthy).await?;
    let healthy = bench.run(Situation::Healthy).await?;
    expect(program, &healthy)?;
    let run = |situation| bench.run(situation);
    let (token_refused, hop_limit, refused, unreachable, silent) = tokio::try_join!(
        run(Situation::TokenRefused),
        run(Situation::HopLimit),
        run(Situation::Off(OffEc2::Refused)),
        run(Situation::Off(OffEc2::Unreachable)),
        run(Situation::Off(OffEc2::Silent)),
    )?;
    let cold = cold(program, &healthy);
    let has_tokens = cold.token_requests > 0;
    let asks_for_credentials = program.usage.asks.contains(CREDENTIALS);
    let (token_revoked, expired, expire_soon, rotated, again) = tokio::try_join!(
        only_if(has_tokens, run(Situation::TokenRevoked)),
        only_if(asks_for_credentials, run(Situation::CredentialsExpired)),
        only_if(asks_for_credentials, run(Situation::CredentialsExpireSoon)),
        only_if(asks_for_credentials, bench.run_rotated()),
        async {
            match &program.usage.again {
                Some(script) => bench.run_again(script).await.map(Some),
                None => Ok(None),
            }
        },
    )?;
    let reaction = |ran: &Ran| reaction(program, &healthy, ran);
    let reactions = |ran: &Option<Ran>| ran.as_ref().map(reaction);
    // Refused connections to the address of IMDS look like those to a service.
    let off_ec2 = |ran: &Ran| {
        let reaction = reaction(ran);
        let went_on = reaction.went_on.filter(|_| program.usage.succeeds);
        Reaction {
            went_on,
            ..reaction
        }
    };
    Ok(Measured {
        name: program.name.clone(),
        about: program.about.clone(),
        language: program.language.clone(),
        kind: program.kind,
        finds: program.usage.finds,
        version_of: program.version_of.clone(),
        version: program.version.clone(),
        limit: program.usage.limit,
        packages: installed.packages.clone(),
        at: Utc::now(),
        asks: program.usage.asks.clone(),
        speaks: speaks(&healthy, [&token_refused, &hop_limit]),
        token_refused: reaction(&token_refused),
        hop_limit: reaction(&hop_limit),
        token_revoked: reactions(&token_revoked),
        credentials_expired: reactions(&expired),
        credentials_expire_soon: reactions(&expire_soon),
        credentials_rotated: reactions(&rotated),
        again: reactions(&again),
        refused: off_ec2(&refused),
        unreachable: off_ec2(&unreachable),
        silent: off_ec2(&silent),
        cold,
    })
}

async fn only_if(
    applies: bool,
    run: impl Future<Output = Result<Ran, MeasureError>>,
) -> Result<Option<Ran>, MeasureError> {
    match applies {
        true => run.await.map(Some),
        false => Ok(None),
    }
}

/// Checks that a program did what its file says.
fn expect(program: &Program, healthy: &Ran) -> Result<(), MeasureError> {
    let exited_well = healthy.exited_well || !program.usage.succeeds;
    if exited_well && asked(program, healthy).any(is_answered) {
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

fn cold(program: &Program, ran: &Ran) -> Cold {
    let usage = Usage::of(&ran.found, ran.packets.as_ref());
    let exchanges = &ran.found.exchanges;
    let first = exchanges.first();
    let mut cold = Cold {
        first: first.map_or_else(String::new, |first| {
            format!("{} {}", first.method, first.path)
        }),
        requests: usage.requests(),
        asked: asked(program, ran).count() as u64,
        milliseconds: ran.took.map(milliseconds),
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
    // Some programs tell the release of the kernel, which says something about this machine alone.
    if let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        for agent in &mut cold.user_agents {
            *agent = agent.replace(release.trim(), "RELEASE");
        }
    }
    cold.user_agents.sort();
    cold.user_agents.dedup();
    cold
}

fn reaction(program: &Program, healthy: &Ran, ran: &Ran) -> Reaction {
    let usage = Usage::of(&ran.found, None);
    let clients = || usage.clients.iter();
    let exchanges = ran.found.exchanges.iter();
    Reaction {
        milliseconds: ran.took.map(milliseconds),
        requests: usage.requests(),
        token_requests: clients().map(|client| client.token_requests).sum(),
        asked: asked(program, ran).count() as u64,
        rejected: exchanges
            .filter(|exchange| exchange.status == Some(401))
            .count() as u64,
        without_token: clients().map(|client| client.without_token).sum(),
        succeeded: asked(program, ran).any(is_answered),
        went_on: went_on(program, healthy, ran),
    }
}

/// Whether a program then did what it does with a healthy IMDS, as far as that shows: it succeeded,
/// or tried to connect to a service. A program of Node.js whose promise is never settled ends with
/// the exit status 0, so what it prints counts too.
fn went_on(program: &Program, healthy: &Ran, ran: &Ran) -> Option<bool> {
    // A program that was stopped did neither, unless it always runs until it is stopped.
    if ran.took.is_none() && healthy.took.is_some() {
        return None;
    }
    match (healthy.refused, ran.refused) {
        _ if program.usage.succeeds => {
            Some(ran.exited_well && (ran.has_printed || !healthy.has_printed))
        }
        (Some(1..), Some(refused)) => Some(refused > 0),
        _ => None,
    }
}

/// The requests for the path that the program is for.
fn asked<'a>(program: &'a Program, ran: &'a Ran) -> impl Iterator<Item = &'a Exchange> {
    let exchanges = ran.found.exchanges.iter().map(AsRef::as_ref);
    exchanges.filter(|exchange: &&Exchange| exchange.path == program.usage.asks)
}

fn is_answered(exchange: &Exchange) -> bool {
    exchange.status == Some(200)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
