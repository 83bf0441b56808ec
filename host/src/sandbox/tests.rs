use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use super::*;
use crate::clock;
use crate::config::Settings;
use crate::limits::Limits;
use crate::transport::Direct;

/// An IMDS with a token and with these bodies at these paths.
fn imds(bodies: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let body = match path {
                "/latest/api/token" => Some("the-token"),
                path => bodies
                    .iter()
                    .find(|(at, _)| *at == path)
                    .map(|(_, body)| *body),
            };
            let status = if body.is_some() {
                "200 OK"
            } else {
                "404 Not Found"
            };
            let body = body.unwrap_or_default();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    url
}

fn options(endpoint: &str) -> ec2_role::Options {
    let settings = Settings {
        endpoint: Some(endpoint.to_owned()),
        read_timeout: Some(Duration::from_secs(30)),
        operation_timeout: Some(Duration::from_secs(60)),
        ..Settings::default()
    };
    (&settings).into()
}

fn ports(endpoint: &str) -> Ports {
    Ports {
        egress: endpoint.parse().unwrap(),
        transport: Arc::new(Direct),
        connect_timeout: Duration::from_secs(1),
        clock: Arc::new(clock::System::new()),
        randomness: Randomness(Arc::new(|bytes| bytes.fill(0))),
        limits: Limits::default(),
        obstacle: LastObstacle::default(),
    }
}

async fn instance(endpoint: &str) -> Instance {
    let sandbox = Sandbox::built_in(None).unwrap();
    let mut instance = sandbox
        .instantiate(&ports(endpoint), Duration::from_secs(60))
        .await
        .unwrap();
    let configured = instance.configure(&options(endpoint)).await.unwrap();
    configured.unwrap();
    instance
}

impl Instance {
    fn metadata(&mut self) -> (&metadata::Guest, &mut Store<State>) {
        (self.exports.imds_credentials_metadata(), &mut self.store)
    }

    fn role(&mut self) -> (&ec2_role::Guest, &mut Store<State>) {
        (self.exports.imds_credentials_ec2_role(), &mut self.store)
    }
}

#[tokio::test]
async fn metadata_comes_through_the_component() {
    let url = imds(&[
        ("/latest/meta-data/ami-id", "ami-1"),
        ("/latest/dynamic/fws/instance-monitoring", "disabled"),
        ("/latest/user-data", "\u{1f}\u{8b} bytes"),
        (
            "/latest/dynamic/instance-identity/document",
            r#"{"region":"eu-central-1","instanceId":"i-1","billingProducts":["b"],"kernelId":null}"#,
        ),
        (
            "/latest/meta-data/iam/info",
            r#"{"Code":"Success","InstanceProfileId":"AIPA1"}"#,
        ),
    ]);
    let mut instance = instance(&url).await;
    let (metadata, store) = instance.metadata();
    assert_eq!(
        metadata
            .call_get_metadata(&mut *store, "ami-id")
            .await
            .unwrap()
            .unwrap(),
        "ami-1"
    );
    let dynamic = metadata
        .call_get_dynamic_data(&mut *store, "fws/instance-monitoring")
        .await;
    assert_eq!(dynamic.unwrap().unwrap(), "disabled");
    let user_data = metadata
        .call_get_user_data(&mut *store)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user_data, "\u{1f}\u{8b} bytes".as_bytes());
    assert_eq!(
        metadata
            .call_get_region(&mut *store)
            .await
            .unwrap()
            .unwrap(),
        "eu-central-1"
    );
    let document = metadata
        .call_get_instance_identity_document(&mut *store)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&*document.instance_id, document.kernel_id), ("i-1", None));
    assert_eq!(document.billing_products, ["b"]);
    let info = metadata
        .call_get_iam_info(&mut *store)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(info.instance_profile_id, "AIPA1");
    let missing = metadata
        .call_get_metadata(&mut *store, "spot/instance-action")
        .await
        .unwrap();
    let provider::Error::Failed(failure) = missing.unwrap_err() else {
        panic!()
    };
    assert_eq!(
        (failure.reason, failure.status),
        (provider::Reason::NotFound, Some(404))
    );

    let (role, store) = instance.role();
    let status = role.call_status(&mut *store).await.unwrap();
    assert_eq!(status.imds_version, Some(ec2_role::ImdsVersion::V2));
    assert_eq!((status.requests.token, status.requests.metadata), (1, 7));
    assert!(status.token_expires > status.token_received);
    assert_eq!(status.refreshes, 0);
}

#[tokio::test]
async fn the_single_steps_come_through_the_component() {
    let url = imds(&[
        ("/latest/meta-data/iam/security-credentials/", "role"),
        (
            "/latest/meta-data/iam/security-credentials/role",
            r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#,
        ),
    ]);
    let mut instance = instance(&url).await;
    let credentials = instance.get_credentials().await.unwrap();
    let expires = credentials.expires.unwrap();
    let (role, store) = instance.role();

    let adjusted = role
        .call_adjust_expires_by(&mut *store, &credentials, -60_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(adjusted.expires, Some(expires - 60));
    let cause = provider::Error::InvalidConfiguration(provider::InvalidOption {
        name: "n".into(),
        value: "v".into(),
        accepted: "a".into(),
    });
    let kept = role
        .call_handle_fail_to_refresh(&mut *store, Some(&credentials), &cause)
        .await
        .unwrap();
    assert_eq!(kept.unwrap().expires, Some(expires));
    let none = role
        .call_handle_fail_to_refresh(&mut *store, None, &cause)
        .await
        .unwrap();
    let provider::Error::InvalidConfiguration(invalid) = none.unwrap_err() else {
        panic!()
    };
    assert_eq!(
        (&*invalid.name, &*invalid.value, &*invalid.accepted),
        ("n", "v", "a")
    );

    let status = role.call_status(&mut *store).await.unwrap();
    assert_eq!(status.role_name.as_deref(), Some("role"));
    assert_eq!(status.expires, Some(expires));
    assert_eq!(status.next_refresh, Some(credentials.refresh_after));
    assert_eq!(status.document_expires, Some(4_102_444_800));
    assert_eq!((status.refreshes, status.extensions), (1, 0));
    assert!(status.last_success.is_some() && status.last_failure.is_none());

    let wrong = ec2_role::Options {
        token_ttl: Some(0),
        ..options(&url)
    };
    let error = role
        .call_configure(&mut *store, &wrong)
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error, provider::Error::InvalidConfiguration(invalid) if invalid.name == "token-ttl")
    );
}

#[tokio::test]
async fn tables_do_not_grow_without_a_bound() {
    let ports = ports("http://127.0.0.1:1");
    let module = wat::parse_str(
        r#"(module
            (table $t 0 funcref)
            (func (export "grow") (param i32) (result i32)
                (table.grow $t (ref.null func) (local.get 0))))"#,
    );
    let module = wasmtime::Module::new(engine().unwrap(), module.unwrap()).unwrap();
    let mut store = store(engine().unwrap(), &ports);
    let instance = wasmtime::Instance::new_async(&mut store, &module, &[]);
    let instance = instance.await.unwrap();
    let grow = instance
        .get_typed_func::<i32, i32>(&mut store, "grow")
        .unwrap();
    assert_eq!(grow.call_async(&mut store, 10_000).await.unwrap(), 0);
    assert_eq!(grow.call_async(&mut store, 1).await.unwrap(), -1);
}
