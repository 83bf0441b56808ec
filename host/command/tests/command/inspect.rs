use crate::support::{failure, result, row};

#[test]
fn it_prints_what_the_component_is() {
    let text = result(&["inspect"]);
    assert!(
        text.contains("\n  wasi:http/outgoing-handler@0.2.12\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  imds:credentials/provider@0.1.0\n"),
        "{text}"
    );
    assert_eq!(row(&text, "sha256").len(), 64, "{text}");
    assert!(row(&text, "size").ends_with(" bytes"), "{text}");

    let json: serde_json::Value = serde_json::from_str(&result(&["inspect", "--json"])).unwrap();
    assert_eq!(json["sha256"], row(&text, "sha256"));
    assert_eq!(format!("{} bytes", json["size"]), row(&text, "size"));
    assert!(
        json["imports"]
            .as_array()
            .unwrap()
            .contains(&"wasi:http/types@0.2.12".into())
    );
}

#[test]
fn what_is_not_a_component_is_refused() {
    let file = env!("CARGO_MANIFEST_PATH");
    let complaint = failure(&["inspect", "--component", file], 1);
    assert!(
        complaint.starts_with(&format!(
            "error: cannot inspect {file}: the bytes are not WebAssembly; accepted: a component (.wasm)\n"
        )),
        "{complaint}"
    );
    let complaint = failure(&["get", "--emulator", "--component", file], 1);
    assert!(
        complaint.starts_with(&format!(
            "error: {file} is not WebAssembly; accepted: a component (.wasm)\n"
        )),
        "{complaint}"
    );
    let complaint = failure(&["inspect", "--component", "/nowhere/x.wasm"], 1);
    assert!(
        complaint.contains("cannot read the component /nowhere/x.wasm"),
        "{complaint}"
    );
}
