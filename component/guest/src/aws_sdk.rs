//! The provider as the AWS SDK for Rust wants one.

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::{Credentials, Error, ErrorKind, Provider};

/// In a chain of providers, those behind this one are asked where IMDS is switched off, the instance has
/// no role, or there is no IMDS at all.
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
