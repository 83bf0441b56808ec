//! `[I7]` to `[I21]`: who gets a token, and what it is good for.

use chrono::TimeDelta;
use imds_emulator::config::{Config, HttpTokens, Peers};
use imds_emulator::fault::Rule;
use imds_emulator::fault::kinds::Status;
use imds_emulator::{Clock, Dialect, Emulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, FORBIDDEN, LIST, NOT_FOUND, OK, TTL, UNAUTHORIZED, request};

#[tokio::test]
async fn rule_7_data_can_only_be_read() {
    let bench = Bench::new().await;
    let xen = Bench::with(|config| config.server.dialect = Dialect::Xen).await;
    let token = bench.token("60").await.body;
    let of_xen = xen.token("60").await.body;
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        // On a path that does not exist, too.
        for path in [LIST, "/latest/nothing", "/latest/%ff"] {
            let with = format!("{method} {path} HTTP/1.1\nX-aws-ec2-metadata-token:");
            let response = bench.ask(&format!("{with} {token}")).await;
            assert_eq!(response.status, FORBIDDEN, "{method} {path}");
            assert_eq!(response.header(TTL), Some("60"));
            assert_eq!(response.header("content-type"), Some("text/plain"));
            assert_eq!(response.header("content-length"), Some("0"));
            // The token is checked first.
            let without = format!("{method} {path} HTTP/1.1");
            assert_eq!(bench.ask(&without).await.status, UNAUTHORIZED);
            let page = xen.ask(&format!("{with} {of_xen}")).await;
            assert_eq!(page.status, "HTTP/1.0 403 Forbidden");
            assert!(page.body.contains("<title>403 - Forbidden</title>"));
        }
    }
    let options = format!("OPTIONS {LIST} HTTP/1.1");
    assert_eq!(bench.ask(&options).await.status, UNAUTHORIZED);
    let options = format!("{options}\nX-aws-ec2-metadata-token: {token}");
    let response = bench.ask(&options).await;
    assert_eq!(response.status, OK);
    assert_eq!(response.header("allow"), Some("OPTIONS, GET, HEAD"));
    assert_eq!(response.header(TTL), Some("60"));
    assert_eq!(response.header("content-length"), Some("0"));
    let optional = |config: &mut Config| config.metadata_options.http_tokens = HttpTokens::Optional;
    let optional = Bench::with(optional).await;
    let post = format!("POST {LIST} HTTP/1.1");
    assert_eq!(optional.ask(&post).await.status, FORBIDDEN);
    let head = format!("HEAD {LIST} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    let response = bench.ask(&head).await;
    assert_eq!(response.status, "HTTP/1.1 200 OK");
    assert_eq!(response.body, "");
}

#[tokio::test]
async fn rule_8_any_other_method_on_the_token_path_is_not_allowed() {
    let bench = Bench::new().await;
    for method in ["GET", "POST", "DELETE"] {
        let response = bench
            .ask(&format!("{method} /latest/api/token HTTP/1.1"))
            .await;
        assert_eq!(response.status, "HTTP/1.1 405 Not Allowed");
        assert_eq!(response.header("allow"), Some("OPTIONS, PUT"));
        assert_eq!(response.header("content-type"), Some("text/plain"));
        assert_eq!(response.body, "");
    }
}

#[tokio::test]
async fn rule_8_the_methods_of_the_token_path_can_be_asked_for() {
    for (dialect, status) in [(Dialect::Nitro, OK), (Dialect::Xen, "HTTP/1.0 200 OK")] {
        let bench = Bench::with(|config| config.server.dialect = dialect).await;
        let response = bench.ask("OPTIONS /latest/api/token HTTP/1.1").await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("allow"), Some("OPTIONS, PUT"));
        assert_eq!(response.header("content-type"), Some("text/plain"));
        assert_eq!(response.header("content-length"), Some("0"));
        assert_eq!(response.body, "");
    }
}

#[tokio::test]
async fn rule_9_repeated_slashes_count_as_one_and_dots_do_not_count() {
    let bench = Bench::new().await;
    let token = bench
        .ask("PUT //latest//api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60")
        .await
        .body;
    assert_eq!(
        bench
            .get("//latest///meta-data/iam//security-credentials//", &token)
            .await
            .body,
        "the-role"
    );
    for path in ["/./latest/meta-data/./ami-id", "/latest/meta-data/ami-id/."] {
        let value = bench.get(path, &token).await.body;
        assert_eq!(value, "ami-0123456789abcdef0", "{path}");
    }
    let above = bench.get("/latest/dynamic/../meta-data/ami-id", &token);
    assert_eq!(above.await.status, NOT_FOUND);
    // Faults match the path without them, too.
    let rule = Rule::new("teapot", Status::new(418)).on("/latest/meta-data/ami-id");
    let _guard = bench.imds.fault(rule).unwrap();
    for path in ["/latest/meta-data/./ami-id", "/latest/meta-data//ami-id"] {
        let response = bench.get(path, &token).await;
        assert_eq!(response.status, "HTTP/1.1 418 I'm a teapot", "{path}");
    }
}

#[tokio::test]
async fn rules_10_and_11_a_token_for_the_asking() {
    let bench = Bench::new().await;
    let of = |dialect| Bench::with(move |config| config.server.dialect = dialect);
    for (bench, status, beginning) in [
        (bench, OK, "AQAEA"),
        (of(Dialect::Xen).await, "HTTP/1.0 200 OK", "AQAAA"),
    ] {
        for ttl in ["1", "60", "21600"] {
            let response = bench.token(ttl).await;
            assert_eq!(response.status, status);
            assert_eq!(response.header(TTL), Some(ttl));
            assert_eq!(response.header("content-type"), Some("text/plain"));
            assert_eq!(response.header("content-length"), Some("56"));
            assert!(
                response.body.starts_with(beginning) && response.body.ends_with("=="),
                "{}",
                response.body
            );
        }
        let token = bench.token("60").await.body;
        assert_eq!(bench.get(LIST, &token).await.status, status);
    }
}

#[tokio::test]
async fn rule_10_a_slash_at_the_end_of_the_token_path_makes_no_difference() {
    let bench = Bench::new().await;
    let put = |path| format!("PUT {path} HTTP/1.1\n{TTL}: 60");
    for path in ["/latest/api/token/", "//latest//api/token//"] {
        let response = bench.ask(&put(path)).await;
        assert_eq!(response.status, OK, "{path}");
        assert_eq!(response.header(TTL), Some("60"));
        assert_eq!(bench.get(LIST, &response.body).await.status, OK);
    }
    let get = bench.ask("GET /latest/api/token/ HTTP/1.1").await;
    assert_eq!(get.status, "HTTP/1.1 405 Not Allowed");
}

#[tokio::test]
async fn rule_12_a_token_needs_a_life_that_is_granted() {
    let bench = Bench::new().await;
    for ttl in [
        "21601",
        "-1",
        "+60",
        "60.0",
        "1h",
        "99999999999999999999",
        "",
    ] {
        assert_eq!(
            bench.token(ttl).await.status,
            "HTTP/1.1 400 Bad Request",
            "{ttl:?}"
        );
    }
    let response = bench.ask("PUT /latest/api/token HTTP/1.1").await;
    assert_eq!(response.status, "HTTP/1.1 400 Bad Request");
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.body, "");
    let xen = Bench::with(|config| config.server.dialect = Dialect::Xen).await;
    let page = xen.ask("PUT /latest/api/token HTTP/1.1").await.body;
    assert!(page.contains("<title>400 - Bad Request</title>"), "{page}");
}

#[tokio::test]
async fn rule_10_a_token_with_a_ttl_of_zero_is_good_for_nothing() {
    let bench = Bench::new().await;
    for ttl in ["0", "000"] {
        let response = bench.token(ttl).await;
        assert_eq!(response.status, OK);
        assert_eq!(response.header(TTL), Some("0"));
        assert_eq!(response.body.len(), 56);
        let read = bench.get(LIST, &response.body).await;
        assert_eq!(read.status, UNAUTHORIZED);
        assert_eq!(read.header(TTL), None);
    }
}

#[tokio::test]
async fn rules_13_and_14_no_token_under_a_dated_version_or_for_somebody_else() {
    let bench = Bench::new().await;
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let dated = format!("PUT /2021-03-23/api/token HTTP/1.1\n{ttl}");
    assert_eq!(bench.ask(&dated).await.status, UNAUTHORIZED);
    let token = bench.token("60").await.body;
    let with_token = format!("{dated}\nX-aws-ec2-metadata-token: {token}");
    let forbidden = bench.ask(&with_token).await;
    assert_eq!(forbidden.status, FORBIDDEN);
    assert_eq!(forbidden.header("content-type"), Some("text/plain"));
    assert_eq!(forbidden.body, "");
    let read = bench.read("/2021-03-23/api/token").await;
    assert_eq!(read.status, NOT_FOUND, "to read, it is a path like others");
    let head = format!("PUT /latest/api/token HTTP/1.1\nX-Forwarded-For: 10.0.0.1\n{ttl}");
    let forwarded = bench.ask(&head).await;
    assert_eq!(forwarded.status, FORBIDDEN);
    assert_eq!(forwarded.header("content-type"), Some("text/plain"));
    assert_eq!(forwarded.header("content-length"), Some("0"));
    let xen = Bench::with(|config| config.server.dialect = Dialect::Xen).await;
    let forwarded = xen.ask(&head).await;
    assert_eq!(forwarded.header("content-type"), Some("text/html"));
    assert!(forwarded.body.contains("<title>403 - Forbidden</title>"));
    let head = format!(
        "GET {LIST} HTTP/1.1\nX-Forwarded-For: 10.0.0.1\nX-aws-ec2-metadata-token: {token}"
    );
    assert_eq!(bench.ask(&head).await.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn rules_15_and_16_a_token_is_good_until_its_time_is_over_and_responses_say_when() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for (passed, left) in [
        (0, Some("60")),
        (17, Some("43")),
        (42, Some("1")),
        (1, None),
    ] {
        bench.clock.advance(TimeDelta::seconds(passed)).unwrap();
        let response = bench.get(LIST, &token).await;
        assert_eq!(response.header(TTL), left);
        let status = if left.is_some() {
            "HTTP/1.1 200 OK"
        } else {
            "HTTP/1.1 401 Unauthorized"
        };
        assert_eq!(response.status, status);
    }
}

#[tokio::test]
async fn rules_17_and_19_without_a_good_token_there_is_nothing() {
    let bench = Bench::new().await;
    let elsewhere = Bench::new().await.token("60").await.body;
    for token in ["", "nonsense", &elsewhere] {
        for path in [LIST, "/latest/there-is-no-such-path"] {
            let response = bench.get(path, token).await;
            assert_eq!(
                response.status, "HTTP/1.1 401 Unauthorized",
                "{token} {path}"
            );
            assert_eq!(response.header("content-length"), Some("0"));
            assert_eq!(response.header("content-type"), Some("text/plain"));
        }
    }
    assert_eq!(
        bench.ask(&format!("GET {LIST} HTTP/1.1")).await.status,
        "HTTP/1.1 401 Unauthorized"
    );
}

#[tokio::test]
async fn with_the_same_seed_a_token_survives_a_restart() {
    let first = Emulator::builder().seed([7; 32]).start().await.unwrap();
    let clock = Clock::real();
    let token = Bench {
        imds: first,
        clock: clock.clone(),
    }
    .token("60")
    .await
    .body;
    let second = Emulator::builder().seed([7; 32]).start().await.unwrap();
    assert_eq!(
        Bench {
            imds: second,
            clock
        }
        .get(LIST, &token)
        .await
        .status,
        "HTTP/1.1 200 OK"
    );
}

#[tokio::test]
async fn rule_15_a_token_is_good_on_its_own_instance_alone() {
    let with_id = |id: &'static str| {
        Bench::with(move |config| {
            config.server.seed = Some("shared".into());
            config.instance.instance_id = id.into();
        })
    };
    let one = with_id("i-00000001").await;
    let token = one.token("60").await.body;
    assert_eq!(one.get(LIST, &token).await.status, OK);
    assert_eq!(
        with_id("i-00000002").await.get(LIST, &token).await.status,
        UNAUTHORIZED
    );
    assert_eq!(
        with_id("i-00000001").await.get(LIST, &token).await.status,
        OK
    );
}

#[tokio::test]
async fn rule_18_optional_tokens_are_not_needed_but_a_wrong_one_is_refused() {
    let bench =
        Bench::with(|config| config.metadata_options.http_tokens = HttpTokens::Optional).await;
    let without = bench.ask(&format!("GET {LIST} HTTP/1.1")).await;
    assert_eq!(without.status, OK);
    assert_eq!(without.header(TTL), None);
    assert_eq!(bench.get(LIST, "wrong").await.status, UNAUTHORIZED);
    let token = bench.token("60").await.body;
    assert_eq!(bench.get(LIST, &token).await.header(TTL), Some("60"));
    bench.pass(60);
    assert_eq!(bench.get(LIST, &token).await.status, UNAUTHORIZED);
}

#[tokio::test]
async fn revoked_tokens_are_refused_and_new_ones_are_given() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    bench.imds.revoke_tokens();
    assert_eq!(bench.get(LIST, &token).await.status, UNAUTHORIZED);
    let second = bench.token("60").await.body;
    assert_eq!(bench.get(LIST, &second).await.status, OK);
    bench.imds.revoke_tokens();
    assert_eq!(bench.get(LIST, &second).await.status, UNAUTHORIZED);
    // A change of the instance revokes none, and brings none back.
    let third = bench.token("60").await.body;
    bench
        .imds
        .change(|config| config.instance.ami_launch_index = 1)
        .unwrap();
    assert_eq!(bench.get(LIST, &third).await.status, OK);
    assert_eq!(bench.get(LIST, &token).await.status, UNAUTHORIZED);
}

#[tokio::test]
async fn rule_21_the_response_to_a_put_does_not_reach_those_behind_more_hops() {
    let bench = Bench::with(|config| {
        let peers = |network: &str, hops| Peers::new(network.parse().unwrap(), hops);
        config.server.peers = vec![peers("127.0.0.0/8", 2)];
    })
    .await;
    let put = request("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60");
    let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
    stream.write_all(put.as_bytes()).await.unwrap();
    let mut byte = [0];
    let silence = std::time::Duration::from_millis(300);
    assert!(
        tokio::time::timeout(silence, stream.read(&mut byte))
            .await
            .is_err(),
        "the connection is open, and nothing comes"
    );
    assert_eq!(
        bench.get(LIST, "none").await.status,
        UNAUTHORIZED,
        "a GET is answered"
    );
    bench
        .imds
        .change(|config| config.metadata_options.http_put_response_hop_limit = 2)
        .unwrap();
    assert_eq!(bench.token("60").await.status, OK);
}
