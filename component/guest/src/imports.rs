//! The imported interface.

use self::bindings::imds::credentials::provider as wit;
use crate::{Credentials, Error, ErrorKind};

mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package imds:guest;
            world guest {
                import imds:credentials/provider@0.1.0;
            }
        ",
        generate_all,
    });
}

pub(super) fn credentials() -> Result<Credentials, Error> {
    let credentials = wit::get_credentials().map_err(error)?;
    Ok(Credentials {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key,
        session_token: credentials.session_token,
        account_id: credentials.account_id,
        source: credentials.source,
        expires: credentials.expires,
        refresh_after: credentials.refresh_after,
    })
}

pub(super) fn invalidate() {
    wit::invalidate();
}

pub(super) fn reject(access_key_id: &str) {
    wit::reject(access_key_id);
}

fn error(error: wit::Error) -> Error {
    let (kind, message) = match error {
        wit::Error::Disabled => (
            ErrorKind::Disabled,
            "the use of IMDS is disabled by configuration".to_owned(),
        ),
        wit::Error::InvalidConfiguration(invalid) => (
            ErrorKind::InvalidConfiguration,
            format!(
                "option {} is {:?}; accepted: {}",
                invalid.name, invalid.value, invalid.accepted
            ),
        ),
        wit::Error::Failed(failure) => (reason(failure.reason), failure.message),
        wit::Error::Unsupported(what) => (ErrorKind::Unsupported, what),
        wit::Error::Other(what) => (ErrorKind::Other, what),
    };
    Error { kind, message }
}

fn reason(reason: wit::Reason) -> ErrorKind {
    match reason {
        wit::Reason::Denied => ErrorKind::Denied,
        wit::Reason::Unavailable => ErrorKind::Unavailable,
        wit::Reason::Timeout => ErrorKind::Timeout,
        wit::Reason::Throttled => ErrorKind::Throttled,
        wit::Reason::Forbidden => ErrorKind::Forbidden,
        wit::Reason::NotFound => ErrorKind::NotFound,
        wit::Reason::NoRole => ErrorKind::NoRole,
        wit::Reason::Refused => ErrorKind::Refused,
        wit::Reason::Expired => ErrorKind::Expired,
        wit::Reason::UnexpectedStatus => ErrorKind::UnexpectedStatus,
        wit::Reason::InvalidResponse => ErrorKind::InvalidResponse,
    }
}
