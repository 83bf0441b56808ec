//! The identity document and the document about the instance profile.

use ec2_role_component::error::{Reason, Step};
use serde_json::Value;

use super::json::Fields;
use super::world::{World, failure, is_invalid, ready};

/// The instance identity document, and the region in it.
pub fn identity_document(bytes: &[u8]) {
    let mut world = World::giving(bytes);
    let outcome = ready(world.instance.identity_document());
    let region = ready(world.instance.region());
    match (&outcome, region) {
        (Ok(document), Ok(region)) => assert_eq!(document.region, region),
        (Ok(document), Err(error)) => {
            assert!(document.region.is_empty());
            is_invalid(Err::<(), _>(error));
        }
        (Err(error), region) => assert_eq!(region.as_ref().unwrap_err(), error),
    }
    let Some(fields) = Fields::read(bytes) else {
        if outcome.is_err() {
            is_invalid(outcome);
        }
        return;
    };
    let texts = [
        "accountId",
        "architecture",
        "availabilityZone",
        "imageId",
        "instanceId",
        "instanceType",
        "kernelId",
        "pendingTime",
        "privateIp",
        "ramdiskId",
        "region",
        "version",
    ];
    let lists = [
        "billingProducts",
        "devpayProductCodes",
        "marketplaceProductCodes",
    ];
    let are_right = texts
        .iter()
        .all(|name| matches!(fields.get(name), None | Some(Value::String(_))))
        && lists
            .iter()
            .all(|name| fields.get(name).is_none() || fields.list(name).is_some());
    if !are_right {
        return is_invalid(outcome);
    }
    let document = outcome.unwrap();
    let kernel = document.kernel_id.unwrap_or_default();
    let ramdisk = document.ramdisk_id.unwrap_or_default();
    let read = [
        document.account_id,
        document.architecture,
        document.availability_zone,
        document.image_id,
        document.instance_id,
        document.instance_type,
        kernel,
        document.pending_time,
        document.private_ip,
        ramdisk,
        document.region,
        document.version,
    ];
    assert_eq!(
        read,
        texts.map(|name| fields.text(name).unwrap_or_default())
    );
    let read = [
        document.billing_products,
        document.devpay_product_codes,
        document.marketplace_product_codes,
    ];
    assert_eq!(
        read,
        lists.map(|name| fields.list(name).unwrap_or_default())
    );
}

/// The document about the instance profile.
pub fn iam_info(bytes: &[u8]) {
    let outcome = ready(World::giving(bytes).instance.iam_info());
    if let Ok(info) = &outcome {
        assert!(info.code.eq_ignore_ascii_case("success"));
    }
    let Some(fields) = Fields::read(bytes) else {
        return;
    };
    let names = [
        "Code",
        "LastUpdated",
        "InstanceProfileArn",
        "InstanceProfileId",
        "Message",
    ];
    if !names
        .iter()
        .all(|name| matches!(fields.get(name), None | Some(Value::String(_))))
    {
        return is_invalid(outcome);
    }
    let [code, updated, arn, id, _] = names.map(|name| fields.text(name).unwrap_or_default());
    if !code.eq_ignore_ascii_case("success") {
        let failure = failure(outcome);
        assert_eq!(
            (failure.step, failure.reason),
            (Step::Metadata, Reason::Refused)
        );
        assert_eq!(failure.code, Some(code));
        return;
    }
    let info = outcome.unwrap();
    let read = [
        info.code,
        info.last_updated,
        info.instance_profile_arn,
        info.instance_profile_id,
    ];
    assert_eq!(read, [code, updated, arn, id]);
}
