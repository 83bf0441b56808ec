//! Credentials from the emulator, over a socket, through the component in the host's sandbox.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use ec2_role_host::{Ec2RoleProvider, ErrorKind};
use imds_conformance::loopback::{self, Scripted, Silent};
use imds_emulator::{Clock, Emulator};

/// Long enough for a busy machine: these tests are not about time-outs, nor about repetitions.
const PATIENT: Duration = Duration::from_secs(30);

async fn provider(endpoint: &str) -> Ec2RoleProvider {
    Ec2RoleProvider::builder()
        .endpoint(endpoint)
        .connect_timeout(PATIENT)
        .read_timeout(PATIENT)
        .operation_timeout(PATIENT)
        .attempts(1)
        .build()
        .await
        .unwrap()
}

#[tokio::test]
async fn credentials_come_from_the_emulator_and_are_kept() {
    let clock = Clock::manual(Utc::now());
    let imds = Emulator::builder()
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let provider = provider(imds.url()).await;

    let before = Utc::now();
    let first = provider.credentials().await.unwrap();
    let after = Utc::now();
    assert!(first.access_key_id().starts_with("ASIA"));
    assert_eq!(first.secret_access_key().len(), 40);
    assert!(first.session_token().is_some_and(|token| token.len() > 500));
    assert_eq!(first.source(), "EC2RoleProvider");
    // The document says six hours and twenty minutes; the provider caps that at one hour.
    let expires = first.expires().unwrap();
    assert!(
        expires >= before + TimeDelta::seconds(3599) && expires <= after + TimeDelta::hours(1),
        "{expires}"
    );
    assert_eq!(first.refresh_after(), expires);

    // The emulator has others by now, and is not asked for them.
    clock.advance(TimeDelta::hours(2)).unwrap();
    assert_eq!(*provider.credentials().await.unwrap(), *first);
    let retrieved = provider.retrieve().await.unwrap();
    assert_ne!(retrieved.access_key_id(), first.access_key_id());
    assert_eq!(
        *provider.credentials().await.unwrap(),
        *first,
        "retrieve leaves the cache alone"
    );
}

#[tokio::test]
async fn a_token_that_expired_in_between_is_replaced_within_the_call() {
    let clock = Clock::manual(Utc::now());
    let imds = Emulator::builder()
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let provider = provider(imds.url()).await;

    let first = provider.retrieve().await.unwrap();
    // On the emulator's clock the token has expired; on the component's, the real one, it is new.
    clock.advance(TimeDelta::hours(7)).unwrap();
    let second = provider.retrieve().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());
}

#[tokio::test]
async fn an_instance_without_a_role_has_no_credentials() {
    let imds = Emulator::builder().without_role().start().await.unwrap();
    let error = provider(imds.url()).await.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRole, "{error}");
    assert_eq!(error.status(), Some(404));
    assert!(
        error.to_string().contains("the instance has no role"),
        "{error}"
    );
    assert!(error.remedy().is_some());
}

#[tokio::test]
async fn a_role_that_the_instance_does_not_have_has_no_credentials() {
    let imds = Emulator::builder().role("one").start().await.unwrap();
    let provider = Ec2RoleProvider::builder()
        .endpoint(imds.url())
        .role_name("other")
        .build()
        .await
        .unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRole, "{error}");
    assert!(error.to_string().contains("the role other"), "{error}");
}

#[tokio::test]
async fn where_there_is_no_imds_it_is_unavailable() {
    let endpoint = loopback::closed().unwrap();
    let error = provider(&endpoint).await.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(error.status(), None);
}

#[tokio::test]
async fn silence_ends_with_a_time_out() {
    let silent = Silent::start().await.unwrap();
    let provider = Ec2RoleProvider::builder()
        .endpoint(silent.url())
        .read_timeout(Duration::from_millis(200))
        .attempts(1)
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(began.elapsed() < PATIENT, "{:?}", began.elapsed());
    assert_eq!(
        silent.connections(),
        1,
        "one request for a token, and none without"
    );
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_never_reached() {
    let allowed = Emulator::builder().start().await.unwrap();
    let forbidden = Silent::start().await.unwrap();
    let provider = Ec2RoleProvider::builder()
        .endpoint(forbidden.url())
        .egress(allowed.url().parse().unwrap())
        .build()
        .await
        .unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(forbidden.connections(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_no_harm_to_the_next() {
    let silent = Silent::start().await.unwrap();
    let provider = Ec2RoleProvider::builder()
        .endpoint(silent.url())
        .read_timeout(Duration::from_millis(500))
        .attempts(1)
        .build()
        .await
        .unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(50), provider.credentials()).await;
    assert!(given_up.is_err());
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Timeout,
        "the instance is as good as before: {error}"
    );
}

#[tokio::test]
async fn many_callers_at_once_get_the_same_credentials() {
    let imds = Emulator::builder().start().await.unwrap();
    let provider = provider(imds.url()).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { provider.credentials().await.unwrap() })
        })
        .collect();
    let first = provider.credentials().await.unwrap();
    for caller in callers {
        assert_eq!(*caller.await.unwrap(), *first);
    }
}

#[tokio::test]
async fn wrong_settings_are_named_before_anything_is_sent() {
    for (builder, named) in [
        (
            Ec2RoleProvider::builder().endpoint("https://127.0.0.1"),
            "\"https://127.0.0.1\"",
        ),
        (
            Ec2RoleProvider::builder().endpoint("127.0.0.1"),
            "\"127.0.0.1\"",
        ),
        (
            Ec2RoleProvider::builder().role_name("../x"),
            "option role-name is \"../x\"",
        ),
        (
            Ec2RoleProvider::builder().read_timeout(Duration::ZERO),
            "option read-timeout is \"0\"",
        ),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(named) && text.contains("accepted: "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn no_secret_is_in_debug_output() {
    let imds = Emulator::builder().start().await.unwrap();
    let credentials = provider(imds.url()).await.credentials().await.unwrap();
    let shown = format!("{credentials:?}");
    assert!(shown.contains(credentials.access_key_id()));
    assert!(!shown.contains(credentials.secret_access_key()));
    assert!(!shown.contains(credentials.session_token().unwrap()));
}

fn response(head: &str, body: &[u8]) -> Vec<u8> {
    let mut response =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    response
}

#[tokio::test]
async fn requests_are_as_imds_wants_them() {
    let document = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token","Expiration":"2100-01-01T00:00:00Z","AccountId":"123456789012"}"#;
    let imds = Scripted::start([
        response(
            "200 OK\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600",
            b"the-token\n",
        ),
        response("200 OK", b"the-role\n"),
        response("200 OK", document.as_bytes()),
    ])
    .await
    .unwrap();
    let credentials = provider(&format!("{}/base/", imds.url()))
        .await
        .credentials()
        .await
        .unwrap();
    assert_eq!(credentials.account_id(), Some("123456789012"));

    let requests: Vec<Vec<String>> = imds
        .requests()
        .iter()
        .map(|request| {
            let (line, headers) = request.split_once("\r\n").unwrap();
            let mut lines: Vec<String> = headers
                .lines()
                .map(str::to_lowercase)
                .filter(|line| !line.is_empty())
                .collect();
            lines.sort();
            lines.insert(0, line.to_owned());
            lines
        })
        .collect();
    let host = format!("host: {}", imds.url().strip_prefix("http://").unwrap());
    let agent = format!(
        "user-agent: ec2-role-component/{}",
        env!("CARGO_PKG_VERSION")
    );
    let list = "GET /base/latest/meta-data/iam/security-credentials/";
    assert_eq!(
        requests,
        [
            vec![
                "PUT /base/latest/api/token HTTP/1.1",
                "content-length: 0",
                &host,
                &agent,
                "x-aws-ec2-metadata-token-ttl-seconds: 21600"
            ],
            vec![
                &format!("{list} HTTP/1.1"),
                &host,
                &agent,
                "x-aws-ec2-metadata-token: the-token"
            ],
            vec![
                &format!("{list}the-role HTTP/1.1"),
                &host,
                &agent,
                "x-aws-ec2-metadata-token: the-token"
            ],
        ]
    );
}

#[tokio::test]
async fn responses_that_are_too_long_or_cut_off_or_invalid_are_errors() {
    let endless = vec![b'x'; 4 * 1024 * 1024];
    let long_head = format!("200 OK\r\nX: {}", "x".repeat(100_000));
    let cases: [(&str, Vec<u8>, &[ErrorKind]); 8] = [
        (
            "more than a token may be",
            response("200 OK", &endless[..5000]),
            &[ErrorKind::InvalidResponse],
        ),
        (
            "more than the host reads",
            response("200 OK", &endless),
            &[ErrorKind::InvalidResponse, ErrorKind::Unavailable],
        ),
        (
            "a long head",
            response(&long_head, b"token"),
            &[ErrorKind::InvalidResponse, ErrorKind::Unavailable],
        ),
        (
            "cut off",
            b"HTTP/1.1 200 OK\r\nContent-Length: 56\r\n\r\nAQAEA".to_vec(),
            &[ErrorKind::Unavailable],
        ),
        (
            "no HTTP",
            b"220 mail.example ESMTP\r\n".to_vec(),
            &[ErrorKind::Unavailable],
        ),
        ("nothing", Vec::new(), &[ErrorKind::Unavailable]),
        (
            "a redirect",
            response(
                "307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/latest/api/token",
                b"",
            ),
            &[ErrorKind::UnexpectedStatus],
        ),
        (
            "an empty token",
            response("200 OK", b""),
            &[ErrorKind::InvalidResponse],
        ),
    ];
    for (what, bytes, kinds) in cases {
        let imds = Scripted::start([bytes]).await.unwrap();
        let error = provider(&imds.url()).await.credentials().await.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
        assert_eq!(imds.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_response_that_dribbles_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let dribble = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        // A response before the request is invalid.
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            .await
            .unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let provider = Ec2RoleProvider::builder()
        .endpoint(endpoint)
        .read_timeout(Duration::from_millis(300))
        .attempts(1)
        .build()
        .await
        .unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // The connection is closed, not left behind.
    tokio::time::timeout(PATIENT, dribble)
        .await
        .unwrap()
        .unwrap();
}

/// wasmtime leaves the options of each request in its table of handles until the host removes them.
#[tokio::test]
async fn handles_do_not_run_out() {
    let imds = Emulator::builder().start().await.unwrap();
    let provider = Ec2RoleProvider::builder().endpoint(imds.url()).build();
    let provider = provider.await.unwrap();
    // Two requests in each, and the table takes 64 handles.
    for _ in 0..100 {
        provider.invalidate().await.unwrap();
        provider.credentials().await.unwrap();
    }
    assert_eq!(provider.status().restarts, 0);
}
