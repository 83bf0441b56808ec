//! `watch`: shows the state of the credentials.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ec2_role_host::{Endpoint, ImdsVersion, RefreshPolicy, Status};
use imds_child_process::Signals;

use crate::Outcome;
use crate::format::{distance, written};
use crate::source::{Log, Source};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials watch
  ec2-role-credentials watch --emulator
  ec2-role-credentials watch --json | jq -r '.\"next-refresh\"'

Refreshes the credentials in the background, as a program would. No secret is shown. On a terminal \
the view is updated every second, otherwise it is printed whenever something changes.

`extensions` counts how many times in a row the held credentials were extended because a refresh \
failed. It is 0 while no credentials are held; `failing since` and `last failure` show failures.")]
pub(crate) struct Arguments {
    /// Print the status as one line of JSON whenever something changes
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

/// The time until the next attempt while there are no credentials.
const RETRY_DELAY: Duration = Duration::from_secs(10);

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let mut signals = Signals::new()?;
        let opened = self
            .source
            .open_with(|builder| {
                builder
                    .refresh_policy(RefreshPolicy::Windowed)
                    .background_refresh(true)
            })
            .await?;
        let provider = opened.provider.clone();
        let mut events = provider.subscribe();
        let asking = provider.clone();
        tokio::spawn(async move {
            while asking.credentials().await.is_err() {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        });
        let live = !self.json && io::stdout().is_terminal();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let _screen = live.then(Screen::open);
        loop {
            tokio::select! {
                _ = second.tick(), if live => {}
                event = events.next() => {
                    // The status includes any further pending events.
                    while events.try_next().is_some() {}
                    if event.is_none() {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                _ = signals.next() => return Ok(ExitCode::SUCCESS),
            }
            let status = provider.status();
            let text = match self.json {
                true => format!("{}\n", serde_json::to_string(&status)?),
                false => view(provider.endpoint(), &status, Utc::now()),
            };
            let text = match live {
                true => format!("{}{text}", Screen::BEGINNING),
                false if self.json => text,
                false => text + "\n",
            };
            crate::print(text.as_bytes())?;
        }
    }
}

/// The alternate screen of the terminal. Dropping it restores the previous content.
struct Screen;

impl Screen {
    /// Moves to the first line and clears the screen.
    const BEGINNING: &str = "\x1b[H\x1b[J";

    fn open() -> Self {
        let _ = crate::print(b"\x1b[?1049h");
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = crate::print(b"\x1b[?1049l");
    }
}

fn view(endpoint: &Endpoint, status: &Status, now: DateTime<Utc>) -> String {
    let when = |moment: DateTime<Utc>| format!("{} ({})", written(moment), distance(moment, now));
    let or_dash = |moment: Option<DateTime<Utc>>| moment.map_or_else(|| "-".to_owned(), when);
    let requests = &status.requests;
    let rows = [
        (
            "IMDS",
            match status.imds_version {
                Some(ImdsVersion::V1) => format!("{endpoint}, IMDSv1"),
                Some(ImdsVersion::V2) => format!("{endpoint}, IMDSv2"),
                _ => endpoint.to_string(),
            },
        ),
        (
            "role",
            status.role_name.clone().unwrap_or_else(|| "-".into()),
        ),
        (
            "access key ID",
            status.access_key_id.clone().unwrap_or_else(|| "-".into()),
        ),
        ("received", or_dash(status.credentials_received)),
        ("expires", or_dash(status.expires)),
        ("next refresh", or_dash(status.next_refresh)),
        ("token expires", or_dash(status.token_expires)),
        ("refreshes", status.refreshes.to_string()),
        ("extensions", format!("{} in a row", status.extensions)),
        (
            "requests",
            format!(
                "{} for tokens, {} for the role, {} for credentials, {} other",
                requests.token, requests.role_list, requests.role_credentials, requests.metadata
            ),
        ),
        ("failing since", or_dash(status.failing_since)),
        (
            "last failure",
            match &status.last_failure {
                Some(failure) => format!("{}: {}", when(failure.at), failure.error),
                None => "-".into(),
            },
        ),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<18} {value}");
        text
    })
}
