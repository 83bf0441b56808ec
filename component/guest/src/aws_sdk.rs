//! The provider as a credentials provider of the AWS SDK for Rust.

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::{Credentials, Error, ErrorKind, Provider};

/// In a chain of providers, the next provider is tried if IMDS is disabled, the instance has no role, or
/// there is no IMDS.
impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials = self.credentials();
        future::ProvideCredentials::ready(credentials.map(Into::into).map_err(Into::into))
    }
}

impl From<Credentials> for SdkCredentials {
    fn from(credentials: Credentials) -> Self {
        let mut builder = Self::builder()
            .access_key_id(credentials.access_key_id())
            .secret_access_key(credentials.secret_access_key())
            .provider_name("imds:credentials");
        builder.set_session_token(credentials.session_token().map(str::to_owned));
        builder.set_account_id(credentials.account_id().map(Into::into));
        builder.set_expiry(credentials.expires());
        builder.build()
    }
}

impl From<Error> for CredentialsError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Disabled | ErrorKind::NoRole | ErrorKind::Unavailable => {
                Self::not_loaded(error)
            }
            ErrorKind::InvalidConfiguration => Self::invalid_configuration(error),
            ErrorKind::Unsupported | ErrorKind::Other => Self::unhandled(error),
            _ => Self::provider_error(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_chain_the_next_provider_is_tried_only_without_imds_or_without_a_role() {
        for kind in [
            ErrorKind::Disabled,
            ErrorKind::InvalidConfiguration,
            ErrorKind::Denied,
            ErrorKind::Unavailable,
            ErrorKind::Timeout,
            ErrorKind::NoRole,
            ErrorKind::Refused,
            ErrorKind::Expired,
            ErrorKind::Unsupported,
            ErrorKind::Other,
        ] {
            let error = CredentialsError::from(Error {
                kind,
                message: "why".into(),
            });
            let not_loaded = matches!(error, CredentialsError::CredentialsNotLoaded(_));
            let expected = matches!(
                kind,
                ErrorKind::Disabled | ErrorKind::NoRole | ErrorKind::Unavailable
            );
            assert_eq!(not_loaded, expected, "{kind:?}");
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(source.as_deref(), Some("why"));
        }
    }

    #[test]
    fn the_sdk_gets_all_fields() {
        let credentials = SdkCredentials::from(Credentials {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            session_token: Some("token".into()),
            account_id: Some("123456789012".into()),
            source: "EC2RoleProvider".into(),
            expires: Some(60),
            refresh_after: 30,
        });
        assert_eq!(credentials.access_key_id(), "id");
        assert_eq!(credentials.secret_access_key(), "secret");
        assert_eq!(credentials.session_token(), Some("token"));
        assert!(credentials.account_id().is_some());
        let expires = credentials.expiry().and_then(|end| {
            let since = end.duration_since(std::time::UNIX_EPOCH);
            since.ok().map(|since| since.as_secs())
        });
        assert_eq!(expires, Some(60));
    }

    #[test]
    fn outside_of_a_component_it_is_unsupported() {
        let given = pollster::block_on(Provider::new().provide_credentials());
        assert!(matches!(given, Err(CredentialsError::Unhandled(_))));
    }
}
