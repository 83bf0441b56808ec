//! Output formats.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use ec2_role_host::Credentials;
use ec2_role_host::printable::Expected;
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
        (
            "access key ID",
            Expected::AccessKeyId
                .show(credentials.access_key_id())
                .into_owned(),
        ),
        ("secret access key", secret(credentials.secret_access_key())),
    ];
    if let Some(token) = credentials.session_token() {
        rows.push(("session token", secret(token)));
    }
    if let Some(account) = credentials.account_id() {
        rows.push(("account ID", Expected::AccountId.show(account).into_owned()));
    }
    rows.push((
        "source",
        Expected::Word.show(credentials.source()).into_owned(),
    ));
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

/// How a shell, or another reader of variables, wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// A POSIX shell.
    Posix,
    /// `NAME=value` lines, which systemd, Docker and others read.
    Lines,
    PowerShell,
    WindowsCmd,
    Fish,
}

/// A value that a syntax cannot express.
#[derive(Debug)]
pub(crate) struct Inexpressible {
    name: &'static str,
    letter: char,
    syntax: &'static str,
}

impl fmt::Display for Inexpressible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} contains {:?}, which --format {} cannot express; use another format",
            self.name, self.letter, self.syntax
        )
    }
}

impl std::error::Error for Inexpressible {}

/// The commands, or the lines, that set these variables.
pub(crate) fn assignments(
    syntax: Syntax,
    variables: &[(&'static str, String)],
) -> Result<String, Inexpressible> {
    let mut text = String::new();
    for (name, value) in variables {
        let check = |syntax, is_legal: fn(char) -> bool| match value.chars().find(|c| !is_legal(*c))
        {
            None => Ok(value),
            Some(letter) => Err(Inexpressible {
                name,
                letter,
                syntax,
            }),
        };
        let _ = match syntax {
            Syntax::Posix => writeln!(text, "export {name}={}", quoted(value)),
            // Its readers disagree on quotes, so that only what needs none is right for all of them.
            Syntax::Lines => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "+/=,.:@_-".contains(c);
                writeln!(text, "{name}={}", check("env-no-export", is_plain)?)
            }
            // In single quotes everything stands for itself. PowerShell accepts typographic quotes, too.
            Syntax::PowerShell => {
                let mut quoted = String::new();
                for letter in value.chars() {
                    quoted.push(letter);
                    if matches!(letter, '\'' | '\u{2018}'..='\u{201b}') {
                        quoted.push(letter);
                    }
                }
                writeln!(text, "$Env:{name} = '{quoted}'")
            }
            // Between these quotes `&`, `|`, `<`, `>` and `^` stand for themselves; nothing quotes the rest.
            Syntax::WindowsCmd => {
                let is_plain = |c: char| matches!(c, ' '..='~') && !"\"%!".contains(c);
                writeln!(text, "set \"{name}={}\"", check("windows-cmd", is_plain)?)
            }
            Syntax::Fish => {
                let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
                writeln!(text, "set -gx {name} '{quoted}'")
            }
        };
    }
    Ok(text)
}

/// `export` commands, for a POSIX shell to evaluate.
pub(crate) fn export(variables: &[(&'static str, String)]) -> String {
    // Nothing that this syntax cannot express.
    assignments(Syntax::Posix, variables).unwrap_or_default()
}

/// Quotes a word for a POSIX shell.
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
        0 => return "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s"),
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
            (0, "now"),
            (1, "in 1 s"),
            (-1, "1 s ago"),
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

    const ODD: &str = "it's $HOME \"\\\n`id` !! ~ a=b \u{2019}\\' %PATH% *";
    const USUAL: &str = "IQoJb3JpZ2luX2VjEA+/abc==";

    /// What a shell makes of the value of a variable. `None` without the shell.
    fn read(shell: &[&str], script: &str) -> Option<String> {
        let (shell, arguments) = shell.split_first()?;
        let mut command = std::process::Command::new(shell);
        let output = match command.args(arguments).arg(script).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("{shell}: {error}"),
        };
        assert_eq!(str::from_utf8(&output.stderr), Ok(""), "{script}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn shells_take_values_as_they_are() {
        let print = "printf %s \"$A\"";
        for (syntax, shell, print) in [
            (Syntax::Posix, &["sh", "-c"][..], print),
            (Syntax::Posix, &["bash", "-c"], print),
            (Syntax::Posix, &["zsh", "-c"], print),
            (Syntax::Posix, &["busybox", "sh", "-c"], print),
            (Syntax::Fish, &["fish", "--no-config", "-c"], print),
            (
                Syntax::PowerShell,
                &["pwsh", "-NoProfile", "-Command"],
                "[Console]::Out.Write($Env:A)",
            ),
        ] {
            for value in [ODD, USUAL, ""] {
                // PowerShell removes a variable that is set to nothing.
                let script = assignments(syntax, &[("A", value.to_owned())]).unwrap() + print;
                if let Some(read) = read(shell, &script) {
                    assert_eq!(read, value, "{shell:?}");
                }
            }
        }
        assert_eq!(export(&[("A", "plain/+".into())]), "export A=plain/+\n");
        assert_eq!(quoted(""), "''");
    }

    /// What PowerShell reads from `$Env:A = '…'`. Few machines have a `pwsh` for the test above, so this
    /// follows the rules for verbatim strings in PowerShell's page about_Quoting_Rules and in its
    /// language specification: any of five characters is a quotation mark, and two in a row stand for
    /// one. Everything else stands for itself.
    fn read_by_the_rules_of_powershell(script: &str) -> String {
        let is_quote = |letter: &char| matches!(letter, '\'' | '\u{2018}'..='\u{201b}');
        let mut letters = script.strip_prefix("$Env:A = '").unwrap().chars();
        let mut value = String::new();
        loop {
            match letters.next().unwrap() {
                quote if is_quote(&quote) => match letters.next() {
                    Some(second) if is_quote(&second) => value.push(second),
                    after => {
                        assert_eq!((after, letters.next()), (Some('\n'), None), "{script}");
                        return value;
                    }
                },
                letter => value.push(letter),
            }
        }
    }

    #[test]
    fn powershell_takes_values_as_they_are() {
        let quotes = "'\u{2018}\u{2019}\u{201a}\u{201b}''";
        for value in [ODD, USUAL, "", quotes, "$(Get-Date)`n${Env:PATH}\"@'\n'@"] {
            let script = assignments(Syntax::PowerShell, &[("A", value.to_owned())]).unwrap();
            assert_eq!(read_by_the_rules_of_powershell(&script), value);
        }
    }

    #[test]
    fn every_syntax_is_that_of_its_reader() {
        let of = |syntax, value: &str| {
            assignments(syntax, &[("A", value.into())]).map_err(|error| error.to_string())
        };
        for (syntax, value, text) in [
            (Syntax::Posix, "a'b", "export A=\"a'b\"\n"),
            (Syntax::Lines, USUAL, "A=IQoJb3JpZ2luX2VjEA+/abc==\n"),
            (
                Syntax::PowerShell,
                "a'\u{2019}b",
                "$Env:A = 'a''\u{2019}\u{2019}b'\n",
            ),
            (Syntax::WindowsCmd, "a&b|c^<>'", "set \"A=a&b|c^<>'\"\n"),
            (Syntax::Fish, r"a'b\c$d", "set -gx A 'a\\'b\\\\c$d'\n"),
        ] {
            assert_eq!(of(syntax, value).as_deref(), Ok(text));
        }
        for (syntax, name, values) in [
            (
                Syntax::Lines,
                "env-no-export",
                &["a b", "a\nB=c", "a'", "a$", "#", "\u{e9}"][..],
            ),
            (
                Syntax::WindowsCmd,
                "windows-cmd",
                &["a\"b", "%PATH%", "a!b", "a\nb", "\u{e9}"],
            ),
        ] {
            for value in values {
                let error = of(syntax, value).unwrap_err();
                assert!(error.starts_with("A contains "), "{error}");
                assert!(
                    error.contains(&format!("--format {name} cannot")),
                    "{error}"
                );
            }
        }
    }
}
