//! The public API of the libraries, compared with the golden files in `tests/golden/api`.
//!
//! rustdoc describes an API as JSON behind an unstable option. This program runs in place of rustdoc
//! to set `RUSTC_BOOTSTRAP` for rustdoc alone: if cargo saw the variable, it would rebuild every
//! crate whose build script looks at it.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{cargo, must};

/// The package of each library, and its name in Rust.
const LIBRARIES: [(&str, &str); 4] = [
    ("ec2-role-component", "ec2_role_component"),
    ("ec2-role-guest", "ec2_role_guest"),
    ("ec2-role-host", "ec2_role_host"),
    ("imds-emulator", "imds_emulator"),
];

/// Tells this program that cargo runs it in place of rustdoc.
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Rewrite the golden files instead of comparing with them.
    #[arg(long)]
    pub(crate) bless: bool,
}

/// Runs rustdoc, if cargo calls this program for that.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    env::var_os(AS_RUSTDOC)?;
    let status = Command::new("rustdoc")
        .args(env::args_os().skip(1))
        .env("RUSTC_BOOTSTRAP", "1")
        .status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cannot run rustdoc: {error}");
            ExitCode::FAILURE
        }
    })
}

pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    describe(workspace, target)?;
    let mut changed = Vec::new();
    for (package, library) in LIBRARIES {
        let api = public_api(target, library)?;
        let golden = format!("tests/golden/api/{package}.txt");
        let path = workspace.join(&golden);
        let known = fs::read_to_string(&path).unwrap_or_default();
        if known == api {
            continue;
        }
        if options.bless {
            fs::create_dir_all(path.parent().context("the golden file has no folder")?)?;
            fs::write(&path, &api)?;
            println!("wrote {golden}");
            continue;
        }
        println!("{golden}:");
        for line in known.lines().filter(|line| !has_line(&api, line)) {
            println!("-{line}");
        }
        for line in api.lines().filter(|line| !has_line(&known, line)) {
            println!("+{line}");
        }
        changed.push(package);
    }
    if changed.is_empty() {
        return Ok(());
    }
    bail!(
        "the public API of {} has changed; if that is intended, run `cargo xtask bless api`",
        changed.join(", ")
    )
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

/// Lets rustdoc describe all libraries. The whole workspace is selected, with the dependencies of its
/// tests, so that this shares what `cargo clippy` and `cargo doc` have compiled in `.ci/run`.
fn describe(workspace: &Path, target: &Path) -> Result<()> {
    let mut command = cargo();
    command
        .current_dir(workspace)
        .args(["doc", "--quiet", "--locked", "--no-deps", "--workspace"])
        .args(["--lib", "--example", "compose", "--target-dir"])
        .arg(target)
        .env("RUSTDOC", env::current_exe()?)
        .env(
            "RUSTDOCFLAGS",
            "-Z unstable-options --output-format json --cap-lints allow",
        )
        .env(AS_RUSTDOC, "1");
    must(&mut command)
}

/// Every public item, one a line. Blanket, automatic and derived implementations are omitted.
fn public_api(target: &Path, library: &str) -> Result<String> {
    let json = target.join("doc").join(format!("{library}.json"));
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()?;
    Ok(format!("{api}"))
}
