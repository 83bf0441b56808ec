//! Many clients at once: every response is right, and the emulator answers afterwards.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

mod client;

use std::time::{Duration, Instant};

use client::Client;
use imds_emulator::Emulator;
use tokio::task::JoinSet;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

/// So many clients ask for a token, the role and its credentials again and again, for so long.
async fn load(clients: usize, keep_alive: bool, time: Duration) {
    let emulator = Emulator::builder()
        .role("busy")
        .with(|config| config.server.keep_alive = keep_alive)
        .start()
        .await
        .unwrap();
    let address = emulator.address();
    let document = {
        let mut client = Client::new(address);
        let token = client.token().await.unwrap();
        let get = Client::get(&format!("{LIST}busy"), &token);
        client.ask(&get).await.unwrap().body.to_owned()
    };
    assert!(document.contains("SecretAccessKey"), "{document}");
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let document = document.clone();
        running.spawn(async move {
            let mut client = Client::new(address);
            let mut rounds = 0_u32;
            while Instant::now() < end {
                let token = client.token().await.unwrap();
                assert_eq!(token.len(), 56);
                let list = client.ask(&Client::get(LIST, &token)).await.unwrap();
                assert_eq!(list.body, "busy", "{}", list.head);
                let get = Client::get(&format!("{LIST}busy"), &token);
                let response = client.ask(&get).await.unwrap();
                assert_eq!(response.body, document, "{}", response.head);
                let wrong = Client::get(LIST, &token[1..]);
                let response = client.ask(&wrong).await.unwrap();
                assert!(
                    response.head.starts_with("HTTP/1.1 401 "),
                    "{}",
                    response.head
                );
                rounds += 1;
            }
            rounds
        });
    }
    let rounds = running.join_all().await;
    assert!(
        rounds.iter().all(|rounds| *rounds > 0),
        "all had their turn"
    );
    assert_eq!(Client::new(address).token().await.unwrap().len(), 56);
}

// One after the other: they would only measure each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_answered_rightly() {
    // A client and the server have a file descriptor each for a connection.
    let limit = rlimit::increase_nofile_limit(4096).unwrap();
    assert!(limit >= 2100, "file descriptors: {limit}");
    load(64, false, Duration::from_secs(10)).await;
    load(64, true, Duration::from_secs(1)).await;
    load(1000, true, Duration::from_secs(2)).await;
    load(1000, false, Duration::from_secs(2)).await;
}
