//! What identifies this instance, as far as the system tells it without a request to IMDS.

use std::fs;
use std::path::Path;

/// Where an instance of the Nitro system has its instance ID. Every user can read it.
const BOARD_ASSET_TAG: &str = "sys/class/dmi/id/board_asset_tag";

/// Where an instance of the Xen system has a UUID, which begins with `ec2`.
const HYPERVISOR_UUID: &str = "sys/hypervisor/uuid";

/// A random UUID, which Linux draws at each boot.
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// What no other instance has: the instance ID, or what Xen has in its place, or else the boot ID. `None`
/// if the system tells none of them.
pub(crate) fn local() -> Option<String> {
    read(Path::new("/"))
}

fn read(root: &Path) -> Option<String> {
    let line = |file: &str| {
        let content = fs::read_to_string(root.join(file)).ok()?;
        let line = content.trim();
        (!line.is_empty()).then(|| line.to_ascii_lowercase())
    };
    let is_instance_id = |tag: &String| {
        tag.strip_prefix("i-")
            .is_some_and(|id| id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    line(BOARD_ASSET_TAG)
        .filter(is_instance_id)
        .or_else(|| line(HYPERVISOR_UUID).filter(|uuid| uuid.starts_with("ec2")))
        .or_else(|| line(BOOT_ID).map(|id| format!("boot {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_id_precedes_the_boot_id() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, content: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        };
        assert_eq!(read(root.path()), None);
        write(BOOT_ID, "9b3658c6-4b05-464e-afca-c12d7512ecd6\n");
        let boot = Some("boot 9b3658c6-4b05-464e-afca-c12d7512ecd6".to_owned());
        assert_eq!(read(root.path()), boot);
        // Of machines that are no instances.
        write(BOARD_ASSET_TAG, "To be filled by O.E.M.\n");
        write(HYPERVISOR_UUID, "\n");
        assert_eq!(read(root.path()), boot);
        write(HYPERVISOR_UUID, "ec2e1916-9099-7caf-fd21-012345abcdef\n");
        assert_eq!(
            read(root.path()).unwrap(),
            "ec2e1916-9099-7caf-fd21-012345abcdef"
        );
        write(BOARD_ASSET_TAG, "i-0123456789abcdef0\n");
        assert_eq!(read(root.path()).unwrap(), "i-0123456789abcdef0");
    }
}
