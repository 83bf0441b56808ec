//! Faults of the instance: everything agrees with what is wrong.

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::FaultGuard;
use imds_emulator::config::{HttpTokens, Span};
use imds_emulator::fault::kinds::{
    CredentialsError, CredentialsExpired, CredentialsLateRotation, TokenUnavailable,
};
use imds_emulator::fault::{Broken, Effect, Fault, Rule};
use serde_json::Value;

use crate::bench::{Bench, LIST, NOT_FOUND, OK, TTL, UNAUTHORIZED, began};

const ROLE: &str = "meta-data/iam/security-credentials/the-role";

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

impl Bench {
    fn fault(&self, fault: impl Into<Fault>) -> FaultGuard {
        self.imds.fault(Rule::new("fault", fault)).unwrap()
    }

    async fn role(&self) -> Value {
        self.read(&format!("/latest/{ROLE}")).await.json()
    }
}

#[tokio::test]
async fn token_unavailable_in_each_way_and_imdsv1_goes_on() {
    let bench =
        Bench::with(|config| config.metadata_options.http_tokens = HttpTokens::Optional).await;
    let old = bench.token("60").await.body;
    for (code, status) in [
        (403, "HTTP/1.1 403 Forbidden"),
        (404, NOT_FOUND),
        (405, "HTTP/1.1 405 Method Not Allowed"),
        (500, "HTTP/1.1 500 Internal Server Error"),
    ] {
        let _guard = bench.fault(TokenUnavailable::new().effect(Effect::Status(code)));
        let response = bench.token("60").await;
        assert_eq!(response.status, status);
        // As IMDS does [I8] [I14].
        assert_eq!(
            response.body.is_empty(),
            matches!(code, 403 | 405),
            "{code}"
        );
        let without = bench.ask(&format!("GET {LIST} HTTP/1.1")).await;
        assert_eq!(without.status, OK);
        assert_eq!(bench.get(LIST, &old).await.status, OK, "one from before");
    }
    // Silence is what `hop_limit` shows as well; see there.
    let _guard = bench.fault(TokenUnavailable::new().effect(Effect::NoResponse));
    let asked = tokio::time::timeout(std::time::Duration::from_millis(250), bench.token("60"));
    assert!(asked.await.is_err());
}

#[tokio::test]
async fn v1_disabled_needs_tokens() {
    let bench =
        Bench::with(|config| config.metadata_options.http_tokens = HttpTokens::Optional).await;
    let head = format!("GET {LIST} HTTP/1.1");
    assert_eq!(bench.ask(&head).await.status, OK);
    let _guard = bench.fault(Fault::v1_disabled());
    assert_eq!(bench.ask(&head).await.status, UNAUTHORIZED);
    assert_eq!(bench.read(LIST).await.status, OK);
}

#[tokio::test]
async fn token_expire_early_though_it_says_otherwise() {
    let bench = Bench::new().await;
    let token = bench.token("21600").await.body;
    let _guard = bench.fault(Fault::token_expire_early(Span::minutes(1)));
    bench.pass(59);
    assert_eq!(bench.get(LIST, &token).await.header(TTL), Some("21541"));
    bench.pass(1);
    assert_eq!(bench.get(LIST, &token).await.status, UNAUTHORIZED);
    assert_eq!(bench.read(LIST).await.status, OK, "a new one is good");
}

#[tokio::test]
async fn token_revoke_all_refuses_those_from_before() {
    let bench = Bench::new().await;
    let old = bench.token("21600").await.body;
    bench.pass(1);
    let guard = bench.fault(Fault::token_revoke_all());
    assert_eq!(bench.get(LIST, &old).await.status, UNAUTHORIZED);
    assert_eq!(bench.read(LIST).await.status, OK);
    guard.heal();
    assert_eq!(bench.get(LIST, &old).await.status, OK);
}

#[tokio::test]
async fn token_flap_refuses_good_tokens_now_and_then() {
    let bench = Bench::new().await;
    let token = bench.token("21600").await.body;
    let rule = Rule::new("flap", Fault::token_flap()).with_probability(0.5);
    let _guard = bench.imds.fault(rule).unwrap();
    let mut refused = 0;
    for _ in 0..60 {
        let status = bench.get(LIST, &token).await.status;
        assert!(status == OK || status == UNAUTHORIZED, "{status}");
        refused += u32::from(status == UNAUTHORIZED);
    }
    assert!((10..=50).contains(&refused), "{refused}");
}

#[tokio::test]
async fn ttl_cap_grants_less() {
    let bench = Bench::new().await;
    let _guard = bench.fault(Fault::ttl_cap(30));
    let response = bench.token("21600").await;
    assert_eq!(response.header(TTL), Some("30"));
    bench.pass(30);
    assert_eq!(bench.get(LIST, &response.body).await.status, UNAUTHORIZED);
    assert_eq!(bench.token("10").await.header(TTL), Some("10"));
}

#[tokio::test]
async fn endpoint_disabled_is_403_for_all() {
    let bench = Bench::new().await;
    let _guard = bench.fault(Fault::endpoint_disabled());
    for head in ["GET / HTTP/1.1", "PUT /latest/api/token HTTP/1.1"] {
        assert_eq!(bench.ask(head).await.status, "HTTP/1.1 403 Forbidden");
    }
}

#[tokio::test]
async fn category_missing_is_listed_and_404() {
    let bench = Bench::new().await;
    let _guard = bench.fault(Fault::category_missing("meta-data/{ami-id,iam/**}"));
    let listing = bench.value("meta-data/").await;
    assert!(listing.contains("ami-id\n") && listing.contains("iam/\n"));
    for path in ["ami-id", "iam/info", "iam/security-credentials/the-role"] {
        assert!(!bench.has(&format!("meta-data/{path}")).await, "{path}");
    }
    assert!(bench.has("meta-data/instance-id").await);
}

#[tokio::test]
async fn listing_inconsistent_is_served_and_not_listed() {
    let bench = Bench::new().await;
    let _guard = bench.fault(Fault::listing_inconsistent("meta-data/{ami-id,iam}"));
    let listing = bench.value("meta-data/").await;
    assert!(!listing.contains("ami-id") && !listing.contains("iam/"));
    assert!(listing.contains("instance-id"));
    assert!(bench.has("meta-data/ami-id").await);
    assert!(bench.has("meta-data/iam/info").await);
}

#[tokio::test]
async fn stale_view_answers_from_the_past() {
    let bench = Bench::new().await;
    let first = bench.role().await;
    bench.pass(3600);
    assert_ne!(bench.role().await, first);
    let _guard = bench.fault(Fault::stale_view(Span::minutes(30)));
    assert_eq!(bench.role().await, first);
    bench.pass(30 * 60);
    assert_ne!(bench.role().await, first);
}

#[tokio::test]
async fn role_missing_empty_and_changed() {
    let bench = Bench::new().await;
    let guard = bench.fault(Fault::role_missing());
    assert!(!bench.has("meta-data/iam/").await);
    assert!(!bench.value("meta-data/").await.contains("iam"));
    guard.heal();

    let guard = bench.fault(Fault::role_empty());
    let list = bench.read(LIST).await;
    assert_eq!((list.status.as_str(), list.body.as_str()), (OK, ""));
    assert_eq!(
        bench.value("meta-data/iam/").await,
        "info\nsecurity-credentials/"
    );
    assert!(!bench.has(ROLE).await);
    guard.heal();

    let before = bench.role().await;
    let guard = bench.fault(Fault::role_changed("other"));
    assert_eq!(bench.read(LIST).await.body, "other");
    assert!(!bench.has(ROLE).await);
    let other = bench.read(&format!("{LIST}other")).await.json();
    assert_ne!(other["AccessKeyId"], before["AccessKeyId"]);
    guard.heal();
    assert_eq!(bench.role().await, before);
}

#[tokio::test]
async fn credentials_error_has_a_code_and_no_credentials() {
    let bench = Bench::new().await;
    let _guard = bench.fault(CredentialsError::new().code("Failed").message("not today"));
    let document = bench.role().await;
    assert_eq!(document["Code"], "Failed");
    assert_eq!(document["Message"], "not today");
    assert_eq!(document.get("AccessKeyId"), None);
}

#[tokio::test]
async fn credentials_expired_and_stuck_do_not_rotate() {
    let bench = Bench::new().await;
    let first = bench.role().await;
    let guard = bench.fault(CredentialsExpired::new().by(Span::minutes(10)));
    for _ in 0..2 {
        let document = bench.role().await;
        assert_eq!(document["AccessKeyId"], first["AccessKeyId"]);
        assert_eq!(
            time(&document["Expiration"]),
            began() - TimeDelta::minutes(10)
        );
        assert!(time(&document["LastUpdated"]) <= time(&document["Expiration"]));
        bench.pass(3600);
    }
    guard.heal();
    let second = bench.role().await;
    assert_ne!(second, first);
    let _guard = bench.fault(Fault::credentials_stuck());
    bench.pass(8 * 3600);
    assert_eq!(bench.role().await, second);
    assert!(
        time(&second["Expiration"]) < bench.clock.now(),
        "the credentials have expired"
    );
}

#[tokio::test]
async fn credentials_short_lived_come_one_after_the_other() {
    let bench = Bench::new().await;
    let before = bench.role().await;
    let guard = bench.fault(Fault::credentials_short_lived(Span::seconds(30)));
    let first = bench.role().await;
    assert_ne!(first["AccessKeyId"], before["AccessKeyId"]);
    assert_eq!(time(&first["Expiration"]), began() + TimeDelta::seconds(30));
    bench.pass(29);
    assert_eq!(bench.role().await, first);
    bench.pass(1);
    let second = bench.role().await;
    assert_eq!(
        time(&second["Expiration"]),
        began() + TimeDelta::seconds(60)
    );
    guard.heal();
    assert_eq!(bench.role().await, before);
    let _again = bench.fault(Fault::credentials_short_lived(Span::minutes(1)));
    let third = bench.role().await;
    assert!(
        ![first, second]
            .iter()
            .any(|old| old["AccessKeyId"] == third["AccessKeyId"])
    );
}

#[tokio::test]
async fn credentials_late_rotation_leaves_little_time() {
    let bench = Bench::new().await;
    let first = bench.role().await;
    let end = time(&first["Expiration"]);
    let _guard = bench.fault(CredentialsLateRotation::new().before_expiry(Span::minutes(1)));
    bench.pass((end - began()).num_seconds() - 61);
    assert_eq!(bench.role().await, first);
    bench.pass(1);
    let second = bench.role().await;
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"]);
    assert!(time(&second["Expiration"]) > end);
}

#[tokio::test]
async fn credentials_field_in_each_way() {
    for (how, value) in [
        (Broken::Missing, None),
        (Broken::Empty, Some(Value::from(""))),
        (Broken::Null, Some(Value::Null)),
        (Broken::WrongType, Some(Value::from(42))),
        (Broken::BadDate, Some(Value::from("the day after tomorrow"))),
    ] {
        let bench = Bench::new().await;
        let _guard = bench.fault(Fault::credentials_field("Expiration", how));
        let document = bench.role().await;
        assert_eq!(document.get("Expiration"), value.as_ref(), "{how:?}");
        assert!(document.get("AccessKeyId").is_some());
    }
}

#[tokio::test]
async fn extended_unavailable_leaves_the_plain_path() {
    let bench = Bench::with(|config| {
        config.instance.iam.as_mut().unwrap().extended_path = true;
    })
    .await;
    let extended = "meta-data/iam/security-credentials-extended/";
    assert!(bench.has(extended).await);
    let _guard = bench.fault(Fault::extended_unavailable());
    assert!(!bench.has(extended).await);
    assert!(bench.has(ROLE).await);
}

#[tokio::test]
async fn clock_skew_moves_all_dates_and_no_token() {
    let bench = Bench::new().await;
    let before = bench.role().await;
    for (by, shift) in [("5m", TimeDelta::minutes(5)), ("-1h", -TimeDelta::hours(1))] {
        let _guard = bench.fault(Fault::clock_skew(by.parse().unwrap()));
        let response = bench.read(&format!("/latest/{ROLE}")).await;
        let date = |moment: DateTime<Utc>| moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let now = began() + shift;
        assert_eq!(response.header("date"), Some(date(now).as_str()));
        // [I6]
        let fetched = date(now - TimeDelta::seconds(2));
        assert_eq!(response.header("last-modified"), Some(fetched.as_str()));
        assert_eq!(response.header(TTL), Some("60"));
        let document = response.json();
        for name in ["LastUpdated", "Expiration"] {
            assert_eq!(time(&document[name]), time(&before[name]) + shift, "{name}");
        }
        assert_eq!(document["AccessKeyId"], before["AccessKeyId"]);
    }
}
