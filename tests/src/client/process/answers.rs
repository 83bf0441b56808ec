//! Parses the answers of commands.

use chrono::{DateTime, Utc};

use crate::client::{Answer, Failed, Given};
use crate::scenario::KINDS;

/// Parses the text after `error`.
pub(crate) fn failed(text: &str) -> Failed {
    let text = text.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match KINDS.contains(&word) {
        true => Failed::new(Some(word), rest.trim()),
        false => Failed::new(None, text),
    }
}

/// Parses the text after `credentials`.
pub(crate) fn given(text: &str) -> Answer {
    let mut words = text.split_whitespace();
    let Some(access_key_id) = words.next() else {
        return Err(Failed::broken("the client wrote no access key ID"));
    };
    let expires = match words.next() {
        None => None,
        Some(text) => Some(expiration(text).map_err(Failed::broken)?),
    };
    Ok(Given {
        access_key_id: access_key_id.to_owned(),
        expires,
    })
}

fn expiration(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| {
        format!("the client wrote the expiration {text:?}; accepted: a date as in RFC 3339")
    })
}

/// Undoes the escapes of line breaks and backslashes.
pub(crate) fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            (character, false) => plain.push(character),
        }
    }
    plain
}

/// Parses the JSON of `credential_process`, or an access key ID.
pub(crate) fn read_output(output: &str) -> Answer {
    if let Ok(json) = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(output) {
        let id = json.get("AccessKeyId").and_then(|id| id.as_str());
        let Some(access_key_id) = id.filter(|id| !id.is_empty()) else {
            return Err(Failed::broken("the client's JSON has no AccessKeyId"));
        };
        let expires = json.get("Expiration").and_then(|expires| expires.as_str());
        return Ok(Given {
            access_key_id: access_key_id.to_owned(),
            expires: match expires {
                Some(text) => Some(expiration(text).map_err(Failed::broken)?),
                None => None,
            },
        });
    }
    let line = output.lines().find(|line| !line.trim().is_empty());
    given(line.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_may_begin_with_its_kind() {
        let kind = |text| failed(text).kind;
        assert_eq!(
            kind("no-role the instance has none").as_deref(),
            Some("no-role")
        );
        assert_eq!(
            failed("no-role the instance has none").message,
            "the instance has none"
        );
        assert_eq!(kind("something went wrong"), None);
        assert_eq!(kind(""), None);
    }

    #[test]
    fn credentials_have_an_id_and_may_have_an_expiration() {
        assert_eq!(given("ASIA1").unwrap().expires, None);
        let both = given("ASIA1 2026-01-01T00:00:00+00:00").unwrap();
        assert_eq!(both.expires.unwrap().timestamp(), 1_767_225_600);
        assert!(given("").is_err());
        assert!(
            given("ASIA1 tomorrow")
                .unwrap_err()
                .message
                .contains("\"tomorrow\"")
        );
    }

    #[test]
    fn the_output_of_a_command_that_is_run_once_is_an_id_or_json() {
        assert_eq!(read_output("\nASIA1\n").unwrap().access_key_id, "ASIA1");
        let json =
            r#"{"Version": 1, "AccessKeyId": "ASIA2", "Expiration": "2026-01-01T00:00:00Z"}"#;
        let given = read_output(json).unwrap();
        assert_eq!(given.access_key_id, "ASIA2");
        assert!(given.expires.is_some());
        assert!(read_output("").is_err());
        assert!(read_output(r#"{"Version":1}"#).is_err());
    }

    #[test]
    fn values_are_escaped_in_one_line() {
        assert_eq!(unescaped(r"one\ntwo\\n"), "one\ntwo\\n");
    }
}
