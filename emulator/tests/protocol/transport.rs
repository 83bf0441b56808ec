//! `[I1]` to `[I9]` as far as they are about connections, and what is not HTTP.

use std::time::Duration;

use chrono::TimeDelta;
use imds_emulator::Dialect;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, FORBIDDEN, OK, TTL, UNAUTHORIZED, send};

#[tokio::test]
async fn rules_2_and_3_every_response_says_who_gives_it_and_ends_the_connection() {
    let bench = Bench::new().await;
    for head in [
        "GET / HTTP/1.1",
        "PUT /latest/api/token HTTP/1.1",
        "POST /x HTTP/1.1",
        "GET /latest/api/token HTTP/1.1",
    ] {
        let response = bench.ask(head).await;
        assert!(
            response.status.starts_with("HTTP/1.1 "),
            "{}",
            response.status
        );
        assert_eq!(response.header("server"), Some("EC2ws"), "{head}");
        assert_eq!(response.header("connection"), Some("close"), "{head}");
        assert_eq!(
            response.header("content-length"),
            Some(response.body.len().to_string().as_str()),
            "{head}"
        );
        assert!(response.header("date").is_some(), "{head}");
    }
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
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response).await;
        assert!(
            response.is_empty() || response.starts_with(b"HTTP/1.1 4"),
            "{response:?}"
        );
    }
    assert_eq!(bench.token("60").await.status, "HTTP/1.1 200 OK");
}

/// Sends pieces, with pauses between them, and reads until the connection ends.
async fn in_pieces(bench: &Bench, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
    for piece in pieces {
        // It may have been answered before all is written.
        let _ = stream.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let bench = Bench::new().await;
    let long = "x".repeat(1_000_000);
    for head in [
        format!("GET /{long} HTTP/1.1\r\nHost: imds\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: imds\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: x\r\n".repeat(10_000)),
    ] {
        let response = in_pieces(&bench, &[head.as_bytes()]).await;
        // A reset may come before the response is read.
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 4"),
            "{response}"
        );
    }
    let fits = format!("GET /{} HTTP/1.1\r\nHost: imds\r\n\r\n", "x".repeat(10_000));
    assert!(
        send(bench.imds.address(), fits.as_bytes())
            .await
            .starts_with(UNAUTHORIZED)
    );
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_does_not_matter() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        // It never comes.
        "Content-Length: 500000\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ] {
        let get = format!(
            "GET /latest/meta-data/ami-id HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token: {token}\r\n{body}"
        );
        let response = send(bench.imds.address(), get.as_bytes()).await;
        assert!(response.starts_with(OK), "{body}: {response}");
        assert!(response.ends_with("\r\n\r\nami-0123456789abcdef0"));
        let put = format!(
            "PUT /latest/api/token HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n{body}"
        );
        assert!(
            send(bench.imds.address(), put.as_bytes())
                .await
                .starts_with(OK)
        );
    }
}

#[tokio::test]
async fn rule_61_an_expectation_is_refused_by_xen() {
    let put = format!("PUT /latest/api/token HTTP/1.1\nExpect: 100-continue\n{TTL}: 60");
    let of = |dialect| Bench::with(move |config| config.server.dialect = dialect);
    let (nitro, xen) = (of(Dialect::Nitro).await, of(Dialect::Xen).await);
    let is_refused = async |bench: &Bench| {
        let response = bench.ask(&put).await;
        match response.status.get(9..) {
            Some("200 OK") => false,
            Some("417 Expectation Failed") => {
                assert_eq!(response.header("content-type"), Some("text/html"));
                assert!(
                    response
                        .body
                        .contains("<title>417 - Expectation Failed</title>")
                );
                // The page is indented by spaces.
                assert!(response.body.contains("\n         \"http://www.w3.org/"));
                true
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(!is_refused(&nitro).await);
    assert!(is_refused(&xen).await);
    assert!(xen.token("60").await.status.ends_with("200 OK"));
    let refused = nitro
        .imds
        .fault(Rule::new("refused", Fault::expect_refused()));
    let ignored = xen
        .imds
        .fault(Rule::new("ignored", Fault::expect_ignored()));
    assert!(is_refused(&nitro).await);
    assert!(!is_refused(&xen).await);
    drop((refused, ignored));
    assert!(!is_refused(&nitro).await);
    assert!(is_refused(&xen).await);
}

#[tokio::test]
async fn slow_senders_are_waited_for_but_not_for_ever() {
    let bench = Bench::with(|config| {
        config.server.head_timeout = TimeDelta::milliseconds(500).into();
    })
    .await;
    let bytes = b"GET / HTTP/1.1\r\nHost: imds\r\n\r\n";
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert!(in_pieces(&bench, &pieces).await.starts_with(UNAUTHORIZED));
    for begun in [&b"GET / HT"[..], b"GET / HTTP/1.1\r\nHost: imds\r\n", b""] {
        let response = tokio::time::timeout(Duration::from_secs(10), in_pieces(&bench, &[begun]))
            .await
            .expect("it is closed");
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 4"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn rule_2_one_response_a_connection_unless_it_is_to_be_kept() {
    let two =
        "GET / HTTP/1.1\r\nHost: imds\r\n\r\nPUT /latest/api/token HTTP/1.1\r\nHost: imds\r\n\r\n";
    let statuses = |response: &str| -> Vec<String> {
        response
            .lines()
            .filter(|line| line.starts_with("HTTP/1.1 "))
            .map(str::to_owned)
            .collect()
    };
    let bench = Bench::new().await;
    let response = send(bench.imds.address(), two.as_bytes()).await;
    assert_eq!(statuses(&response), [UNAUTHORIZED]);
    let kept = Bench::with(|config| config.server.keep_alive = true).await;
    let closing =
        format!("{two}GET /latest/api/token HTTP/1.1\r\nHost: imds\r\nConnection: close\r\n\r\n");
    let response = send(kept.imds.address(), closing.as_bytes()).await;
    assert_eq!(
        statuses(&response),
        [
            UNAUTHORIZED,
            "HTTP/1.1 400 Bad Request",
            "HTTP/1.1 405 Not Allowed"
        ],
        "pipelined requests are answered in their order"
    );
}

#[tokio::test]
async fn older_http_and_other_forms_of_the_target_are_understood() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    let ask = async |head: &str| {
        let head = format!("{head}\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n");
        send(bench.imds.address(), head.as_bytes()).await
    };
    let old = ask("GET /latest/meta-data/ami-id HTTP/1.0").await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
    assert!(old.ends_with("\r\n\r\nami-0123456789abcdef0"));
    let absolute =
        ask("GET http://169.254.169.254/latest/meta-data/ami-id HTTP/1.1\r\nHost: other").await;
    assert!(absolute.starts_with(OK), "{absolute}");
    assert!(absolute.ends_with("\r\n\r\nami-0123456789abcdef0"));
    for (other, status) in [
        ("OPTIONS * HTTP/1.1\r\nHost: x", OK),
        ("CONNECT x:80 HTTP/1.1\r\nHost: x", FORBIDDEN),
    ] {
        let response = ask(other).await;
        assert!(response.starts_with(status), "{other}: {response}");
    }
    let bare = format!(
        "GET /latest/meta-data/ami-id HTTP/1.1\nHost: x\nX-aws-ec2-metadata-token: {token}\n\n"
    );
    let response = send(bench.imds.address(), bare.as_bytes()).await;
    assert!(response.starts_with(OK), "{response}");
}

#[tokio::test]
async fn what_goes_wrong_with_one_connection_is_of_no_concern_to_others() {
    let bench = Bench::new().await;
    let mut open = Vec::new();
    for at in 0..200_u32 {
        let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
        match at % 4 {
            0 => stream.write_all(b"GET / HT").await.unwrap(),
            1 => stream.write_all(b"\xff\0\x01\r\n\r\n").await.unwrap(),
            // Gone before the response.
            2 => {
                stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: imds\r\n\r\n")
                    .await
                    .unwrap();
                continue;
            }
            _ => {}
        }
        open.push(stream);
    }
    assert_eq!(bench.token("60").await.status, OK);
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

/// A client that sends requests without waiting for responses, and closes the connection.
#[tokio::test]
async fn the_journal_has_all_requests_that_arrived_on_a_connection_that_stays_open() {
    const REQUESTS: usize = 20;
    let bench = Bench::with(|config| config.server.keep_alive = true).await;
    let requests = "GET /latest/meta-data/ HTTP/1.1\r\nHost: imds\r\n\r\n".repeat(REQUESTS);
    for round in 1..=10 {
        let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        drop(stream);
        let mut waited = 0;
        let count = || bench.imds.count(&Filter::default()).unwrap();
        while count() < round * REQUESTS {
            waited += 1;
            assert!(waited < 500, "{} in round {round}", count());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // A connection that the emulator closes after the response has one request.
    bench
        .imds
        .change(|config| config.server.keep_alive = false)
        .unwrap();
    bench.imds.clear_journal();
    let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert_eq!(bench.imds.count(&Filter::default()), Ok(1));
}
