//! Copies of the sources, for what must not be done in place.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Result, line};

/// Copies what git has of `workspace`, as it is now and with new files, into the new folder `to`.
pub(crate) fn copy(workspace: &Path, to: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(workspace);
    let output = git
        .output()
        .map_err(|error| format!("git cannot be run, which lists the sources: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{}` failed in {}: {} This needs a clone of the repository.",
            line(&git),
            workspace.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        )
        .into());
    }
    for name in std::str::from_utf8(&output.stdout)?.split_terminator('\0') {
        let (from, to) = (workspace.join(name), to.join(name));
        // Deleted, but not yet for git.
        if from.is_file() {
            copy_file(&from, &to)?;
        }
    }
    Ok(())
}

/// Copies one file, into a folder that it makes.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::copy(from, to).map_err(|error| {
        format!(
            "{} cannot be copied to {}: {error}",
            from.display(),
            to.display()
        )
    })?;
    Ok(())
}

/// The files in a folder and its folders, sorted, as paths from there.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    list(folder, "", &mut found).map_err(|error| format!("{}: {error}", folder.display()))?;
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
