//! The atlas for a terminal.

use std::fmt::Write as _;

use super::Atlas;
use super::words::{facts, title};

/// What each program did, one after the other.
pub fn text(atlas: &Atlas) -> String {
    let mut text = String::new();
    for program in &atlas.programs {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a string never fails.
        let _ = writeln!(text, "{}: {}", title(program), program.speaks);
        for (name, value) in facts(program) {
            let _ = writeln!(text, "  {name:<24} {value}");
        }
        for (at, path) in program.cold.paths.iter().enumerate() {
            let name = if at == 0 { "paths" } else { "" };
            let _ = writeln!(text, "  {name:<24} {path}");
        }
    }
    text
}
