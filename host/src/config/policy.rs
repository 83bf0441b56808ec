//! Settings that are a choice of a few.

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

/// When requests are sent without a session token (IMDSv1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Imdsv1Policy {
    /// Never.
    Never,
    /// When IMDS refuses to give a token: 403, 404 or 405.
    OnRefusal,
    /// After any failure to get a token but 400, silence and server errors included, as the AWS SDK
    /// for Go does.
    OnAnyFailure,
}

/// When credentials are refreshed, and what becomes of them when that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// When they have ended. When that fails, their life is extended by 5 to 15 minutes.
    Classic,
    /// In a window before their end; one caller waits for that, and the others go on with what there
    /// is until the last minute. When that fails, they go on unchanged, and the next attempt
    /// comes 5 to 10 minutes later.
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
