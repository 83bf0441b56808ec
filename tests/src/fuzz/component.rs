//! What the component reads: answers of IMDS, options and an endpoint.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arbitrary::{Arbitrary as _, Unstructured};
use chrono::DateTime;
use ec2_role_component::config::{Config, EndpointMode, Imdsv1Policy, Options, RefreshPolicy};
use ec2_role_component::error::{Error, Failure, Reason, Step};
use ec2_role_component::imds::client::{Client, Tree};
use ec2_role_component::imds::endpoint::Endpoint;
use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{
    Clock, Method, Random, Request, Response, TTL_HEADER, Transport, TransportError,
};
use ec2_role_component::provider::LIFE_CAP;
use ec2_role_component::time::{Monotonic, UnixTime};
use ec2_role_host::egress::Egress;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::disguised;

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";
const EXTENDED_LIST: &str = "/latest/meta-data/iam/security-credentials-extended/";

/// The session token and its life, and what comes of it.
///
/// The first line is the header with the life, `-` for none, and the rest the token. A token that is
/// accepted is sent as it came but for space around it, and ends when it says; what is said of one that
/// is not does not depend on it.
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
/// Its first line that is not blank is the role, whose document is asked for, or nothing is asked for
/// and the error does not depend on the list.
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

fn is_role(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_legal) && name != "." && name != ".."
}

/// The role's document.
///
/// Where it is JSON as everybody reads it, what comes of it is what its fields say. Credentials end
/// with the document and within an hour. Nothing that is written depends on the secrets.
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
            let ends = credentials.expires.expect("those of IMDS end");
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
                    let until = got.expires.expect("those of IMDS end").seconds();
                    match ends.seconds() > NOW {
                        true => assert_eq!(until, ends.seconds()),
                        // Those that had ended when they came may be the best that there are [B5.8].
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
        let expiration = || {
            DateTime::parse_from_rfc3339(&text("Expiration")?)
                .ok()
                .map(|ends| ends.timestamp())
        };
        let expected = match text("Code") {
            None => Err((Reason::InvalidResponse, None)),
            Some(code) if !code.eq_ignore_ascii_case("success") => {
                Err((Reason::Refused, Some(code)))
            }
            Some(_) => match (
                text("AccessKeyId"),
                text("SecretAccessKey"),
                text("Token"),
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

/// The instance identity document, with the region that is read off it.
pub fn identity_document(bytes: &[u8]) {
    let mut world = World::giving(bytes);
    let outcome = ready(world.instance.identity_document());
    let region = ready(world.instance.region());
    match (&outcome, region) {
        (Ok(document), Ok(region)) => assert_eq!(document.region, region),
        (Ok(document), Err(error)) => {
            assert!(document.region.is_empty());
            is_invalid(Err::<(), _>(error));
        }
        (Err(error), region) => assert_eq!(region.as_ref().unwrap_err(), error),
    }
    let Some(fields) = Fields::read(bytes) else {
        if outcome.is_err() {
            is_invalid(outcome);
        }
        return;
    };
    let texts = [
        "accountId",
        "architecture",
        "availabilityZone",
        "imageId",
        "instanceId",
        "instanceType",
        "kernelId",
        "pendingTime",
        "privateIp",
        "ramdiskId",
        "region",
        "version",
    ];
    let lists = [
        "billingProducts",
        "devpayProductCodes",
        "marketplaceProductCodes",
    ];
    let are_right = texts
        .iter()
        .all(|name| matches!(fields.get(name), None | Some(Value::String(_))))
        && lists
            .iter()
            .all(|name| fields.get(name).is_none() || fields.list(name).is_some());
    if !are_right {
        return is_invalid(outcome);
    }
    let document = outcome.unwrap();
    let kernel = document.kernel_id.unwrap_or_default();
    let ramdisk = document.ramdisk_id.unwrap_or_default();
    let read = [
        document.account_id,
        document.architecture,
        document.availability_zone,
        document.image_id,
        document.instance_id,
        document.instance_type,
        kernel,
        document.pending_time,
        document.private_ip,
        ramdisk,
        document.region,
        document.version,
    ];
    assert_eq!(
        read,
        texts.map(|name| fields.text(name).unwrap_or_default())
    );
    let read = [
        document.billing_products,
        document.devpay_product_codes,
        document.marketplace_product_codes,
    ];
    assert_eq!(
        read,
        lists.map(|name| fields.list(name).unwrap_or_default())
    );
}

/// The document with the instance profile.
pub fn iam_info(bytes: &[u8]) {
    let outcome = ready(World::giving(bytes).instance.iam_info());
    if let Ok(info) = &outcome {
        assert!(info.code.eq_ignore_ascii_case("success"));
    }
    let Some(fields) = Fields::read(bytes) else {
        return;
    };
    let names = [
        "Code",
        "LastUpdated",
        "InstanceProfileArn",
        "InstanceProfileId",
        "Message",
    ];
    if !names
        .iter()
        .all(|name| matches!(fields.get(name), None | Some(Value::String(_))))
    {
        return is_invalid(outcome);
    }
    let [code, updated, arn, id, _] = names.map(|name| fields.text(name).unwrap_or_default());
    if !code.eq_ignore_ascii_case("success") {
        let failure = failure(outcome);
        assert_eq!(
            (failure.step, failure.reason),
            (Step::Metadata, Reason::Refused)
        );
        assert_eq!(failure.code, Some(code));
        return;
    }
    let info = outcome.unwrap();
    let read = [
        info.code,
        info.last_updated,
        info.instance_profile_arn,
        info.instance_profile_id,
    ];
    assert_eq!(read, [code, updated, arn, id]);
}

/// Options.
///
/// What is accepted is within the ranges that the WIT package names, and comes to the same when it is
/// given again. What is not is named with its value, and leaves a provider as it was.
pub fn options(bytes: &[u8]) {
    let Ok(options) = arbitrary_options(&mut Unstructured::new(bytes)) else {
        return;
    };
    let config = match Config::new(options.clone()) {
        Ok(config) => config,
        Err(Error::InvalidConfiguration(invalid)) => {
            let given = match invalid.name.as_str() {
                "endpoint" => options.endpoint.clone(),
                "role-name" => options.role_name.clone(),
                "connect-timeout" => options.connect_timeout.map(|value| value.to_string()),
                "read-timeout" => options.read_timeout.map(|value| value.to_string()),
                "operation-timeout" => options.operation_timeout.map(|value| value.to_string()),
                "attempts" => options.attempts.map(|value| value.to_string()),
                "token-ttl" => options.token_ttl.map(|value| value.to_string()),
                "expiry-window" => options.expiry_window.map(|value| value.to_string()),
                "expiry-window-jitter" => {
                    options.expiry_window_jitter.map(|value| value.to_string())
                }
                name => panic!("there is no option {name}"),
            };
            assert_eq!(Some(&invalid.value), given.as_ref());
            assert!(!invalid.accepted.is_empty());
            // What was there stays: settings, token and credentials.
            let mut world = World::new(Options::default(), well);
            assert!(ready(world.instance.get_credentials()).is_ok());
            let before = format!("{:?}", world.instance);
            assert!(world.instance.configure(options).is_err());
            assert_eq!(format!("{:?}", world.instance), before);
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let (client, cache) = (&config.client, &config.cache);
    let within = |time: Duration, least, most| (least..=most).contains(&time.as_millis());
    assert!(within(client.connect_timeout, 1, 60_000));
    assert!(within(client.read_timeout, 1, 60_000));
    assert!(within(client.operation_timeout, 1, 600_000));
    assert!((1..=10).contains(&client.attempts));
    assert!((1..=21_600).contains(&client.token_ttl.as_secs()));
    assert!(
        cache
            .window
            .is_none_or(|window| within(window, 0, 86_400_000))
    );
    assert!(cache.jitter <= 100);
    assert!(
        config
            .provider
            .role
            .as_ref()
            .is_none_or(|role| is_role(role.as_str()))
    );
    let milliseconds = |time: Duration| Some(u64::try_from(time.as_millis()).unwrap());
    let again = Options {
        disabled: Some(client.disabled),
        endpoint: Some(client.endpoint.to_string()),
        endpoint_mode: options.endpoint_mode,
        imdsv1: Some(client.imdsv1),
        role_name: config
            .provider
            .role
            .as_ref()
            .map(|role| role.as_str().to_owned()),
        connect_timeout: milliseconds(client.connect_timeout),
        read_timeout: milliseconds(client.read_timeout),
        operation_timeout: milliseconds(client.operation_timeout),
        attempts: Some(client.attempts),
        token_ttl: Some(u32::try_from(client.token_ttl.as_secs()).unwrap()),
        expiry_window: cache.window.and_then(milliseconds),
        expiry_window_jitter: Some(cache.jitter),
        refresh_policy: Some(cache.policy),
        max_extension: cache.max_extension.and_then(milliseconds),
        extended_path: Some(config.provider.extended_path),
    };
    assert_eq!(Config::new(again).unwrap(), config);
    // With any of them an IMDS that is well gives credentials, and one that is not ends the call in time.
    let mut world = World::new(options.clone(), well);
    match ready(world.instance.get_credentials()) {
        Ok(credentials) => assert!(credentials.refresh_after <= credentials.expires.unwrap()),
        Err(error) => assert_eq!((error, client.disabled), (Error::Disabled, true)),
    }
    let mut world = World::new(options, |_| Response {
        status: 500,
        ..ok(Vec::new())
    });
    assert!(ready(world.instance.get_credentials()).is_err());
    assert!(world.clock.since_start.get() <= client.operation_timeout);
}

fn arbitrary_options(from: &mut Unstructured<'_>) -> arbitrary::Result<Options> {
    /// A number that is as often near an end of its range as not.
    fn number(from: &mut Unstructured<'_>, ends: &[u64]) -> arbitrary::Result<Option<u64>> {
        Ok(match from.int_in_range(0..=2)? {
            0_u8 => None,
            1 => {
                let end = from.choose(ends)?;
                Some(end.wrapping_add_signed(from.int_in_range(-1..=1)?))
            }
            _ => Some(u64::arbitrary(from)?),
        })
    }
    let small =
        |number: Option<u64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let milliseconds = [1, 1_000, 60_000];
    Ok(Options {
        disabled: Option::arbitrary(from)?,
        endpoint_mode: *from.choose(&[None, Some(EndpointMode::Ipv4), Some(EndpointMode::Ipv6)])?,
        imdsv1: *from.choose(&[
            None,
            Some(Imdsv1Policy::Never),
            Some(Imdsv1Policy::OnRefusal),
            Some(Imdsv1Policy::OnAnyFailure),
        ])?,
        refresh_policy: *from.choose(&[
            None,
            Some(RefreshPolicy::Classic),
            Some(RefreshPolicy::Windowed),
        ])?,
        extended_path: Option::arbitrary(from)?,
        connect_timeout: number(from, &milliseconds)?,
        read_timeout: number(from, &milliseconds)?,
        operation_timeout: number(from, &[1, 5_000, 600_000])?,
        attempts: small(number(from, &[1, 10])?),
        token_ttl: small(number(from, &[1, 21_600])?),
        expiry_window: number(from, &[0, 3_600_000, 86_400_000])?,
        expiry_window_jitter: small(number(from, &[0, 100])?),
        max_extension: number(from, &[0, 3_600_000])?,
        role_name: match bool::arbitrary(from)? {
            true => Some(String::arbitrary(from)?),
            false => None,
        },
        endpoint: match bool::arbitrary(from)? {
            true => Some(format!("http://{}", String::arbitrary(from)?)),
            false => None,
        },
    })
}

/// A URL.
///
/// An endpoint that is accepted is an authority without user information and a path, and prints as a
/// URL that is read as the same. The host accepts it too, lets everything out that the component
/// asks of it, and nothing that goes elsewhere.
pub fn endpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let egress = text.parse::<Egress>();
    if let Err(error) = &egress {
        assert!(error.to_string().contains("accepted: http://HOST"));
    }
    let Ok(endpoint) = text.parse::<Endpoint>() else {
        return;
    };
    let printed = endpoint.to_string();
    assert_eq!(printed.parse::<Endpoint>().as_ref(), Ok(&endpoint));
    let authority = endpoint.authority();
    assert!(!authority.is_empty());
    assert!(
        authority
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"@/?#\\%".contains(&byte))
    );
    assert!(printed.starts_with(&format!("http://{authority}")));

    let egress = egress.expect("the host accepts what the component does");
    assert_eq!(printed.parse(), Ok(egress.clone()));
    let check = |url: String| egress.check(&http::Method::GET, &url.parse().unwrap());
    for path in ["", "/", "iam/info", "tags/instance/a b", "../../x"] {
        let path = endpoint.path("latest/meta-data", path);
        // Without anything behind it, it is still below `latest/`.
        assert_eq!(check(format!("http://{authority}{path}")), Ok(()), "{path}");
    }
    let path = endpoint.path("latest/meta-data", "x");
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let other = if port.parse() == Ok(1_u16) { 2 } else { 1 };
    for elsewhere in [
        format!("http://user@{authority}{path}"),
        format!("http://{authority}.example{path}"),
        format!("http://x{authority}{path}"),
        format!("http://{host}:{other}{path}"),
        format!("https://{authority}{path}"),
        format!(
            "http://{authority}{}",
            path.replacen("/latest/", "/other/", 1)
        ),
        format!("http://{authority}{path}/../x"),
    ] {
        if let Ok(url) = elsewhere.parse() {
            let outcome = egress.check(&http::Method::GET, &url);
            assert!(outcome.is_err(), "{elsewhere}");
        }
    }
}

/// The fields of a JSON object, in their order, where the text begins with one that everybody reads
/// alike.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::deserialize(&mut serde_json::Deserializer::from_slice(bytes)).ok()
    }

    /// Whatever the case of the name; of several the last one; not null.
    fn get(&self, name: &str) -> Option<&Value> {
        let mut fields = self.0.iter().rev();
        let (_, value) = fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        (!value.is_null()).then_some(value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        let list = self.get(name)?.as_array()?;
        list.iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Where the values of these names are, which are in small letters, if they are letters and digits
/// alone. The document need not be JSON.
fn secrets(bytes: &[u8], names: &[&str]) -> Vec<Range<usize>> {
    let quoted = |from: usize| {
        let rest = bytes.get(from..)?.strip_prefix(b"\"")?;
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        (rest.get(length) == Some(&b'"')).then(|| from + 1..from + 1 + length)
    };
    let mut found = Vec::new();
    for from in 0..bytes.len() {
        let Some(name) = quoted(from) else { continue };
        let text = bytes.get(name.clone()).unwrap_or_default();
        let is_one = names
            .iter()
            .any(|known| text.eq_ignore_ascii_case(known.as_bytes()));
        let skipped = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count()
        };
        let colon = skipped(name.end + 1);
        if is_one && bytes.get(colon) == Some(&b':') {
            found.extend(quoted(skipped(colon + 1)));
        }
    }
    found
}

#[track_caller]
fn failure<T: Debug>(outcome: Result<T, Error>) -> Failure {
    match outcome {
        Err(Error::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_invalid<T: Debug>(outcome: Result<T, Error>) {
    let failure = failure(outcome);
    assert_eq!(
        (failure.step, failure.reason),
        (Step::Metadata, Reason::InvalidResponse)
    );
}

fn ok(body: Vec<u8>) -> Response {
    Response {
        status: 200,
        headers: Vec::new(),
        body,
    }
}

/// An IMDS that is well, wherever it is.
fn well(asked: &Asked) -> Response {
    let body: &[u8] = match asked.path.as_str() {
        path if path.ends_with("/api/token") => b"token",
        path if path.ends_with('/') => b"role",
        _ => br#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"session","Expiration":"2026-01-01T06:00:00Z"}"#,
    };
    ok(body.to_vec())
}

/// An instance, and an IMDS in memory: no target ever sends a request.
struct World {
    instance: Instance<Client<Imds, Standing, Dice>, Standing, Dice>,
    imds: Imds,
    clock: Standing,
}

impl World {
    fn new(options: Options, answer: impl Fn(&Asked) -> Response + 'static) -> Self {
        let clock = Standing::default();
        let imds = Imds {
            answer: Rc::new(answer),
            requests: Rc::default(),
        };
        let mut instance = Instance::new(imds.clone(), clock.clone(), Dice);
        instance
            .configure(options)
            .expect("the options are accepted");
        Self {
            instance,
            imds,
            clock,
        }
    }

    /// With this at every path but that of the token.
    fn giving(body: &[u8]) -> Self {
        let body = body.to_vec();
        Self::new(Options::default(), move |asked| {
            ok(match asked.path.as_str() {
                "/latest/api/token" => b"token".to_vec(),
                _ => body.clone(),
            })
        })
    }

    fn requests(&self) -> Vec<Asked> {
        self.imds.requests.take()
    }
}

/// The outcome of a future on ports that never wait.
fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a port waits"),
    }
}

#[derive(Debug)]
struct Asked {
    path: String,
    token: Option<String>,
}

#[derive(Clone)]
struct Imds {
    answer: Rc<dyn Fn(&Asked) -> Response>,
    requests: Rc<RefCell<Vec<Asked>>>,
}

/// What an IMDS is made of is of no interest to who compares two instances.
impl Debug for Imds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Imds")
    }
}

impl Transport for Imds {
    async fn exchange(&mut self, request: Request<'_>) -> Result<Response, TransportError> {
        let is_token = request.method == Method::Put;
        assert_eq!(is_token, request.path.ends_with("/latest/api/token"));
        assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic()));
        let mut headers = request.headers.iter();
        let asked = Asked {
            path: request.path.to_owned(),
            token: headers
                .find(|(name, _)| *name == "x-aws-ec2-metadata-token")
                .map(|(_, value)| (*value).to_owned()),
        };
        let response = (self.answer)(&asked);
        self.requests.borrow_mut().push(asked);
        match response.body.len() > request.body_limit {
            true => Err(TransportError::TooLong(request.body_limit)),
            false => Ok(response),
        }
    }
}

/// A clock that stands but for pauses.
#[derive(Clone, Debug, Default)]
struct Standing {
    since_start: Rc<Cell<Duration>>,
}

impl Standing {
    fn advance(&self, by: Duration) {
        self.since_start
            .set(self.since_start.get().saturating_add(by));
    }
}

impl Clock for Standing {
    fn wall(&self) -> UnixTime {
        UnixTime::from_seconds(NOW).saturating_add(self.since_start.get())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.since_start.get())
    }

    async fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

#[derive(Clone, Copy, Debug)]
struct Dice;

impl Random for Dice {
    fn unit(&mut self) -> f64 {
        0.5
    }
}
