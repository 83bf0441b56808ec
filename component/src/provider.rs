//! The EC2 role provider: the steps of the AWS SDK for Go v2, package `credentials/ec2rolecreds`.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::credentials::{Credentials, SOURCE};
use crate::error::{Error, Failure, Reason, Step};
use crate::metadata::MetadataClient;
use crate::ports::Random;
use crate::time::{self, UnixTime};

mod document;

/// Credentials end at most so long after they were received (4.4).
pub const LIFE_CAP: Duration = Duration::from_secs(60 * 60);

/// With more than this left, credentials go on unchanged when a refresh fails (4.6).
const STILL_GOOD: Duration = Duration::from_secs(5 * 60);

/// An extension is this long at least, and less than [`EXTENSION_SPREAD`] longer (4.6).
pub(crate) const EXTENSION: Duration = Duration::from_secs(5 * 60);
const EXTENSION_SPREAD: Duration = Duration::from_secs(10 * 60);

/// With less than this left, an expiry window takes nothing away (4.5).
const ADJUST_FLOOR: Duration = Duration::from_secs(15 * 60);

/// Where the list is; the documents are below it.
const PLAIN: &str = "/iam/security-credentials/";

/// The same, with the account's id in the documents, where IMDS has it.
const EXTENDED: &str = "/iam/security-credentials-extended/";

/// The list is read at most so often in one call (4.8).
const ROUNDS: u32 = 3;

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

/// What [`Provider::retrieve`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrieved {
    /// The credentials, capped (4.4).
    pub credentials: Credentials,
    /// The role that they are of.
    pub role: RoleName,
    /// When the document says that they end.
    pub document_expires: UnixTime,
    /// Requests for the document.
    pub attempts: u32,
    /// How long the look-up of the document took.
    pub elapsed: Duration,
}

/// The provider's part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The role to ask for, if it is not to be looked up.
    pub role: Option<RoleName>,
    /// Whether to ask the extended path first.
    pub extended_path: bool,
}

/// Gets credentials, and remembers which way to ask for them.
///
/// | state | event | next |
/// | --- | --- | --- |
/// | extended | 404 to the list, or to the document of a role that was configured (4.7) | plain, for good |
/// | a name is remembered | 404 to its document (4.8) | no name is remembered, and the list is asked for again |
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    path: &'static str,
    remembered: Option<RoleName>,
}

impl Provider {
    /// A provider that has asked nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            path: if settings.extended_path {
                EXTENDED
            } else {
                PLAIN
            },
            settings,
            remembered: None,
        }
    }

    /// The role, as far as it is known without asking.
    pub fn role(&self) -> Option<&RoleName> {
        self.settings.role.as_ref().or(self.remembered.as_ref())
    }

    /// Gets the role's name, unless it is known, and its credentials (4.1 to 4.4, 4.7, 4.8). Never
    /// cached.
    ///
    /// # Errors
    ///
    /// Those of `client`; besides, as [`Reason`] of [`Error::Failed`]: [`Reason::NoRole`] where
    /// IMDS lists none, [`Reason::Refused`] where the document carries an error code,
    /// [`Reason::InvalidResponse`] where list or document cannot be understood.
    pub async fn retrieve<M: MetadataClient>(
        &mut self,
        client: &mut M,
        now: impl Fn() -> UnixTime,
    ) -> Result<Retrieved, Error> {
        let mut rounds = 0;
        let (role, found) = loop {
            rounds += 1;
            let role = match self.role() {
                Some(role) => role.clone(),
                None => self.list(client).await?,
            };
            let path = format!("{}{}", self.path, role.as_str());
            let error = match client.metadata(Step::RoleCredentials, &path).await {
                Ok(found) => break (role, found),
                Err(error) => error,
            };
            if !is_not_found(&error) {
                return Err(error);
            }
            let another_way = if self.settings.role.is_some() {
                self.leave_extended()
            } else {
                // The role may have been replaced by another since the list was read.
                self.remembered = None;
                self.settings.extended_path && rounds < ROUNDS
            };
            if !another_way {
                let message = format!("IMDS has no credentials for the role {}", role.as_str());
                return Err(no_role(error, message));
            }
        };
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
            attempts: found.attempts,
            elapsed: found.elapsed,
        })
    }

    /// The first line of the list that is not blank (4.2).
    async fn list<M: MetadataClient>(&mut self, client: &mut M) -> Result<RoleName, Error> {
        let found = loop {
            match client.metadata(Step::RoleList, self.path).await {
                Ok(found) => break found,
                Err(error) if is_not_found(&error) && self.leave_extended() => {}
                Err(error) => {
                    let message = "the instance has no role: IMDS has no list of roles";
                    return Err(no_role(error, message.into()));
                }
            }
        };
        let failed = |reason, message: &str| {
            Error::from(found.failure(reason, Step::RoleList, message.into()))
        };
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
        let name: RoleName = name.parse().map_err(|_| {
            failed(
                Reason::InvalidResponse,
                "the list of roles does not begin with the name of a role",
            )
        })?;
        if self.settings.extended_path {
            self.remembered = Some(name.clone());
        }
        Ok(name)
    }

    /// Goes over to the plain path, for good; false if it was there already.
    fn leave_extended(&mut self) -> bool {
        let left = self.path == EXTENDED;
        self.path = PLAIN;
        left
    }
}

fn is_not_found(error: &Error) -> bool {
    error
        .failure()
        .is_some_and(|failure| failure.reason == Reason::NotFound)
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
    Ok(Credentials {
        expires: Some(now.saturating_add(extension(random)).floor()),
        ..previous
    })
}

/// How long an extension is: 5 to 15 minutes (4.6).
pub(crate) fn extension(random: &mut impl Random) -> Duration {
    EXTENSION + time::part(EXTENSION_SPREAD, random.unit())
}
