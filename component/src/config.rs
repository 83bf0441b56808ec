//! The settings. A [`Config`] is valid: its constructor checks every value.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::cache;
use crate::error::{Error, InvalidOption};
use crate::imds::client;
use crate::imds::endpoint::{self, Endpoint};
use crate::provider::{self, RoleName};

// The types of the fields of `Options`, for embedders.
pub use crate::cache::RefreshPolicy;
pub use crate::imds::session::Imdsv1Policy;

/// The settings before they are checked; mirrors `ec2-role.options` of the WIT package. `None` means
/// the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to fail every operation without sending a request.
    pub disabled: Option<bool>,
    /// Base URL of IMDS.
    pub endpoint: Option<String>,
    /// Which well-known endpoint to use.
    pub endpoint_mode: Option<EndpointMode>,
    /// When to fall back to IMDSv1.
    pub imdsv1: Option<Imdsv1Policy>,
    /// The name of the role.
    pub role_name: Option<String>,
    /// Time limit for opening a connection, in milliseconds.
    pub connect_timeout: Option<u64>,
    /// Time limit for the response on an open connection, in milliseconds.
    pub read_timeout: Option<u64>,
    /// Time limit for a look-up, in milliseconds.
    pub operation_timeout: Option<u64>,
    /// Maximum number of attempts for each request.
    pub attempts: Option<u32>,
    /// Lifetime to request for tokens, in seconds.
    pub token_ttl: Option<u32>,
    /// How long before their expiration credentials are due, in milliseconds.
    pub expiry_window: Option<u64>,
    /// The random part of `expiry_window`, in percent.
    pub expiry_window_jitter: Option<u32>,
    /// When credentials are refreshed.
    pub refresh_policy: Option<RefreshPolicy>,
    /// How long past their expiration credentials may be extended, in milliseconds.
    pub max_extension: Option<u64>,
    /// Whether to try the extended path first.
    pub extended_path: Option<bool>,
}

impl Options {
    /// The name of the first given option that configures the built-in IMDS client and nothing else.
    pub(crate) fn first_of_built_in_client(&self) -> Option<&'static str> {
        let Self {
            disabled: _,
            endpoint,
            endpoint_mode,
            imdsv1,
            role_name: _,
            connect_timeout,
            read_timeout,
            operation_timeout,
            attempts,
            token_ttl,
            expiry_window: _,
            expiry_window_jitter: _,
            refresh_policy: _,
            max_extension: _,
            extended_path: _,
        } = self;
        [
            ("endpoint", endpoint.is_some()),
            ("endpoint-mode", endpoint_mode.is_some()),
            ("imdsv1", imdsv1.is_some()),
            ("connect-timeout", connect_timeout.is_some()),
            ("read-timeout", read_timeout.is_some()),
            ("operation-timeout", operation_timeout.is_some()),
            ("attempts", attempts.is_some()),
            ("token-ttl", token_ttl.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
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

/// The checked settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The settings of the built-in IMDS client.
    pub client: client::Settings,
    /// The settings of the provider.
    pub provider: provider::Settings,
    /// The settings of the cache.
    pub cache: cache::Settings,
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] for the first invalid value.
    pub fn new(options: Options) -> Result<Self, Error> {
        let default = client::Settings::default();
        let endpoint = match (options.endpoint, options.endpoint_mode) {
            (Some(url), _) => match url.parse() {
                Ok(endpoint) => endpoint,
                Err(_) => return Err(invalid("endpoint", url, endpoint::ACCEPTED)),
            },
            (None, Some(EndpointMode::Ipv6)) => Endpoint::ipv6(),
            (None, Some(EndpointMode::Ipv4) | None) => default.endpoint,
        };
        let role = match options.role_name {
            Some(name) => match name.parse() {
                Ok(role) => Some(role),
                Err(_) => return Err(invalid("role-name", name, RoleName::ACCEPTED)),
            },
            None => None,
        };
        let milliseconds = |name, value, least, most, accepted| {
            let value = in_range(name, value, least..=most, accepted)?;
            Ok::<_, Error>(value.map(Duration::from_millis))
        };
        let connect = milliseconds(
            "connect-timeout",
            options.connect_timeout,
            1,
            60_000,
            "1 to 60000 milliseconds",
        )?;
        let read = milliseconds(
            "read-timeout",
            options.read_timeout,
            1,
            60_000,
            "1 to 60000 milliseconds",
        )?;
        let operation = milliseconds(
            "operation-timeout",
            options.operation_timeout,
            1,
            600_000,
            "1 to 600000 milliseconds",
        )?;
        let attempts = in_small_range("attempts", options.attempts, 1..=10, "1 to 10")?;
        let token_ttl = in_small_range(
            "token-ttl",
            options.token_ttl,
            1..=21_600,
            "1 to 21600 seconds",
        )?;
        let window = milliseconds(
            "expiry-window",
            options.expiry_window,
            0,
            86_400_000,
            "0 to 86400000 milliseconds",
        )?;
        let jitter = in_small_range(
            "expiry-window-jitter",
            options.expiry_window_jitter,
            0..=100,
            "0 to 100 percent",
        )?;
        Ok(Self {
            client: client::Settings {
                disabled: options.disabled.unwrap_or(default.disabled),
                endpoint,
                imdsv1: options.imdsv1.unwrap_or(default.imdsv1),
                connect_timeout: connect.unwrap_or(default.connect_timeout),
                read_timeout: read.unwrap_or(default.read_timeout),
                operation_timeout: operation.unwrap_or(default.operation_timeout),
                attempts: attempts.unwrap_or(default.attempts),
                token_ttl: token_ttl
                    .map_or(default.token_ttl, |ttl| Duration::from_secs(ttl.into())),
            },
            provider: provider::Settings {
                role,
                extended_path: options.extended_path.unwrap_or(false),
            },
            cache: cache::Settings {
                policy: options.refresh_policy.unwrap_or_default(),
                window,
                jitter: jitter.unwrap_or(0),
                max_extension: options.max_extension.map(Duration::from_millis),
            },
        })
    }
}

#[cold]
fn invalid(option: &'static str, value: String, accepted: &'static str) -> Error {
    Error::InvalidConfiguration(Box::new(InvalidOption {
        name: option.to_string(),
        value,
        accepted: accepted.to_string(),
    }))
}

fn in_range(
    option: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
    accepted: &'static str,
) -> Result<Option<u64>, Error> {
    match value.filter(|value| !range.contains(value)) {
        Some(value) => Err(invalid(option, value.to_string(), accepted)),
        None => Ok(value),
    }
}

/// As [`in_range`], for a range within 32 bits.
fn in_small_range(
    option: &'static str,
    value: Option<u32>,
    range: RangeInclusive<u32>,
    accepted: &'static str,
) -> Result<Option<u32>, Error> {
    let range = u64::from(*range.start())..=u64::from(*range.end());
    in_range(option, value.map(u64::from), range, accepted)?;
    Ok(value)
}
