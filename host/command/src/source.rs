//! The arguments of all subcommands that use IMDS.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ec2_role_host::config::parse_seconds;
use ec2_role_host::{Builder, Ec2RoleProvider, EndpointMode, Imdsv1Policy, RefreshPolicy};
use etcetera::BaseStrategy as _;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "IMDS")]
pub(crate) struct Source {
    /// Use the IMDS at this base URL [default: http://169.254.169.254]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Use this well-known endpoint, unless the environment or the profile sets an endpoint
    /// [default: ipv4]
    #[arg(long, value_enum, value_name = "MODE", conflicts_with = "endpoint")]
    endpoint_mode: Option<EndpointMode>,

    /// Start the embedded emulator on a free port of the loopback interface, and use it in place of
    /// IMDS. CONFIG is a configuration file of imds-emulator
    #[cfg(feature = "emulator")]
    #[arg(
        long,
        value_name = "CONFIG",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with_all = ["endpoint", "endpoint_mode"]
    )]
    #[expect(clippy::option_option, reason = "the flag, and its value")]
    emulator: Option<Option<PathBuf>>,

    /// Read settings from this profile of the shared configuration files [default: $AWS_PROFILE]
    #[cfg(feature = "profile")]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Get the credentials of this role, without asking IMDS for its name: a role name, also with the
    /// role's path in front, or an ARN [default: the role that IMDS lists]
    #[arg(long, value_name = "NAME")]
    role_name: Option<String>,

    /// Try the extended documents first, which name the account but do not exist in every IMDS
    #[arg(long)]
    extended_path: bool,

    /// Fall back to IMDSv1, without a session token, under this policy [default: never]
    #[arg(long, value_enum, value_name = "POLICY")]
    imdsv1: Option<Imdsv1Policy>,

    /// Time out after SECONDS while connecting, and again while waiting for the response: 0.001 to 60
    /// [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Send each request at most NUMBER times: 1 to 10 [default: 3]
    #[arg(long, value_name = "NUMBER")]
    attempts: Option<u32>,

    /// Refresh credentials under this policy [default: windowed for `serve` and `watch`, classic
    /// otherwise]
    #[arg(long, value_enum, value_name = "POLICY")]
    refresh_policy: Option<RefreshPolicy>,

    /// Store the credentials on disk, and use them until they expire if IMDS cannot be reached. They are
    /// stored in clear text, in a file that only this user can read. Supported on Unix only
    #[arg(long)]
    keep: bool,

    /// Run the component in FILE in place of the built-in one
    #[arg(long, value_name = "FILE", help_heading = "Component")]
    component: Option<PathBuf>,

    /// Cache compiled components and, with --keep, credentials in FOLDER [default: $EC2_ROLE_CACHE, or
    /// the user's cache folder, for example ~/.cache/ec2-role-credentials]
    #[arg(long, value_name = "FOLDER", help_heading = "Component")]
    cache: Option<PathBuf>,

    /// Compile the component again, and write nothing to disk
    #[arg(long, conflicts_with = "keep", help_heading = "Component")]
    no_cache: bool,
}

/// A provider, and its emulator if there is one.
pub(crate) struct Opened {
    pub(crate) provider: Ec2RoleProvider,
    #[cfg(feature = "emulator")]
    pub(crate) emulator: Option<imds_emulator::Emulator>,
}

impl Opened {
    /// Points the AWS SDKs of a command at the emulator, if there is one.
    pub(crate) fn point(&self, command: &mut Command) {
        #[cfg(feature = "emulator")]
        if let Some(emulator) = &self.emulator {
            emulator.variables().apply(command);
        }
        #[cfg(not(feature = "emulator"))]
        let _ = command;
    }
}

impl Source {
    pub(crate) async fn open(&self) -> anyhow::Result<Opened> {
        self.open_with(|builder| builder).await
    }

    /// Opens the provider with the defaults of a subcommand.
    pub(crate) async fn open_with(
        &self,
        defaults: impl FnOnce(Builder) -> Builder,
    ) -> anyhow::Result<Opened> {
        let builder = self.settings(defaults(Ec2RoleProvider::builder()))?;
        #[cfg(feature = "emulator")]
        let (builder, emulator) = match &self.emulator {
            Some(config) => {
                let emulator = start(config.as_deref()).await?;
                // The argument takes precedence over AWS_EC2_METADATA_DISABLED.
                let builder = builder.endpoint(emulator.url()).disabled(false);
                (builder, Some(emulator))
            }
            None => (builder, None),
        };
        let provider = builder.build().await?;
        if let Some(role) = provider_role(&provider) {
            eprintln!("{role}");
        }
        Ok(Opened {
            provider,
            #[cfg(feature = "emulator")]
            emulator,
        })
    }

    fn settings(&self, mut builder: Builder) -> anyhow::Result<Builder> {
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(mode) = self.endpoint_mode {
            builder = builder.endpoint_mode(mode);
        }
        #[cfg(feature = "profile")]
        if let Some(profile) = &self.profile {
            builder = builder.profile(profile);
        }
        if let Some(name) = &self.role_name {
            builder = builder.role_name(name);
        }
        if self.extended_path {
            builder = builder.extended_path(true);
        }
        if let Some(policy) = self.imdsv1 {
            builder = builder.imdsv1(policy);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.connect_timeout(timeout).read_timeout(timeout);
        }
        if let Some(attempts) = self.attempts {
            builder = builder.attempts(attempts);
        }
        if let Some(policy) = self.refresh_policy {
            builder = builder.refresh_policy(policy);
        }
        if let Some(component) = &self.component {
            builder = builder.component_file(component);
        }
        let folder = match (&self.cache, self.no_cache) {
            (_, true) => None,
            (Some(folder), _) => Some(folder.clone()),
            (None, _) => folder_of_environment().or_else(user_folder),
        };
        if let Some(folder) = &folder {
            builder = builder.compiled_cache(folder.join("compiled"));
        }
        if self.keep && cfg!(not(unix)) {
            let why = "--keep is supported on Unix only, where a file can be one that only its user can read; omit --keep";
            return Err(crate::Usage(why.into()).into());
        }
        if self.keep {
            let folder = folder.ok_or_else(|| {
                crate::Usage(
                    "--keep needs a folder, and there is no home directory; name a folder with --cache"
                        .into(),
                )
            })?;
            builder = builder.keep_credentials(folder.join("credentials"));
        }
        Ok(builder)
    }
}

fn folder_of_environment() -> Option<PathBuf> {
    let folder = std::env::var_os("EC2_ROLE_CACHE")?;
    (!folder.is_empty()).then(|| folder.into())
}

/// `~/.cache/ec2-role-credentials`, or its counterpart on this system.
fn user_folder() -> Option<PathBuf> {
    // A process without a home directory, such as a service, must not place code elsewhere.
    std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("ec2-role-credentials"))
}

#[cfg(feature = "emulator")]
async fn start(config: Option<&std::path::Path>) -> anyhow::Result<imds_emulator::Emulator> {
    let mut layers = imds_emulator::config::Layers::new();
    if let Some(file) = config {
        layers.file(file);
    }
    let config = layers
        .config()
        .map_err(|error| crate::Usage(error.to_string()))?;
    let emulator = imds_emulator::Emulator::builder()
        .config(config)
        .bind(([127, 0, 0, 1], 0).into())
        .clock(imds_emulator::Clock::adjustable());
    Ok(emulator.start().await?)
}

/// A note about a role that the profile names and this command does not assume.
fn provider_role(provider: &Ec2RoleProvider) -> Option<String> {
    #[cfg(feature = "profile")]
    {
        let role = provider.assume_role()?;
        Some(format!(
            "note: these are the credentials of the instance; the role {1} of the profile {0:?} is not assumed",
            role.profile, role.role_arn
        ))
    }
    #[cfg(not(feature = "profile"))]
    {
        let _ = provider;
        None
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    parse_seconds(text).map_err(|accepted| format!("accepted: {accepted}"))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// Log to standard error what matches FILTER, for example `info` or `ec2_role_host=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "EC2_ROLE_LOG",
        hide_env_values = true,
        help_heading = "Log"
    )]
    log: Option<String>,
}

impl Log {
    /// Starts to log if the user or the subcommand asks for it.
    pub(crate) fn start(&self, default: Option<&str>) -> anyhow::Result<()> {
        let Some(filter) = self.log.as_deref().or(default) else {
            return Ok(());
        };
        let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
            crate::Usage(format!(
                "the log filter is {filter:?}; accepted: a level, or TARGET=LEVEL pairs separated by commas ({error})"
            ))
        })?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
        Ok(())
    }
}
