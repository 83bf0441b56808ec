//! The EC2 role provider: the steps of the AWS SDK for Go v2, package `credentials/ec2rolecreds`.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::future::Future;
use core::str::FromStr;
use core::time::Duration;

use crate::credentials::{Credentials, SOURCE};
use crate::error::{Error, Failure, Reason, Step};
use crate::imds::client::{Client, Found, Tree};
use crate::ports::{Clock, Random, Transport};
use crate::time::UnixTime;

mod document;

/// Credentials end at most so long after they were received (4.4).
pub const LIFE_CAP: Duration = Duration::from_secs(60 * 60);

/// With more than this left, credentials go on unchanged when a refresh fails (4.6).
const STILL_GOOD: Duration = Duration::from_secs(5 * 60);

/// An extension is this long at least, and less than [`EXTENSION_SPREAD`] longer (4.6).
const EXTENSION: Duration = Duration::from_secs(5 * 60);
const EXTENSION_SPREAD: Duration = Duration::from_secs(10 * 60);

/// With less than this left, an expiry window takes nothing away (4.5).
const ADJUST_FLOOR: Duration = Duration::from_secs(15 * 60);

const LIST: &str = "/iam/security-credentials/";

/// Looks up metadata: the IMDS client, or one of the embedder's own.
pub trait MetadataClient {
    /// What is at `path` below `/latest/meta-data`.
    fn metadata(&mut self, step: Step, path: &str) -> impl Future<Output = Result<Found, Error>>;
}

impl<T: Transport, C: Clock> MetadataClient for Client<T, C> {
    async fn metadata(&mut self, step: Step, path: &str) -> Result<Found, Error> {
        self.get(step, Tree::Metadata, path).await
    }
}

/// The name of an IAM role: 1 to 64 letters, digits and `+=,.@_-` (4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// What the parser accepts, for error messages.
    pub const ACCEPTED: &str = "1 to 64 letters, digits and +=,.@_-";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRoleName;

impl fmt::Display for InvalidRoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not the name of a role; accepted: {}",
            RoleName::ACCEPTED
        )
    }
}

impl core::error::Error for InvalidRoleName {}

impl FromStr for RoleName {
    type Err = InvalidRoleName;

    fn from_str(name: &str) -> Result<Self, InvalidRoleName> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        // `.` and `..` are made of legal characters, but as a segment of a path they lead
        // elsewhere.
        if (1..=64).contains(&name.len()) && name.bytes().all(legal) && !matches!(name, "." | "..")
        {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRoleName)
        }
    }
}

/// What [`retrieve`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrieved {
    /// The credentials, capped (4.4).
    pub credentials: Credentials,
    /// The role that they are of.
    pub role: RoleName,
    /// When the document says that they end.
    pub document_expires: UnixTime,
}

/// Gets the role's name, unless it is given, and its credentials (4.1 to 4.4). Never cached.
///
/// # Errors
///
/// Those of `client`; besides, as [`Reason`] of [`Error::Failed`]: [`Reason::NoRole`] where IMDS
/// lists none, [`Reason::Refused`] where the document carries an error code,
/// [`Reason::InvalidResponse`] where list or document cannot be understood.
pub async fn retrieve<M: MetadataClient>(
    client: &mut M,
    role: Option<&RoleName>,
    now: impl Fn() -> UnixTime,
) -> Result<Retrieved, Error> {
    let role = match role {
        Some(role) => role.clone(),
        None => list_role(client).await?,
    };
    let found = client
        .metadata(Step::RoleCredentials, &format!("{LIST}{}", role.as_str()))
        .await
        .map_err(|error| {
            no_role(
                error,
                format!("IMDS has no credentials for the role {}", role.as_str()),
            )
        })?;
    let document = document::parse(&found)?;
    let now = now();
    let cap = now.saturating_add(LIFE_CAP).floor();
    Ok(Retrieved {
        credentials: Credentials {
            access_key_id: document.access_key_id,
            secret_access_key: document.secret_access_key,
            session_token: Some(document.token),
            account_id: document.account_id,
            source: SOURCE.into(),
            expires: Some(document.expires.min(cap)),
            refresh_after: now.floor(),
        },
        role,
        document_expires: document.expires,
    })
}

/// The first line of the list that is not blank (4.2).
async fn list_role<M: MetadataClient>(client: &mut M) -> Result<RoleName, Error> {
    let found = client
        .metadata(Step::RoleList, LIST)
        .await
        .map_err(|error| {
            no_role(
                error,
                "the instance has no role: IMDS has no list of roles".into(),
            )
        })?;
    let failed =
        |reason, message: &str| Error::from(found.failure(reason, Step::RoleList, message.into()));
    let list = core::str::from_utf8(&found.body)
        .map_err(|_| failed(Reason::InvalidResponse, "the list of roles is not text"))?;
    let Some(name) = list
        .lines()
        .map(str::trim_ascii)
        .find(|line| !line.is_empty())
    else {
        return Err(failed(
            Reason::NoRole,
            "the instance has no role: the list of roles is empty",
        ));
    };
    name.parse().map_err(|_| {
        failed(
            Reason::InvalidResponse,
            "the list of roles does not begin with the name of a role",
        )
    })
}

/// On the way to credentials a 404 means that there is no role (3.2).
fn no_role(error: Error, message: String) -> Error {
    match error {
        Error::Failed(failure) if failure.reason == Reason::NotFound => Error::Failed(Failure {
            reason: Reason::NoRole,
            message,
            ..failure
        }),
        other => other,
    }
}

/// Moves the end of `credentials` (4.5).
pub fn adjust_expires_by(credentials: Credentials, by: Shift, now: UnixTime) -> Credentials {
    match credentials.expires {
        Some(expires) if expires >= now.saturating_add(ADJUST_FLOOR) => Credentials {
            expires: Some(by.apply(expires).floor()),
            ..credentials
        },
        _ => credentials,
    }
}

/// A length of time with a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Towards the future.
    Later(Duration),
    /// Towards the past.
    Sooner(Duration),
}

impl Shift {
    /// From milliseconds, negative for sooner.
    pub const fn from_milliseconds(by: i64) -> Self {
        let length = Duration::from_millis(by.unsigned_abs());
        if by < 0 {
            Self::Sooner(length)
        } else {
            Self::Later(length)
        }
    }

    const fn apply(self, moment: UnixTime) -> UnixTime {
        match self {
            Self::Later(by) => moment.saturating_add(by),
            Self::Sooner(by) => moment.saturating_sub(by),
        }
    }
}

/// What to go on with when a refresh failed for `cause` (4.6).
///
/// # Errors
///
/// `cause`, where there is nothing to go on with.
pub fn handle_fail_to_refresh(
    previous: Option<Credentials>,
    cause: Error,
    now: UnixTime,
    random: &mut impl Random,
) -> Result<Credentials, Error> {
    let Some((previous, expires)) =
        previous.and_then(|previous| previous.expires.map(|expires| (previous, expires)))
    else {
        return Err(cause);
    };
    if expires > now.saturating_add(STILL_GOOD) {
        return Ok(previous);
    }
    let offset = EXTENSION + EXTENSION_SPREAD.mul_f64(random.unit());
    Ok(Credentials {
        expires: Some(now.saturating_add(offset).floor()),
        ..previous
    })
}
