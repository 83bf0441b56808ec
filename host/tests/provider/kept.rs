//! Credentials on disk.

use chrono::TimeDelta;
use ec2_role_host::Event;

use crate::support::{Virtual, broken, builder, emulator};

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_kept_outlive_the_process() {
    use std::os::unix::fs::PermissionsExt as _;

    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    // As after a start of the process.
    let fresh = async |role: Option<&str>| {
        let builder = builder(&imds, &clock).attempts(1).keep_credentials(&kept);
        let builder = match role {
            Some(role) => builder.role_name(role),
            None => builder,
        };
        builder.build().await.unwrap()
    };
    let first = fresh(None).await.credentials().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().collect();
    let [file] = files.try_into().unwrap();
    let mode = file.unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let outage = imds.fault(broken()).unwrap();
    clock.advance(TimeDelta::hours(2));
    let provider = fresh(None).await;
    let mut events = provider.subscribe();
    let held = provider.credentials().await.unwrap();
    assert_eq!(held.access_key_id(), first.access_key_id());
    assert_eq!(held.secret_access_key(), first.secret_access_key());
    assert_eq!(held.session_token(), first.session_token());
    assert_eq!(held.expires(), Some(clock.now() + TimeDelta::hours(1)));
    assert!(matches!(
        events.next().await,
        Some(Event::FailingSince { .. })
    ));
    assert!(matches!(events.next().await, Some(Event::Extended { .. })));
    // Another role's are not these.
    assert!(fresh(Some("another")).await.credentials().await.is_err());
    // IMDS is asked again soon, and answers.
    outage.heal();
    clock.advance(TimeDelta::seconds(31));
    let second = provider.credentials().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());
    let end = provider.status().document_expires.unwrap();

    // What was rejected is not kept, nor what IMDS says there is not, nor what has ended.
    let outage = imds.fault(broken()).unwrap();
    fresh(None)
        .await
        .reject(first.access_key_id())
        .await
        .unwrap();
    assert!(fresh(None).await.credentials().await.is_ok());
    outage.heal();
    let role = imds.config().instance.iam;
    imds.change(|config| config.instance.iam = None).unwrap();
    let error = fresh(None).await.credentials().await.unwrap_err();
    assert!(error.is_no_role(), "{error:?}");
    imds.change(|config| config.instance.iam = role).unwrap();
    let _outage = imds.fault(broken()).unwrap();
    clock.advance(end - clock.now() - TimeDelta::seconds(1));
    assert!(fresh(None).await.credentials().await.is_ok());
    clock.advance(TimeDelta::seconds(1));
    assert!(fresh(None).await.credentials().await.is_err());
}
