//! The EC2 role provider: the steps of package `credentials/ec2rolecreds` of the AWS SDK for Go v2.

use alloc::string::String;
use core::time::Duration;

pub use ec2_role_name::{InvalidRoleName, RoleName};

use crate::credentials::{Credentials, SOURCE};
use crate::error::{Error, Reason, Step};
use crate::metadata::MetadataClient;
use crate::ports::{Clock, Random};
use crate::time::{self, UnixTime};

mod document;

/// Credentials expire at most this long after they were received `[B4.4]`.
pub const LIFE_CAP: Duration = Duration::from_secs(60 * 60);

/// If a refresh fails, credentials that are valid for longer than this stay unchanged `[B4.6]`.
const VALID_LONG_ENOUGH: Duration = Duration::from_secs(5 * 60);

/// The shortest extension. An extension is random, up to [`EXTENSION_SPREAD`] longer `[B4.6]`.
pub(crate) const EXTENSION: Duration = Duration::from_secs(5 * 60);
const EXTENSION_SPREAD: Duration = Duration::from_secs(10 * 60);

/// Credentials that expire sooner than this are not adjusted `[B4.5]`.
const ADJUST_MINIMUM: Duration = Duration::from_secs(15 * 60);

/// The path of the role list; the credentials documents are below it.
const PLAIN: &str = "/iam/security-credentials/";

/// The same for documents that contain the account ID. Not every IMDS has this path.
const EXTENDED: &str = "/iam/security-credentials-extended/";

/// How many times one call reads the role list at most `[B4.8]`.
const MAX_ROUNDS: u32 = 3;

/// The result of [`Provider::retrieve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrieved {
    /// The credentials, with their expiration capped `[B4.4]`.
    pub credentials: Credentials,
    /// The role of the credentials.
    pub role: RoleName,
    /// The expiration that the document states.
    pub document_expires: UnixTime,
    /// The number of requests for the document.
    pub attempts: u32,
    /// The duration of the look-up of the document.
    pub elapsed: Duration,
}

/// The settings of the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The name of the role; `None` to look it up.
    pub role: Option<RoleName>,
    /// Whether to try the extended path first.
    pub extended_path: bool,
}

/// Gets credentials from IMDS, and remembers the path and the role that worked.
///
/// | state | event | next |
/// | --- | --- | --- |
/// | extended path | 404 to the role list, or to the document of the configured role `[B4.7]` | plain path, permanently |
/// | a role is remembered | 404 to its document `[B4.8]` | no role is remembered, and the role list is read again |
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    path: &'static str,
    remembered: Option<RoleName>,
}

impl Provider {
    /// A provider that remembers no role yet.
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

    /// The role, if it is configured or remembered.
    pub fn role(&self) -> Option<&RoleName> {
        self.settings.role.as_ref().or(self.remembered.as_ref())
    }

    /// Looks up the name of the role, unless it is known, and its credentials (`[B4.1]` to `[B4.4]`,
    /// `[B4.7]`, `[B4.8]`). Caches no credentials.
    ///
    /// # Errors
    ///
    /// Those of `client`, and [`Error::Failed`] with one of these reasons: [`Reason::NoRole`] if IMDS
    /// lists no role, [`Reason::Refused`] if the document contains an error code,
    /// [`Reason::InvalidResponse`] if the role list or the document is malformed.
    pub async fn retrieve(
        &mut self,
        client: &mut impl MetadataClient,
        clock: &impl Clock,
    ) -> Result<Retrieved, Error> {
        let mut rounds = 0;
        let (role, found) = loop {
            rounds += 1;
            let role = match self.role() {
                Some(role) => role.clone(),
                None => self.list(client).await?,
            };
            let path = [self.path, role.as_str()].concat();
            let error = match client.metadata(Step::RoleCredentials, &path).await {
                Ok(found) => break (role, found),
                Err(error) => error,
            };
            if !error.is_not_found() {
                return Err(error);
            }
            let retry = if self.settings.role.is_some() {
                self.leave_extended()
            } else {
                // The role may have been replaced since the list was read.
                self.remembered = None;
                self.settings.extended_path && rounds < MAX_ROUNDS
            };
            if !retry {
                let message = ["IMDS has no credentials for the role ", role.as_str()].concat();
                return Err(no_role(error, message));
            }
        };
        let document = document::parse(&found)?;
        let now = clock.wall();
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

    /// The role name in the first line of the role list that is not blank `[B4.2]`.
    async fn list<M: MetadataClient>(&mut self, client: &mut M) -> Result<RoleName, Error> {
        let found = loop {
            match client.metadata(Step::RoleList, self.path).await {
                Ok(found) => break found,
                Err(error) if error.is_not_found() && self.leave_extended() => {}
                Err(error) => {
                    let message = "the instance has no role: IMDS has no role list";
                    return Err(no_role(error, message.into()));
                }
            }
        };
        let failed = |reason, message: &str| {
            Error::from(found.failure(reason, Step::RoleList, message.into()))
        };
        let list = core::str::from_utf8(&found.body)
            .map_err(|_| failed(Reason::InvalidResponse, "the role list is not UTF-8 text"))?;
        let Some(name) = list
            .lines()
            .map(str::trim_ascii)
            .find(|line| !line.is_empty())
        else {
            return Err(failed(
                Reason::NoRole,
                "the instance has no role: the role list is empty",
            ));
        };
        let name: RoleName = name.parse().map_err(|_| {
            failed(
                Reason::InvalidResponse,
                "the role list does not start with a valid role name",
            )
        })?;
        if name.looks_like_secret() {
            return Err(failed(
                Reason::InvalidResponse,
                "the role list starts with what looks like a secret access key or a token; if it is the role's name, configure the name",
            ));
        }
        if self.settings.extended_path {
            self.remembered = Some(name.clone());
        }
        Ok(name)
    }

    /// Switches to the plain path permanently. Returns false if that was the path already.
    fn leave_extended(&mut self) -> bool {
        let left = self.path == EXTENDED;
        self.path = PLAIN;
        left
    }
}

/// Turns a 404 into [`Reason::NoRole`]: in a look-up of credentials, that is what it means `[B3.2]`.
fn no_role(error: Error, message: String) -> Error {
    match error {
        Error::Failed(mut failure) if failure.reason == Reason::NotFound => {
            failure.reason = Reason::NoRole;
            failure.message = message;
            Error::Failed(failure)
        }
        other => other,
    }
}

/// Moves the expiration of `credentials` `[B4.5]`.
pub fn adjust_expires_by(credentials: Credentials, by: Shift, now: UnixTime) -> Credentials {
    match credentials.expires {
        Some(expires) if expires >= now.saturating_add(ADJUST_MINIMUM) => Credentials {
            expires: Some(by.apply(expires).floor()),
            ..credentials
        },
        _ => credentials,
    }
}

/// By how much to move a time, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Forwards.
    Later(Duration),
    /// Backwards.
    Earlier(Duration),
}

impl Shift {
    /// From milliseconds, negative for backwards.
    pub const fn from_milliseconds(by: i64) -> Self {
        let distance = Duration::from_millis(by.unsigned_abs());
        if by < 0 {
            Self::Earlier(distance)
        } else {
            Self::Later(distance)
        }
    }

    const fn apply(self, time: UnixTime) -> UnixTime {
        match self {
            Self::Later(by) => time.saturating_add(by),
            Self::Earlier(by) => time.saturating_sub(by),
        }
    }
}

/// The credentials to use after a refresh failed with `cause` `[B4.6]`.
///
/// # Errors
///
/// `cause`, if there are no `previous` credentials or they do not expire.
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
    if expires > now.saturating_add(VALID_LONG_ENOUGH) {
        return Ok(previous);
    }
    Ok(Credentials {
        expires: Some(now.saturating_add(extension(random)).floor()),
        ..previous
    })
}

/// The random length of an extension: 5 to 15 minutes `[B4.6]`.
pub(crate) fn extension(random: &mut impl Random) -> Duration {
    EXTENSION + time::part(EXTENSION_SPREAD, random.unit())
}
