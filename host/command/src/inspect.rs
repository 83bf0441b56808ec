//! `inspect`: describes the component without running it.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ec2_role_host::COMPONENT;
use ec2_role_host::inspect::Inspection;

use crate::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials inspect
  ec2-role-credentials inspect --json --component another.wasm")]
pub(crate) struct Arguments {
    /// Inspect the component in FILE in place of the built-in one
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        let inspection = match &self.component {
            Some(file) => {
                let component = std::fs::read(file)
                    .with_context(|| format!("cannot read the component {}", file.display()))?;
                Inspection::new(&component)
                    .with_context(|| format!("cannot inspect {}", file.display()))?
            }
            None => Inspection::new(COMPONENT)?,
        };
        let text = match self.json {
            true => serde_json::to_string_pretty(&inspection)? + "\n",
            false => text(&inspection),
        };
        crate::print(text.as_bytes())
    }
}

fn text(inspection: &Inspection) -> String {
    let mut text = String::new();
    for (title, interfaces) in [
        ("imports", &inspection.imports),
        ("exports", &inspection.exports),
    ] {
        let _ = writeln!(text, "{title}");
        for interface in interfaces {
            let _ = writeln!(text, "  {interface}");
        }
    }
    let _ = writeln!(text, "size     {} bytes", inspection.size);
    let _ = writeln!(text, "sha256   {}", inspection.sha256);
    text
}
