//! `get` and `process`: print the credentials.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use chrono::Utc;
use clap::ValueEnum;
use ec2_role_host::{Credentials, Ec2RoleProvider, Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout};

use crate::Outcome;
use crate::format::{self, Syntax};
use crate::source::{Log, Source};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials get --emulator
  ec2-role-credentials get --endpoint http://127.0.0.1:1338 --show-secrets
  eval \"$(ec2-role-credentials get --format env)\"
  ec2-role-credentials get --format json | jq -r .expires
  ec2-role-credentials get --wait 2m --format env-no-export > /run/aws.env
  ec2-role-credentials get --format fish | source
  ec2-role-credentials get --format powershell | Out-String | Invoke-Expression")]
pub(crate) struct Arguments {
    /// Print the credentials in this format. Every format except `table` contains the secrets
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    /// Show the secret access key and the session token in the table
    #[arg(long)]
    show_secrets: bool,

    /// If credentials are not available, try again every second, and give up after DURATION, for example
    /// 90s or 5m [default: fail at once]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table for people; secrets are hidden
    Table,
    /// JSON for programs
    Json,
    /// `export` commands for a POSIX shell to evaluate
    Env,
    /// `NAME=value` lines, for `EnvironmentFile=` of systemd and `--env-file` of Docker
    EnvNoExport,
    /// Commands for PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// Commands for cmd.exe
    WindowsCmd,
    /// Commands for fish
    Fish,
    /// JSON for `credential_process`, as `process` prints it
    Process,
}

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let opened = self.source.open().await?;
        let credentials = match self.wait.filter(|patience| !patience.is_zero()) {
            Some(patience) => wait(&opened.provider, patience).await?,
            None => opened.provider.credentials().await?,
        };
        let variables = |syntax| format::assignments(syntax, &format::variables(&credentials));
        let text = match self.format {
            Format::Table => format::table(&credentials, self.show_secrets, Utc::now()),
            Format::Json => format::json(&credentials),
            Format::Env => variables(Syntax::Posix)?,
            Format::EnvNoExport => variables(Syntax::Lines)?,
            Format::PowerShell => variables(Syntax::PowerShell)?,
            Format::WindowsCmd => variables(Syntax::WindowsCmd)?,
            Format::Fish => variables(Syntax::Fish)?,
            Format::Process => format::process(&credentials),
        };
        crate::print(text.as_bytes())
    }
}

/// Gets credentials. While IMDS has none, tries again, for the last time when `patience` has passed.
async fn wait(provider: &Ec2RoleProvider, patience: Duration) -> anyhow::Result<Arc<Credentials>> {
    // For this long the provider returns the same error without a request.
    const PAUSE: Duration = Duration::from_secs(1);
    // The time for the last attempt, which begins when `patience` has passed.
    const LAST_ATTEMPT: Duration = Duration::from_millis(250);

    let start = Instant::now();
    let left = || patience.saturating_sub(start.elapsed());
    let Ok(mut outcome) = timeout(left(), provider.credentials()).await else {
        return Err(anyhow!(
            "cannot get credentials from {}: the first attempt took longer than {} (--wait); \
             `ec2-role-credentials doctor` finds out why",
            provider.endpoint(),
            humantime::format_duration(patience),
        ));
    };
    while let Err(error) = outcome {
        let left_to_pause = left();
        if !may_pass(error.kind()) || left_to_pause.is_zero() {
            return Err(error.into());
        }
        sleep(left_to_pause.min(PAUSE)).await;
        let time = left().max(LAST_ATTEMPT);
        let attempt = match left_to_pause < PAUSE {
            true => timeout(time, at_once(provider)).await,
            false => timeout(time, provider.credentials()).await,
        };
        // The error before an attempt that times out here says more than the time-out.
        outcome = attempt.unwrap_or(Err(error));
    }
    Ok(outcome?)
}

/// Gets credentials, although the last failure is more recent than a second.
async fn at_once(provider: &Ec2RoleProvider) -> Result<Arc<Credentials>, Error> {
    provider.retrieve().await?;
    // Only now, because this deletes what `--keep` has stored.
    provider.invalidate().await?;
    provider.credentials().await
}

/// Whether an error of this kind may pass while an instance boots or its role is attached.
fn may_pass(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Disabled
            | ErrorKind::InvalidConfiguration
            | ErrorKind::Denied
            | ErrorKind::Unsupported
            | ErrorKind::Component
    )
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

    humantime::parse_duration(text)
        .ok()
        .filter(|duration| *duration <= CENTURY)
        .ok_or("accepted: numbers with units, like 90s, 2m or 1h 30m, up to 100 years")
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, in ~/.aws/config:
  [profile instance]
  credential_process = ec2-role-credentials process --keep

Prints one line of JSON: Version, AccessKeyId, SecretAccessKey, SessionToken, Expiration and, if IMDS \
names the account, AccountId. An SDK runs this command each time it needs credentials. With --keep, a \
run during an outage of IMDS prints the last known good credentials until they expire.")]
pub(crate) struct ProcessArguments {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

impl ProcessArguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let opened = self.source.open().await?;
        let credentials = opened.provider.credentials().await?;
        crate::print(format::process(&credentials).as_bytes())
    }
}
