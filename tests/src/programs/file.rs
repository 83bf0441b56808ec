//! The file of a program.

use std::fmt;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

/// A program, as its file in `tests/programs` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// The name of the file, without its extension.
    #[serde(skip)]
    pub name: String,
    /// What it is, in a phrase.
    pub about: String,
    /// The language that it is written in.
    pub language: String,
    /// What kind of program it is.
    pub kind: Kind,
    /// The program whose earlier version this is.
    #[serde(default)]
    pub version_of: Option<String>,
    /// The version of the program, if it comes in a package of another name.
    #[serde(default)]
    pub version: Option<String>,
    /// Why `--all` does not measure it.
    #[serde(default)]
    pub not_measured: Option<String>,
    /// The packages to install.
    pub install: Install,
    /// What makes it use IMDS.
    #[serde(rename = "use")]
    pub usage: Use,
}

/// What kind of program it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An SDK for AWS, or its client of IMDS.
    Sdk,
    /// A library that reads IMDS.
    Library,
    /// A telemetry library that finds out where it runs.
    Detector,
    /// An agent on the instance.
    Agent,
    /// A client of object storage.
    Storage,
    /// A database or an engine for queries.
    Database,
    /// A backup program.
    Backup,
    /// A tool for infrastructure.
    Infrastructure,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sdk => "SDK",
            Self::Library => "library",
            Self::Detector => "detector",
            Self::Agent => "agent",
            Self::Storage => "storage",
            Self::Database => "database",
            Self::Backup => "backup",
            Self::Infrastructure => "infrastructure",
        })
    }
}

/// How a program finds IMDS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Finds {
    /// The address is compiled in.
    #[serde(rename = "compiled in")]
    CompiledIn,
    /// The address is compiled in, and `AWS_EC2_METADATA_SERVICE_ENDPOINT` replaces it.
    #[serde(rename = "variable")]
    Variable,
    /// The address is compiled in, and an option of the program replaces it.
    #[serde(rename = "option")]
    Option,
}

impl fmt::Display for Finds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CompiledIn => "compiled in",
            Self::Variable => "variable",
            Self::Option => "option",
        })
    }
}

/// The packages to install, with their versions.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Install {
    /// Packages of PyPI, such as `s3cmd==2.4.0`, for a virtual environment.
    pub pypi: Vec<String>,
    /// Packages of npm, such as `minio@8.0.7`.
    pub npm: Vec<String>,
    /// Packages of Debian, in the version that the system's Debian has. They are unpacked, not
    /// installed, so dependencies that the system lacks are named too.
    pub debian: Vec<String>,
    /// Programs of crates.io, such as `afterburn@5.10.0`, which are compiled.
    pub crates: Vec<String>,
    /// Packages of RubyGems, such as `fog-aws:3.33.0`.
    pub gem: Vec<String>,
}

impl Install {
    /// Whether `packages`, which were installed with their versions, are the packages named here.
    /// Debian's packages have no version here, so any version will do.
    pub fn gave(&self, packages: &[String]) -> bool {
        let pinned = [&self.pypi, &self.npm, &self.crates, &self.gem];
        let pinned: Vec<&String> = pinned.into_iter().flatten().collect();
        let unversioned = |package: &'_ String| {
            let name = package.split(' ').next();
            name.unwrap_or_default().to_owned()
        };
        packages.len() == pinned.len() + self.debian.len()
            && packages
                .iter()
                .zip(&pinned)
                .all(|(one, other)| one == *other)
            && packages
                .iter()
                .skip(pinned.len())
                .map(unversioned)
                .eq(self.debian.iter().cloned())
    }
}

/// What makes a program use IMDS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Use {
    /// How the program finds IMDS, by its documentation and source. This is not measured.
    pub finds: Finds,
    /// A script for `sh -c`. `PATH` leads to the packages, `ROOT` is the folder that they are in, and
    /// `HOME` is an empty folder.
    pub script: String,
    /// A script that uses IMDS, writes the line `again`, waits for a line, and uses IMDS once more in
    /// the same process. Only libraries and programs that stay have one.
    #[serde(default)]
    pub again: Option<String>,
    /// A path that the program requests.
    pub asks: String,
    /// Whether the script succeeds if IMDS does. It need not if it goes on to use what is not there,
    /// such as a bucket.
    #[serde(default = "yes")]
    pub succeeds: bool,
    /// Whether the program must be root.
    #[serde(default)]
    pub root: bool,
    /// Settings of the emulator, such as `instance.life-cycle="spot"`.
    #[serde(default)]
    pub set: Vec<String>,
    /// The time in seconds after which the script is stopped in each situation. A file sets it for a
    /// server, and for a program that tries to reach its service again for longer than the default.
    #[serde(default = "three_minutes")]
    pub limit: u64,
}

const fn yes() -> bool {
    true
}

/// The limit of a script whose file sets none, in seconds.
pub(super) const fn three_minutes() -> u64 {
    180
}

/// A file that does not describe a program.
#[derive(Debug)]
pub struct FileError {
    file: PathBuf,
    what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what.trim_end())
    }
}

impl std::error::Error for FileError {}

/// Reads the file of a program.
///
/// # Errors
///
/// [`FileError`] if the text does not describe a program.
pub fn parse(file: &Path, text: &str) -> Result<Program, FileError> {
    let wrong = |what: String| FileError {
        file: file.to_owned(),
        what,
    };
    let mut program: Program = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    program.name = name.into_owned();
    if program.install == Install::default() {
        return Err(wrong(
            "`install` is empty; name a package under pypi, npm, debian, crates or gem".into(),
        ));
    }
    if program.usage.limit == 0 {
        return Err(wrong(
            "`use.limit` is 0; the script needs at least 1 second".into(),
        ));
    }
    if !program.usage.asks.starts_with('/') {
        return Err(wrong(format!(
            "`use.asks` is {:?}; a path begins with a slash",
            program.usage.asks
        )));
    }
    Ok(program)
}

/// The built-in programs, by name.
///
/// # Errors
///
/// Never, if the tests of this crate pass.
pub fn built_in() -> Result<Vec<Program>, FileError> {
    let files = PROGRAMS.files();
    let texts = files.map(|file| (file.path(), file.contents_utf8().unwrap_or_default()));
    all(texts)
}

static PROGRAMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/programs");

/// Reads all programs of a folder, by name.
///
/// # Errors
///
/// [`FileError`] if the folder cannot be read, or if a file does not describe a program.
pub fn folder(folder: &Path) -> Result<Vec<Program>, FileError> {
    let unreadable = |file: &Path, error: std::io::Error| FileError {
        file: file.to_owned(),
        what: error.to_string(),
    };
    let mut texts = Vec::new();
    for entry in folder
        .read_dir()
        .map_err(|error| unreadable(folder, error))?
    {
        let file = entry.map_err(|error| unreadable(folder, error))?.path();
        if file.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, error))?;
            texts.push((file, text));
        }
    }
    all(texts
        .iter()
        .map(|(file, text)| (file.as_path(), text.as_str())))
}

fn all<'a>(files: impl Iterator<Item = (&'a Path, &'a str)>) -> Result<Vec<Program>, FileError> {
    let mut programs = Vec::new();
    for (file, text) in files {
        programs.push((file, parse(file, text)?));
    }
    programs.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    for (file, program) in &programs {
        let Some(newer) = &program.version_of else {
            continue;
        };
        if !programs.iter().any(|(_, other)| other.name == *newer) {
            return Err(FileError {
                file: file.to_path_buf(),
                what: format!("`version-of` is {newer:?}, which has no file"),
            });
        }
    }
    Ok(programs.into_iter().map(|(_, program)| program).collect())
}
