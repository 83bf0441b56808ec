//! `run`: clients through scenarios.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

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

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance run
  imds-conformance run token --client component --client aws-config
  imds-conformance run --client 'python client.py' --report text --report html=report.html
  imds-conformance run --client mine='./client --quiet' --baseline report.json

Clients that are built in: component, component-classic (in their host, as WebAssembly), native,
native-classic (their logic alone), aws-config. Any other is a command, with a name before it if you
like: it speaks the line protocol of tests/README.md, or is run for each question and prints an access key
id or the JSON of credential_process.

Exit status: 0 nothing failed that must not, 1 something did; with --baseline, 1 if something failed
that did not fail then. 2 wrong arguments or scenarios, or a client that does not work at all.")]
pub(crate) struct Arguments {
    /// Only scenarios with one of these in their name or their sentence
    filters: Vec<String>,

    /// A client that is built in, or a command, with `NAME=` before it if you like; more than one if
    /// given more than once [default: component]
    #[arg(long = "client", value_name = "CLIENT")]
    clients: Vec<String>,

    #[command(flatten)]
    reports: Reports,

    /// What decides on all that is random
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// So many scenarios at once
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,

    /// Do not use libfaketime, even if it is there: scenarios that move the clock are not run for commands
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
        // A client that panics is in the report, with what it said.
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
                return Err(
                    format!("there are two clients {:?}: give them names", driver.name()).into(),
                );
            }
            drivers.push(driver);
        }

        let runner = Runner {
            seed: self.seed,
            jobs: self.jobs.into(),
        };
        let mut progress = Progress::new(drivers.len() * scenarios.len());
        let outcomes = runner
            .run(&drivers, &scenarios, |outcome| progress.done(outcome))
            .await;
        progress.end();
        let report = Report::new(self.seed, &drivers, &scenarios, outcomes);
        self.reports.write(|format| report.render(format))?;
        let tried = |outcome: &Ran| !matches!(outcome.verdict, Verdict::NotRun(_));
        if !report.outcomes.iter().any(tried) {
            return Err("not one scenario could be run; the report says why".into());
        }
        Ok(self.reports.judge(&report, baseline.as_ref()))
    }

    async fn driver(&self, client: &str) -> Result<Arc<dyn Driver>, Box<dyn Error>> {
        Ok(match client {
            "component" => Arc::new(Hosted::new(RefreshPolicy::Windowed)),
            "component-classic" => Arc::new(Hosted::new(RefreshPolicy::Classic)),
            "native" => Arc::new(Native::new(RefreshPolicy::Windowed)),
            "native-classic" => Arc::new(Native::new(RefreshPolicy::Classic)),
            #[cfg(feature = "aws-config")]
            "aws-config" => Arc::new(imds_conformance::client::aws_config::AwsConfig),
            command => {
                // A name has no white space, and no slash: those are of commands.
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
                let (world, _emulator) = world().await?;
                Arc::new(Process::find(name, command, faketime, &world).await?)
            }
        })
    }
}

/// A line on the terminal that says how far it is.
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
