//! Text from the network, as it may be shown.
//!
//! What IMDS, or a server in its place, returns can be anything: a proxy that is set up wrongly returns
//! the credentials for the list of roles, and a hostile one commands to a terminal. Errors, log
//! messages, the status and the events therefore show a text from the network only through this
//! module: if the text is what it should be. The values that a program asks for, such as
//! [`Credentials::access_key_id`](crate::Credentials::access_key_id), are returned unchanged.

use std::borrow::Cow;
use std::fmt;

use ec2_role_name::{RoleName, contains_session_token, looks_random};

/// What a text from the network should be.
///
/// ```
/// use ec2_role_host::printable::Expected;
///
/// assert_eq!(Expected::InstanceId.show("i-0123456789abcdef0"), "i-0123456789abcdef0");
/// assert_eq!(
///     Expected::InstanceId.show(r#"{"SecretAccessKey":"wJalrXUtnFEMI"}"#),
///     "(not an instance ID: 35 characters, not shown)",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// An access key ID: letters, digits and underscores, for instance `ASIAIOSFODNN7EXAMPLE`.
    AccessKeyId,
    /// An account ID: 12 digits.
    AccountId,
    /// A zone or a region: lower-case letters, digits and hyphens, for instance `eu-central-1a`.
    Zone,
    /// An instance ID: `i-` and hexadecimal digits.
    InstanceId,
    /// An instance type, for instance `m7g.large` or `u-12tb1.112xlarge`.
    InstanceType,
    /// The name of a role, with or without its path, or its ARN.
    RoleName,
    /// A word that programs compare, such as an error code: letters, digits, `.`, `_` and `-`.
    Word,
    /// A sentence for people. It is shown on one line and shortened to 300 characters, and what looks
    /// like a key in it is hidden.
    Sentence,
}

/// The limit for a [`Expected::Sentence`], in characters.
const SENTENCE_LIMIT: usize = 300;

/// Keys and tokens of AWS have 40 characters or more.
const KEY_LENGTH: usize = 40;
/// What is shorter than this is none, not even if it was cut short.
const SHORTEST: usize = 32;

impl Expected {
    /// The text if it is what it should be, else a note in its place.
    pub fn show(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Sentence => sentence(text),
            _ if self.accepts(text) => Cow::Borrowed(text),
            _ => Cow::Owned(format!(
                "(not {}: {} characters, not shown)",
                self.name(),
                text.chars().count()
            )),
        }
    }

    /// Whether the text is what it should be.
    pub fn accepts(self, text: &str) -> bool {
        let is_word = |also: &str, most: usize| {
            let is_legal = |letter: char| letter.is_ascii_alphanumeric() || also.contains(letter);
            (1..=most).contains(&text.len()) && text.chars().all(is_legal) && !contains_key(text)
        };
        match self {
            Self::AccessKeyId => is_word("_", 128),
            Self::AccountId => text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()),
            Self::Zone => is_word("-", 64) && !text.contains(|c: char| c.is_ascii_uppercase()),
            Self::InstanceId => text.strip_prefix("i-").is_some_and(|id| {
                (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
            }),
            Self::InstanceType => {
                is_word(".-", 64) && !text.contains(|c: char| c.is_ascii_uppercase())
            }
            // As the component decides `[B4.2]`.
            Self::RoleName => text
                .parse()
                .is_ok_and(|name: RoleName| !name.looks_like_secret()),
            Self::Word => is_word("._-", 64),
            Self::Sentence => matches!(sentence(text), Cow::Borrowed(_)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AccessKeyId => "an access key ID",
            Self::AccountId => "an account ID",
            Self::Zone => "a zone or region",
            Self::InstanceId => "an instance ID",
            Self::InstanceType => "an instance type",
            Self::RoleName => "a role name",
            Self::Word => "a word",
            Self::Sentence => "a sentence",
        }
    }
}

/// Whether a part of the text looks like a secret access key or a token.
fn contains_key(text: &str) -> bool {
    contains_session_token(text) || text.split(is_no_base64).any(looks_like_key)
}

fn is_no_base64(letter: char) -> bool {
    !(letter.is_ascii_alphanumeric() || "+/=".contains(letter))
}

/// Whether the letter ends a session token of IMDS, which may have a hyphen or an underscore in it.
fn ends_token(letter: char) -> bool {
    is_no_base64(letter) && !"-_".contains(letter)
}

/// The whole part is judged, not only its beginning: a key may follow other letters.
fn looks_like_key(part: &str) -> bool {
    part.len() >= SHORTEST
        && part
            .as_bytes()
            .windows(part.len().min(KEY_LENGTH))
            .any(looks_random)
}

fn sentence(text: &str) -> Cow<'_, str> {
    let line = one_line(text);
    if line.chars().count() <= SENTENCE_LIMIT && !contains_key(&line) {
        return line;
    }
    // Keys are hidden in the whole text, so that none is cut short and then looks like none.
    let mut shown = String::new();
    for word in line.split_inclusive(ends_token) {
        if contains_session_token(word) {
            hide(word, ends_token, &mut shown);
            continue;
        }
        for part in word.split_inclusive(is_no_base64) {
            match looks_like_key(part.trim_end_matches(is_no_base64)) {
                true => hide(part, is_no_base64, &mut shown),
                false => shown.push_str(part),
            }
        }
    }
    if let Some((end, _)) = shown.char_indices().nth(SENTENCE_LIMIT) {
        shown.truncate(end);
        shown.push_str("..");
    }
    Cow::Owned(shown)
}

/// Shows two dots in place of a key, and what ends it.
fn hide(key: &str, ends: fn(char) -> bool, shown: &mut String) {
    shown.push_str("..");
    shown.extend(key.chars().last().filter(|letter| ends(*letter)));
}

/// The text on one line, without control characters and others that change how text is shown: they
/// become spaces.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_command = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.contains(is_command) {
        true => Cow::Owned(text.replace(is_command, " ")),
        false => Cow::Borrowed(text),
    }
}

/// Displays a value of another library, such as an error, on one line.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const ALPHANUMERIC_SECRET: &str = "wJalrXUtnFEMIK7MDENG0bPxRfiCYEXAMPLEKEYx";

    const ALL: [Expected; 8] = [
        Expected::AccessKeyId,
        Expected::AccountId,
        Expected::Zone,
        Expected::InstanceId,
        Expected::InstanceType,
        Expected::RoleName,
        Expected::Word,
        Expected::Sentence,
    ];

    #[test]
    fn what_is_as_it_should_be_is_shown() {
        for (expected, text) in [
            (Expected::AccessKeyId, "ASIAIOSFODNN7EXAMPLE"),
            (Expected::AccessKeyId, "test"),
            (Expected::AccountId, "123456789012"),
            (Expected::Zone, "us-east-1-wl1-bos-wlz-1"),
            (Expected::InstanceId, "i-0123456789abcdef0"),
            (Expected::InstanceId, "i-12345678"),
            (Expected::InstanceType, "u-12tb1.112xlarge"),
            (Expected::RoleName, "a+b=c,d.e@f-g_h"),
            (
                Expected::RoleName,
                "eksctl-prod-nodegroup-ng-NodeInstanceRole-1A2B3C4D5E6F",
            ),
            (Expected::RoleName, "team-a/app"),
            (
                Expected::RoleName,
                "arn:aws-us-gov:iam::123456789012:role/bosh-passed/k8s-logger",
            ),
            (Expected::Word, "AssumeRoleUnauthorizedAccess"),
            (
                Expected::Sentence,
                "EC2 cannot assume the role web.  Please see documentation at https://docs.amazonwebservices.com/IAM/latest/UserGuide/RolesTroubleshooting.html.",
            ),
        ] {
            assert!(expected.accepts(text), "{text}");
            assert_eq!(expected.show(text), text);
        }
    }

    #[test]
    fn no_document_secret_or_command_to_a_terminal_is_shown() {
        for text in [
            &format!(r#"{{"SecretAccessKey":"{SECRET}"}}"#),
            &format!("{ALPHANUMERIC_SECRET}\n"),
            &format!("\u{1b}]0;{SECRET}\u{7}"),
            &format!("\u{9b}2J{SECRET}"),
            &format!("{}{SECRET}", "x".repeat(SENTENCE_LIMIT - 10)),
            &format!("{} {SECRET}", "x".repeat(SENTENCE_LIMIT - 10)),
        ] {
            for expected in ALL {
                let shown = expected.show(text);
                assert!(!shown.contains(char::is_control), "{shown:?}");
                for secret in [SECRET, ALPHANUMERIC_SECRET] {
                    assert!(!shown.contains(&secret[..8]), "{shown:?}");
                }
            }
        }
        for expected in ALL {
            for secret in [SECRET, ALPHANUMERIC_SECRET] {
                assert!(!expected.accepts(secret), "{expected:?}");
            }
            assert_eq!(expected.accepts(""), expected == Expected::Sentence);
        }
    }

    #[test]
    fn a_note_says_what_is_not_shown() {
        assert_eq!(
            Expected::AccountId.show("x\u{f6}"),
            "(not an account ID: 2 characters, not shown)"
        );
        assert_eq!(
            Expected::Sentence.show(&format!("see\r\n{SECRET}, please")),
            "see  .., please"
        );
        let token = "AQAEAAAAAaIf7wp_AAACWAAAAAEtsC_e_jxdsItCoJLYMTUNbd_6Og==";
        assert_eq!(
            Expected::Sentence.show(&format!("X-aws-ec2-metadata-token: {token}, x={token}")),
            "X-aws-ec2-metadata-token: .., .."
        );
        let role = "no credentials for the role ProdUsEast1ClusterNodeRole20230405123456";
        assert_eq!(Expected::Sentence.show(role), role);
        assert_eq!(
            Expected::Sentence.show(&"x ".repeat(200)),
            "x ".repeat(150) + ".."
        );
        assert_eq!(one_line("a\u{202e}b\u{2028}c\td"), "a b c d");
    }

    #[test]
    fn role_names_are_those_that_the_component_accepts() {
        for (name, is_legal) in [
            ("a", true),
            ("a/b/c", true),
            ("", false),
            ("a//b", false),
            ("a b", false),
            ("a:b", false),
            ("arn:aws:iam::123456789012:role/a", true),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::123456789012:user/a", false),
            ("<html>", false),
            (
                "AQAEAAAAAaIf7wp_AAACWAAAAAEtsC_e_jxdsItCoJLYMTUNbd_6Og==",
                false,
            ),
            ("AQAEA", true),
            ("ProdUsEast1ClusterNodeRole20230405123456", true),
            (ALPHANUMERIC_SECRET, false),
        ] {
            assert_eq!(Expected::RoleName.accepts(name), is_legal, "{name}");
        }
    }
}
