//! `imds-emulator run`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use imds_child_process::Signals;
use imds_emulator::config::Config;
use imds_emulator::journal::Assertion;
use imds_emulator::report::{Format, Recorder};
use imds_emulator::{Emulator, ctl};

use crate::network::Network;

/// Run a command with an emulator of its own
///
/// The emulator runs as long as the command. The command gets the environment variables that point
/// AWS SDKs at the emulator, and IMDS_EMULATOR_ADMIN_URL for `imds-emulator ctl`. Signals are
/// forwarded to the command, which ends with this process.
///
/// With --isolated, no program needs to know about the emulator: in the network of the command,
/// http://169.254.169.254 and http://[fd00:ec2::254] are the emulator. The command reaches nothing
/// else, except the admin API, the ports that are named by --forward and, with --network host-like,
/// the network of this machine. Linux only; no privileges are needed.
///
/// With --report, what each process did with IMDS is reported after the command has ended: requests
/// with and without a token, tokens, connections, and how long it took to get metadata.
///
/// Exit status: that of the command; 1 if the command succeeded and an assertion of --verify does not
/// hold; 127 if the command is not found, 126 if it cannot be run.
#[derive(Debug, Args)]
#[command(after_help = ctl::ASSERTIONS)]
pub(crate) struct Arguments {
    /// Run the command in a network in which the addresses of IMDS are the emulator
    #[arg(long)]
    isolated: bool,

    /// Let the isolated command reach PORT of this machine's loopback address 127.0.0.1 (may be
    /// repeated)
    #[arg(long, value_name = "PORT", requires = "isolated")]
    forward: Vec<u16>,

    /// Connect the isolated command to NETWORK besides IMDS: none, or host-like, which is all that
    /// this machine reaches except its loopback interface, and needs `pasta` of the package passt
    /// [default: none]
    #[arg(
        long,
        value_enum,
        value_name = "NETWORK",
        requires = "isolated",
        hide_possible_values = true
    )]
    network: Option<Outgoing>,

    /// Make the isolated command root in its user namespace, as cloud-init requires
    #[arg(long, requires = "isolated")]
    map_root: bool,

    /// Show the isolated command the real machine in /sys/class/dmi/id [default: an EC2 instance]
    #[arg(long, requires = "isolated")]
    no_dmi: bool,

    /// Run the isolated command as if it were not on EC2: connections to IMDS are refused, have no
    /// route (unreachable), or get no answer (silent)
    #[arg(
        long,
        value_name = "HOW",
        requires = "isolated",
        conflicts_with = "no_dmi"
    )]
    off_ec2: Option<OffEc2>,

    /// Report what used IMDS, as text, json or html, to standard error or to FILE (may be repeated)
    #[arg(long = "report", value_name = "FORMAT[=FILE]", value_parser = wanted)]
    reports: Vec<Wanted>,

    /// Fail if ASSERTION does not hold after the command has ended: its name, NAME=VALUE or JSON (may
    /// be repeated)
    #[arg(long = "verify", value_name = "ASSERTION", value_parser = assertion)]
    assertions: Vec<Assertion>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// As in the library, which also exists where commands cannot be isolated.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OffEc2 {
    Refused,
    Unreachable,
    Silent,
}

#[cfg(target_os = "linux")]
impl OffEc2 {
    const fn isolation(self) -> imds_emulator::OffEc2 {
        match self {
            Self::Refused => imds_emulator::OffEc2::Refused,
            Self::Unreachable => imds_emulator::OffEc2::Unreachable,
            Self::Silent => imds_emulator::OffEc2::Silent,
        }
    }
}

/// A report, and where to write it.
#[derive(Clone, Debug)]
struct Wanted {
    format: Format,
    file: Option<PathBuf>,
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let (format, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file name after `=` is missing".into()),
        Some((format, file)) => (format, Some(file.into())),
        None => (text, None),
    };
    let format = format.parse()?;
    Ok(Wanted { format, file })
}

fn assertion(text: &str) -> Result<Assertion, String> {
    ctl::assertion(text).map_err(|error| format!("{error:#}"))
}

/// What an isolated command reaches besides IMDS.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Outgoing {
    /// Nothing
    None,
    /// What this machine reaches, except its loopback interface
    HostLike,
}

impl Arguments {
    pub(crate) async fn run(
        &self,
        mut config: Config,
        network: &Network,
    ) -> anyhow::Result<ExitCode> {
        let Some((program, arguments)) = self.command.split_first() else {
            bail!("COMMAND is missing; give a program and its arguments");
        };
        if let (true, Some(option)) = (self.isolated, network.option()) {
            bail!("--isolated makes a network of its own, so {option} cannot be used with it");
        }
        let mut signals = Signals::new()?;
        // Processes can be told apart on Linux only.
        config.journal.process |= !self.reports.is_empty() && cfg!(target_os = "linux");
        let owns_network = self.isolated || network.option().is_some();
        config.journal.packets |= !self.reports.is_empty() && owns_network;
        let emulator = super::start(config, network, self.isolated).await?;
        let is_reported = !(self.reports.is_empty() && self.assertions.is_empty());
        let recorder = is_reported.then(|| Recorder::new(emulator.control()));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(emulator.admin_url().map(|url| (ctl::ADMIN_URL, url)));
        let outcome = if self.isolated {
            self.run_isolated(&emulator, command, &mut signals).await
        } else if network.option().is_some() {
            #[cfg(target_os = "linux")]
            emulator.enter(&mut command)?;
            Ok(imds_child_process::run_with_hook(command, &mut signals).await?)
        } else {
            emulator.variables().apply(&mut command);
            Ok(imds_child_process::run(command, &mut signals).await?)
        };
        // Then the journal has all requests, and the packets of all connections.
        emulator.stop().await;
        let verified = match (&outcome, recorder) {
            (Ok(_), Some(recorder)) => self.report(recorder),
            _ => Ok(true),
        };
        match (outcome?, verified?) {
            (ExitCode::SUCCESS, false) => Ok(ExitCode::FAILURE),
            (code, _) => Ok(code),
        }
    }

    /// Writes the reports. Returns whether the assertions hold.
    fn report(&self, recorder: Recorder) -> anyhow::Result<bool> {
        // Arguments can be secrets.
        let program = self
            .command
            .first()
            .map(Path::new)
            .and_then(Path::file_name);
        let title = program.unwrap_or_default().to_string_lossy();
        let report = recorder.finish(title, &self.assertions)?;
        for Wanted { format, file } in &self.reports {
            let rendered = report.render(*format);
            match file {
                Some(file) => fs::write(file, rendered)
                    .with_context(|| format!("cannot write {}", file.display()))?,
                None => eprint!("{rendered}"),
            }
        }
        let verified = report.verified.as_ref();
        let is_shown = |wanted: &Wanted| wanted.file.is_none();
        if let Some(verified) = verified
            && !verified.holds
            && !self.reports.iter().any(is_shown)
        {
            eprint!("{verified}");
        }
        Ok(verified.is_none_or(|verified| verified.holds))
    }

    #[cfg(target_os = "linux")]
    async fn run_isolated(
        &self,
        emulator: &Emulator,
        mut command: Command,
        signals: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        use imds_emulator::{Isolated, Isolation};

        let mut isolation = Isolation::default();
        isolation.forward.clone_from(&self.forward);
        isolation.map_root = self.map_root;
        isolation.no_dmi = self.no_dmi;
        isolation.off_ec2 = self.off_ec2.map(OffEc2::isolation);
        if self.network == Some(Outgoing::HostLike) {
            isolation.outgoing = imds_emulator::Outgoing::HostLike;
        }
        let mut reports = emulator.isolate(&mut command, &isolation)?;
        let mut run = std::pin::pin!(imds_child_process::run_with_hook(command, signals));
        let report = tokio::select! {
            biased;
            outcome = &mut run => match reports.recv().await {
                // This error says more than the one of `spawn`.
                Some(Isolated::Failed(error)) => return Err(error.into()),
                _ => return Ok(outcome?),
            },
            report = reports.recv() => report,
        };
        if let Some(Isolated::Started(refused)) = report {
            for (what, error) in refused {
                eprintln!("warning: the command runs without {what}: {error}");
            }
        }
        Ok(run.await?)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_async, reason = "as on Linux")]
    async fn run_isolated(
        &self,
        _: &Emulator,
        _: Command,
        _: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        bail!(
            "--isolated needs Linux namespaces. On this system, give the loopback interface the \
             address of IMDS and run the emulator there, both as root: on macOS, `ifconfig lo0 alias \
             169.254.169.254`; on Windows, `netsh interface ipv4 add address \"Loopback \
             Pseudo-Interface 1\" 169.254.169.254 255.255.255.255`; then `imds-emulator --host \
             169.254.169.254 --port 80`"
        )
    }
}
