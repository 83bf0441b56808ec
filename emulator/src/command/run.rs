//! `imds-emulator run`.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::bail;
use clap::Args;
use imds_child_process::Signals;
use imds_emulator::config::Config;
use imds_emulator::{Emulator, Variables, ctl};

use crate::network::Network;

/// Run a command with an emulator of its own
///
/// The emulator runs as long as the command. The command gets the environment variables that point
/// AWS SDKs at the emulator, and IMDS_EMULATOR_ADMIN_URL for `imds-emulator ctl`. Signals are
/// forwarded to the command, which ends with this process.
///
/// With --isolated, no program needs to know about the emulator: in the network of the command,
/// http://169.254.169.254 and http://[fd00:ec2::254] are the emulator. The command reaches nothing
/// else, except the admin API and the ports that are named by --forward. Linux only; no privileges
/// are needed.
///
/// Exit status: that of the command; 127 if the command is not found, 126 if it cannot be run.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run the command in a network in which the addresses of IMDS are the emulator
    #[arg(long)]
    isolated: bool,

    /// Let the isolated command reach PORT of this machine's loopback address 127.0.0.1 (may be
    /// repeated)
    #[arg(long, value_name = "PORT", requires = "isolated")]
    forward: Vec<u16>,

    /// Make the isolated command root in its user namespace, as cloud-init requires
    #[arg(long, requires = "isolated")]
    map_root: bool,

    /// Show the isolated command the real machine in /sys/class/dmi/id [default: an EC2 instance]
    #[arg(long, requires = "isolated")]
    no_dmi: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    pub(crate) async fn run(&self, config: Config, network: &Network) -> anyhow::Result<ExitCode> {
        let Some((program, arguments)) = self.command.split_first() else {
            bail!("COMMAND is missing; give a program and its arguments");
        };
        if let (true, Some(option)) = (self.isolated, network.option()) {
            bail!("--isolated makes a network of its own, so {option} cannot be used with it");
        }
        let mut signals = Signals::new()?;
        let emulator = super::start(config, network).await?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(emulator.admin_url().map(|url| (ctl::ADMIN_URL, url)));
        let outcome = if self.isolated {
            self.run_isolated(&emulator, command, &mut signals).await
        } else if network.option().is_some() {
            run_in_network(&emulator, network.is_other(), command, &mut signals).await
        } else {
            emulator.variables().apply(&mut command);
            Ok(imds_child_process::run(command, &mut signals).await?)
        };
        emulator.stop().await;
        outcome
    }

    #[cfg(target_os = "linux")]
    async fn run_isolated(
        &self,
        emulator: &Emulator,
        mut command: Command,
        signals: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        use imds_emulator::{Isolated, Isolation};

        remove_variables(emulator, &mut command);
        let mut isolation = Isolation::default();
        isolation.forward.clone_from(&self.forward);
        isolation.map_root = self.map_root;
        isolation.no_dmi = self.no_dmi;
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

/// Runs the command in the network that has the addresses of IMDS.
async fn run_in_network(
    emulator: &Emulator,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(unused_variables, reason = "as on Linux")
    )]
    is_other: bool,
    mut command: Command,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    remove_variables(emulator, &mut command);
    #[cfg(target_os = "linux")]
    if is_other {
        emulator.enter(&mut command)?;
        return Ok(imds_child_process::run_with_hook(command, signals).await?);
    }
    Ok(imds_child_process::run(command, signals).await?)
}

/// The command is to find IMDS where it is on EC2.
fn remove_variables(emulator: &Emulator, command: &mut Command) {
    let Variables { set, remove, .. } = emulator.variables();
    for name in set.iter().map(|(name, _)| name).chain(remove) {
        command.env_remove(name);
    }
}
