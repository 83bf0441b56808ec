//! `[I27]` to `[I33]`: versions, listings and slashes, and what the configuration adds to the tree or
//! takes away.

use imds_emulator::LEAVES;
use imds_emulator::config::Content;

use crate::bench::{Bench, NOT_FOUND, OK};
use crate::full::FULL;

#[test]
fn rule_28_every_leaf_came_with_a_version() {
    for leaf in LEAVES {
        let since = leaf.since();
        let is_date = since.parse::<chrono::NaiveDate>().is_ok();
        assert!(since == "1.0" || is_date, "{leaf:?}");
    }
}

#[tokio::test]
async fn rule_27_the_versions_oldest_first_and_latest_last() {
    let bench = Bench::new().await;
    let response = bench.read("/").await;
    assert_eq!(response.status, OK);
    let versions: Vec<&str> = response.body.lines().collect();
    assert_eq!(versions.first(), Some(&"1.0"));
    assert_eq!(versions.last(), Some(&"latest"));
    assert!(versions[..versions.len() - 1].is_sorted());
    // Those that cloud-init asks for [I28].
    for version in ["2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23"] {
        assert!(versions.contains(&version), "{version}");
    }
    for version in versions {
        let response = bench.read(&format!("/{version}/meta-data/ami-id")).await;
        assert_eq!(response.status, OK, "{version}");
    }
    assert_eq!(
        bench.read("/2021-03-24/meta-data/ami-id").await.status,
        NOT_FOUND
    );
}

#[tokio::test]
async fn rule_28_a_category_appears_from_its_own_version_on() {
    let bench = Bench::configured(FULL).await;
    for (path, before, from) in [
        ("meta-data/tag-sets/instance", "2024-04-11", "2025-10-04"),
        ("meta-data/system", "2021-07-15", "2022-09-24"),
        ("meta-data/tags/instance/Name", "2021-01-03", "2021-03-23"),
        ("meta-data/ipv6", "2020-10-27", "2021-01-03"),
        (
            "meta-data/events/recommendations/rebalance",
            "2019-10-01",
            "2020-10-27",
        ),
        ("meta-data/placement/region", "2018-09-24", "2019-10-01"),
        ("meta-data/instance-life-cycle", "2018-09-24", "2019-10-01"),
        (
            "meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
            "2016-09-02",
            "2018-03-28",
        ),
        ("meta-data/iam/info", "2011-05-01", "2012-01-12"),
        ("meta-data/mac", "2009-04-04", "2011-01-01"),
        (
            "dynamic/instance-identity/document",
            "2008-09-01",
            "2009-04-04",
        ),
        ("meta-data/profile", "2007-10-10", "2007-12-15"),
        ("meta-data/instance-type", "2007-03-01", "2007-08-29"),
    ] {
        let then = bench.read(&format!("/{from}/{path}")).await;
        let now = bench.read(&format!("/latest/{path}")).await;
        assert_eq!(then.status, OK, "{path} {from}");
        assert_eq!(then.body, now.body);
        assert_eq!(
            bench.read(&format!("/{before}/{path}")).await.status,
            NOT_FOUND,
            "{path} {before}"
        );
        // It is not listed, either.
        let category = path.split('/').nth(1).unwrap();
        let has_older_ones = ["placement", "events"].contains(&category);
        if path.starts_with("meta-data/") && !has_older_ones {
            let listing = bench.read(&format!("/{before}/meta-data/")).await.body;
            let names = listing.lines().map(|name| name.trim_end_matches('/'));
            assert!(!names.into_iter().any(|name| name == category), "{path}");
        }
    }
}

#[tokio::test]
async fn rule_29_the_first_level_has_no_slashes() {
    let bench = Bench::new().await;
    for path in ["/latest", "/latest/", "/2021-03-23/"] {
        assert_eq!(bench.read(path).await.body, "dynamic\nmeta-data", "{path}");
    }
    assert_eq!(bench.read("/1.0").await.body, "meta-data");
    bench
        .imds
        .change(|config| config.instance.user_data = Some(Content::Text("x".into())))
        .unwrap();
    assert_eq!(
        bench.read("/latest").await.body,
        "dynamic\nmeta-data\nuser-data"
    );
}

#[tokio::test]
async fn rules_30_to_33_slashes_at_the_end_and_what_is_below_a_value() {
    let bench = Bench::new().await;
    let listing = bench.value("meta-data/placement/").await;
    assert_eq!(listing, "availability-zone\navailability-zone-id\nregion");
    assert_eq!(bench.value("meta-data/placement").await, listing);
    let leaf = bench.value("meta-data/placement/region").await;
    assert_eq!(leaf, "us-east-1");
    assert_eq!(bench.value("meta-data/placement/region/").await, leaf);
    for path in [
        "meta-data/placement/region/below",
        "meta-data/plac",
        "meta-data/PLACEMENT/",
        "meta-data/iam/security-credentials/emulated",
        "nothing",
    ] {
        let response = bench.read(&format!("/latest/{path}")).await;
        assert_eq!(response.status, NOT_FOUND, "{path}");
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert!(response.body.contains("<title>404 - Not Found</title>"));
    }
}

#[tokio::test]
async fn rule_31_the_older_dialect_sends_bare_directories_on() {
    let bench = Bench::with(|config| config.server.dialect = imds_emulator::Dialect::Xen).await;
    let response = bench.read("/latest/meta-data/iam").await;
    assert_eq!(response.status, "HTTP/1.0 301 Moved Permanently");
    assert_eq!(
        response.header("location"),
        Some("http://imds/latest/meta-data/iam/")
    );
    assert_eq!(response.body, "");
    let leaf = bench.read("/latest/meta-data/ami-id").await;
    assert_eq!(leaf.status, "HTTP/1.0 200 OK");
    let system = bench.read("/latest/meta-data/system").await;
    assert_eq!(system.body, "xen", "[I41]");
}

#[tokio::test]
async fn rule_46_the_list_and_the_document_of_a_role_with_and_without_a_slash() {
    use imds_emulator::Dialect::{Nitro, Xen};
    use imds_emulator::fault::Rule;
    use imds_emulator::fault::kinds::Replace;

    for dialect in [Nitro, Xen] {
        let bench = Bench::with(|config| config.server.dialect = dialect).await;
        let read = async |path: &str| {
            let path = format!("/latest/meta-data/iam/security-credentials{path}");
            bench.read(&path).await
        };
        let status = |code: &str| match dialect {
            Xen => format!("HTTP/1.0 {code}"),
            _ => format!("HTTP/1.1 {code}"),
        };
        for path in ["/", "//"] {
            let list = read(path).await;
            assert_eq!((list.status, &*list.body), (status("200 OK"), "the-role"));
        }
        let bare = read("").await;
        match dialect {
            Xen => assert_eq!(bare.status, status("301 Moved Permanently")),
            _ => assert_eq!((bare.status, &*bare.body), (status("200 OK"), "the-role")),
        }
        let document = read("/the-role").await;
        assert_eq!(document.status, status("200 OK"));
        assert_eq!(read("/the-role/").await.body, document.body);
        assert_eq!(read("/the-role/x").await.status, status("404 Not Found"));
        // As an instance of 2022 answered in HTTP/1.0.
        let listing = Replace::new().code(200).body("the-role");
        let rule = Rule::new("2022", listing);
        let rule = rule.on("/latest/meta-data/iam/security-credentials");
        let _guard = bench.imds.fault(rule).unwrap();
        let bare = read("").await;
        assert_eq!((bare.status, &*bare.body), (status("200 OK"), "the-role"));

        let bench = Bench::with(|config| {
            config.server.dialect = dialect;
            config.instance.iam = None;
        })
        .await;
        for path in ["", "/", "/the-role", "/the-role/"] {
            let path = format!("/latest/meta-data/iam/security-credentials{path}");
            let response = bench.read(&path).await;
            assert_eq!(response.status, status("404 Not Found"), "{path}");
        }
    }
}

#[tokio::test]
async fn any_value_can_be_replaced_or_taken_away_and_any_path_added() {
    let bench = Bench::configured(
        r#"
        [data]
        "meta-data/ami-id" = "ami-of-mine"
        "meta-data/instance-type" = { absent = true }
        "meta-data/iam" = { absent = true }
        "meta-data/placement/region" = "mars-north-1"
        "meta-data/new/folder/leaf" = { base64 = "aGVsbG8=" }
        "dynamic/fws/instance-monitoring" = "who knows"
        "user-data" = "mine"
        "#,
    )
    .await;
    for (path, value) in [
        ("meta-data/ami-id", "ami-of-mine"),
        ("meta-data/placement/region", "mars-north-1"),
        ("meta-data/new/", "folder/"),
        ("meta-data/new/folder/leaf", "hello"),
        ("dynamic/fws/instance-monitoring", "who knows"),
        ("user-data", "mine"),
    ] {
        assert_eq!(bench.value(path).await, value, "{path}");
    }
    let listing = bench.value("meta-data/").await;
    assert!(listing.lines().any(|name| name == "new/"), "{listing}");
    for gone in ["instance-type", "iam"] {
        assert!(!bench.has(&format!("meta-data/{gone}")).await);
        assert!(
            !listing
                .lines()
                .any(|name| name.trim_end_matches('/') == gone)
        );
    }
    // The rest of the folder is as it was.
    assert!(bench.has("meta-data/placement/availability-zone").await);
}

#[tokio::test]
async fn rule_28_data_in_place_of_a_category_is_as_old_as_the_category() {
    let bench = Bench::configured(
        r#"
        [data]
        "meta-data/kernel-id" = "aki-of-mine"
        "meta-data/ipv6" = { base64 = "OjoxCg==" }
        "meta-data/mine" = "of all times"
        "#,
    )
    .await;
    for (path, before, from) in [
        ("kernel-id", "2007-12-15", "2008-02-01"),
        ("ipv6", "2020-10-27", "2021-01-03"),
    ] {
        let read = async |version| bench.read(&format!("/{version}/meta-data/{path}")).await;
        assert_eq!(read(before).await.status, NOT_FOUND, "{path}");
        assert_eq!(read(from).await.status, OK, "{path}");
    }
    assert_eq!(bench.read("/1.0/meta-data/mine").await.status, OK);
}

#[tokio::test]
async fn paths_are_decoded_and_queries_do_not_matter() {
    let bench = Bench::configured(FULL).await;
    assert_eq!(
        bench.value("meta-data/tags/instance/team%3Aowner").await,
        "us"
    );
    assert_eq!(
        bench.value("meta-data/placement/region?x=y").await,
        "eu-central-1"
    );
    assert_eq!(bench.read("/latest/meta-data/%ff").await.status, NOT_FOUND);
}
