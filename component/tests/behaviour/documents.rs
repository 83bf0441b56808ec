//! The typed operations of `metadata` `[B6.1]` to `[B6.4]`.

use ec2_role_component::error::Reason;
use ec2_role_component::imds::documents::{IamInfo, IdentityDocument};

use super::support::{World, failure, ok, ready, status, token};

const IDENTITY: &str = r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-east-1d",
  "billingProducts" : [ "bp-6ba54002" ],
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : [ "1abc2defghijklm3nopqrs4tu" ],
  "imageId" : "ami-5fb8c835",
  "instanceId" : "i-1234567890abcdef0",
  "instanceType" : "t2.micro",
  "kernelId" : "aki-919dcaf8",
  "pendingTime" : "2015-11-19T16:32:11Z",
  "privateIp" : "10.158.112.84",
  "ramdiskId" : null,
  "region" : "us-east-1",
  "version" : "2010-08-31"
}"#;

fn answering(body: &str) -> World {
    World::playing([token("t1", 60), ok(body)])
}

#[test]
fn the_identity_document_has_all_its_fields() {
    let mut world = answering(IDENTITY);
    let document = ready(world.instance.identity_document()).unwrap();
    assert_eq!(
        document,
        IdentityDocument {
            account_id: "123456789012".into(),
            architecture: "x86_64".into(),
            availability_zone: "us-east-1d".into(),
            billing_products: vec!["bp-6ba54002".into()],
            devpay_product_codes: Vec::new(),
            marketplace_product_codes: vec!["1abc2defghijklm3nopqrs4tu".into()],
            image_id: "ami-5fb8c835".into(),
            instance_id: "i-1234567890abcdef0".into(),
            instance_type: "t2.micro".into(),
            kernel_id: Some("aki-919dcaf8".into()),
            pending_time: "2015-11-19T16:32:11Z".into(),
            private_ip: "10.158.112.84".into(),
            ramdisk_id: None,
            region: "us-east-1".into(),
            version: "2010-08-31".into(),
        }
    );
    assert_eq!(
        world.imds.requests()[1],
        "GET /latest/dynamic/instance-identity/document t1"
    );
}

#[test]
fn the_region_is_that_of_the_identity_document() {
    let mut world = answering(IDENTITY);
    assert_eq!(ready(world.instance.region()).unwrap(), "us-east-1");
    assert_eq!(world.imds.requests().len(), 2);
}

#[test]
fn without_one_in_the_identity_document_the_region_is_that_of_the_placement() {
    let without = [
        status(404),
        ok("{}"),
        ok(r#"{"region":""}"#),
        ok(r#"{"region":null}"#),
    ];
    for document in without {
        let playing = |placement| World::playing([token("t1", 60), document.clone(), placement]);
        let mut world = playing(ok("eu-central-1\n"));
        assert_eq!(ready(world.instance.region()).unwrap(), "eu-central-1");
        assert_eq!(
            world.imds.requests()[2],
            "GET /latest/meta-data/placement/region t1"
        );
        for body in ["", " ", "<html>", "eu central", "\u{1b}[2J"] {
            let failure = failure(ready(playing(ok(body)).instance.region()));
            assert_eq!(failure.reason, Reason::InvalidResponse);
            assert!(failure.message.contains("placement/region"), "{failure}");
        }
        // IMDS has neither: the identity document is the one to mend.
        let failure = failure(ready(playing(status(404)).instance.region()));
        match failure.reason {
            Reason::NotFound => assert_eq!(failure.status, Some(404)),
            Reason::InvalidResponse => assert!(failure.message.contains("no region"), "{failure}"),
            _ => panic!("{failure}"),
        }
        let failed = self::failure(ready(playing(status(403)).instance.region()));
        assert_eq!(failed.reason, Reason::Forbidden);
    }
    // Any other failure says nothing about what IMDS has.
    let mut world = World::playing([token("t1", 60), status(403)]);
    assert_eq!(
        failure(ready(world.instance.region())).reason,
        Reason::Forbidden
    );
    let mut world = World::playing([token("t1", 60), ok("<html>")]);
    assert_eq!(
        failure(ready(world.instance.region())).reason,
        Reason::InvalidResponse
    );
}

#[test]
fn a_malformed_identity_document_is_reported() {
    assert_eq!(
        ready(answering("{}").instance.identity_document()).unwrap(),
        IdentityDocument::default()
    );
    for (body, named) in [
        ("[]", "not a JSON object"),
        ("<html>", "not a JSON object"),
        (r#"{"instanceId":1}"#, "instanceId is not a string"),
        (
            r#"{"billingProducts":"x"}"#,
            "billingProducts is not a list of strings",
        ),
        (
            r#"{"billingProducts":[1]}"#,
            "billingProducts is not a list of strings",
        ),
        (
            r#"{"billingProducts":[["x"]]}"#,
            "billingProducts is not a list of strings",
        ),
        (
            r#"{"billingProducts":[{"x":"y"}]}"#,
            "billingProducts is not a list of strings",
        ),
    ] {
        let failure = failure(ready(answering(body).instance.identity_document()));
        assert_eq!(failure.reason, Reason::InvalidResponse);
        assert!(failure.message.contains(named), "{failure}");
    }
    let mut world = World::playing([token("t1", 60), status(404)]);
    assert_eq!(
        failure(ready(world.instance.identity_document())).reason,
        Reason::NotFound
    );
}

#[test]
fn iam_info_has_all_its_fields() {
    let body = r#"{
  "Code" : "Success",
  "LastUpdated" : "2016-03-17T12:27:32Z",
  "InstanceProfileArn" : "arn:aws:iam::123456789012:instance-profile/my-instance-profile",
  "InstanceProfileId" : "AIPAABCDEFGHIJKLMN123"
}"#;
    let mut world = answering(body);
    assert_eq!(
        ready(world.instance.iam_info()).unwrap(),
        IamInfo {
            code: "Success".into(),
            last_updated: "2016-03-17T12:27:32Z".into(),
            instance_profile_arn: "arn:aws:iam::123456789012:instance-profile/my-instance-profile"
                .into(),
            instance_profile_id: "AIPAABCDEFGHIJKLMN123".into(),
        }
    );
    assert_eq!(
        world.imds.requests()[1],
        "GET /latest/meta-data/iam/info t1"
    );
}

#[test]
fn iam_info_with_another_code_is_a_refusal() {
    let failed = failure(ready(
        answering(r#"{"Code":"Failed","Message":"why"}"#)
            .instance
            .iam_info(),
    ));
    assert_eq!(
        (failed.reason, failed.code.as_deref()),
        (Reason::Refused, Some("Failed"))
    );
    assert!(failed.message.contains("why"), "{failed}");
    let failed = failure(ready(answering("{}").instance.iam_info()));
    assert_eq!(
        (failed.reason, failed.code.as_deref()),
        (Reason::Refused, Some(""))
    );
}
