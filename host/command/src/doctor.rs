//! `doctor`: finds out why no credentials can be obtained.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use ec2_role_host::printable::Expected;
use ec2_role_host::{Ec2RoleProvider, Endpoint, Error, ErrorKind, ImdsVersion, Step};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::format::{distance, written};
use crate::source::{Log, Source};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ec2-role-credentials doctor

Each line is a step on the way to the credentials: ok, note or FAIL. Under a step that fails is the \
remedy. No secret is shown.

Exit status: 0 if credentials were obtained, 1 otherwise.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

/// The environment variables that the library reads.
const VARIABLES: [&str; 8] = [
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_EC2_INSTANCE_PROFILE_NAME",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_PROFILE",
];

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let mut report = Report::default();
        let opened = match self.source.open().await {
            Ok(opened) => opened,
            Err(error) => {
                report.fail(&Problem::new("settings", format!("{error:#}"), None));
                return report.print();
            }
        };
        let provider = &opened.provider;
        let set: Vec<String> = VARIABLES
            .iter()
            .filter_map(|name| Some(format!("{name}={}", shown(name, std::env::var(name).ok()?))))
            .collect();
        let from = match set.is_empty() {
            true => "no variable set in the environment".to_owned(),
            false => set.join(", "),
        };
        report.ok(
            "settings",
            &format!("endpoint {}; {from}", provider.endpoint()),
        );
        for note in crate::container::notes() {
            report.warn("SDKs", &note);
        }
        if let Err(problem) = examine(provider, &mut report).await {
            report.fail(&problem);
        }
        report.print()
    }
}

/// The value of a variable, a URL without user information. A URL may be in the wrong variable.
fn shown(name: &str, value: String) -> String {
    match value.parse::<Endpoint>() {
        Err(invalid) if name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" || value.contains("://") => {
            invalid.url().to_owned()
        }
        _ => value,
    }
}

/// Goes through the steps until one fails.
async fn examine(provider: &Ec2RoleProvider, report: &mut Report) -> Result<(), Problem> {
    let metadata = provider.metadata();
    let root = metadata.get("").await;
    // No request is sent if IMDS is disabled.
    if let Err(error) = &root
        && (error.is_disabled() || error.is_denied())
    {
        return Err(Problem::of("settings", error));
    }
    if let Err(error) = &root
        && error.is_component()
    {
        return Err(Problem::of("component", error));
    }
    match connect(provider.endpoint()).await {
        Ok(()) => report.ok("connection", "the endpoint accepts connections"),
        Err(reason) => {
            let obstacle = root.as_ref().err().and_then(Error::obstacle);
            return Err(match (obstacle, root) {
                (Some(obstacle), Err(error)) => Problem::new(
                    "connection",
                    format!("{reason}: {obstacle}"),
                    error.remedy(),
                ),
                _ => Problem::new("connection", reason, Some(NOT_EC2)),
            });
        }
    }
    if let Err(error) = &root
        && error.step() == Some(Step::Token)
    {
        return Err(Problem::of("session token", error));
    }
    let status = provider.status();
    match (status.imds_version, status.fallback) {
        (Some(ImdsVersion::V1), Some(fallback)) => report.warn(
            "session token",
            &format!("none, fell back to IMDSv1: {}", fallback.error),
        ),
        _ => report.ok(
            "session token",
            &match status.token_expires {
                Some(expires) => format!("IMDSv2, expires {}", distance(expires, Utc::now())),
                None => "IMDSv2".to_owned(),
            },
        ),
    }
    match root {
        Ok(_) => report.ok("metadata", "the metadata tree is readable"),
        Err(error) => return Err(Problem::of("metadata", &error)),
    }

    match metadata.identity_document().await {
        Ok(document) => report.ok(
            "instance",
            &format!(
                "{}, {}, {}",
                Expected::InstanceId.show(&document.instance_id),
                Expected::InstanceType.show(&document.instance_type),
                Expected::Zone.show(&document.availability_zone)
            ),
        ),
        // Credentials do not depend on it.
        Err(error) => {
            report.warn("instance", &error.to_string());
            if let Ok(region) = metadata.region().await {
                report.ok("region", &Expected::Zone.show(&region));
            }
        }
    }

    match metadata.get("iam/security-credentials/").await {
        Ok(list) if list.trim().is_empty() => {
            return Err(Problem::new(
                "role",
                "the list of roles is empty",
                Some(NO_ROLE),
            ));
        }
        // The list may be anything, a secret included, if a proxy returns it.
        Ok(list) => match list.lines().map(str::trim_ascii).find(|line| !line.is_empty()) {
            Some(name) if Expected::RoleName.accepts(name) => report.ok("role", name),
            _ => match provider.credentials().await {
                Err(error) if error.step() == Some(Step::RoleList) => {
                    return Err(Problem::of("role", &error));
                }
                // With a role name in the settings the list does not matter.
                _ => report.warn(
                    "role",
                    &format!(
                        "the role list does not start with a valid role name; its {} characters are not shown",
                        list.chars().count()
                    ),
                ),
            },
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Problem::new(
                "role",
                "the instance has no role",
                Some(NO_ROLE),
            ));
        }
        Err(error) => return Err(Problem::of("role", &error)),
    }

    match provider.credentials().await {
        Ok(credentials) => {
            let expiration = credentials.expires().map_or_else(String::new, |expires| {
                let distance = distance(expires, Utc::now());
                format!(", expire {distance} ({})", written(expires))
            });
            report.ok(
                "credentials",
                &format!(
                    "{}{expiration}",
                    Expected::AccessKeyId.show(credentials.access_key_id())
                ),
            );
            let status = provider.status();
            if let (Some(_), Some(failure)) = (status.failing_since, status.last_failure) {
                report.warn("refresh", &format!("{:#}", failure.error));
                report.remedy(failure.error.remedy());
            }
            Ok(())
        }
        Err(error) => Err(Problem::of("credentials", &error)),
    }
}

const NOT_EC2: &str = "check that this runs on an EC2 instance and that the endpoint is right; in a container, check that its network reaches the instance's; elsewhere, use --emulator";
const NO_ROLE: &str = "attach an instance profile with a role to the instance";

async fn connect(endpoint: &Endpoint) -> Result<(), String> {
    let connection = TcpStream::connect((endpoint.host(), endpoint.port()));
    match tokio::time::timeout(Duration::from_secs(2), connection).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot connect to {endpoint}: {error}")),
        Err(_) => Err(format!("cannot connect to {endpoint} within 2 seconds")),
    }
}

/// A step that fails.
struct Problem {
    step: &'static str,
    reason: String,
    remedy: Option<&'static str>,
}

impl Problem {
    fn new(step: &'static str, reason: impl Into<String>, remedy: Option<&'static str>) -> Self {
        Self {
            step,
            reason: reason.into(),
            remedy,
        }
    }

    fn of(step: &'static str, error: &Error) -> Self {
        let reason = match error.obstacle() {
            Some(obstacle) => format!("{error:#}: {obstacle}"),
            None => format!("{error:#}"),
        };
        Self::new(step, reason, error.remedy())
    }
}

/// The lines to print.
#[derive(Default)]
struct Report {
    text: String,
    failed: bool,
}

impl Report {
    fn line(&mut self, mark: &str, step: &str, detail: &str) {
        let _ = writeln!(self.text, "{mark:<4}  {step:<14} {detail}");
    }

    fn ok(&mut self, step: &str, detail: &str) {
        self.line("ok", step, detail);
    }

    fn warn(&mut self, step: &str, detail: &str) {
        self.line("note", step, detail);
    }

    fn fail(&mut self, problem: &Problem) {
        self.failed = true;
        self.line("FAIL", problem.step, &problem.reason);
        self.remedy(problem.remedy);
    }

    fn remedy(&mut self, remedy: Option<&str>) {
        if let Some(remedy) = remedy {
            let _ = writeln!(self.text, "{:<20} remedy: {remedy}", "");
        }
    }

    fn print(self) -> Outcome {
        crate::print(self.text.as_bytes())?;
        Ok(match self.failed {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}
