//! The command `imds-emulator`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use clap::Parser;
use imds_emulator::{Emulator, StartError};
use tokio::signal::unix::{SignalKind, signal};

/// Emulates the EC2 Instance Metadata Service (IMDS), for tests.
///
/// Once it listens, it prints one line on standard output:
/// {"ready":true,"metadata":"http://127.0.0.1:1338"}. It stops on SIGINT and SIGTERM.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,

    /// The port to listen on; 0 for any free one.
    #[arg(long, default_value_t = 1338)]
    port: u16,

    /// The name of the instance's role.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "emulated-role",
        conflicts_with = "no_role"
    )]
    role: String,

    /// Emulate an instance without a role.
    #[arg(long)]
    no_role: bool,
}

const AFTER_HELP: &str = "\
Examples:
  imds-emulator
  AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338 aws sts get-caller-identity
  imds-emulator --port 0 --role web-server

The credentials that it gives are well-formed and worthless: AWS does not accept them.";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_one_line(&*error));
            if error.is::<StartError>() {
                eprintln!(
                    "remedy: choose another address with --host or another port with --port; --port 0 takes any free one"
                );
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    // Before the ready line, so that whoever has read it can stop us.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let builder = Emulator::builder().bind((arguments.host, arguments.port).into());
    let builder = if arguments.no_role {
        builder.without_role()
    } else {
        builder.role(arguments.role)
    };
    let emulator = builder.start().await?;
    let ready = serde_json::json!({ "ready": true, "metadata": emulator.url() });
    let mut out = io::stdout().lock();
    writeln!(out, "{ready}")?;
    out.flush()?;
    drop(out);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    emulator.stop().await;
    Ok(())
}

fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
