//! Rules 1 to 9 as far as they are about connections, and what is not HTTP.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, OK, UNAUTHORIZED, request, send};

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
        assert_eq!(
            answer.header("content-length"),
            Some(answer.body.len().to_string().as_str()),
            "{head}"
        );
        assert!(answer.header("date").is_some(), "{head}");
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
