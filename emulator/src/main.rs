//! The command `imds-emulator`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use imds_child_process::Signals;
use imds_emulator::config::{Config, ConfigError, Layers};
use imds_emulator::imds::{Certificate, Imds};
use imds_emulator::{Clock, Emulator, StartError, ctl, variables};

/// Emulates the EC2 Instance Metadata Service (IMDS), for tests.
///
/// Once it listens, it prints one line on standard output:
/// {"ready":true,"metadata":"http://127.0.0.1:1338","listening":["http://127.0.0.1:1338"],"admin":"http://127.0.0.1:1339"}.
/// It stops on SIGINT and SIGTERM.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = false)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Order>,

    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  imds-emulator
  imds-emulator --port 0 --role web-server --http-tokens optional
  imds-emulator --set instance.instance-type=m7g.large --set instance.placement.availability-zone=eu-central-1b
  imds-emulator run -- aws sts get-caller-identity
  imds-emulator ctl preset apply imds-outage
  eval \"$(imds-emulator env)\"

Every key of the configuration (`imds-emulator config` shows them) can be set in a file, in the
environment as IMDS_EMULATOR_INSTANCE__INSTANCE_TYPE, and with --set. Later ones win: file,
environment, --set, the other flags.

The credentials that it gives are well-formed and worthless: AWS does not accept them.";

#[derive(Debug, Subcommand)]
enum Order {
    /// Print the configuration in effect, as TOML.
    Config {
        /// Print the JSON schema of the configuration file instead.
        #[arg(long)]
        schema: bool,
    },
    /// Print the variables that point an AWS SDK at the emulator, for a shell to evaluate.
    Env,
    /// Run a command with those variables set, and an emulator on a free port as long as it runs.
    ///
    /// SIGTERM is forwarded to the command. The exit status is that of the command, 127 if the
    /// command is not found, and 126 if it cannot be run.
    Run {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Print a certificate that signatures of the identity document verify against, as PEM.
    ///
    /// The certificate follows from the seed, so a seed must be given.
    Certificate {
        /// The one for `signature` and `rsa2048`, or the one for `pkcs7` and `dsa2048`.
        #[arg(value_enum, default_value = "rsa")]
        key: Key,
    },
    /// Control a running emulator: faults, clock, events, journal. See `ctl --help`.
    #[command(disable_help_flag = true)]
    Ctl {
        // Parsed on its own: the options of the others are not for it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
}

/// Control a running emulator, over its admin API.
#[derive(Debug, Parser)]
#[command(bin_name = "imds-emulator ctl", after_help = CTL_HELP)]
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

The exit status is 0 if all is well, 1 if not, and 2 if the command is not understood.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Rsa,
    Dsa,
}

#[derive(Args, Debug)]
struct Settings {
    /// A configuration file, TOML or (*.json) JSON.
    #[arg(
        long,
        short,
        value_name = "FILE",
        global = true,
        env = "IMDS_EMULATOR_CONFIG"
    )]
    config: Option<PathBuf>,

    /// A key of the configuration and its value. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,

    /// An address to listen on, IPv4 or IPv6. Can be repeated. [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", global = true)]
    host: Vec<IpAddr>,

    /// The port to listen on; 0 for any free one. [default: 1338]
    #[arg(long, global = true)]
    port: Option<u16>,

    /// The port of the admin API; 0 for any free one. [default: 1339, or 0 if --port is 0]
    #[arg(long, value_name = "PORT", global = true)]
    admin_port: Option<u16>,

    /// A Unix socket for the admin API as well.
    #[arg(long, value_name = "PATH", global = true)]
    admin_socket: Option<String>,

    /// Go without the admin API.
    #[arg(long, conflicts_with_all = ["admin_port", "admin_socket"], global = true)]
    no_admin: bool,

    /// The name of the instance's role. [default: emulated-role]
    #[arg(long, value_name = "NAME", conflicts_with = "no_role", global = true)]
    role: Option<String>,

    /// Emulate an instance without an instance profile.
    #[arg(long, global = true)]
    no_role: bool,

    /// Whether requests need a token: required or optional. [default: required]
    #[arg(long, value_name = "STATE", global = true)]
    http_tokens: Option<String>,

    /// How answers look on the wire: nitro or xen. [default: nitro]
    #[arg(long, value_name = "NAME", global = true)]
    dialect: Option<String>,

    /// What keys, tokens and certificates are made from. [default: random]
    #[arg(long, value_name = "TEXT", global = true)]
    seed: Option<String>,
}

impl Settings {
    /// The configuration in effect.
    fn config(
        &self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::new();
        layers.set("the command", "admin.enabled", "true")?;
        if let Some(path) = &self.config {
            layers.file(path)?;
        }
        // Those are no keys: one names the file, the other is for `ctl`.
        let others = ["IMDS_EMULATOR_CONFIG", ctl::ADMIN_URL];
        layers.environment(
            environment.filter(|(name, _)| !others.iter().any(|other| name == other)),
        )?;
        for setting in &self.set {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            layers.set("--set", key, value)?;
        }
        if !self.host.is_empty() {
            let hosts: Vec<String> = self.host.iter().map(|host| format!("\"{host}\"")).collect();
            layers.set("--host", "server.hosts", &format!("[{}]", hosts.join(",")))?;
        }
        if let Some(port) = self.port {
            layers.set("--port", "server.port", &port.to_string())?;
        }
        match (self.admin_port, self.port) {
            (Some(port), _) => layers.set("--admin-port", "admin.port", &port.to_string())?,
            (None, Some(0)) => layers.set("--port", "admin.port", "0")?,
            (None, _) => {}
        }
        if let Some(socket) = &self.admin_socket {
            layers.set("--admin-socket", "admin.socket", socket)?;
        }
        if self.no_admin {
            layers.set("--no-admin", "admin.enabled", "false")?;
        }
        if self.no_role {
            layers.set("--no-role", "instance.iam", "false")?;
        }
        for (flag, key, value) in [
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
                layers.set(flag, key, value)?;
            }
        }
        Ok(layers.config().clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Every connection takes a file descriptor, and few systems give many of them unasked. Without
    // more, those that are too many wait.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", in_one_line(&*error));
            if error.is::<StartError>() {
                eprintln!(
                    "remedy: choose another address with --host or another port with --port or --admin-port; --port 0 takes any free ones"
                );
            }
            error
                .downcast_ref::<imds_child_process::Error>()
                .map_or(ExitCode::FAILURE, imds_child_process::Error::exit_code)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(Order::Ctl { arguments }) = arguments.command {
        let name = OsString::from("imds-emulator ctl");
        let arguments = CtlArguments::parse_from(std::iter::once(name).chain(arguments));
        return Ok(ctl::run(arguments.ctl).await?);
    }
    let mut config = arguments.settings.config(std::env::vars_os())?;
    match arguments.command {
        None | Some(Order::Ctl { .. }) => serve(config).await,
        Some(Order::Config { schema }) => {
            let text = match schema {
                true => serde_json::to_string_pretty(&Config::schema())?,
                false => toml::to_string(&config)?,
            };
            writeln!(io::stdout(), "{}", text.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Order::Env) => {
            let port = config.server.port;
            if port == 0 {
                return Err(
                    "with port 0 the port is not known before the emulator runs; \
                            give it with --port, or use `imds-emulator run -- COMMAND`"
                        .into(),
                );
            }
            for host in config.server.hosts.iter().take(1) {
                for (name, value) in variables((*host, port).into()) {
                    let value = shlex::try_quote(&value)?;
                    writeln!(io::stdout(), "export {name}={value}")?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Order::Run { command }) => {
            if arguments.settings.port.is_none() {
                config.server.port = 0;
                if arguments.settings.admin_port.is_none() {
                    config.admin.port = 0;
                }
            }
            run_command(config, &command).await
        }
        Some(Order::Certificate { key }) => {
            let seed = config.server.seed_bytes().ok_or(
                "without a seed every start has other certificates; give one with --seed TEXT, \
                 here and where the emulator is started",
            )?;
            let imds = Imds::new(config, seed, Clock::real().now())?;
            let certificate = imds.certificate(match key {
                Key::Rsa => Certificate::Rsa,
                Key::Dsa => Certificate::Dsa,
            })?;
            write!(io::stdout(), "{certificate}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(config: Config) -> Result<ExitCode, Box<dyn Error>> {
    // Before the ready line, so that whoever has read it can stop us.
    let mut signals = Signals::new()?;
    let emulator = start(config).await?;
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
    signals.next().await;
    emulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn run_command(config: Config, command: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    let Some((program, arguments)) = command.split_first() else {
        return Err("no command was given".into());
    };
    let mut signals = Signals::new()?;
    let emulator = start(config).await?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(emulator.variables())
        .envs(emulator.admin_url().map(|url| (ctl::ADMIN_URL, url)));
    let outcome = imds_child_process::run(command, &mut signals).await;
    emulator.stop().await;
    Ok(outcome?)
}

async fn start(config: Config) -> Result<Emulator, StartError> {
    Emulator::builder()
        .config(config)
        .clock(Clock::adjustable())
        .start()
        .await
}

fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
