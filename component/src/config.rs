//! The settings, checked once at the door: a [`Config`] that exists is right.

use alloc::format;
use alloc::string::{String, ToString};
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::error::{Error, InvalidOption};
use crate::imds::client::Settings;
use crate::imds::endpoint::{self, Endpoint};
use crate::provider::RoleName;

/// How long a connection may take to open. The AWS SDKs have between 250 ms and 2 s; most have 1 s.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may take. The AWS SDKs have between 500 ms and 1 s.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a look-up may take, as in the AWS SDK for Go v2.
pub const DEFAULT_OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// The life of a token to ask for: the longest that IMDS grants.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(21_600);

/// The settings as they come from outside; mirrors `ec2-role.options` of the WIT package. `None`
/// means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Do not use IMDS.
    pub disabled: Option<bool>,
    /// Base URL.
    pub endpoint: Option<String>,
    /// Which well-known endpoint.
    pub endpoint_mode: Option<EndpointMode>,
    /// When to do without a token.
    pub imdsv1: Option<Imdsv1Policy>,
    /// The name of the role.
    pub role_name: Option<String>,
    /// Milliseconds.
    pub connect_timeout: Option<u64>,
    /// Milliseconds.
    pub read_timeout: Option<u64>,
    /// Milliseconds.
    pub operation_timeout: Option<u64>,
    /// How often a request is sent at most.
    pub attempts: Option<u32>,
    /// Seconds.
    pub token_ttl: Option<u32>,
    /// Milliseconds.
    pub expiry_window: Option<u64>,
    /// The random part of `expiry_window`, in percent.
    pub expiry_window_jitter: Option<u32>,
    /// When to refresh.
    pub refresh_policy: Option<RefreshPolicy>,
    /// Milliseconds.
    pub max_extension: Option<u64>,
    /// Whether to ask the extended path first.
    pub extended_path: Option<bool>,
}

/// Which well-known endpoint to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointMode {
    /// `http://169.254.169.254`
    #[default]
    Ipv4,
    /// `http://[fd00:ec2::254]`
    Ipv6,
}

/// When to send requests without a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Imdsv1Policy {
    /// Never.
    #[default]
    Never,
    /// After 403, 404 or 405 on the token path.
    OnRefusal,
    /// After any failure to get a token but 400.
    OnAnyFailure,
}

/// When credentials are refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// As `aws.CredentialsCache`.
    #[default]
    Classic,
    /// With advisory and mandatory windows.
    Windowed,
}

/// The settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For the IMDS client.
    pub client: Settings,
    /// The role to ask for, if it is not to be looked up.
    pub role_name: Option<RoleName>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: Settings {
                disabled: false,
                endpoint: Endpoint::ipv4(),
                connect_timeout: DEFAULT_CONNECT_TIMEOUT,
                read_timeout: DEFAULT_READ_TIMEOUT,
                operation_timeout: DEFAULT_OPERATION_TIMEOUT,
                token_ttl: DEFAULT_TOKEN_TTL,
            },
            role_name: None,
        }
    }
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] for the first wrong value; [`Error::Unsupported`] for a
    /// setting that this build does not know how to honour.
    pub fn new(options: Options) -> Result<Self, Error> {
        let default = Self::default();
        let endpoint = match (&options.endpoint, options.endpoint_mode) {
            (Some(url), _) => url
                .parse()
                .map_err(|_| invalid("endpoint", url.clone(), endpoint::ACCEPTED))?,
            (None, Some(EndpointMode::Ipv6)) => Endpoint::ipv6(),
            (None, Some(EndpointMode::Ipv4) | None) => default.client.endpoint,
        };
        let role_name = options
            .role_name
            .as_ref()
            .map(|name| {
                name.parse()
                    .map_err(|_| invalid("role-name", name.clone(), RoleName::ACCEPTED))
            })
            .transpose()?;
        let connect_timeout = milliseconds(
            "connect-timeout",
            options.connect_timeout,
            1..=60_000,
            "1 to 60000 milliseconds",
        )?;
        let read_timeout = milliseconds(
            "read-timeout",
            options.read_timeout,
            1..=60_000,
            "1 to 60000 milliseconds",
        )?;
        let operation_timeout = milliseconds(
            "operation-timeout",
            options.operation_timeout,
            1..=600_000,
            "1 to 600000 milliseconds",
        )?;
        in_range(
            "attempts",
            options.attempts.map(u64::from),
            1..=10,
            "1 to 10",
        )?;
        let token_ttl = in_range(
            "token-ttl",
            options.token_ttl.map(u64::from),
            1..=21_600,
            "1 to 21600 seconds",
        )?
        .map(Duration::from_secs);
        milliseconds(
            "expiry-window",
            options.expiry_window,
            0..=86_400_000,
            "0 to 86400000 milliseconds",
        )?;
        in_range(
            "expiry-window-jitter",
            options.expiry_window_jitter.map(u64::from),
            0..=100,
            "0 to 100 percent",
        )?;
        refuse_what_is_not_built(&options)?;
        Ok(Self {
            client: Settings {
                disabled: options.disabled.unwrap_or(default.client.disabled),
                endpoint,
                connect_timeout: connect_timeout.unwrap_or(default.client.connect_timeout),
                read_timeout: read_timeout.unwrap_or(default.client.read_timeout),
                operation_timeout: operation_timeout.unwrap_or(default.client.operation_timeout),
                token_ttl: token_ttl.unwrap_or(default.client.token_ttl),
            },
            role_name,
        })
    }
}

/// A value that asks for behaviour that is not there yet is an error, so that nobody relies on it.
/// Values that ask for what happens anyway are fine.
fn refuse_what_is_not_built(options: &Options) -> Result<(), Error> {
    let asked = [
        (
            "imdsv1",
            options
                .imdsv1
                .is_some_and(|policy| policy != Imdsv1Policy::Never),
        ),
        (
            "attempts",
            options.attempts.is_some_and(|attempts| attempts != 1),
        ),
        (
            "expiry-window",
            options.expiry_window.is_some_and(|window| window != 0),
        ),
        (
            "refresh-policy",
            options.refresh_policy == Some(RefreshPolicy::Windowed),
        ),
        ("max-extension", options.max_extension.is_some()),
        ("extended-path", options.extended_path == Some(true)),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((option, _)) => Err(Error::Unsupported(format!(
            "option {option} is not supported yet"
        ))),
        None => Ok(()),
    }
}

fn invalid(option: &'static str, value: String, accepted: &'static str) -> Error {
    Error::InvalidConfiguration(InvalidOption {
        name: option.to_string(),
        value,
        accepted: accepted.to_string(),
    })
}

fn milliseconds(
    option: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
    accepted: &'static str,
) -> Result<Option<Duration>, Error> {
    Ok(in_range(option, value, range, accepted)?.map(Duration::from_millis))
}

fn in_range(
    option: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
    accepted: &'static str,
) -> Result<Option<u64>, Error> {
    match value.filter(|value| !range.contains(value)) {
        Some(wrong) => Err(invalid(option, wrong.to_string(), accepted)),
        None => Ok(value),
    }
}
