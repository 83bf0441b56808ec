//! The packets that clients send to IMDS.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Admin;
use super::input::Problem;
use super::openapi::{Api, Operation};
use crate::control::Control;
use crate::journal::Packets;

pub(super) fn routes() -> Api<Admin> {
    let show_packets = Operation::get(
        "getPackets",
        "Show how many packets clients have sent to IMDS",
    );
    Api::new().path(
        "/__admin/packets",
        get(show),
        [show_packets
            .gives::<Packets>(200, "the packets")
            .fails(&[409])],
    )
}

async fn show(State(control): State<Control>) -> Result<Json<Packets>, Problem> {
    if !control.owns_network() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "the emulator counts packets of isolated commands (`run --isolated`) and with --link-local, \
             --netns or --join; elsewhere packets are longer than on EC2, so it does not count them",
        ));
    }
    let packets = control.packets().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "the emulator does not count packets; start it with journal.packets = true",
        )
    })?;
    Ok(Json(packets))
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl packets`.

    use clap::Subcommand;
    use hyper::Method;

    use crate::admin::ctl::{Client, print, print_json};
    use crate::journal::Packets;

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Show how many packets were sent to IMDS (needs journal.packets=true, and `run --isolated`,
        /// --link-local, --netns or --join)
        Packets {
            /// Print JSON
            #[arg(long)]
            json: bool,
        },
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            let Self::Packets { json } = self;
            let packets: Packets = api.ask(Method::GET, "packets").await?;
            match json {
                true => print_json(&packets),
                false => print(packets),
            }
        }
    }
}
