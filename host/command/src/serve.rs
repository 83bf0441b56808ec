//! `serve`: a container credentials endpoint on the loopback interface.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use ec2_role_host::{Credentials, Ec2RoleProvider, RefreshPolicy};
use imds_child_process::Signals;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;

use crate::format;
use crate::source::{Log, Source};
use crate::{Outcome, Usage};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials serve -- aws s3 sync . s3://bucket
  ec2-role-credentials serve > env.sh &
  until [ -s env.sh ]; do sleep 0.1; done; . ./env.sh

The endpoint is what AWS SDKs use in a container of ECS or EKS. COMMAND gets the two variables that \
point an SDK at it, AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN. Variables \
that would make the SDK use another source first, AWS_PROFILE among them, are removed. Without COMMAND, \
the two variables are printed for a shell to evaluate, and the endpoint runs until it is stopped. \
Anyone with the token can read the credentials.

The credentials are refreshed in the background. While refreshes fail, credentials that expire in less \
than 5 minutes, or have expired already, are reported as expiring 10 minutes from now, so that SDKs keep \
using them. AWS may reject them.

SIGTERM is forwarded to COMMAND. The exit status is that of COMMAND.")]
pub(crate) struct Arguments {
    /// Listen on this loopback address. Port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Run this command with its arguments, and serve until it ends
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

/// While refreshes fail, credentials that expire sooner than this are reported as expiring in
/// [`REPORTED_LIFE`]: SDKs refresh credentials about five minutes before they expire.
const MIN_LIFE: TimeDelta = TimeDelta::minutes(5);
const REPORTED_LIFE: TimeDelta = TimeDelta::minutes(10);

/// The path of the credentials.
const PATH: &str = "/credentials";

/// Variables that would make an SDK use another source first.
const HIDDEN: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        if !self.listen.ip().is_loopback() {
            return Err(Usage(format!(
                "--listen is {}; accepted: a loopback address, because AWS SDKs send their token over http to no other address",
                self.listen
            ))
            .into());
        }
        let with_command = !self.command.is_empty();
        let log = if with_command {
            "warn"
        } else {
            "ec2_role_host=info,warn"
        };
        self.log.start(Some(log))?;
        let mut signals = Signals::new()?;
        let opened = self
            .source
            .open_with(|builder| {
                builder
                    .refresh_policy(RefreshPolicy::Windowed)
                    .background_refresh(true)
            })
            .await?;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let token = token();
        let mut variables = vec![
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("http://{}{PATH}", listener.local_addr()?),
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.clone()),
        ];
        let served = Served {
            provider: opened.provider.clone(),
            token,
        };
        let server = axum::serve(listener, router(served));
        tokio::spawn(server.into_future());
        // The first client should not have to wait. A failure is logged, and may be transient.
        let provider = opened.provider.clone();
        tokio::spawn(async move { provider.credentials().await.map(drop) });
        match self.command.split_first() {
            Some((program, arguments)) => {
                variables.extend(opened.variables());
                let mut command = Command::new(program);
                for name in HIDDEN {
                    command.env_remove(name);
                }
                command.args(arguments).envs(variables);
                Ok(imds_child_process::run(command, &mut signals).await?)
            }
            None => {
                crate::print(format::export(&variables).as_bytes())?;
                signals.next().await;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// A token of 32 random bytes.
fn token() -> String {
    base16ct::lower::encode_string(&rand::random::<[u8; 32]>())
}

struct Served {
    provider: Ec2RoleProvider,
    token: String,
}

fn router(served: Served) -> Router {
    Router::new()
        .route(PATH, get(credentials))
        .with_state(Arc::new(served))
}

async fn credentials(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let given = headers
        .get(header::AUTHORIZATION)
        .map_or(b"".as_slice(), |token| token.as_bytes());
    if !bool::from(given.ct_eq(served.token.as_bytes())) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the authorization token is missing or wrong",
        );
    }
    match served.provider.credentials().await {
        Ok(credentials) => {
            let failing = served.provider.status().failing_since.is_some();
            let expires = expiration(&credentials, failing, Utc::now());
            no_store(document(&credentials, expires).into_response())
        }
        Err(error) => {
            let code = serde_json::to_value(error.kind()).unwrap_or_default();
            let code = code.as_str().unwrap_or("error");
            refusal(StatusCode::SERVICE_UNAVAILABLE, code, &format!("{error:#}"))
        }
    }
}

/// The document that SDKs expect, in the form that the agents of ECS and EKS use.
fn document(
    credentials: &Credentials,
    expires: Option<DateTime<Utc>>,
) -> axum::Json<serde_json::Value> {
    axum::Json(json!({
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
        "Token": credentials.session_token(),
        "AccountId": credentials.account_id(),
        // SDKs require an expiration.
        "Expiration": expires.map(format::written),
    }))
}

/// The expiration to report. SDKs do not use expired credentials, so while refreshes fail, credentials
/// near or past their expiration are reported as expiring in [`REPORTED_LIFE`].
fn expiration(
    credentials: &Credentials,
    failing: bool,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let expires = credentials.expires()?;
    match failing && expires < now + MIN_LIFE {
        true => Some(now + REPORTED_LIFE),
        false => Some(expires),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(json!({ "code": code, "message": message }));
    no_store((status, body).into_response())
}

fn no_store(mut response: Response) -> Response {
    let value = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}
