//! The built-in scenarios, and scenarios in a folder.

use std::fs;
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::{FolderError, Scenario, ScenarioError};

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// The template that `new` writes.
pub const TEMPLATE: &str = include_str!("template.toml");

/// The built-in scenarios, in the order of their ids.
///
/// # Errors
///
/// Never, if the tests of this crate pass.
pub fn built_in() -> Result<Vec<Scenario>, ScenarioError> {
    let mut scenarios = SCENARIOS
        .dirs()
        .flat_map(Dir::files)
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|ending| ending == "toml")
        })
        .map(|file| {
            let id = file.path().with_extension("");
            let text = file.contents_utf8().unwrap_or_default();
            Scenario::parse(&id.to_string_lossy(), text)
        })
        .collect::<Result<Vec<_>, _>>()?;
    scenarios.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(scenarios)
}

/// The scenarios in the files `NAME.toml` of a folder and its subfolders, or in one file. The group of a
/// scenario is the name of the folder that contains it.
///
/// # Errors
///
/// [`FolderError`] if a file cannot be read or is invalid.
pub fn folder(path: &Path) -> Result<Vec<Scenario>, FolderError> {
    let cannot = |path: &Path, source: Box<dyn std::error::Error + Send + Sync>| FolderError {
        path: path.to_owned(),
        source,
    };
    if path.is_file() {
        return Ok(vec![file(path)?]);
    }
    let mut scenarios = Vec::new();
    let entries = fs::read_dir(path).map_err(|error| cannot(path, error.into()))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot(path, error.into()))?.path();
        if entry.is_dir() {
            scenarios.extend(folder(&entry)?);
        } else if entry.extension().is_some_and(|ending| ending == "toml") {
            scenarios.push(file(&entry)?);
        }
    }
    scenarios.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(scenarios)
}

fn file(path: &Path) -> Result<Scenario, FolderError> {
    let cannot = |source: Box<dyn std::error::Error + Send + Sync>| FolderError {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(|error| cannot(error.into()))?;
    let name = |part: Option<&std::ffi::OsStr>| {
        part.map_or_else(|| "own".into(), |part| part.to_string_lossy().into_owned())
    };
    let absolute = std::path::absolute(path).map_err(|error| cannot(error.into()))?;
    let group = name(absolute.parent().and_then(Path::file_name));
    let id = format!("{group}/{}", name(path.file_stem()));
    Scenario::parse(&id, &text).map_err(|error| cannot(error.into()))
}
