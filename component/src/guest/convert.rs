//! Converts between the types of the logic and those of the WIT package, case by case.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::time::Duration;

#[cfg(not(feature = "custom-client"))]
use super::bindings::exports::imds::credentials::metadata;
use super::bindings::exports::imds::credentials::{ec2_role, provider};
use crate::config::{EndpointMode, Imdsv1Policy, Options, RefreshPolicy};
use crate::credentials::Credentials;
use crate::error::{Error, Failure, InvalidOption, Reason, Step};
use crate::imds::client::Version;
#[cfg(not(feature = "custom-client"))]
use crate::imds::documents::{IamInfo, IdentityDocument};
use crate::imds::session::Session;
use crate::instance::Status;
use crate::secret::Secret;
use crate::time::UnixTime;

impl From<Credentials> for provider::Credentials {
    fn from(credentials: Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into_exposed(),
            session_token: credentials.session_token.map(Secret::into_exposed),
            account_id: credentials.account_id,
            source: credentials.source,
            expires: credentials.expires.map(UnixTime::seconds),
            refresh_after: credentials.refresh_after.seconds(),
        }
    }
}

impl From<provider::Credentials> for Credentials {
    fn from(credentials: provider::Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: credentials.session_token.map(Secret::new),
            account_id: credentials.account_id,
            source: credentials.source,
            expires: credentials.expires.map(UnixTime::from_seconds),
            refresh_after: UnixTime::from_seconds(credentials.refresh_after),
        }
    }
}

impl From<Error> for provider::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Disabled => Self::Disabled,
            Error::InvalidConfiguration(invalid) => {
                Self::InvalidConfiguration(provider::InvalidOption {
                    name: invalid.name,
                    value: invalid.value,
                    accepted: invalid.accepted,
                })
            }
            Error::Failed(failure) => Self::Failed((*failure).into()),
            Error::Unsupported(what) => Self::Unsupported(what),
            Error::Other(what) => Self::Other(what),
        }
    }
}

impl From<provider::Error> for Error {
    fn from(error: provider::Error) -> Self {
        match error {
            provider::Error::Disabled => Self::Disabled,
            provider::Error::InvalidConfiguration(provider::InvalidOption {
                name,
                value,
                accepted,
            }) => Self::InvalidConfiguration(Box::new(InvalidOption {
                name,
                value,
                accepted,
            })),
            provider::Error::Failed(failure) => Failure::from(failure).into(),
            provider::Error::Unsupported(what) => Self::Unsupported(what),
            provider::Error::Other(what) => Self::Other(what),
        }
    }
}

impl From<Failure> for provider::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            reason: failure.reason.into(),
            step: failure.step.into(),
            status: failure.status,
            code: failure.code,
            attempts: failure.attempts,
            elapsed: u64::try_from(failure.elapsed.as_millis()).unwrap_or(u64::MAX),
            message: failure.message,
        }
    }
}

impl From<provider::Failure> for Failure {
    fn from(failure: provider::Failure) -> Self {
        Self {
            reason: failure.reason.into(),
            step: failure.step.into(),
            status: failure.status,
            code: failure.code,
            attempts: failure.attempts,
            elapsed: Duration::from_millis(failure.elapsed),
            message: failure.message,
        }
    }
}

/// Converts between two enums with the same cases.
macro_rules! same_cases {
    ($ours:ident, $theirs:path, $($case:ident)+) => {
        impl From<$ours> for $theirs {
            fn from(ours: $ours) -> Self {
                match ours {
                    $($ours::$case => Self::$case,)+
                }
            }
        }

        impl From<$theirs> for $ours {
            fn from(theirs: $theirs) -> Self {
                match theirs {
                    $(<$theirs>::$case => Self::$case,)+
                }
            }
        }
    };
}

same_cases!(Step, provider::Step, Token RoleList RoleCredentials Metadata);
same_cases!(
    Reason, provider::Reason,
    Denied Unavailable Timeout Throttled Forbidden NotFound NoRole Refused Expired UnexpectedStatus InvalidResponse
);
same_cases!(EndpointMode, ec2_role::EndpointMode, Ipv4 Ipv6);
same_cases!(Imdsv1Policy, ec2_role::Imdsv1Policy, Never OnRefusal OnAnyFailure);
same_cases!(RefreshPolicy, ec2_role::RefreshPolicy, Classic Windowed);

impl From<ec2_role::Options> for Options {
    fn from(options: ec2_role::Options) -> Self {
        Self {
            disabled: options.disabled,
            endpoint: options.endpoint,
            endpoint_mode: options.endpoint_mode.map(Into::into),
            imdsv1: options.imdsv1.map(Into::into),
            role_name: options.role_name,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            operation_timeout: options.operation_timeout,
            attempts: options.attempts,
            token_ttl: options.token_ttl,
            expiry_window: options.expiry_window,
            expiry_window_jitter: options.expiry_window_jitter,
            refresh_policy: options.refresh_policy.map(Into::into),
            max_extension: options.max_extension,
            extended_path: options.extended_path,
        }
    }
}

impl From<Status<'_>> for ec2_role::ProviderStatus {
    fn from(status: Status<'_>) -> Self {
        let Status {
            answered,
            role_name,
            session,
            held,
            record,
            requests,
        } = status;
        let token = session.and_then(Session::held);
        let past_failure = |(at, error): (UnixTime, Error)| ec2_role::PastFailure {
            at: at.seconds(),
            error: error.into(),
        };
        Self {
            imds_version: answered.map(|version| match version {
                Version::V1 => ec2_role::ImdsVersion::V1,
                Version::V2 => ec2_role::ImdsVersion::V2,
            }),
            fallback: session
                .and_then(Session::fallback)
                .cloned()
                .map(|(at, cause)| past_failure((at, cause.into()))),
            role_name: role_name.map(|name| name.as_str().to_string()),
            token_received: token.map(|token| token.received().seconds()),
            token_expires: token.map(|token| token.expires().seconds()),
            credentials_received: held.map(|held| held.received.seconds()),
            document_expires: held.map(|held| held.document_expires.seconds()),
            expires: held
                .and_then(|held| held.credentials.expires)
                .map(UnixTime::seconds),
            next_refresh: held.map(|held| held.due.wall.seconds()),
            last_success: record.last_success.map(UnixTime::seconds),
            last_failure: record.last_failure.clone().map(past_failure),
            failing_since: record.failing_since.map(UnixTime::seconds),
            extensions: held.map_or(0, |held| held.extensions),
            refreshes: record.refreshes,
            requests: ec2_role::RequestCounts {
                token: requests.token,
                role_list: requests.role_list,
                role_credentials: requests.role_credentials,
                metadata: requests.metadata,
            },
        }
    }
}

#[cfg(not(feature = "custom-client"))]
impl From<IdentityDocument> for metadata::InstanceIdentityDocument {
    fn from(document: IdentityDocument) -> Self {
        Self {
            account_id: document.account_id,
            architecture: document.architecture,
            availability_zone: document.availability_zone,
            billing_products: document.billing_products,
            devpay_product_codes: document.devpay_product_codes,
            marketplace_product_codes: document.marketplace_product_codes,
            image_id: document.image_id,
            instance_id: document.instance_id,
            instance_type: document.instance_type,
            kernel_id: document.kernel_id,
            pending_time: document.pending_time,
            private_ip: document.private_ip,
            ramdisk_id: document.ramdisk_id,
            region: document.region,
            version: document.version,
        }
    }
}

#[cfg(not(feature = "custom-client"))]
impl From<IamInfo> for metadata::IamInfo {
    fn from(info: IamInfo) -> Self {
        Self {
            code: info.code,
            last_updated: info.last_updated,
            instance_profile_arn: info.instance_profile_arn,
            instance_profile_id: info.instance_profile_id,
        }
    }
}
