//! `get` and `process`: the credentials, on standard output.

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
    /// How to write them. All but the table have the secrets in them
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    /// Print the secret access key and the session token in the table as well
    #[arg(long)]
    show_secrets: bool,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people, without the secrets
    Table,
    /// For programs
    Json,
    /// For a shell to evaluate
    Env,
    /// As `process` prints them
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

It prints one line of JSON: Version, AccessKeyId, SecretAccessKey, SessionToken, Expiration, and
AccountId where IMDS names it. An SDK runs it whenever it needs credentials; with --keep it is not
left without any while IMDS is away.")]
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
