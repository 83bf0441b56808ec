//! `[I1]` `[I17]` `[I18]` `[I23]` `[I24]` `[I36]`: metadata options, and that they can be changed at any time.

use std::net::{Ipv4Addr, Ipv6Addr};

use imds_emulator::config::{Config, HttpTokens, Switch};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::bench::{Bench, LIST, NOT_FOUND, OK, UNAUTHORIZED};

#[tokio::test]
async fn rule_23_a_disabled_endpoint_forbids_everything() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    let switch = |to| {
        bench
            .imds
            .change(|config| config.metadata_options.http_endpoint = to)
            .unwrap();
    };
    switch(Switch::Disabled);
    let put = "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let get = format!("GET {LIST} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    for head in [&get, "GET / HTTP/1.1", "HEAD / HTTP/1.1"] {
        let response = bench.ask(head).await;
        assert_eq!(response.status, "HTTP/1.1 403 Forbidden", "{head}");
        let is_page = response.body.contains("<h1>403 - Forbidden</h1>");
        assert_eq!(is_page, head.starts_with("GET"), "{head}");
        assert_eq!(response.header("content-type"), Some("text/html"));
    }
    for head in [put, "POST /x HTTP/1.1"] {
        let response = bench.ask(head).await;
        assert_eq!(response.status, "HTTP/1.1 403 Forbidden");
        assert_eq!(response.header("content-type"), Some("text/plain"));
        assert_eq!(response.body, "", "[I14]");
    }
    switch(Switch::Enabled);
    assert_eq!(bench.ask(&get).await.status, OK);
}

#[tokio::test]
async fn rule_24_tokens_can_be_made_optional_and_required_again() {
    let bench = Bench::new().await;
    let without = format!("GET {LIST} HTTP/1.1");
    for (tokens, status) in [
        (HttpTokens::Required, UNAUTHORIZED),
        (HttpTokens::Optional, OK),
        (HttpTokens::Required, UNAUTHORIZED),
    ] {
        bench
            .imds
            .change(|config| config.metadata_options.http_tokens = tokens)
            .unwrap();
        assert_eq!(bench.ask(&without).await.status, status);
        assert_eq!(bench.imds.config().metadata_options.http_tokens, tokens);
    }
}

#[tokio::test]
async fn rule_36_tags_are_there_while_they_are_enabled_and_there_are_some() {
    let bench = Bench::new().await;
    let listed = async || {
        let listing = bench.value("meta-data/").await;
        let names = listing.lines().filter(|name| name.starts_with("tag"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    for slash in ["", "/"] {
        let value = async |path| bench.value(&format!("meta-data/{path}{slash}")).await;
        assert_eq!(value("tags").await, "instance/");
        assert_eq!(value("tags/instance").await, "Name");
        assert_eq!(value("tags/instance/Name").await, "emulated");
        assert_eq!(value("tag-sets").await, "instance");
        assert_eq!(value("tag-sets/instance").await, r#"{"Name":"emulated"}"#);
    }
    assert_eq!(listed().await, ["tag-sets/", "tags/"]);
    let paths = ["tags/", "tags/instance", "tags/instance/Name"];
    let gone = async |paths: &[&str]| {
        for path in paths {
            let response = bench.read(&format!("/latest/meta-data/{path}")).await;
            assert_eq!(response.status, NOT_FOUND, "{path}");
        }
    };
    let change = |change: fn(&mut Config)| bench.imds.change(change).unwrap();
    change(|config| config.instance.tags.clear());
    gone(&paths).await;
    assert_eq!(bench.value("meta-data/tag-sets/").await, "instance");
    assert_eq!(bench.value("meta-data/tag-sets/instance").await, "{}");
    assert_eq!(listed().await, ["tag-sets/"]);
    change(|config| {
        let tags = [
            ("add", "added"),
            ("change", "\""),
            ("empty", ""),
            ("suite", "x"),
        ];
        config.instance.tags = tags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    });
    assert_eq!(
        bench.value("meta-data/tags/instance").await,
        "add\nchange\nempty\nsuite"
    );
    assert_eq!(bench.value("meta-data/tags/instance/empty").await, "");
    // The order in which an instance listed the same keys.
    assert_eq!(
        bench.value("meta-data/tag-sets/instance").await,
        r#"{"add":"added","suite":"x","change":"\"","empty":""}"#
    );
    change(|config| config.metadata_options.instance_metadata_tags = Switch::Disabled);
    gone(&paths).await;
    gone(&["tag-sets", "tag-sets/", "tag-sets/instance"]).await;
    assert_eq!(listed().await, [""; 0]);
}

#[tokio::test]
async fn rule_1_it_answers_over_ipv6_where_that_is_enabled() {
    let bench = Bench::with(|config| {
        config.server.hosts = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    })
    .await;
    let [four, six] = bench.imds.addresses() else {
        panic!("two addresses");
    };
    assert_eq!(four.port(), six.port());
    assert!(four.is_ipv4() && six.is_ipv6());
    let status = async |address| {
        let response = crate::bench::send(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        response.lines().next().unwrap().to_owned()
    };
    assert_eq!(status(*six).await, UNAUTHORIZED);
    bench
        .imds
        .change(|config| config.metadata_options.http_protocol_ipv6 = Switch::Disabled)
        .unwrap();
    let mut closed = TcpStream::connect(six).await.unwrap();
    assert!(
        matches!(closed.read(&mut [0; 1]).await, Ok(0) | Err(_)),
        "it is closed without a response"
    );
    assert_eq!(status(*four).await, UNAUTHORIZED);
}

#[tokio::test]
async fn a_change_that_is_not_accepted_changes_nothing() {
    let bench = Bench::new().await;
    let before = bench.imds.config();
    let error = bench
        .imds
        .change(|config| {
            config.instance.ami_launch_index = 7;
            config.metadata_options.http_put_response_hop_limit = 65;
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "metadata-options.HttpPutResponseHopLimit: \"65\" is not accepted; accepted: 1 to 64"
    );
    assert_eq!(bench.imds.config(), before);
}
