//! What the emulator answers, rule by rule, as bytes on a socket.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::{Clock, Emulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer as it came.
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }
}

/// Sends a request head and reads until the connection ends.
async fn exchange(address: SocketAddr, head: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{}\r\nHost: imds\r\n\r\n",
        head.trim_end().replace('\n', "\r\n")
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    Answer {
        status: lines.next().unwrap().to_owned(),
        headers: lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// An emulator on a clock that stands still, and a way to talk to it.
struct Bench {
    imds: Emulator,
    clock: Clock,
}

impl Bench {
    async fn new() -> Self {
        let began: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        let clock = Clock::manual(began);
        let imds = Emulator::builder()
            .role("the-role")
            .clock(clock.clone())
            .start()
            .await
            .unwrap();
        Self { imds, clock }
    }

    async fn ask(&self, head: &str) -> Answer {
        exchange(self.imds.address(), head).await
    }

    async fn token(&self, ttl: &str) -> Answer {
        self.ask(&format!(
            "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}"
        ))
        .await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\nX-aws-ec2-metadata-token: {token}"
        ))
        .await
    }
}

const LIST: &str = "/latest/meta-data/iam/security-credentials/";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

#[tokio::test]
async fn rules_2_and_3_every_answer_says_who_gives_it_and_ends_the_connection() {
    let bench = Bench::new().await;
    for head in [
        "GET / HTTP/1.1",
        "PUT /latest/api/token HTTP/1.1",
        "POST /x HTTP/1.1",
        "GET /latest/api/token HTTP/1.1",
    ] {
        let answer = bench.ask(head).await;
        assert!(answer.status.starts_with("HTTP/1.1 "), "{}", answer.status);
        assert_eq!(answer.header("server"), Some("EC2ws"), "{head}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
        assert_eq!(answer.header("content-length"), Some("0"), "{head}");
        assert!(answer.header("date").is_some(), "{head}");
    }
}

#[tokio::test]
async fn rule_7_data_can_only_be_read() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let head = format!("{method} {LIST} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
        assert_eq!(
            bench.ask(&head).await.status,
            "HTTP/1.1 405 Method Not Allowed"
        );
    }
    let head = format!("HEAD {LIST} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    let answer = bench.ask(&head).await;
    assert_eq!(answer.status, "HTTP/1.1 200 OK");
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn rule_8_any_other_method_on_the_token_path_is_not_allowed() {
    let bench = Bench::new().await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = bench
            .ask(&format!("{method} /latest/api/token HTTP/1.1"))
            .await;
        assert_eq!(answer.status, "HTTP/1.1 405 Not Allowed");
        assert_eq!(answer.header("allow"), Some("OPTIONS, PUT"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.body, "");
    }
}

#[tokio::test]
async fn rule_9_repeated_slashes_count_as_one() {
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
}

#[tokio::test]
async fn rules_10_and_11_a_token_for_the_asking() {
    let bench = Bench::new().await;
    for ttl in ["1", "60", "21600"] {
        let answer = bench.token(ttl).await;
        assert_eq!(answer.status, "HTTP/1.1 200 OK");
        assert_eq!(answer.header(TTL), Some(ttl));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("content-length"), Some("56"));
        assert!(
            answer.body.starts_with("AQAEA") && answer.body.ends_with("=="),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn rule_12_a_token_needs_a_life_that_is_granted() {
    let bench = Bench::new().await;
    for ttl in [
        "0",
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
    assert_eq!(
        bench.ask("PUT /latest/api/token HTTP/1.1").await.status,
        "HTTP/1.1 400 Bad Request"
    );
}

#[tokio::test]
async fn rules_13_and_14_no_token_under_a_dated_version_or_for_somebody_else() {
    let bench = Bench::new().await;
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let dated = bench
        .ask(&format!("PUT /2021-03-23/api/token HTTP/1.1\n{ttl}"))
        .await;
    assert_eq!(dated.status, "HTTP/1.1 403 Forbidden");
    let head = format!("PUT /latest/api/token HTTP/1.1\nX-Forwarded-For: 10.0.0.1\n{ttl}");
    assert_eq!(bench.ask(&head).await.status, "HTTP/1.1 403 Forbidden");

    let token = bench.token("60").await.body;
    let head = format!(
        "GET {LIST} HTTP/1.1\nX-Forwarded-For: 10.0.0.1\nX-aws-ec2-metadata-token: {token}"
    );
    assert_eq!(bench.ask(&head).await.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn rules_15_and_16_a_token_is_good_until_its_time_is_over_and_answers_say_when() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for (passed, left) in [
        (0, Some("60")),
        (17, Some("43")),
        (42, Some("1")),
        (1, None),
    ] {
        bench.clock.advance(TimeDelta::seconds(passed)).unwrap();
        let answer = bench.get(LIST, &token).await;
        assert_eq!(answer.header(TTL), left);
        let status = if left.is_some() {
            "HTTP/1.1 200 OK"
        } else {
            "HTTP/1.1 401 Unauthorized"
        };
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn rules_17_and_19_without_a_good_token_there_is_nothing() {
    let bench = Bench::new().await;
    let elsewhere = Bench::new().await.token("60").await.body;
    for token in ["", "nonsense", &elsewhere] {
        for path in [LIST, "/latest/there-is-no-such-path"] {
            let answer = bench.get(path, token).await;
            assert_eq!(answer.status, "HTTP/1.1 401 Unauthorized", "{token} {path}");
            assert_eq!(answer.header("content-length"), Some("0"));
            assert_eq!(answer.header("content-type"), Some("text/plain"));
        }
    }
    assert_eq!(
        bench.ask(&format!("GET {LIST} HTTP/1.1")).await.status,
        "HTTP/1.1 401 Unauthorized"
    );
}

#[tokio::test]
async fn rules_30_31_34_and_46_the_role_is_listed_with_and_without_the_slash() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for path in [LIST, LIST.trim_end_matches('/')] {
        let answer = bench.get(path, &token).await;
        assert_eq!(answer.status, "HTTP/1.1 200 OK");
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.body, "the-role", "no newline follows");
    }
}

#[tokio::test]
async fn rules_33_and_35_what_does_not_exist_is_not_found() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for path in [
        "/latest/meta-data/nothing",
        "/latest/meta-data/iam/security-credentials/THE-ROLE",
        "/latest/meta-data/iam/security-credentials/the-role/below",
        "/latest/meta-data/iam/security-credentialsthe-role",
    ] {
        let answer = bench.get(path, &token).await;
        assert_eq!(answer.status, "HTTP/1.1 404 Not Found", "{path}");
        assert_eq!(answer.header(TTL), Some("60"));
    }

    let imds = Emulator::builder().without_role().start().await.unwrap();
    let bench = Bench { imds, ..bench };
    let token = bench.token("60").await.body;
    assert_eq!(
        bench.get(LIST, &token).await.status,
        "HTTP/1.1 404 Not Found"
    );
}

#[tokio::test]
async fn rules_47_49_and_50_credentials_are_the_same_for_all_until_they_rotate() {
    let bench = Bench::new().await;
    let token = bench.token("21600").await.body;
    let path = format!("{LIST}the-role");
    let first = bench.get(&path, &token).await;
    assert_eq!(first.header("content-type"), Some("text/plain"));
    let document: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(document["Code"], "Success");
    assert_eq!(document["Type"], "AWS-HMAC");
    assert_eq!(document["LastUpdated"], "2026-01-02T03:04:05Z");
    assert_eq!(document["Expiration"], "2026-01-02T09:24:05Z");
    assert!(
        document["AccessKeyId"]
            .as_str()
            .unwrap()
            .starts_with("ASIA")
    );

    bench.clock.advance(TimeDelta::seconds(3599)).unwrap();
    let another = bench.token("60").await.body;
    assert_eq!(bench.get(&path, &another).await.body, first.body);
    bench.clock.advance(TimeDelta::seconds(1)).unwrap();
    let second = bench.get(&path, &token).await;
    assert_ne!(second.body, first.body);
}

#[tokio::test]
async fn what_is_not_http_is_answered_or_closed_and_the_next_is_served() {
    let bench = Bench::new().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        &[b'A'; 1_000_000],
    ] {
        let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
        // It may have closed the connection before all is written.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{answer:?}"
        );
    }
    assert_eq!(bench.token("60").await.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn it_stops_listening_when_it_is_stopped_or_dropped() {
    let bench = Bench::new().await;
    let address = bench.imds.address();
    bench.imds.stop().await;
    assert!(TcpStream::connect(address).await.is_err());

    let bench = Bench::new().await;
    let address = bench.imds.address();
    drop(bench.imds);
    // The task ends at its next turn.
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it still listens");
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
