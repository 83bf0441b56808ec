//! The pages of the emulator, as the command reads them.

use crate::{File, output};

#[test]
fn the_examples_of_the_documentation_are_accepted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let _user_data = File::new("user-data.yaml", "#cloud-config\n");
    for (name, path) in [
        ("configuration", "docs/configuration.md"),
        ("faults", "docs/faults.md"),
        ("aemm", "docs/aemm.md"),
        ("recipes", "docs/recipes.md"),
    ] {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let examples: Vec<&str> = text
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            // That is for a Cargo.toml.
            .filter(|example| !example.starts_with("[dev-dependencies]"))
            .collect();
        assert!(!examples.is_empty(), "{path}");
        for (at, example) in examples.into_iter().enumerate() {
            let file = File::new(&format!("example-{name}-{at}.toml"), example);
            output(&["config", "--config", file.path()]);
        }
    }
}

#[test]
fn the_documentation_has_every_fault_and_every_preset() {
    let schema: serde_json::Value = serde_json::from_str(&output(&["config", "--schema"])).unwrap();
    let documentation =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md")).unwrap();
    let faults = schema["$defs"]["Fault"]["oneOf"].as_array().unwrap();
    let types = faults
        .iter()
        .map(|fault| &fault["properties"]["type"]["const"]);
    let presets = schema["$defs"]["Preset"]["oneOf"].as_array().unwrap();
    let names: Vec<&str> = types
        .chain(presets.iter().map(|preset| &preset["const"]))
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}
