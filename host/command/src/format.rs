//! Output formats.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use ec2_role_host::Credentials;
use serde_json::json;

/// A table for people. Secrets are hidden unless `show_secrets` is set.
pub(crate) fn table(credentials: &Credentials, show_secrets: bool, now: DateTime<Utc>) -> String {
    let secret = |secret: &str| match show_secrets {
        true => secret.to_owned(),
        false => format!(
            "({} characters, hidden; use --show-secrets)",
            secret.chars().count()
        ),
    };
    let mut rows = vec![
        ("access key ID", credentials.access_key_id().to_owned()),
        ("secret access key", secret(credentials.secret_access_key())),
    ];
    if let Some(token) = credentials.session_token() {
        rows.push(("session token", secret(token)));
    }
    if let Some(account) = credentials.account_id() {
        rows.push(("account ID", account.to_owned()));
    }
    rows.push(("source", credentials.source().to_owned()));
    if let Some(expires) = credentials.expires() {
        rows.push((
            "expires",
            format!("{} ({})", written(expires), distance(expires, now)),
        ));
    }
    let mut table = String::new();
    for (name, value) in rows {
        let _ = writeln!(table, "{name:<18} {value}");
    }
    table
}

/// JSON for programs, with all fields.
pub(crate) fn json(credentials: &Credentials) -> String {
    let json = json!({
        "access-key-id": credentials.access_key_id(),
        "secret-access-key": credentials.secret_access_key(),
        "session-token": credentials.session_token(),
        "account-id": credentials.account_id(),
        "source": credentials.source(),
        "expires": credentials.expires().map(written),
    });
    format!("{json:#}\n")
}

/// The JSON that `credential_process` must print.
pub(crate) fn process(credentials: &Credentials) -> String {
    let mut json = json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
    });
    let optional = [
        (
            "SessionToken",
            credentials.session_token().map(str::to_owned),
        ),
        ("Expiration", credentials.expires().map(written)),
        ("AccountId", credentials.account_id().map(str::to_owned)),
    ];
    if let Some(object) = json.as_object_mut() {
        let present = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        object.extend(present);
    }
    format!("{json}\n")
}

/// The variables that all AWS SDKs read, and the expiration as `aws configure export-credentials`
/// names it.
pub(crate) fn variables(credentials: &Credentials) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id().to_owned()),
        (
            "AWS_SECRET_ACCESS_KEY",
            credentials.secret_access_key().to_owned(),
        ),
    ];
    let optional = [
        (
            "AWS_SESSION_TOKEN",
            credentials.session_token().map(str::to_owned),
        ),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            credentials.expires().map(written),
        ),
        (
            "AWS_ACCOUNT_ID",
            credentials.account_id().map(str::to_owned),
        ),
    ];
    variables.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    variables
}

/// `export` commands, for a shell to evaluate.
pub(crate) fn export(variables: &[(&'static str, String)]) -> String {
    variables
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "export {name}={}", quoted(value));
            text
        })
}

/// Quotes a word for a shell.
fn quoted(value: &str) -> Cow<'_, str> {
    // Only a NUL cannot be quoted, and environment variables contain none.
    shlex::try_quote(value).unwrap_or_default()
}

pub(crate) fn written(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time from `now` to a moment, for people.
pub(crate) fn distance(moment: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (moment - now).num_seconds();
    let length = match seconds.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    };
    match seconds < 0 {
        true => format!("{length} ago"),
        false => format!("in {length}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn distances_are_for_people() {
        let now = Utc::now();
        for (seconds, text) in [
            (0, "in 0 s"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (3600, "in 60 min"),
            (7200, "in 2 h 0 min"),
            (-61, "61 s ago"),
            (-9000, "2 h 30 min ago"),
        ] {
            assert_eq!(distance(now + TimeDelta::seconds(seconds), now), text);
        }
    }

    #[test]
    fn a_shell_takes_values_as_they_are() {
        let value = "it's $HOME \"\\\n`id` !! ~ a=b";
        let script = export(&[("A", value.to_owned())]) + "printf %s \"$A\"";
        let shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(str::from_utf8(&shell.stdout), Ok(value));
        assert_eq!(export(&[("A", "plain/+".into())]), "export A=plain/+\n");
        assert_eq!(quoted(""), "''");
    }
}
