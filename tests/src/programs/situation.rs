//! The situations in which a program is run.

use std::time::Duration;

use imds_emulator::config::{Config, ConfigError, HttpTokens, Layers, Peers};
use imds_emulator::fault::kinds::CredentialsExpired;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;
use imds_emulator::timeline::{Command, On, OnRequest, TimelineStep};
use imds_emulator::{OffEc2, Preset};

use super::Program;

/// The role of the emulated instance. Program files name it.
const ROLE: &str = "app";
pub(super) const TOKENS: &str = "/latest/api/token";
/// How long ago credentials expired that have expired.
const EXPIRED: Duration = Duration::from_secs(3600);
/// The lifetime of credentials that expire soon. Every SDK that refreshes credentials before they
/// expire does so earlier than this.
const SOON: Duration = Duration::from_secs(120);
/// The lifetime of credentials that expire between two uses.
pub(super) const BRIEF: Duration = Duration::from_secs(30);

/// How IMDS is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Situation {
    Healthy,
    TokenRefused,
    HopLimit,
    TokenRevoked,
    CredentialsExpired,
    CredentialsExpireSoon,
    CredentialsExpire,
    Off(OffEc2),
}

impl Situation {
    /// The configuration of the emulator: an instance as AWS launches it today, but for IMDSv1,
    /// which is allowed so that a program that falls back to it is seen to succeed.
    pub(super) fn config(self, program: &Program) -> Result<Config, ConfigError> {
        let mut layers = Layers::new();
        for setting in &program.usage.set {
            layers.assign("use.set", setting);
        }
        let mut config = layers.config()?;
        config.server.port = 0;
        config.journal.packets = true;
        config.metadata_options.http_tokens = HttpTokens::Optional;
        if let Some(iam) = &mut config.instance.iam {
            iam.role = Some(ROLE.to_owned());
        }
        match self {
            Self::Healthy | Self::Off(_) => {}
            Self::TokenRefused => {
                config.faults.extend(Preset::TokenForbidden.rules());
            }
            Self::HopLimit => {
                config.metadata_options.http_put_response_hop_limit = 1;
                let everyone = ["0.0.0.0/0", "::/0"];
                let networks = everyone.iter().filter_map(|network| network.parse().ok());
                config.server.peers = networks.map(|network| Peers::new(network, 2)).collect();
            }
            Self::TokenRevoked => {
                let revoke = TimelineStep::new("revoked", vec![Command::RevokeTokens]);
                // The path can end with a slash.
                let mut tokens = Filter::path("/latest/api/**");
                tokens.method = Some("PUT".into());
                tokens.status = Some(200);
                let first = On::Request(OnRequest::new(tokens, 1));
                config.timeline.push(revoke.on(first));
            }
            Self::CredentialsExpired => {
                let expired = CredentialsExpired::new().by(EXPIRED);
                config.faults.push(Rule::new("expired", expired));
            }
            Self::CredentialsExpireSoon => {
                let soon = Fault::credentials_short_lived(SOON);
                config.faults.push(Rule::new("expire soon", soon));
            }
            Self::CredentialsExpire => {
                let brief = Fault::credentials_short_lived(BRIEF);
                config.faults.push(Rule::new("expire", brief));
            }
        }
        Ok(config)
    }

    /// A name for the folder that is the program's home.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::TokenRefused => "token-refused",
            Self::HopLimit => "hop-limit",
            Self::TokenRevoked => "token-revoked",
            Self::CredentialsExpired => "credentials-expired",
            Self::CredentialsExpireSoon => "credentials-expire-soon",
            Self::CredentialsExpire => "credentials-expire",
            Self::Off(OffEc2::Refused) => "refused",
            Self::Off(OffEc2::Unreachable) => "unreachable",
            Self::Off(_) => "silent",
        }
    }
}
