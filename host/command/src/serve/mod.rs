//! `serve`: a container credentials endpoint on the loopback interface.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use ec2_role_host::RefreshPolicy;
use imds_child_process::Signals;
use tokio::net::TcpListener;

use self::endpoint::Served;
use self::token_file::TokenFile;
use crate::format;
use crate::precedence::{self, Copies};
use crate::source::{Log, Source};
use crate::{Outcome, Usage};

mod endpoint;
mod token_file;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials serve -- aws s3 sync . s3://bucket
  ec2-role-credentials serve > env.sh &
  until [ -s env.sh ]; do sleep 0.1; done; . ./env.sh

The endpoint is what AWS SDKs use in a container of ECS and EKS. COMMAND gets the variables that point \
an SDK at it: AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN, and \
AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, which names a file with the same token. Without COMMAND, they \
are printed for a shell to evaluate, and the endpoint runs until it is stopped. Anyone with the token can \
read the credentials.

Sources that an SDK would use first are taken away from COMMAND: variables, AWS_PROFILE among them, and \
the credentials of the profile `default` in the shared configuration files, of which COMMAND gets copies \
without these. The region of the profile in AWS_PROFILE is kept. A profile that COMMAND itself selects is \
used. Without COMMAND, the variables are unset, and a note names the files.

The credentials are refreshed in the background. A request is answered within 0.4 s while there are \
credentials that have not expired. While refreshes fail, credentials that expire in less than 2 minutes, \
or have expired already, are reported as expiring 2 minutes from now, so that SDKs keep using them. AWS \
may reject them. Once they have expired, IMDS is tried again every 10 to 30 s.

Signals are forwarded to COMMAND, which is killed if this process is killed. The exit status is that of \
COMMAND.")]
pub(crate) struct Arguments {
    /// Listen on this address: a loopback address, or one of those that SDKs know from containers,
    /// 169.254.170.2, 169.254.170.23 and fd00:ec2::23, if this machine has it. Port 0 selects a free
    /// port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Write the token to FILE, which only this user can read [default: a file in $XDG_RUNTIME_DIR or the
    /// folder for temporary files]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Write the token to no file. For a COMMAND that changes its user and cannot read the file
    #[arg(long, conflicts_with = "token_file")]
    no_token_file: bool,

    /// Run this command with its arguments, and serve until it ends
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

/// The addresses of the agents of ECS and EKS.
const AGENTS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        let address = self.listen.ip();
        if !address.is_loopback() && !AGENTS.contains(&address) {
            return Err(Usage(format!(
                "--listen is {}; accepted: a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23], because AWS SDKs take credentials over http from these alone",
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
        let file = self.write_token(&token)?;
        let uri = format!("http://{}{}", listener.local_addr()?, endpoint::PATH);
        let mut variables = vec![(FULL_URI, uri), (TOKEN, token.clone())];
        if let Some(path) = file.as_ref().and_then(|file| file.path().to_str()) {
            variables.push((TOKEN_FILE, path.to_owned()));
        }
        let served = Served {
            provider: opened.provider.clone(),
            token,
        };
        let server = axum::serve(listener, endpoint::router(served));
        tokio::spawn(server.into_future());
        // The first client should not have to wait. A failure is logged, and may be transient.
        let provider = opened.provider.clone();
        tokio::spawn(async move { provider.credentials().await.map(drop) });
        let others: Vec<&str> = [
            &precedence::KEYS[..],
            &precedence::PROFILES,
            &precedence::ENDPOINTS,
        ]
        .concat();
        match self.command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                precedence::remove(&mut command, &others);
                command.args(arguments).envs(variables);
                opened.point(&mut command);
                let _copies = Copies::give(&mut command);
                Ok(imds_child_process::run(command, &mut signals).await?)
            }
            None => {
                for file in precedence::FILES.iter().filter(|file| file.has_default()) {
                    let path = file.path().unwrap_or_default();
                    eprintln!(
                        "note: most SDKs use the credentials of the profile default in {} first; remove them, or start the program with `serve -- COMMAND`",
                        path.display()
                    );
                }
                let is_set = |name: &str| variables.iter().any(|(set, _)| *set == name);
                let others: Vec<&str> = others.into_iter().filter(|name| !is_set(name)).collect();
                let unset = format!("unset {}\n", others.join(" "));
                crate::print((unset + &format::export(&variables)).as_bytes())?;
                signals.next().await;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Writes the token to a file. Only the file that the user named is indispensable.
    fn write_token(&self, token: &str) -> anyhow::Result<Option<TokenFile>> {
        if self.no_token_file {
            return Ok(None);
        }
        let file = match (
            TokenFile::write(self.token_file.as_deref(), token),
            &self.token_file,
        ) {
            (Ok(file), _) => file,
            (Err(error), Some(file)) => {
                let why = format!("cannot write the token to {}", file.display());
                return Err(anyhow::Error::new(error).context(why));
            }
            (Err(error), None) => {
                tracing::warn!(
                    %error,
                    "cannot write the token to a file, which some clients need (polars, deltalake, obstore); name one with --token-file"
                );
                return Ok(None);
            }
        };
        tokio::spawn(TokenFile::keep(file.path().to_owned()));
        Ok(Some(file))
    }
}

/// A token of 32 random bytes.
fn token() -> String {
    base16ct::lower::encode_string(&rand::random::<[u8; 32]>())
}
