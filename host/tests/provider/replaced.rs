//! Parts of the provider that a program replaces.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use ec2_role_host::transport::{Exchange, Timeouts, Transport, TransportError};
use ec2_role_host::{Ec2RoleProvider, Environment, wait};

use crate::support::{Virtual, broken, builder, emulator};

/// Answers with what it is told to.
#[derive(Debug)]
struct Canned(AtomicUsize);

impl Transport for Canned {
    fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Exchange {
        self.0.fetch_add(1, Ordering::SeqCst);
        // The component asks for 3 s for both, because it cannot rely on all hosts to tell them apart.
        assert_eq!(
            timeouts,
            Timeouts::new(Duration::from_secs(1), Duration::from_secs(3))
        );
        let body = match request.uri().path() {
            "/latest/api/token" => "token",
            "/latest/meta-data/iam/security-credentials/" => "canned",
            "/latest/meta-data/iam/security-credentials/canned" => {
                r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#
            }
            _ => {
                let refused = std::io::ErrorKind::ConnectionRefused.into();
                return Box::pin(async { Err(TransportError::Connect(refused)) });
            }
        };
        Box::pin(async move { Ok(http::Response::new(Bytes::from_static(body.as_bytes()))) })
    }
}

#[test]
fn the_transport_can_be_replaced() {
    let provider = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .transport(Canned(AtomicUsize::new(0)))
        .randomness(|bytes| bytes.fill(0))
        .read_timeout(Duration::from_secs(3))
        .attempts(1)
        .build_blocking()
        .unwrap();
    // The endpoint is the default one. The transport answers without opening a connection.
    let credentials = provider.credentials_blocking().unwrap();
    assert_eq!(credentials.access_key_id(), "id");
    let error = wait(provider.metadata().get("other")).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[test]
fn randomness_can_be_replaced() {
    let extension = |random: u8| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clock = Virtual::new();
        let imds = runtime.block_on(emulator(&clock));
        let provider = builder(&imds, &clock)
            .attempts(1)
            .randomness(move |bytes| bytes.fill(random))
            .build_blocking()
            .unwrap();
        provider.credentials_blocking().unwrap();
        clock.advance(TimeDelta::hours(1));
        let _fault = imds.fault(broken()).unwrap();
        let kept = provider.credentials_blocking().unwrap();
        (kept.expires().unwrap() - clock.now()).num_seconds()
    };
    // Five to fifteen minutes [B4.6].
    assert_eq!(extension(0), 300);
    assert_eq!(extension(255), 899);
}
