//! `server`: checks an IMDS server against the rules of IMDS.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use imds_conformance::report::Format;
use imds_conformance::server::{self, Check, Endpoint, Server};

use crate::Outcome;
use crate::print::print;
use crate::reports::Reports;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-emulator run -- imds-conformance server
  imds-conformance server --endpoint http://localhost:1338
  imds-conformance server token/ path/missing --endpoint http://127.0.0.1:1338 --report tap
  imds-conformance server --endpoint http://127.0.0.1:1338 --report json=before.json
  imds-conformance server --endpoint http://127.0.0.1:1338 --baseline before.json --report text
  imds-conformance server --list

The checks read metadata, request tokens, and send a POST, a DELETE and a PUT that a server must reject. The reports contain no token and no secret. If the server lacks something, such as a role, the checks of it are not applicable.

Exit status: 0 if every `must` check passed, 1 otherwise. With --baseline: 0 if no outcome is worse than in FILE, 1 otherwise. 2 if the arguments are invalid, the endpoint is on another machine, or the server cannot be reached.")]
pub(crate) struct Arguments {
    /// Run only checks whose name or description contains one of WORDS
    #[arg(value_name = "WORDS")]
    filters: Vec<String>,

    /// The server to check: http://HOST or http://HOST:PORT, on this machine
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        hide_env_values = true,
        required_unless_present = "list"
    )]
    endpoint: Option<String>,

    /// Permit an endpoint on another machine, because you own it
    #[arg(long)]
    i_own_this_endpoint: bool,

    /// Name the server in reports; a baseline must have the same name
    #[arg(long, value_name = "NAME", default_value = "server")]
    name: String,

    #[command(flatten)]
    reports: Reports,

    /// List the checks without running them
    #[arg(long)]
    list: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(self.run_all())
    }

    async fn run_all(self) -> Outcome {
        let checks = self.selected()?;
        let (false, Some(url)) = (self.list, &self.endpoint) else {
            print(&list(&checks)?)?;
            return Ok(ExitCode::SUCCESS);
        };
        let baseline = self.reports.baseline()?;
        let endpoint = Endpoint::find(url, self.i_own_this_endpoint).await?;
        let imds = Server::reach(&endpoint).await?;

        let live = std::io::stderr().is_terminal();
        let (all, mut done) = (checks.len(), 0);
        let report = server::examine(&self.name, &imds, &checks, |outcome| {
            done += 1;
            if live {
                eprint!("\r\x1b[K{done} of {all}: {}", outcome.scenario);
                let _ = std::io::stderr().flush();
            }
        })
        .await;
        if live {
            eprint!("\r\x1b[K");
        }

        self.reports.write(|format| match format {
            Format::Text => server::text(&report, &self.name),
            other => report.render(other),
        })?;
        Ok(self.reports.judge(&report, baseline.as_ref()))
    }

    /// The checks that match one of the filters, or all checks if there are no filters.
    fn selected(&self) -> anyhow::Result<Vec<Check>> {
        let matches = |check: &Check| {
            self.filters.is_empty() || self.filters.iter().any(|filter| check.matches(filter))
        };
        let selected: Vec<Check> = server::checks().into_iter().filter(matches).collect();
        if selected.is_empty() {
            bail!(
                "no name or description of a check contains {}; list them with `imds-conformance server --list`",
                self.filters.join(" or ")
            );
        }
        Ok(selected)
    }
}

fn list(checks: &[Check]) -> Result<String, std::fmt::Error> {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let (name, weight) = (check.name, check.weight);
        let rules = check.rests_on.join(", ");
        writeln!(
            text,
            "{name:<width$}  {weight:<6}  {} ({rules})",
            check.sentence
        )?;
    }
    writeln!(text, "\n{} checks", checks.len())?;
    Ok(text)
}
