//! The command `imds-emulator`.

#![forbid(unsafe_code)]

mod network;
mod run;

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use imds_child_process::{Signals, without_passwords};
use imds_emulator::config::{Config, ConfigError, Layers};
use imds_emulator::imds::Imds;
use imds_emulator::{Certificate, Clock, Emulator, StartError, Variables, ctl};
use tokio::sync::oneshot;

use self::network::Network;

/// Emulate the EC2 Instance Metadata Service (IMDS), for tests
///
/// Without a command, run the emulator until a signal stops it. When it listens, it prints a ready
/// line to standard output: JSON with the URLs of the metadata service and of the admin API, such as
/// {"ready":true,"metadata":"http://127.0.0.1:1338",…,"admin":"http://127.0.0.1:1339"}.
///
/// The credentials that the emulator issues are well-formed and worthless: AWS rejects them.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = false, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Stop when standard input ends, too. If it is a pipe, the emulator thus stops when the program
    /// at the other end dies
    #[arg(long)]
    stop_with_stdin: bool,

    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  imds-emulator
  imds-emulator --port 0 --role web-server --http-tokens optional
  imds-emulator --set instance.instance-type=m7g.large
  imds-emulator run -- aws sts get-caller-identity
  imds-emulator ctl preset apply imds-outage
  eval \"$(imds-emulator env)\"

The configuration comes from files, environment variables, --set and the other options; the later \
ones in this list take precedence. The environment variable for instance.instance-type is \
IMDS_EMULATOR_INSTANCE__INSTANCE_TYPE. `imds-emulator config` lists all keys.

Exit status: 0 on success or after SIGHUP, SIGINT, SIGQUIT or SIGTERM, 1 if the emulator cannot start or fails, 2 if \
an argument is invalid. `run` exits with the status of the command.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the effective configuration as TOML
    Config {
        /// Print the JSON schema of the configuration file instead
        #[arg(long)]
        schema: bool,
    },
    /// Print shell commands that export the environment variables for AWS SDKs, and unset those that
    /// disable IMDS
    ///
    /// With these variables, AWS SDKs use an emulator that is started with the same options.
    Env,
    Run(run::Arguments),
    /// Print the certificate that verifies signatures of the identity document, as PEM
    ///
    /// The certificate depends on the seed, so give the seed that the emulator is started with.
    Certificate {
        /// The key of the certificate
        #[arg(value_enum, default_value = "rsa")]
        key: Key,
    },
    /// Control a running emulator: faults, clock, events, journal (see `ctl --help`)
    #[command(disable_help_flag = true)]
    Ctl {
        // Parsed separately, because the options of the emulator do not apply.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Example, in ~/.bashrc:
  source <(imds-emulator completions bash)")]
    Completions {
        /// The shell to complete commands in
        shell: imds_manual::Shell,
    },
    /// Write the manual into a folder, a page for each subcommand
    #[command(after_help = "\
Example:
  imds-emulator man ~/.local/share/man/man1")]
    Man {
        /// The folder, which is created if it does not exist
        folder: PathBuf,
    },
}

/// Control a running emulator over its admin API
#[derive(Debug, Parser)]
#[command(bin_name = "imds-emulator ctl", after_help = CTL_HELP, max_term_width = 100)]
struct CtlArguments {
    #[command(flatten)]
    ctl: ctl::Ctl,
}

const CTL_HELP: &str = "\
Examples:
  imds-emulator ctl fault add outage status code=503 --path /latest/api/token --count 3
  imds-emulator ctl clock advance 6h
  imds-emulator ctl options HttpTokens=optional
  imds-emulator ctl verify no_imdsv1 max_token_puts=1

Exit status: 0 on success, 1 if the request failed or an assertion does not hold, 2 for invalid \
arguments.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// Verifies `signature`
    Rsa,
    /// Verifies `rsa2048`
    Rsa2048,
    /// Verifies `pkcs7`
    Dsa,
    /// Verifies `dsa2048`
    Dsa2048,
}

#[derive(Args, Debug)]
struct Settings {
    /// Read the configuration from FILE, which is JSON if its name ends in .json, and TOML otherwise
    #[arg(
        long,
        short,
        value_name = "FILE",
        global = true,
        env = "IMDS_EMULATOR_CONFIG"
    )]
    config: Option<PathBuf>,

    /// Read FILE, a configuration file of amazon-ec2-metadata-mock (AEMM), before the configuration
    #[arg(long, value_name = "FILE", global = true)]
    aemm_config: Option<PathBuf>,

    /// Set a key of the configuration; can be repeated
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,

    /// Listen on ADDRESS, IPv4 or IPv6; can be repeated [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", global = true)]
    host: Vec<IpAddr>,

    /// Listen on PORT; 0 chooses a free port [default: 1338, or 0 for `run`]
    #[arg(long, value_name = "PORT", global = true)]
    port: Option<u16>,

    #[command(flatten)]
    network: Network,

    /// Serve the admin API on PORT; 0 chooses a free port [default: 1339, or 0 if --port is 0]
    #[arg(long, value_name = "PORT", global = true)]
    admin_port: Option<u16>,

    /// Serve the admin API on a Unix socket at PATH as well. Supported on Unix only
    #[arg(long, value_name = "PATH", global = true)]
    admin_socket: Option<String>,

    /// Do not serve the admin API
    #[arg(long, conflicts_with_all = ["admin_port", "admin_socket"], global = true)]
    no_admin: bool,

    /// Name the instance's role NAME [default: emulated-role]
    #[arg(long, value_name = "NAME", conflicts_with = "no_role", global = true)]
    role: Option<String>,

    /// Emulate an instance without an instance profile
    #[arg(long, global = true)]
    no_role: bool,

    /// Reject requests without a token (required) or accept them (optional) [default: required]
    #[arg(long, value_name = "STATE", global = true)]
    http_tokens: Option<String>,

    /// Answer like instances of the generation NAME, nitro or xen [default: nitro]
    #[arg(long, value_name = "NAME", global = true)]
    dialect: Option<String>,

    /// Derive keys, tokens and certificates from TEXT, so that they are the same at each start
    /// [default: random]
    #[arg(long, value_name = "TEXT", global = true)]
    seed: Option<String>,
}

impl Settings {
    /// The effective configuration.
    fn config(
        &self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::new();
        layers.set("the command", "admin.enabled", "true");
        if let Some(path) = &self.aemm_config {
            layers.aemm_file(path);
        }
        if let Some(path) = &self.config {
            layers.file(path);
        }
        // These are not keys of the configuration.
        let others = ["IMDS_EMULATOR_CONFIG", ctl::ADMIN_URL];
        layers
            .environment(environment.filter(|(name, _)| !others.iter().any(|other| name == other)));
        for setting in &self.set {
            layers.assign("--set", setting);
        }
        if !self.host.is_empty() {
            let hosts: Vec<String> = self.host.iter().map(|host| format!("\"{host}\"")).collect();
            layers.set("--host", "server.hosts", &format!("[{}]", hosts.join(",")));
        }
        if let Some(option) = self.network.option() {
            layers.set(
                option,
                "server.hosts",
                r#"["169.254.169.254", "fd00:ec2::254"]"#,
            );
            layers.set(option, "server.port", "80");
        }
        if let Some(port) = self.port {
            layers.set("--port", "server.port", &port.to_string());
        }
        match (self.admin_port, self.port) {
            (Some(port), _) => layers.set("--admin-port", "admin.port", &port.to_string()),
            (None, Some(0)) => layers.set("--port", "admin.port", "0"),
            (None, _) => {}
        }
        if self.no_admin {
            layers.set("--no-admin", "admin.enabled", "false");
        }
        if self.no_role {
            layers.set("--no-role", "instance.iam", "false");
        }
        for (flag, key, value) in [
            ("--admin-socket", "admin.socket", &self.admin_socket),
            ("--role", "instance.iam.role", &self.role),
            (
                "--http-tokens",
                "metadata-options.HttpTokens",
                &self.http_tokens,
            ),
            ("--dialect", "server.dialect", &self.dialect),
            ("--seed", "server.seed", &self.seed),
        ] {
            if let Some(value) = value {
                // A role can be called `false`.
                layers.set(flag, key, &toml::Value::from(value.as_str()).to_string());
            }
        }
        for warning in layers.warnings() {
            eprintln!("warning: {}", without_passwords(&warning.to_string()));
        }
        layers.config()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    imds_child_process::start();
    // Every connection takes a file descriptor, and the default limit of many systems is low.
    // Connections above the limit wait.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", without_passwords(&format!("{error:#}")));
            if let Some(remedy) = remedy(&error) {
                eprintln!("remedy: {remedy}");
            }
            error
                .downcast_ref::<imds_child_process::Error>()
                .map_or(ExitCode::FAILURE, imds_child_process::Error::exit_code)
        }
    }
}

/// Prints the help, the version, or what is wrong with the arguments.
fn misused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let text = match io::stderr().is_terminal() {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    eprint!("{}", without_passwords(&text));
    ExitCode::from(2)
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.stop_with_stdin && arguments.command.is_some() {
        let error = Arguments::command().error(
            ErrorKind::ArgumentConflict,
            "--stop-with-stdin cannot be used with a subcommand, because it stops an emulator that \
             runs until it is stopped; omit it",
        );
        return Ok(misused(&error));
    }
    // These need no configuration.
    match arguments.command {
        Some(Command::Ctl { arguments }) => {
            let name = OsString::from("imds-emulator ctl");
            return match CtlArguments::try_parse_from(std::iter::once(name).chain(arguments)) {
                Ok(arguments) => ctl::run(arguments.ctl).await,
                Err(error) => Ok(misused(&error)),
            };
        }
        Some(Command::Completions { shell }) => {
            imds_manual::completions(shell, documented())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Man { folder }) => {
            imds_manual::write(documented(), &folder)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let mut config = arguments.settings.config(std::env::vars_os())?;
    let network = arguments.settings.network;
    match arguments.command {
        None | Some(Command::Ctl { .. } | Command::Completions { .. } | Command::Man { .. }) => {
            serve(config, &network, arguments.stop_with_stdin).await
        }
        Some(Command::Config { schema }) => {
            let text = match schema {
                true => serde_json::to_string_pretty(&Config::schema())?,
                false => toml::to_string(&config)?,
            };
            writeln!(io::stdout(), "{}", text.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Env) => {
            let port = config.server.port;
            if port == 0 {
                bail!(
                    "--port 0 chooses a port only when the emulator starts; give a port with \
                     --port, or use `imds-emulator run -- COMMAND`"
                );
            }
            for host in config.server.hosts.iter().take(1) {
                let variables = Variables::new((*host, port).into());
                for (name, value) in variables.set {
                    let value = shlex::try_quote(&value)?;
                    writeln!(io::stdout(), "export {name}={value}")?;
                }
                for name in variables.remove {
                    writeln!(io::stdout(), "unset {name}")?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Run(run)) => {
            if arguments.settings.port.is_none() {
                if network.option().is_none() {
                    config.server.port = 0;
                }
                if arguments.settings.admin_port.is_none() {
                    config.admin.port = 0;
                }
            }
            run.run(config, &network).await
        }
        Some(Command::Certificate { key }) => {
            let seed = config.server.seed_bytes().context(
                "the certificate depends on the seed, and no seed is configured; give the same \
                 --seed TEXT here and when the emulator is started",
            )?;
            let imds = Imds::new(config, seed, Clock::real().now())?;
            let certificate = imds.certificate(match key {
                Key::Rsa => Certificate::Rsa,
                Key::Rsa2048 => Certificate::Rsa2048,
                Key::Dsa => Certificate::Dsa,
                Key::Dsa2048 => Certificate::Dsa2048,
            })?;
            write!(io::stdout(), "{certificate}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// All arguments, including those of `ctl`, which are parsed separately: the global options are not
/// among them, so every other subcommand gets its own copy of these.
fn documented() -> clap::Command {
    let arguments = Arguments::command();
    let global: Vec<Arg> = (arguments.get_arguments())
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.clone().global(false))
        .collect();
    arguments
        .mut_args(|argument| argument.global(false))
        .mut_subcommands(|subcommand| match subcommand.get_name() {
            "ctl" => CtlArguments::command()
                .name("ctl")
                .bin_name(Resettable::Reset),
            _ => subcommand.args(&global),
        })
}

async fn serve(
    config: Config,
    network: &Network,
    stop_with_stdin: bool,
) -> anyhow::Result<ExitCode> {
    // Before the ready line: its reader may send a signal at once.
    let mut signals = Signals::new()?;
    let end_of_stdin = stop_with_stdin.then(end_of_stdin);
    let emulator = start(config, network, false).await?;
    let urls: Vec<String> = emulator
        .addresses()
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    let ready = serde_json::json!({
        "ready": true,
        "metadata": emulator.url(),
        "listening": urls,
        "admin": emulator.admin_url(),
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{ready}")?;
    out.flush()?;
    drop(out);
    let end_of_stdin = async {
        match end_of_stdin {
            Some(end) => end.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signals.next() => {}
        _ = end_of_stdin => {}
    }
    emulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when standard input ends or cannot be read.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    // Not a task of the runtime: after a signal, the runtime would wait for the read to return.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(());
    });
    receiver
}

async fn start(config: Config, network: &Network, is_isolated: bool) -> anyhow::Result<Emulator> {
    if !is_isolated && network.option().is_none() {
        let mut rules = config.faults.iter();
        if let Some((rule, instead)) = rules.find_map(|rule| Some((rule, rule.fault.instead()?))) {
            bail!(
                "the fault `{}` of the rule {:?} needs `run --isolated`, --link-local, --netns or \
                 --join; use {instead}, or one of these options",
                rule.fault.name(),
                rule.name
            );
        }
    }
    let builder = Emulator::builder()
        .config(config)
        .clock(Clock::adjustable());
    let emulator = network.apply(builder)?.start().await?;
    if network.option().is_some() && emulator.addresses().len() == 1 {
        eprintln!(
            "warning: fd00:ec2::254 is not available, because this network has no IPv6; only \
             169.254.169.254 is"
        );
    }
    Ok(emulator)
}

/// What to do about an error, if that is known.
fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    if let Some(error) = error.downcast_ref::<imds_emulator::IsolationError>() {
        return Some(error.remedy());
    }
    let source = error.downcast_ref::<StartError>()?.source()?;
    #[cfg(target_os = "linux")]
    if let Some(error) = source.downcast_ref::<imds_emulator::LinkLocalError>() {
        return Some(error.remedy());
    }
    Some(match source.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::Unsupported => {
            "omit --admin-socket and `admin.socket`; the admin API listens on a port as well"
        }
        _ => {
            "choose another address with --host, or another port with --port or --admin-port; \
             --port 0 chooses free ports"
        }
    })
}
