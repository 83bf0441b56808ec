//! Names of roles as metadata services list them, and whether a listed name looks like a secret
//! `[B4.2]`.
//!
//! The component decides with this crate what it requests, and the host what it shows. Both thus accept
//! the same names.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

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

    /// Whether the name is a session token of IMDS, or has a part that looks like a secret access key,
    /// which has 40 characters of Base64, or like a session token of AWS, which has more than a name
    /// may have `[B4.2]`. Proxies have returned secrets for the name, which then is part of URLs, logs
    /// and errors.
    ///
    /// In a random text, the kind of character changes 25 times in 40 characters on average, and hardly
    /// ever less than 15 times. In a name, which consists of words, it changes far less often.
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
        // A token is a legal name, as it is shorter than the longest name.
        if self.0.len() >= 40 && TOKENS.iter().any(|start| self.0.starts_with(start)) {
            return true;
        }
        let (mut length, mut changes, mut kinds, mut last) = (0, 0, 0, 0);
        // The byte at the end ends the last part. `=` stands between a name and a key as well as at the
        // end of Base64.
        for byte in self.0.bytes().chain([b'=']) {
            let kind = match byte {
                b'A'..=b'Z' => 1,
                b'a'..=b'z' => 2,
                b'0'..=b'9' => 4,
                b'+' | b'/' => 8,
                _ if length == 40 && changes > 15 => return true,
                _ if length > 64 && kinds & 7 == 7 => return true,
                _ => {
                    (length, changes, kinds, last) = (0, 0, 0, 0);
                    continue;
                }
            };
            length += 1;
            // The first character is counted, too.
            changes += u32::from(kind != last);
            kinds |= kind;
            last = kind;
        }
        false
    }
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
        if role.len() <= 64 && path.len() <= MAX_PATH + role.len() {
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

/// How session tokens of IMDS begin.
const TOKENS: [&str; 2] = ["AQAEA", "AQAAA"];

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
            "AQAEA",
        ] {
            assert!(!looks_like_secret(name), "{name}");
        }
    }

    #[test]
    fn keys_and_tokens_look_like_secrets() {
        let key = "wJalrXUtnFEMIK7MDENG0bPxRfiCYEXAMPLEKEYx";
        let long = "IQoJb3JpZ2luX2VjEJr9".repeat(4);
        for name in [
            key,
            &format!("SecretAccessKey={key}"),
            &format!("arn:aws:iam::123456789012:role/team-{key}"),
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AQAEAAAAAaIf7wp_AAACWAAAAAEtsC_e_jxdsItCoJLYMTUNbd_6Og==",
            &format!("{long}/app"),
        ] {
            assert!(looks_like_secret(name), "{name}");
        }
    }
}
