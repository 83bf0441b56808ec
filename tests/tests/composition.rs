//! A consumer composed with the component: it signs a request with credentials that it was given
//! within, and the server that it sends it to checks the signature.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/build.rs"]
mod build;
#[path = "support/compose.rs"]
mod compose;
#[path = "support/host.rs"]
mod host;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/s3.rs"]
mod s3;

use std::sync::Arc;

use ec2_role_host::COMPONENT;
use ec2_role_host::inspect::Inspection;
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;

fn composed() -> Vec<u8> {
    let consumer = build::component("consumer-component");
    compose::compose(consumer, COMPONENT.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_signed_within_is_accepted() {
    let imds = Arc::new(Emulator::builder().start().await.unwrap());
    let authority = s3::serve(Arc::clone(&imds)).await;
    let host = host::Host::new(&composed());
    let status = host.get_object(imds.url(), &authority).await;
    assert_eq!(status, Ok(200));

    // And with the next credentials.
    imds.rotate_credentials();
    let status = host.get_object(imds.url(), &authority).await;
    assert_eq!(status, Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_signed_with_another_secret_is_not() {
    let imds = Arc::new(Emulator::builder().start().await.unwrap());
    let authority = s3::serve(Arc::clone(&imds)).await;
    let other = [("SecretAccessKey".to_owned(), "of somebody else".into())];
    let patch = Fault::patch(other.into_iter().collect());
    let rule = Rule::new("another secret", patch).on("**/security-credentials/?*");
    let _fault = imds.fault(rule).unwrap();
    let status = host::Host::new(&composed())
        .get_object(imds.url(), &authority)
        .await;
    assert_eq!(status, Ok(403));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_is_sent_and_it_says_why() {
    let imds = Arc::new(Emulator::builder().without_role().start().await.unwrap());
    let authority = s3::serve(Arc::clone(&imds)).await;
    let error = host::Host::new(&composed())
        .get_object(imds.url(), &authority)
        .await
        .unwrap_err();
    assert!(error.contains("the instance has no role"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_host_forbids_is_left_out_unless_imds_needs_it() {
    let imds = Arc::new(Emulator::builder().start().await.unwrap());
    let authority = s3::serve(Arc::clone(&imds)).await;
    let mut host = host::Host::new(&composed());
    for (forbidden, status) in [
        (&["content-length"][..], Ok(200)),
        (&["user-agent"], Ok(200)),
        (&["content-length", "user-agent"], Ok(200)),
        (&["x-aws-ec2-metadata-token-ttl-seconds"], Err(())),
        (&["x-aws-ec2-metadata-token"], Err(())),
    ] {
        host = host.forbidding(forbidden);
        let outcome = host.get_object(imds.url(), &authority).await;
        if let Err(error) = &outcome {
            let why = "the host forbids the headers of session tokens";
            assert!(error.contains(why), "{forbidden:?}: {error}");
        }
        assert_eq!(outcome.map_err(drop), status, "{forbidden:?}");
    }
    let mut named = Filter::path("/**");
    named.user_agent = Some("ec2-role-component/*".to_owned());
    let named = imds.count(&named).unwrap();
    assert_eq!(named, 3 + 1, "with two of the hosts that let it through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_send_to_ipv6_addresses_is_named_as_the_cause() {
    let imds = Arc::new(Emulator::builder().start().await.unwrap());
    let authority = s3::serve(Arc::clone(&imds)).await;
    let host = host::Host::new(&composed()).without_ipv6();
    assert_eq!(host.get_object(imds.url(), &authority).await, Ok(200));
    let error = host.get_object("http://[::1]:1", &authority).await;
    let error = error.unwrap_err();
    let why = "the host cannot send to IPv6 addresses; use an endpoint with a name";
    assert!(error.contains(why), "{error}");
}

#[test]
fn composed_it_imports_no_more_than_the_two_do() {
    let consumer = Inspection::new(&build::component("consumer-component")).unwrap();
    let component = Inspection::new(COMPONENT).unwrap();
    let mut expected: Vec<_> = [consumer.imports, component.imports].concat();
    expected.retain(|import| !import.starts_with("imds:"));
    expected.sort();
    expected.dedup();
    assert_eq!(Inspection::new(&composed()).unwrap().imports, expected);
}
