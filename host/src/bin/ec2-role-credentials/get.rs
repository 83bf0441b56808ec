//! `get`: the credentials, as a table.

use std::error::Error;
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use ec2_role_host::Credentials;

use crate::source::Source;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,

    /// Print the secret access key and the session token as well.
    #[arg(long)]
    show_secrets: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<String, Box<dyn Error>> {
    let opened = arguments.source.open().await?;
    let credentials = opened.provider.credentials().await?;
    table(&credentials, arguments.show_secrets, Utc::now())
}

fn table(
    credentials: &Credentials,
    show_secrets: bool,
    now: DateTime<Utc>,
) -> Result<String, Box<dyn Error>> {
    let secret = |secret: &str| match show_secrets {
        true => secret.to_owned(),
        false => format!(
            "({} characters, hidden; --show-secrets shows them)",
            secret.chars().count()
        ),
    };
    let mut table = String::new();
    let mut row = |name: &str, value: &str| writeln!(table, "{name:<18} {value}");
    row("access key id", credentials.access_key_id())?;
    row(
        "secret access key",
        &secret(credentials.secret_access_key()),
    )?;
    if let Some(token) = credentials.session_token() {
        row("session token", &secret(token))?;
    }
    if let Some(account) = credentials.account_id() {
        row("account id", account)?;
    }
    row("source", credentials.source())?;
    if let Some(expires) = credentials.expires() {
        let minutes = (expires - now).num_minutes();
        let written = expires.to_rfc3339_opts(SecondsFormat::Secs, true);
        row("expires", &format!("{written} (in {minutes} min)"))?;
    }
    Ok(table)
}
