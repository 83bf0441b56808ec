//! Credentials and tokens.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use super::input::Problem;
use super::openapi::{Api, Operation};
use super::{Admin, apply, never};
use crate::control::Control;
use crate::timeline::Command;

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/credentials/rotate",
            post(rotate),
            [Operation::post(
                "rotateCredentials",
                "Issue new credentials for the role now",
            )
            .gives_nothing()],
        )
        .path(
            "/__admin/tokens/revoke",
            post(revoke),
            [Operation::post("revokeTokens", "Revoke all tokens").gives_nothing()],
        )
}

async fn rotate(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::RotateCredentials, never)
}

async fn revoke(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::RevokeTokens, never)
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl rotate` and `ctl revoke`.

    use clap::Subcommand;
    use hyper::Method;

    use crate::admin::ctl::Client;

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Issue new credentials for the role now
        Rotate,
        /// Revoke all tokens that were issued so far
        Revoke,
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            let path = match self {
                Self::Rotate => "credentials/rotate",
                Self::Revoke => "tokens/revoke",
            };
            api.ask(Method::POST, path).await
        }
    }
}
