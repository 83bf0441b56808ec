//! The settings of a provider, and their translation for the component.

use std::fmt;
use std::time::Duration;

use super::policy::{EndpointMode, Imdsv1Policy, RefreshPolicy};
use crate::endpoint::{without_password, without_user_information};
use crate::wit::ec2_role as wit;

/// The settings of a provider, from the program, the environment and the profile. `None` stands for
/// the component's default, which the methods of [`Builder`](crate::Builder) name.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each is documented at the builder's method of its name"
)]
pub struct Settings {
    pub disabled: Option<bool>,
    pub endpoint: Option<String>,
    pub endpoint_mode: Option<EndpointMode>,
    pub imdsv1: Option<Imdsv1Policy>,
    pub role_name: Option<String>,
    pub connect_timeout: Option<Duration>,
    pub read_timeout: Option<Duration>,
    pub operation_timeout: Option<Duration>,
    pub attempts: Option<u32>,
    pub token_ttl: Option<Duration>,
    pub expiry_window: Option<Duration>,
    pub expiry_window_jitter: Option<u32>,
    pub refresh_policy: Option<RefreshPolicy>,
    pub max_extension: Option<Duration>,
    pub extended_path: Option<bool>,
}

/// URLs are shown without user information, which may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            disabled,
            endpoint,
            endpoint_mode,
            imdsv1,
            role_name,
            connect_timeout,
            read_timeout,
            operation_timeout,
            attempts,
            token_ttl,
            expiry_window,
            expiry_window_jitter,
            refresh_policy,
            max_extension,
            extended_path,
        } = self;
        let endpoint = &endpoint.as_deref().map(without_user_information);
        let role_name = &role_name.as_deref().map(without_password);
        f.debug_struct("Settings")
            .field("disabled", disabled)
            .field("endpoint", endpoint)
            .field("endpoint_mode", endpoint_mode)
            .field("imdsv1", imdsv1)
            .field("role_name", role_name)
            .field("connect_timeout", connect_timeout)
            .field("read_timeout", read_timeout)
            .field("operation_timeout", operation_timeout)
            .field("attempts", attempts)
            .field("token_ttl", token_ttl)
            .field("expiry_window", expiry_window)
            .field("expiry_window_jitter", expiry_window_jitter)
            .field("refresh_policy", refresh_policy)
            .field("max_extension", max_extension)
            .field("extended_path", extended_path)
            .finish()
    }
}

/// The one place where settings become options of the component.
impl From<&Settings> for wit::Options {
    fn from(settings: &Settings) -> Self {
        Self {
            disabled: settings.disabled,
            endpoint: settings.endpoint.clone(),
            endpoint_mode: settings.endpoint_mode.map(Into::into),
            imdsv1: settings.imdsv1.map(Into::into),
            role_name: settings.role_name.clone(),
            connect_timeout: settings.connect_timeout.map(milliseconds),
            read_timeout: settings.read_timeout.map(milliseconds),
            operation_timeout: settings.operation_timeout.map(milliseconds),
            attempts: settings.attempts,
            token_ttl: settings.token_ttl.map(seconds),
            expiry_window: settings.expiry_window.map(milliseconds),
            expiry_window_jitter: settings.expiry_window_jitter,
            refresh_policy: settings.refresh_policy.map(Into::into),
            max_extension: settings.max_extension.map(milliseconds),
            extended_path: settings.extended_path,
        }
    }
}

/// A duration that does not fit is longer than the component accepts, so it reports an error.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reaches_the_component() {
        let settings = Settings {
            disabled: Some(true),
            endpoint: Some("http://127.0.0.1:1".into()),
            endpoint_mode: Some(EndpointMode::Ipv6),
            imdsv1: Some(Imdsv1Policy::OnAnyFailure),
            role_name: Some("role".into()),
            connect_timeout: Some(Duration::from_micros(1_999)),
            read_timeout: Some(Duration::from_millis(2)),
            operation_timeout: Some(Duration::from_millis(3)),
            attempts: Some(4),
            token_ttl: Some(Duration::MAX),
            expiry_window: Some(Duration::from_millis(6)),
            expiry_window_jitter: Some(7),
            refresh_policy: Some(RefreshPolicy::Windowed),
            max_extension: Some(Duration::MAX),
            extended_path: Some(true),
        };
        assert_eq!(
            format!("{:?}", wit::Options::from(&settings)),
            "Options { disabled: Some(true), endpoint: Some(\"http://127.0.0.1:1\"), \
             endpoint-mode: Some(EndpointMode::Ipv6), imdsv1: Some(Imdsv1Policy::OnAnyFailure), \
             role-name: Some(\"role\"), connect-timeout: Some(1), read-timeout: Some(2), \
             operation-timeout: Some(3), attempts: Some(4), token-ttl: Some(4294967295), \
             expiry-window: Some(6), expiry-window-jitter: Some(7), \
             refresh-policy: Some(RefreshPolicy::Windowed), \
             max-extension: Some(18446744073709551615), extended-path: Some(true) }"
        );
    }
}
