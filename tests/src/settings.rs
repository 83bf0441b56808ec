//! The host's settings as options of the component, for clients that run its logic natively.

use std::time::Duration;

use ec2_role_component::config::{self, Options};
use ec2_role_host::{EndpointMode, Imdsv1Policy, RefreshPolicy, Settings};

const UNKNOWN: &str = "a policy of the host that the component does not have";

pub(crate) fn options(settings: Settings) -> Options {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Options {
        disabled: settings.disabled,
        endpoint: settings.endpoint,
        endpoint_mode: settings.endpoint_mode.map(|mode| match mode {
            EndpointMode::Ipv4 => config::EndpointMode::Ipv4,
            EndpointMode::Ipv6 => config::EndpointMode::Ipv6,
            _ => unreachable!("{UNKNOWN}"),
        }),
        imdsv1: settings.imdsv1.map(|policy| match policy {
            Imdsv1Policy::Never => config::Imdsv1Policy::Never,
            Imdsv1Policy::OnRefusal => config::Imdsv1Policy::OnRefusal,
            Imdsv1Policy::OnAnyFailure => config::Imdsv1Policy::OnAnyFailure,
            _ => unreachable!("{UNKNOWN}"),
        }),
        role_name: settings.role_name,
        connect_timeout: settings.connect_timeout.map(milliseconds),
        read_timeout: settings.read_timeout.map(milliseconds),
        operation_timeout: settings.operation_timeout.map(milliseconds),
        attempts: settings.attempts,
        token_ttl: settings.token_ttl.map(seconds),
        expiry_window: settings.expiry_window.map(milliseconds),
        expiry_window_jitter: settings.expiry_window_jitter,
        refresh_policy: settings.refresh_policy.map(refresh_policy),
        max_extension: settings.max_extension.map(milliseconds),
        extended_path: settings.extended_path,
    }
}

pub(crate) fn refresh_policy(policy: RefreshPolicy) -> config::RefreshPolicy {
    match policy {
        RefreshPolicy::Classic => config::RefreshPolicy::Classic,
        RefreshPolicy::Windowed => config::RefreshPolicy::Windowed,
        _ => unreachable!("{UNKNOWN}"),
    }
}
