//! The provider as a `ProvideCredentials` of the AWS SDK for Rust.

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as SdkResult, future};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Step};
use crate::provider::Ec2RoleProvider;

/// In a chain of providers, the next provider is tried if IMDS is disabled, if the instance has no
/// role, or if there is no IMDS. Any other failure ends the chain. The IMDS provider of `aws-config`
/// does the same.
impl ProvideCredentials for Ec2RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.credentials().await.map_err(CredentialsError::from)?;
            SdkResult::Ok(SdkCredentials::from(&*credentials))
        })
    }

    /// The held credentials, unless they have expired.
    fn fallback_on_interrupt(&self) -> Option<SdkCredentials> {
        self.valid().map(|held| SdkCredentials::from(&*held))
    }
}

impl From<&Credentials> for SdkCredentials {
    fn from(credentials: &Credentials) -> Self {
        let mut builder = Self::builder()
            .access_key_id(credentials.access_key_id())
            .secret_access_key(credentials.secret_access_key())
            .provider_name("EC2RoleProvider");
        builder.set_session_token(credentials.session_token().map(str::to_owned));
        builder.set_account_id(credentials.account_id().map(Into::into));
        builder.set_expiry(credentials.expires().map(Into::into));
        builder.build()
    }
}

impl From<Error> for CredentialsError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Disabled | ErrorKind::NoRole => Self::not_loaded(error),
            ErrorKind::Unavailable | ErrorKind::Timeout
                if error.step() == Some(Step::Token) && error.status().is_none() =>
            {
                Self::not_loaded(error)
            }
            ErrorKind::InvalidConfiguration => Self::invalid_configuration(error),
            ErrorKind::Component | ErrorKind::Unsupported | ErrorKind::Other => {
                Self::unhandled(error)
            }
            _ => Self::provider_error(error),
        }
    }
}
