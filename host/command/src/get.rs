//! `get` and `process`: print the credentials.

use chrono::Utc;
use clap::ValueEnum;

use crate::Outcome;
use crate::format;
use crate::source::{Log, Source};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials get --emulator
  ec2-role-credentials get --endpoint http://127.0.0.1:1338 --show-secrets
  eval \"$(ec2-role-credentials get --format env)\"
  ec2-role-credentials get --format json | jq -r .expires")]
pub(crate) struct Arguments {
    /// Print the credentials in this format. Every format except `table` contains the secrets
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    /// Show the secret access key and the session token in the table
    #[arg(long)]
    show_secrets: bool,

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
    /// `export` commands for a shell to evaluate
    Env,
    /// JSON for `credential_process`, as `process` prints it
    Process,
}

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let opened = self.source.open().await?;
        let credentials = opened.provider.credentials().await?;
        let text = match self.format {
            Format::Table => format::table(&credentials, self.show_secrets, Utc::now()),
            Format::Json => format::json(&credentials),
            Format::Env => format::export(&format::variables(&credentials)),
            Format::Process => format::process(&credentials),
        };
        crate::print(text.as_bytes())
    }
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
