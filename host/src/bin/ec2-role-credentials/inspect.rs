//! `inspect`: what the component is, without running it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use ec2_role_host::COMPONENT;
use ec2_role_host::inspect::Inspection;

use crate::source::read;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look at this component in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let inspection = match &arguments.component {
        Some(file) => Inspection::new(&read(file)?)?,
        None => Inspection::new(COMPONENT)?,
    };
    let mut text = String::new();
    for (title, interfaces) in [
        ("imports", &inspection.imports),
        ("exports", &inspection.exports),
    ] {
        writeln!(text, "{title}")?;
        for interface in interfaces {
            writeln!(text, "  {interface}")?;
        }
    }
    writeln!(text, "size     {} bytes", inspection.size)?;
    writeln!(text, "sha256   {}", inspection.sha256)?;
    Ok(text)
}
