//! The token, the list of roles, and the document of the role.

use ec2_role_component::config::Options;
use ec2_role_component::error::{Error, Reason, Step};
use ec2_role_component::imds::client::Tree;
use ec2_role_component::ports::{Response, TTL_HEADER};
use ec2_role_component::provider::LIFE_CAP;
use ec2_role_component::time::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json::{Fields, secrets};
use super::world::{NOW, World, failure, ok, ready, well};
use crate::fuzz::disguised;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";
const EXTENDED_LIST: &str = "/latest/meta-data/iam/security-credentials-extended/";

/// The response with a session token.
///
/// The first line is the TTL header, or `-` for none. The rest is the token. The component must send an
/// accepted token without surrounding white space, and expire it after its TTL. The error for a rejected
/// token must not depend on the token.
pub fn token(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let (life, body) = bytes.split_at(line.unwrap_or(bytes.len()));
    let body = body.get(1..).unwrap_or_default();
    let Ok(life) = std::str::from_utf8(life) else {
        return;
    };
    let life = (life != "-").then(|| life.to_owned());
    let text = std::str::from_utf8(body).map(str::trim_ascii);
    let good = text
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    let seconds = match &life {
        None => Some(21_600),
        Some(life) => life.trim_ascii().parse::<u32>().ok(),
    };

    let ask = |body: &[u8]| {
        let headers: Vec<_> = life.iter().map(|life| (TTL_HEADER, life.clone())).collect();
        let body = body.to_vec();
        let mut world = World::new(Options::default(), move |asked| Response {
            headers: match asked.path.as_str() {
                "/latest/api/token" => headers.clone(),
                _ => Vec::new(),
            },
            ..ok(match asked.path.as_str() {
                "/latest/api/token" => body.clone(),
                _ => b"found".to_vec(),
            })
        });
        let outcome = ready(world.instance.text(Tree::Metadata, "x"));
        (outcome, world)
    };
    let (outcome, world) = ask(body);
    match (good, seconds) {
        (Some(token), Some(seconds)) => {
            assert_eq!(outcome.as_deref(), Ok("found"));
            let sent = world.requests().pop().expect("a request was sent");
            assert_eq!(sent.token.as_deref(), Some(token));
            let session = world
                .instance
                .status()
                .session
                .expect("the client has sessions");
            let held = session.held().expect("the token is held");
            assert_eq!(held.received().seconds(), NOW);
            assert_eq!(held.expires().seconds(), NOW + u64::from(seconds));
            assert!(!format!("{held:?}").contains(token) || token.len() < 8);
        }
        _ => {
            let failure = failure(outcome.clone());
            assert_eq!(
                (failure.step, failure.reason),
                (Step::Token, Reason::InvalidResponse)
            );
            assert_eq!(ask(&disguised(body, 0..body.len())).0, outcome);
        }
    }
}

/// The list of roles.
///
/// The first line that is not blank is the role. The component must request its document, or request nothing
/// and return an error that does not depend on the list.
pub fn role_list(bytes: &[u8]) {
    let ask = |body: &[u8], extended: bool| {
        let body = body.to_vec();
        let options = Options {
            extended_path: Some(extended),
            ..Options::default()
        };
        let mut world = World::new(options, move |asked| match asked.path.as_str() {
            LIST | EXTENDED_LIST => ok(body.clone()),
            _ => well(asked),
        });
        let outcome = ready(world.instance.get_credentials());
        (outcome, world)
    };
    let list = std::str::from_utf8(bytes);
    let name = list.map(|list| {
        let mut lines = list.split('\n').map(|line| line.trim_ascii());
        lines.find(|line| !line.is_empty())
    });
    for (extended, path) in [(false, LIST), (true, EXTENDED_LIST)] {
        let (outcome, world) = ask(bytes, extended);
        let requests = world.requests();
        let asked: Vec<&str> = requests.iter().map(|asked| asked.path.as_str()).collect();
        match name {
            Ok(Some(name)) if is_role(name) => {
                assert!(outcome.is_ok(), "{outcome:?}");
                assert_eq!(asked, ["/latest/api/token", path, &format!("{path}{name}")]);
                let role = world.instance.status().role_name.map(|role| role.as_str());
                assert_eq!(role, Some(name));
            }
            name => {
                assert_eq!(asked, ["/latest/api/token", path]);
                let (reason, like): (_, &[u8]) = match name {
                    Ok(Some(_)) => (Reason::InvalidResponse, b"!"),
                    Ok(None) => (Reason::NoRole, b""),
                    Err(_) => (Reason::InvalidResponse, b"\xff"),
                };
                let failure = failure(outcome.clone());
                assert_eq!((failure.step, failure.reason), (Step::RoleList, reason));
                assert_eq!(ask(like, extended).0, outcome);
            }
        }
    }
}

/// The name of a role, also with its path or as its ARN.
pub(super) fn is_role(name: &str) -> bool {
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "+=,.@_-".contains(letter);
    let is_plain = |segment: &str| {
        !segment.is_empty() && segment.chars().all(is_legal) && ![".", ".."].contains(&segment)
    };
    let path = match name.split(':').collect::<Vec<_>>()[..] {
        [path] => path,
        ["arn", partition, "iam", "", account, resource] => {
            let is_partition = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
            let is_named = !partition.is_empty() && partition.chars().all(is_partition);
            let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
            match resource.strip_prefix("role/") {
                Some(path) if is_named && is_account => path,
                _ => return false,
            }
        }
        _ => return false,
    };
    let role = path.split('/').next_back().unwrap_or_default();
    path.split('/').all(is_plain) && role.len() <= 64 && path.len() - role.len() <= 512
}

/// The document of the role.
///
/// If it is unambiguous JSON, the result must match its fields. Credentials must expire with the document and
/// within an hour. No output may depend on the secrets.
pub fn document(bytes: &[u8]) {
    let ask = |body: &[u8]| {
        let body = body.to_vec();
        let options = Options {
            role_name: Some("role".into()),
            ..Options::default()
        };
        let mut world = World::new(options, move |asked| {
            ok(match asked.path.as_str() {
                "/latest/api/token" => b"token".to_vec(),
                _ => body.clone(),
            })
        });
        let retrieved = ready(world.instance.retrieve());
        let got = ready(world.instance.get_credentials());
        (retrieved, got, world)
    };
    let (retrieved, got, world) = ask(bytes);
    let written = |(retrieved, got, world): &(Result<_, Error>, Result<_, Error>, World)| {
        let errors = [retrieved.as_ref().err(), got.as_ref().err()];
        let errors: Vec<String> = errors.into_iter().flatten().map(Error::to_string).collect();
        format!("{errors:?} {retrieved:?} {got:?} {:?}", world.instance)
    };

    match (&retrieved, &got) {
        (Ok(credentials), got) => {
            let ends = credentials.expires.expect("credentials of IMDS expire");
            assert!(ends.seconds() <= NOW + LIFE_CAP.as_secs());
            assert!(!credentials.access_key_id.is_empty());
            assert!(!credentials.secret_access_key.expose().is_empty());
            assert!(
                credentials
                    .session_token
                    .as_ref()
                    .is_some_and(|token| !token.expose().is_empty())
            );
            assert_eq!(credentials.refresh_after.seconds(), NOW);
            match got {
                Ok(got) => {
                    let until = got.expires.expect("credentials of IMDS expire").seconds();
                    match ends.seconds() > NOW {
                        true => assert_eq!(until, ends.seconds()),
                        // Credentials that were received expired are extended [B5.8].
                        false => assert!((NOW + 300..NOW + 900).contains(&until)),
                    }
                    assert_eq!(got.secret_access_key, credentials.secret_access_key);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        (Err(retrieved), got) => assert_eq!(got.as_ref().unwrap_err(), retrieved),
    }
    if let Some(fields) = Fields::read(bytes) {
        let text = |name: &str| fields.text(name).filter(|text| !text.is_empty());
        let key = |name: &str| text(name).filter(|text| text.chars().all(|c| c.is_ascii_graphic()));
        let expiration = || {
            OffsetDateTime::parse(&text("Expiration")?, &Rfc3339)
                .ok()
                .map(OffsetDateTime::unix_timestamp)
        };
        let expected = match text("Code") {
            None => Err((Reason::InvalidResponse, None)),
            Some(code) if !code.eq_ignore_ascii_case("success") => {
                Err((Reason::Refused, Some(code)))
            }
            Some(_) => match (
                key("AccessKeyId"),
                text("SecretAccessKey"),
                key("Token"),
                expiration(),
            ) {
                (Some(id), Some(secret), Some(token), Some(ends)) => Ok((id, secret, token, ends)),
                _ => Err((Reason::InvalidResponse, None)),
            },
        };
        match (expected, retrieved.clone()) {
            (Ok((id, secret, token, ends)), Ok(credentials)) => {
                assert_eq!(credentials.access_key_id, id);
                assert_eq!(credentials.secret_access_key.expose(), secret);
                assert_eq!(credentials.session_token.unwrap().expose(), token);
                assert_eq!(credentials.account_id, text("AccountId"));
                let ends = u64::try_from(ends)
                    .unwrap_or(0)
                    .min(NOW + LIFE_CAP.as_secs());
                assert_eq!(credentials.expires, Some(UnixTime::from_seconds(ends)));
            }
            (Err((reason, code)), outcome) => {
                let failure = failure(outcome);
                assert_eq!(
                    (failure.step, failure.reason),
                    (Step::RoleCredentials, reason)
                );
                assert_eq!(failure.code, code);
            }
            (Ok(_), Err(error)) => panic!("{error:?}"),
        }
    }
    let before = written(&(retrieved, got, world));
    for secret in secrets(bytes, &["secretaccesskey", "token"]) {
        assert_eq!(written(&ask(&disguised(bytes, secret))), before);
    }
}
