//! The role and its credentials.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use serde_json::{Map, Value};

use crate::scenario::Weight::{May, Must, Should};

use super::listings::{escaped, same_or_redirect};
use super::wire::Response;
use super::{Check, Judged, META_DATA, NotPassed, Server, expect, not_applicable, responses};

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "credentials/role-list",
            Must,
            "The list of roles has one line, or is 404",
            &["I35", "I46", "clients: five of them fail otherwise"],
            |imds| list(imds).boxed(),
        )
        .formerly(&["credentials/list"]),
        Check::new(
            "credentials/role-list-no-newline",
            Must,
            "No newline follows the role name",
            &["I30", "I46", "clients: most of them fail otherwise"],
            |imds| list_no_newline(imds).boxed(),
        )
        .formerly(&["credentials/list-no-newline"]),
        Check::new(
            "credentials/role-list-without-slash",
            Must,
            "The list of roles without its trailing slash returns the list or a redirect to it",
            &["I31", "clients: some ask with a slash, some without"],
            |imds| list_without_slash(imds).boxed(),
        )
        .formerly(&["credentials/list-without-slash"]),
        Check::new(
            "credentials/iam-listed",
            Should,
            "iam/ is listed if there is a role, and only then",
            &["I35"],
            |imds| listed(imds).boxed(),
        )
        .formerly(&["credentials/listed"]),
        Check::new(
            "credentials/document",
            Must,
            "The document of the role is JSON",
            &["I47"],
            |imds| document(imds).boxed(),
        ),
        Check::new(
            "credentials/fields",
            Must,
            "The document has AccessKeyId, SecretAccessKey, Token and Expiration",
            &["I47"],
            |imds| fields(imds).boxed(),
        ),
        Check::new(
            "credentials/code",
            Must,
            "The Code of the document is Success, or the document has no credentials",
            &["I47", "I48", "clients: aws-config fails otherwise"],
            |imds| code(imds).boxed(),
        ),
        Check::new(
            "credentials/type",
            Should,
            "The Type of the document is AWS-HMAC",
            &["I47"],
            |imds| kind(imds).boxed(),
        ),
        Check::new(
            "credentials/key-id",
            Should,
            "The access key ID is ASIA and 16 capital letters and digits",
            &["I47"],
            |imds| key_id(imds).boxed(),
        ),
        Check::new(
            "credentials/expiration",
            Must,
            "Expiration is a date as in RFC 3339, in UTC, with Z",
            &["I47", "clients: aws-config fails otherwise"],
            |imds| expiration(imds).boxed(),
        ),
        Check::new(
            "credentials/not-expired",
            Must,
            "The credentials have not expired",
            &["I49"],
            |imds| not_over(imds).boxed(),
        )
        .formerly(&["credentials/not-over"]),
        Check::new(
            "credentials/five-minutes-left",
            Should,
            "The credentials are valid for at least five more minutes",
            &["I49"],
            |imds| five_minutes(imds).boxed(),
        )
        .formerly(&["credentials/five-minutes"]),
        Check::new(
            "credentials/lifetime",
            May,
            "The credentials expire 6 to 6.6 hours after LastUpdated",
            &["I49"],
            |imds| lifetime(imds).boxed(),
        ),
        Check::new(
            "credentials/last-updated",
            Should,
            "LastUpdated is a date in the past, with Z",
            &["I47"],
            |imds| last_updated(imds).boxed(),
        ),
        Check::new(
            "credentials/last-modified",
            May,
            "The Last-Modified header of the document matches LastUpdated",
            &["I6"],
            |imds| last_modified(imds).boxed(),
        ),
        Check::new(
            "credentials/same-for-all",
            Should,
            "All clients receive the same document",
            &["I50"],
            |imds| same_for_all(imds).boxed(),
        ),
        Check::new(
            "credentials/trailing-slash",
            May,
            "The document can be read with a trailing slash, too",
            &["I32"],
            |imds| with_slash(imds).boxed(),
        )
        .formerly(&["credentials/with-slash"]),
        Check::new(
            "credentials/layout",
            May,
            "The document is indented by two spaces, with ` : ` after names",
            &["I47"],
            |imds| layout(imds).boxed(),
        ),
        Check::new(
            "credentials/unknown-role",
            Must,
            "The document of an unknown role is 404",
            &["I33", "I47"],
            |imds| unknown_role(imds).boxed(),
        ),
        Check::new(
            "credentials/role-case",
            Should,
            "The role name is case-sensitive: another case is 404",
            &["I47"],
            |imds| case(imds).boxed(),
        )
        .formerly(&["credentials/case"]),
    ]
}

async fn list(imds: &Server) -> Judged {
    let response = imds.get(LIST).await?;
    response.has_status_of(&[200, 404])?;
    if response.status == 404 {
        return not_applicable("the instance has no role");
    }
    let lines = response.lines().len();
    expect(lines == 1, "the name of one role", format!("{lines} lines"))
}

async fn list_no_newline(imds: &Server) -> Judged {
    let response = roles(imds).await?;
    expect(
        response.body.trim_ascii().len() == response.body.len(),
        "no white space around the name of the role",
        response.told(),
    )
}

async fn list_without_slash(imds: &Server) -> Judged {
    let with = roles(imds).await?;
    let bare = LIST.trim_end_matches('/');
    same_or_redirect(&with, &imds.get(bare).await?, bare)
}

async fn listed(imds: &Server) -> Judged {
    let there = imds.get(LIST).await?.status == 200;
    imds.agrees(&format!("{META_DATA}/"), "iam", there).await
}

/// The list of roles, if there is one.
async fn roles(imds: &Server) -> Result<Response, NotPassed> {
    let response = imds.get(LIST).await?;
    match response.status {
        200 => Ok(response),
        404 => not_applicable("the instance has no role"),
        status => not_applicable(format!("the list of roles cannot be read ({status})")),
    }
}

/// The name of the role, if there is one.
pub(super) async fn role(imds: &Server) -> Result<String, NotPassed> {
    let names = roles(imds).await?.lines();
    match names.first().map(|name| name.trim()) {
        Some(name) if !name.is_empty() => Ok(escaped(name)),
        _ => not_applicable("no role is listed"),
    }
}

/// The document of the role. The check credentials/document verifies that there is one.
async fn credentials(imds: &Server) -> Result<(Response, Map<String, Value>), NotPassed> {
    let path = format!("{LIST}{}", role(imds).await?);
    let response = imds.if_there(&path).await?;
    match json(&response) {
        Some(document) => Ok((response, document)),
        None => not_applicable("the document of the role is not JSON"),
    }
}

/// The document of the role, if it has credentials.
pub(super) async fn good(imds: &Server) -> Result<Map<String, Value>, NotPassed> {
    let (_, document) = credentials(imds).await?;
    match document.contains_key("AccessKeyId") {
        true => Ok(document),
        false => not_applicable("the document of the role has no credentials"),
    }
}

pub(super) fn json(response: &Response) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&response.body) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

/// The value of a field that is a non-empty string.
pub(super) fn text<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let value = document.get(name).and_then(Value::as_str);
    value.filter(|value| !value.is_empty())
}

pub(super) fn has_texts(document: &Map<String, Value>, names: &[&str]) -> Judged {
    let missing: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| text(document, name).is_none())
        .collect();
    expect(
        missing.is_empty(),
        format!("{}: non-empty strings", names.join(", ")),
        format!("missing, empty or not a string: {}", missing.join(", ")),
    )
}

/// A date in the format of IMDS. Fractions of seconds are accepted, as all clients accept them.
pub(super) fn date(document: &Map<String, Value>, name: &str) -> Option<DateTime<Utc>> {
    let value = text(document, name)?;
    let date = DateTime::parse_from_rfc3339(value).ok()?;
    (value.ends_with('Z') && value.contains('T')).then(|| date.to_utc())
}

/// A date. Another check verifies its format.
async fn date_of(imds: &Server, name: &str) -> Result<DateTime<Utc>, NotPassed> {
    let document = good(imds).await?;
    let date = text(&document, name).and_then(|value| value.parse().ok());
    date.ok_or_else(|| NotPassed::NotApplicable(format!("{name} is not a date")))
}

pub(super) fn has_date(document: &Map<String, Value>, name: &str) -> Judged {
    expect(
        date(document, name).is_some(),
        format!("{name} like 2026-01-02T03:04:05Z"),
        text(document, name).unwrap_or("missing, empty or not a string"),
    )
}

async fn document(imds: &Server) -> Judged {
    let response = imds.get(&format!("{LIST}{}", role(imds).await?)).await?;
    response.has_status(200)?;
    expect(json(&response).is_some(), "a JSON object", response.told())
}

async fn fields(imds: &Server) -> Judged {
    let (_, document) = credentials(imds).await?;
    if text(&document, "Code").is_some_and(|code| code != "Success") {
        return not_applicable("the document is an error");
    }
    let names = ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"];
    has_texts(&document, &names)
}

async fn code(imds: &Server) -> Judged {
    let (_, document) = credentials(imds).await?;
    let code = text(&document, "Code");
    let bare = !document.contains_key("AccessKeyId") && text(&document, "Message").is_some();
    match code {
        Some("Success") => Ok(()),
        // [I48]
        Some(code) if bare => not_applicable(format!("the role has an error: {code}")),
        code => expect(false, "Success", code.unwrap_or("no Code")),
    }
}

async fn kind(imds: &Server) -> Judged {
    let document = good(imds).await?;
    let seen = text(&document, "Type").unwrap_or("no Type");
    expect(seen == "AWS-HMAC", "AWS-HMAC", seen)
}

async fn key_id(imds: &Server) -> Judged {
    let document = good(imds).await?;
    let id = text(&document, "AccessKeyId").unwrap_or_default();
    let rest = id.strip_prefix("ASIA").unwrap_or_default();
    let fit = rest
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    expect(
        rest.len() == 16 && fit,
        "ASIA and 16 capital letters and digits",
        format!(
            "{} characters that begin with {:?}",
            id.len(),
            id.get(..4).unwrap_or(id)
        ),
    )
}

async fn expiration(imds: &Server) -> Judged {
    let document = good(imds).await?;
    match text(&document, "Expiration") {
        Some(_) => has_date(&document, "Expiration"),
        None => not_applicable("there is no Expiration"),
    }
}

async fn not_over(imds: &Server) -> Judged {
    let ends = date_of(imds, "Expiration").await?;
    expect(
        ends > Utc::now(),
        "an Expiration in the future",
        ends.to_rfc3339(),
    )
}

async fn five_minutes(imds: &Server) -> Judged {
    let ends = date_of(imds, "Expiration").await?;
    if ends <= Utc::now() {
        return not_applicable("the credentials have expired");
    }
    // The clocks may differ slightly.
    let least = TimeDelta::minutes(5) - TimeDelta::seconds(5);
    expect(
        ends - Utc::now() >= least,
        "at least five minutes: IMDS issues new credentials before that",
        format!("{} s", (ends - Utc::now()).num_seconds()),
    )
}

async fn lifetime(imds: &Server) -> Judged {
    let updated = date_of(imds, "LastUpdated").await?;
    let life = date_of(imds, "Expiration").await? - updated;
    expect(
        (TimeDelta::hours(6)..=TimeDelta::minutes(396)).contains(&life),
        "an Expiration between 21600 and 23760 s after LastUpdated",
        format!("{} s", life.num_seconds()),
    )
}

async fn last_updated(imds: &Server) -> Judged {
    let document = good(imds).await?;
    has_date(&document, "LastUpdated")?;
    let updated = date_of(imds, "LastUpdated").await?;
    expect(
        updated <= Utc::now() + TimeDelta::seconds(5),
        "a LastUpdated in the past",
        updated.to_rfc3339(),
    )
}

async fn last_modified(imds: &Server) -> Judged {
    let (response, document) = credentials(imds).await?;
    let Some(updated) = date(&document, "LastUpdated") else {
        return not_applicable("there is no LastUpdated");
    };
    let Some(seen) = response.header("last-modified") else {
        return not_applicable("there is no Last-Modified");
    };
    let modified = responses::moment(seen);
    expect(
        modified.is_some_and(|modified| (modified - updated).abs() < TimeDelta::minutes(1)),
        format!("LastUpdated, {}", updated.to_rfc2822()),
        seen,
    )
}

async fn same_for_all(imds: &Server) -> Judged {
    let path = format!("{LIST}{}", role(imds).await?);
    // Twice, because the credentials may be replaced in between.
    for last in [false, true] {
        let first = imds.if_there(&path).await?;
        let second = match imds.token("60").await {
            Ok(token) => imds.with_token(&path, &token).await?,
            Err(_) => imds.get(&path).await?,
        };
        if second.status == 401 {
            return not_applicable("valid tokens are rejected");
        }
        if first.body == second.body {
            return Ok(());
        }
        if last {
            let id = |response: &Response| {
                let document = json(response).unwrap_or_default();
                text(&document, "AccessKeyId").unwrap_or("none").to_owned()
            };
            let (first, second) = (id(&first), id(&second));
            return expect(
                false,
                "the same document twice",
                format!("two documents, with the keys {first} and {second}"),
            );
        }
    }
    Ok(())
}

async fn with_slash(imds: &Server) -> Judged {
    let (_, document) = credentials(imds).await?;
    let response = imds.get(&format!("{LIST}{}/", role(imds).await?)).await?;
    response.has_status(200)?;
    let fields =
        |document: &Map<String, Value>| -> Vec<String> { document.keys().cloned().collect() };
    expect(
        json(&response).is_some_and(|same| fields(&same) == fields(&document)),
        "the same document",
        response.told(),
    )
}

async fn layout(imds: &Server) -> Judged {
    let (response, document) = credentials(imds).await?;
    let lines: Vec<String> = response.text().lines().map(str::to_owned).collect();
    let fields = document.keys().all(|name| {
        let begin = format!("  \"{name}\" : ");
        lines.iter().any(|line| line.starts_with(&begin))
    });
    expect(
        fields && lines.first().is_some_and(|line| line == "{"),
        "lines like `  \"Code\" : \"Success\",`",
        "a different layout",
    )
}

async fn unknown_role(imds: &Server) -> Judged {
    let role = role(imds).await?;
    for name in ["no-such-role".to_owned(), format!("{role}x")] {
        imds.get(&format!("{LIST}{name}")).await?.has_status(404)?;
    }
    Ok(())
}

async fn case(imds: &Server) -> Judged {
    let role = role(imds).await?;
    let turn = |letter: char| match letter.is_ascii_lowercase() {
        true => letter.to_ascii_uppercase(),
        false => letter.to_ascii_lowercase(),
    };
    let turned: String = role.chars().map(turn).collect();
    match turned == role {
        true => not_applicable("the role name has no letters"),
        false => imds.get(&format!("{LIST}{turned}")).await?.has_status(404),
    }
}
