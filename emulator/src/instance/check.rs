//! Checks of an instance as a whole.

use super::{Instance, MetadataOptions, Switch};
use crate::value::{Checks, Invalid, Key, is_name};

impl Instance {
    pub(crate) fn check(&self, options: &MetadataOptions, key: &Key) -> Result<(), Invalid> {
        let id = |name: &str, prefix: &str, value: &str| {
            key.field(name).unless(
                is_resource(value, prefix),
                value,
                format_args!("{prefix} and {HEX}"),
            )
        };
        let mut checks = Checks::default();
        checks.add(id("instance-id", "i-", &self.instance_id));
        checks.add(id("image-id", "ami-", &self.image_id));
        checks.add(id("reservation-id", "r-", &self.reservation_id));
        let ancestors = self.ancestor_ami_ids.iter();
        checks.extend(ancestors.map(|ami| id("ancestor-ami-ids", "ami-", ami)));
        for (name, prefix, value) in [
            ("kernel-id", "aki-", &self.kernel_id),
            ("ramdisk-id", "ari-", &self.ramdisk_id),
        ] {
            if let Some(value) = value {
                checks.add(id(name, prefix, value));
            }
        }
        checks.add(key.field("account-id").unless(
            self.account_id.len() == 12
                && self.account_id.bytes().all(|byte| byte.is_ascii_digit()),
            &self.account_id,
            "12 digits",
        ));
        let (family, size) = self.instance_type.split_once('.').unwrap_or_default();
        checks.add(key.field("instance-type").unless(
            is_name(family, "-") && is_name(size, "-"),
            &self.instance_type,
            "a family and a size, like t3.micro",
        ));
        for (name, value) in [
            ("ami-manifest-path", &self.ami_manifest_path),
            ("profile", &self.profile),
        ] {
            checks.add(key.field(name).line(value));
        }
        for (name, values) in [
            ("product-codes", &self.product_codes),
            ("billing-products", &self.billing_products),
        ] {
            let values = values.iter().enumerate();
            checks.extend(values.map(|(at, value)| key.field(name).item(at).line(value)));
        }
        checks.add(self.placement.check(&key.field("placement")));
        checks.add(self.check_network(key));
        checks.add(self.block_devices.check(&key.field("block-devices")));
        for (at, public_key) in self.public_keys.iter().enumerate() {
            checks.add(public_key.check(&key.field("public-keys").item(at)));
        }
        if let Some(keys) = &self.managed_ssh_keys {
            checks.add(keys.check(&key.field("managed-ssh-keys")));
        }
        checks.add(self.check_tags(options, &key.field("tags")));
        if let Some(user_data) = &self.user_data {
            checks.add(user_data.check(&key.field("user-data")));
        }
        checks.add(self.signatures.check(&key.field("signatures")));
        if let Some(iam) = &self.iam {
            checks.add(iam.check(&key.field("iam")));
        }
        checks.result()
    }

    /// Checks the tags: their limits `[I38]`, and the characters of their keys if they are part of
    /// the metadata.
    fn check_tags(&self, options: &MetadataOptions, key: &Key) -> Result<(), Invalid> {
        let option = Key::root("metadata-options").field("InstanceMetadataTags");
        let is_enabled = options.instance_metadata_tags == Switch::Enabled;
        let mut checks = Checks::default();
        for (name, value) in &self.tags {
            let is_text = |text: &str| !text.chars().any(char::is_control);
            checks.add(key.name(name).unless(
                (1..=128).contains(&name.chars().count()) && is_text(name),
                name,
                "a key of 1 to 128 characters without control characters",
            ));
            checks.add(key.name(name).compared_with(&option).unless(
                !is_enabled
                    || is_name(name, "+-=._:,@") && !matches!(name.as_str(), "." | ".." | "_index"),
                name,
                "a key of letters, digits and + - = . _ : , @ that is not ., .. or _index; any \
                 other key only with metadata-options.InstanceMetadataTags = \"disabled\"",
            ));
            checks.add(key.name(name).unless(
                value.chars().count() <= 256 && is_text(value),
                value,
                "a value of at most 256 characters without control characters",
            ));
        }
        checks.result()
    }
}

pub(super) const HEX: &str = "8 or 17 hexadecimal digits in lower case";

/// Whether `value` is an ID in the format of AWS.
pub(super) fn is_resource(value: &str, prefix: &str) -> bool {
    value.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}
