//! Compiled components on disk: what is taken from there, and what is not.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(unix)]

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ec2_role_host::inspect::Inspection;
use ec2_role_host::{COMPONENT, Ec2RoleProvider, Environment, Error};
use tempfile::TempDir;

/// A component that fits no sandbox.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fn build(component: &[u8], folder: &Path) -> Result<Ec2RoleProvider, Error> {
    Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .component(component)
        .compiled_cache(folder)
        .build_blocking()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// A folder with the built-in component, and the path of its entry.
fn filled() -> (TempDir, PathBuf) {
    // Compiled once for all tests, which takes a while without optimisation.
    static ENTRY: LazyLock<(OsString, Vec<u8>)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        build(COMPONENT, folder.path()).unwrap();
        let entry = entries(folder.path()).remove(0);
        (
            entry.file_name().unwrap().to_owned(),
            fs::read(entry).unwrap(),
        )
    });

    let (name, content) = &*ENTRY;
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join(name);
    fs::write(&entry, content).unwrap();
    fs::set_permissions(&entry, Permissions::from_mode(0o600)).unwrap();
    (folder, entry)
}

/// Puts the built-in component's entry in the place of the empty component's: who takes it can use
/// what could not be used.
fn swap(folder: &Path, entry: &Path) -> PathBuf {
    let name = entry.file_name().unwrap().to_str().unwrap();
    let (_, engine) = name.split_once('-').unwrap();
    let sha256 = Inspection::new(EMPTY).unwrap().sha256;
    let swapped = folder.join(format!("{sha256}-{engine}"));
    fs::copy(entry, &swapped).unwrap();
    swapped
}

#[test]
fn what_was_compiled_once_is_taken_from_the_folder() {
    let (folder, entry) = filled();
    let metadata = fs::metadata(&entry).unwrap();
    build(COMPONENT, folder.path()).unwrap();
    assert_eq!(fs::metadata(&entry).unwrap().ino(), metadata.ino());

    assert!(build(EMPTY, tempfile::tempdir().unwrap().path()).is_err());
    swap(folder.path(), &entry);
    assert!(build(EMPTY, folder.path()).is_ok(), "it was not taken");
}

#[test]
fn the_folder_is_made_for_this_user_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    build(COMPONENT, &folder).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let [entry] = entries(&folder).try_into().unwrap();
    assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_is_damaged_is_ignored_and_made_again() {
    let (folder, entry) = filled();
    let whole = fs::read(&entry).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    if let Some(byte) = flipped.get_mut(middle) {
        *byte ^= 1;
    }
    for damaged in [
        b"".as_slice(),
        b"garbage",
        whole.get(..middle).unwrap(),
        &flipped,
    ] {
        fs::write(&entry, damaged).unwrap();
        build(COMPONENT, folder.path()).unwrap();
        assert!(fs::read(&entry).unwrap() == whole, "it was not made again");
    }
}

#[test]
fn what_others_may_write_is_ignored() {
    for mode in [0o620, 0o602] {
        let (folder, entry) = filled();
        let swapped = swap(folder.path(), &entry);
        fs::set_permissions(&swapped, Permissions::from_mode(mode)).unwrap();
        assert!(build(EMPTY, folder.path()).is_err(), "{mode:o} was taken");
    }
    for mode in [0o720, 0o702, 0o1777] {
        let (folder, entry) = filled();
        let swapped = swap(folder.path(), &entry);
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        assert!(build(EMPTY, folder.path()).is_err(), "{mode:o} was taken");
        // And nothing is written there either.
        fs::remove_file(&swapped).unwrap();
        let _ = build(EMPTY, folder.path());
        assert!(!swapped.exists());
    }
}

#[test]
fn what_belongs_to_another_user_is_ignored() {
    const NOBODY: u32 = 65_534;
    let (folder, entry) = filled();
    let swapped = swap(folder.path(), &entry);
    if chown(&swapped, Some(NOBODY), None).is_err() {
        // That is for root alone.
        return;
    }
    assert!(build(EMPTY, folder.path()).is_err(), "the entry was taken");

    let (folder, entry) = filled();
    swap(folder.path(), &entry);
    chown(folder.path(), Some(NOBODY), None).unwrap();
    assert!(build(EMPTY, folder.path()).is_err(), "the folder was taken");
}

#[test]
fn links_are_not_followed() {
    let (folder, entry) = filled();
    let swapped = swap(folder.path(), &entry);
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("entry");
    fs::rename(&swapped, &target).unwrap();
    symlink(&target, &swapped).unwrap();
    assert!(build(EMPTY, folder.path()).is_err(), "the entry was taken");

    let (folder, entry) = filled();
    swap(folder.path(), &entry);
    let link = elsewhere.path().join("folder");
    symlink(folder.path(), &link).unwrap();
    assert!(build(EMPTY, &link).is_err(), "the folder was taken");
}

#[test]
fn where_there_can_be_no_folder_it_goes_without() {
    let file = tempfile::NamedTempFile::new().unwrap();
    build(COMPONENT, file.path()).unwrap();
    build(COMPONENT, &file.path().join("below")).unwrap();
}

#[test]
fn what_is_old_is_removed() {
    let (folder, entry) = filled();
    let old = folder.path().join("0000-0000.cwasm");
    let stranger = folder.path().join("stranger");
    for path in [&old, &stranger] {
        fs::write(path, "x").unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        let year = std::time::Duration::from_secs(365 * 24 * 3600);
        file.set_modified(std::time::SystemTime::now() - year)
            .unwrap();
    }
    fs::remove_file(&entry).unwrap();
    build(COMPONENT, folder.path()).unwrap();
    assert!(entry.exists() && stranger.exists() && !old.exists());
}
