//! The metadata tree.

use ec2_role_host::Step;

use crate::support::{TOKENS, Virtual, builder, count, emulator};

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_tree_is_there_too() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    imds.change(|config| {
        let user_data = imds_emulator::config::Content::Text("#!/bin/sh\n".into());
        config.instance.user_data = Some(user_data);
        config.instance.detailed_monitoring = true;
    })
    .unwrap();
    let provider = builder(&imds, &clock).build().await.unwrap();
    let metadata = provider.metadata();
    assert_eq!(metadata.get("instance-type").await.unwrap(), "t3.micro");
    let monitoring = metadata.dynamic_data("fws/instance-monitoring").await;
    assert_eq!(monitoring.unwrap(), "enabled");
    assert_eq!(metadata.user_data().await.unwrap(), b"#!/bin/sh\n");
    assert_eq!(metadata.region().await.unwrap(), "us-east-1");
    let document = metadata.identity_document().await.unwrap();
    assert_eq!(document.instance_type, "t3.micro");
    assert_eq!(document.region, "us-east-1");
    let info = metadata.iam_info().await.unwrap();
    assert_eq!(info.code, "Success");
    assert!(info.instance_profile_arn.contains(":instance-profile/"));
    let error = metadata.get("nothing/here").await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(
        (error.status(), error.step()),
        (Some(404), Some(Step::Metadata))
    );
    assert_eq!(count(&imds, TOKENS), 1);
}
