//! `run`: runs clients through scenarios.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::bail;
use ec2_role_host::RefreshPolicy;
use imds_conformance::client::Driver;
use imds_conformance::client::component::{Hosted, Native};
use imds_conformance::client::process::{Faketime, Process};
use imds_conformance::report::Report;
use imds_conformance::run::{Outcome as Ran, Runner, Verdict, world};
use imds_conformance::scenario::Scenario;

use crate::Outcome;
use crate::reports::Reports;
use crate::scenarios::{Library, select};

/// How many scenarios run at once if no client is a process: a client in this one mostly waits, for its back-offs and
/// for responses that come late.
const JOBS_WITHOUT_PROCESSES: usize = 64;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance run
  imds-conformance run token --client component --client aws-config
  imds-conformance run --client 'python client.py' --report text --report html=report.html
  imds-conformance run --client mine='./client --quiet' --baseline report.json
  imds-conformance run --isolated --client old='python old-client.py'

Built-in clients: component and component-classic (as WebAssembly in its host, with the refresh policies windowed and classic), native and native-classic (the logic of the component alone), aws-config. Any other CLIENT is a command. It uses the line protocol described in tests/README.md, or it is run once for each question and prints an access key ID or the JSON of credential_process.

Exit status: 0 if every `must` scenario passed, 1 otherwise. With --baseline: 0 if no outcome is worse than in FILE, 1 otherwise. 2 if the arguments or the scenarios are invalid, or a client does not work at all.")]
pub(crate) struct Arguments {
    /// Run only scenarios whose name or description contains one of WORDS
    #[arg(value_name = "WORDS")]
    filters: Vec<String>,

    /// Test a built-in client, or a command; repeat for several clients [default: component]
    #[arg(long = "client", value_name = "[NAME=]CLIENT")]
    clients: Vec<String>,

    #[command(flatten)]
    reports: Reports,

    /// Seed everything random with NUM
    #[arg(long, value_name = "NUM", default_value_t = 0)]
    seed: u64,

    /// Run up to NUM scenarios at once [default: 64 with built-in clients, which mostly wait; 16 with commands]
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Run commands in a network in which nothing but IMDS can be reached, at its real addresses, without variables that point at it: for clients that ignore these (Linux)
    #[arg(long)]
    isolated: bool,

    /// Do not use libfaketime: commands skip the scenarios that move the clock
    #[arg(long)]
    no_faketime: bool,

    #[command(flatten)]
    library: Library,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(self.run_all())
    }

    async fn run_all(self) -> Outcome {
        // The report contains the panic of a client.
        std::panic::set_hook(Box::new(|_| {}));
        let scenarios: Vec<Arc<Scenario>> = select(self.library.read()?, &self.filters)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let baseline = self.reports.baseline()?;
        let clients = match self.clients.as_slice() {
            [] => vec!["component".to_owned()],
            clients => clients.to_vec(),
        };
        let mut drivers: Vec<Arc<dyn Driver>> = Vec::new();
        for client in &clients {
            let driver = self.driver(client).await?;
            if drivers.iter().any(|other| other.name() == driver.name()) {
                bail!(
                    "two clients are named {:?}; give each a name with --client NAME=CLIENT",
                    driver.name()
                );
            }
            drivers.push(driver);
        }

        let jobs = match clients.iter().all(|client| is_built_in(client)) {
            true => JOBS_WITHOUT_PROCESSES,
            false => Runner::default().jobs,
        };
        let runner = Runner {
            seed: self.seed,
            jobs: self.jobs.map_or(jobs, usize::from),
            isolated: self.isolated,
        };
        let mut progress = Progress::new(drivers.len() * scenarios.len());
        let outcomes = runner
            .run(&drivers, &scenarios, |outcome| progress.done(outcome))
            .await;
        progress.end();
        let mut report = Report::new(self.seed, &drivers, &scenarios, outcomes);
        report.library = self.library.path().map(Into::into);
        self.reports.write(|format| report.render(format))?;
        let tried = |outcome: &Ran| !matches!(outcome.verdict, Verdict::NotRun(_));
        if !report.outcomes.iter().any(tried) {
            bail!("no scenario could be run; the report says why");
        }
        Ok(self.reports.judge(&report, baseline.as_ref()))
    }

    async fn driver(&self, client: &str) -> anyhow::Result<Arc<dyn Driver>> {
        if self.isolated && is_built_in(client) {
            bail!(
                "the built-in client {client} cannot be isolated; accepted with --isolated: a command"
            );
        }
        Ok(match client {
            "component" => Arc::new(Hosted::new(RefreshPolicy::Windowed)),
            "component-classic" => Arc::new(Hosted::new(RefreshPolicy::Classic)),
            "native" => Arc::new(Native::new(RefreshPolicy::Windowed)),
            "native-classic" => Arc::new(Native::new(RefreshPolicy::Classic)),
            #[cfg(feature = "aws-config")]
            "aws-config" => Arc::new(imds_conformance::client::aws_config::AwsConfig),
            command => {
                // A name has neither white space nor a slash, so this is not part of a command.
                let (name, command) = match command.split_once('=') {
                    Some((name, rest)) if !name.is_empty() && !name.contains([' ', '/']) => {
                        (Some(name), rest)
                    }
                    _ => (None, command),
                };
                let faketime = match self.no_faketime {
                    true => Faketime::Off,
                    false => Faketime::Auto,
                };
                let (world, _emulator) = world(self.isolated).await?;
                Arc::new(Process::find(name, command, faketime, &world).await?)
            }
        })
    }
}

fn is_built_in(client: &str) -> bool {
    matches!(
        client,
        "component" | "component-classic" | "native" | "native-classic" | "aws-config"
    )
}

/// A line on the terminal that shows the progress.
struct Progress {
    all: usize,
    done: usize,
    failed: usize,
    live: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        Self {
            all,
            done: 0,
            failed: 0,
            live: std::io::stderr().is_terminal(),
        }
    }

    fn done(&mut self, outcome: &Ran) {
        self.done += 1;
        self.failed += usize::from(outcome.verdict == Verdict::Failed);
        if self.live {
            let Self {
                all, done, failed, ..
            } = self;
            eprint!(
                "\r\x1b[K{done} of {all}, {failed} failed: {} {}",
                outcome.client, outcome.scenario
            );
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }
}
