//! Settings with a few possible values.

use crate::wit::ec2_role as wit;

/// Which of the well-known endpoints to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum EndpointMode {
    /// `http://169.254.169.254`
    Ipv4,
    /// `http://[fd00:ec2::254]`
    Ipv6,
}

/// When to fall back to IMDSv1, that is, to send requests without a session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Imdsv1Policy {
    /// Never.
    Never,
    /// If IMDS refuses to issue a token: status 403, 404 or 405.
    OnRefusal,
    /// After any failure to get a token except status 400, including timeouts and server errors, as
    /// the AWS SDK for Go does.
    OnAnyFailure,
}

/// When credentials are refreshed, and what happens to the held credentials if a refresh fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// Refresh when the credentials expire. If that fails, move their expiration to 5 to 15 minutes
    /// from now.
    ///
    /// The AWS SDK for Go does this.
    Classic,
    /// Refresh 5 to 60 minutes before the credentials expire. If that fails, leave them unchanged and
    /// try again in 5 to 10 minutes.
    ///
    /// The time before the expiration is the advisory window; its length depends on the lifetime of
    /// the credentials. In it, one caller waits for the refresh, and all other callers get the held
    /// credentials. In the last minute, the mandatory window, every caller waits.
    Windowed,
}

impl From<EndpointMode> for wit::EndpointMode {
    fn from(mode: EndpointMode) -> Self {
        match mode {
            EndpointMode::Ipv4 => Self::Ipv4,
            EndpointMode::Ipv6 => Self::Ipv6,
        }
    }
}

impl From<Imdsv1Policy> for wit::Imdsv1Policy {
    fn from(policy: Imdsv1Policy) -> Self {
        match policy {
            Imdsv1Policy::Never => Self::Never,
            Imdsv1Policy::OnRefusal => Self::OnRefusal,
            Imdsv1Policy::OnAnyFailure => Self::OnAnyFailure,
        }
    }
}

impl From<RefreshPolicy> for wit::RefreshPolicy {
    fn from(policy: RefreshPolicy) -> Self {
        match policy {
            RefreshPolicy::Classic => Self::Classic,
            RefreshPolicy::Windowed => Self::Windowed,
        }
    }
}
