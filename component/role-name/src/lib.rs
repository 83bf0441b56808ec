//! Names of roles as metadata services list them, and whether a listed name looks like a secret
//! `[B4.2]`.
//!
//! The component uses it to decide what to request, the host to decide what to show, so both accept the
//! same names.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// IAM's limit for the name of a role.
const MAX_NAME: usize = 64;
/// The length of a secret access key.
const KEY_LENGTH: usize = 40;

/// What names a role below `security-credentials/` `[B4.2]`: the name of an IAM role, also with its IAM
/// path in front of it, or the role's ARN.
///
/// EC2 lists a plain name. Proxies such as kube2iam list paths and ARNs.
///
/// ```
/// use ec2_role_name::RoleName;
///
/// for name in ["app", "team-a/app", "arn:aws:iam::123456789012:role/team-a/app"] {
///     assert!(name.parse::<RoleName>().is_ok());
/// }
/// assert!("../app".parse::<RoleName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// What the parser of [`RoleName`] accepts, for error messages.
    pub const ACCEPTED: &str = "1 to 64 letters, digits and +=,.@_-, also with the role's path in front, or the role's ARN";

    /// The name, with the path or as the ARN that it was given as.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a part of the name looks like a secret access key, which has 40 characters of Base64, or
    /// like a session token of IMDS or of AWS `[B4.2]`. Proxies have returned secrets in place of the
    /// name, which then ended up in URLs, logs and errors.
    ///
    /// ```
    /// use ec2_role_name::RoleName;
    ///
    /// # fn main() -> Result<(), ec2_role_name::InvalidRoleName> {
    /// let key: RoleName = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".parse()?;
    /// assert!(key.looks_like_secret());
    /// let wordy: RoleName = "ProdUsEast1ClusterNodeRole20230405123456".parse()?;
    /// assert!(!wordy.looks_like_secret());
    /// # Ok(())
    /// # }
    /// ```
    pub fn looks_like_secret(&self) -> bool {
        let name = self.0.as_bytes();
        // A key may contain slashes, and may be a segment of a path or several of them.
        let ends = |byte: Option<&u8>| {
            byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'+')
        };
        let has_key = (0..name.len()).any(|start| {
            let before = start.checked_sub(1).and_then(|at| name.get(at));
            ends(before)
                && ends(name.get(start + KEY_LENGTH))
                && name
                    .get(start..start + KEY_LENGTH)
                    .is_some_and(|key| key.iter().all(is_base64) && looks_random(key))
        });
        // A session token of AWS is longer than a name may be.
        let has_token = name
            .split(|byte| !is_base64(byte))
            .any(|part| part.len() > MAX_NAME && part.windows(KEY_LENGTH).any(looks_random));
        has_key || has_token || contains_session_token(&self.0)
    }
}

/// Whether a text contains a session token of IMDS, in whatever surroundings.
pub fn contains_session_token(text: &str) -> bool {
    const BEGINNINGS: [&[u8]; 2] = [b"AQAEA", b"AQAAA"];
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-=".contains(byte);
    // Tokens have 56 characters.
    text.as_bytes().windows(40).any(|part| {
        BEGINNINGS.iter().any(|begin| part.starts_with(begin)) && part.iter().all(is_legal)
    })
}

/// Whether a text of the characters of Base64 looks random: it has upper case, lower case and digits,
/// and the kind of character changes often.
///
/// In 40 random characters, the kind changes 25 times on average, and hardly ever less than 15 times. In
/// a name, which consists of words, it changes far less often.
pub fn looks_random(text: &[u8]) -> bool {
    let (mut changes, mut kinds, mut last) = (0, 0, 0);
    for byte in text {
        let kind = match byte {
            b'A'..=b'Z' => 1,
            b'a'..=b'z' => 2,
            b'0'..=b'9' => 4,
            _ => 8,
        };
        // The first character is counted, too.
        changes += usize::from(kind != last);
        kinds |= kind;
        last = kind;
    }
    kinds & 7 == 7 && changes * 40 > 15 * text.len()
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/".contains(byte)
}

/// The text is not a valid role name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRoleName;

impl fmt::Display for InvalidRoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid role name; accepted: {}", RoleName::ACCEPTED)
    }
}

impl core::error::Error for InvalidRoleName {}

impl FromStr for RoleName {
    type Err = InvalidRoleName;

    fn from_str(name: &str) -> Result<Self, InvalidRoleName> {
        let path = match name.starts_with("arn:") {
            true => resource(name).ok_or(InvalidRoleName)?,
            false => name,
        };
        // IAM's limit for a path.
        const MAX_PATH: usize = 512;
        let mut role = "";
        for segment in path.split('/') {
            if !is_segment(segment) {
                return Err(InvalidRoleName);
            }
            role = segment;
        }
        if role.len() <= MAX_NAME && path.len() <= MAX_PATH + role.len() {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRoleName)
        }
    }
}

/// The path and the name in the ARN of a role: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
fn resource(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
    let (account, role) = rest.strip_prefix("iam::")?.split_once(':')?;
    let path = role.strip_prefix("role/")?;
    let is_partition = !partition.is_empty()
        && partition
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_partition && is_account).then_some(path)
}

/// Whether a segment of a role's path, or its name, may be sent as a segment of a URL's path. `.` and
/// `..` consist of legal characters, but lead elsewhere.
fn is_segment(segment: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    !segment.is_empty() && segment.bytes().all(is_legal) && !matches!(segment, "." | "..")
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn looks_like_secret(name: &str) -> bool {
        let name: RoleName = name.parse().unwrap();
        name.looks_like_secret()
    }

    #[test]
    fn names_of_words_do_not_look_like_secrets() {
        for name in [
            "app",
            "ProdUsEast1ClusterNodeRole20230405123456",
            "eksctl-prod-nodegroup-ng-NodeInstanceRole-1A2B3C4D5E6F",
            "team-a/service-roles/ProdUsEast1ClusterNodeRole20230405123456",
            "arn:aws:iam::123456789012:role/team-a/app",
            // The longest name, of capitals and digits alone.
            &"A1".repeat(32),
            // Random, but too long for a key, and too short for a token of AWS.
            &"aB1".repeat(16),
            "AQAEA",
            "production/eucentral1/platform/kubernetes/nodegroups/AppServerRole",
        ] {
            assert!(!looks_like_secret(name), "{name}");
        }
    }

    #[test]
    fn keys_and_tokens_look_like_secrets() {
        let key = "wJalrXUtnFEMIK7MDENG0bPxRfiCYEXAMPLEKEYx";
        let long = "IQoJb3JpZ2luX2VjEJr9".repeat(4);
        let token = "AQAEAAAAAaIf7wp_AAACWAAAAAEtsC_e_jxdsItCoJLYMTUNbd_6Og==";
        for name in [
            key,
            &format!("SecretAccessKey={key}"),
            &format!("arn:aws:iam::123456789012:role/team-{key}"),
            &format!("arn:aws:iam::123456789012:role/{key}"),
            &format!("app/{key}"),
            &format!("{key}/app"),
            &format!("ASIAIOSFODNN7EXAMPLE/{key}"),
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "team/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY/app",
            &format!("{}{key}/app", "x".repeat(30)),
            token,
            &format!("token={token}"),
            &format!("app/{token}"),
            &format!("team-{token}"),
            &format!("arn:aws:iam::123456789012:role/{token}"),
            &format!("{long}/app"),
        ] {
            assert!(looks_like_secret(name), "{name}");
        }
    }
}
