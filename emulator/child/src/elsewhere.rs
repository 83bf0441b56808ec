//! Without signals. Ctrl-C reaches the command directly.

use std::process::{Command, ExitCode};
use std::{future, io};

use crate::{Error, Signal, Start};

pub(crate) async fn run(command: Command, _: &mut Signals, _: Start) -> Result<ExitCode, Error> {
    let mut command = tokio::process::Command::from(command);
    let program = command.as_std().get_program().to_owned();
    let failed = |source| Error::new(&program, source);
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    // A handler keeps Ctrl-C from ending this process before the command.
    let handler = async {
        while tokio::signal::ctrl_c().await.is_ok() {}
        future::pending().await
    };
    let status = tokio::select! {
        status = child.wait() => status.map_err(failed)?,
        () = handler => return Ok(ExitCode::FAILURE),
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[derive(Debug)]
pub(crate) struct Signals;

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            // Without a handler the system ends the process by itself.
            Err(_) => future::pending().await,
        }
    }
}
