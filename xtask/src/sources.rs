//! Lists and copies the sources.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::line;

/// Copies the files that git knows of `workspace`, in their present state, and new ones into the new folder `to`.
pub(crate) fn copy(workspace: &Path, to: &Path) -> Result<()> {
    for name in tracked(workspace)? {
        copy_file(&workspace.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// The files of `workspace` that git tracks, or would offer to track.
pub(crate) fn tracked(workspace: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(workspace);
    let output = git
        .output()
        .context("cannot run git, which lists the sources")?;
    if !output.status.success() {
        bail!(
            "`{}` failed in {}: {} This needs a clone of the repository.",
            line(&git),
            workspace.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let names = std::str::from_utf8(&output.stdout)?.split_terminator('\0');
    // Git still lists a file that was deleted without `git rm`.
    Ok(names
        .filter(|name| workspace.join(name).is_file())
        .map(str::to_owned)
        .collect())
}

/// Copies a file, and creates the folder that it goes to.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Lets everybody execute a file.
pub(crate) fn make_executable(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot change the permissions of {}", file.display()))?;
    Ok(())
}

/// Whether its owner may execute a file.
pub(crate) fn is_executable(file: &Path) -> Result<bool> {
    let metadata = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(metadata.permissions().mode() & 0o100 != 0)
}

/// The files in a folder and in its subfolders, sorted, as paths relative to the folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    list(folder, "", &mut found)
        .with_context(|| format!("cannot list the folder {}", folder.display()))?;
    found.sort_unstable();
    Ok(found)
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}
