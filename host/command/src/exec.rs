//! `exec`: runs a command with the credentials in its environment.

use std::ffi::OsString;
use std::process::Command;

use imds_child_process::Signals;

use crate::format;
use crate::precedence;
use crate::source::{Log, Source};
use crate::{Outcome, Usage};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials exec -- aws s3 ls
  ec2-role-credentials exec --emulator -- sh -c 'echo $AWS_ACCESS_KEY_ID'

COMMAND gets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION \
and, if IMDS names the account, AWS_ACCOUNT_ID. AWS_PROFILE and AWS_DEFAULT_PROFILE are removed, \
because some SDKs then ignore the variables above; the region of the profile is kept. The credentials \
expire, and are not refreshed while COMMAND runs: use `serve -- COMMAND` for a command that runs for \
hours.")]
pub(crate) struct Arguments {
    /// Run this command with its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| Usage("COMMAND is missing".into()))?;
        let opened = self.source.open().await?;
        let credentials = opened.provider.credentials().await?;
        #[cfg(feature = "emulator")]
        let alone = opened.emulator.is_none();
        #[cfg(not(feature = "emulator"))]
        let alone = true;
        let mut command = Command::new(program);
        // No other source of credentials must remain, and no part of one.
        let others = [
            &precedence::KEYS[..],
            &precedence::PROFILES,
            &["AWS_ACCOUNT_ID"],
        ];
        precedence::remove(&mut command, &others.concat());
        command
            .args(arguments)
            .envs(format::variables(&credentials));
        opened.point(&mut command);
        // The command replaces this process, and has its signals and its terminal.
        #[cfg(unix)]
        if alone {
            use std::os::unix::process::CommandExt as _;

            let error = command.exec();
            return Err(imds_child_process::Error::new(program, error).into());
        }
        let _ = alone;
        Ok(imds_child_process::run(command, &mut Signals::new()?).await?)
    }
}
