//! Targets for what the conformance suite parses: scenarios and the answers of clients.

use crate::client::process::answers::{failed, given, read_output, unescaped};
use crate::scenario::{KINDS, Scenario};

/// A scenario.
///
/// An accepted scenario must have a step and an expectation, and must print as text and as JSON. An error must name the
/// unknown key.
pub fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let scenario = match Scenario::parse("group/name", text) {
        Ok(scenario) => scenario,
        Err(error) => {
            assert!(error.to_string().starts_with("scenario group/name: "));
            assert!(!error.message.trim().is_empty());
            return;
        }
    };
    assert!(!scenario.steps().is_empty());
    assert!(!scenario.rests_on().is_empty());
    assert!(scenario.expectations() > 1);
    assert!(scenario.config.check().is_ok());
    for step in scenario.steps() {
        assert!(!step.to_string().is_empty());
        let json = serde_json::to_value(step).unwrap();
        let again: crate::scenario::Step = serde_json::from_value(json).unwrap();
        assert_eq!(again, *step);
    }
    assert!(serde_json::to_string(&scenario).is_ok());
    for unknown in ["no-such-key = 1\n", "emulator.no-such-key = 1\n"] {
        let error = Scenario::parse("group/name", &format!("{unknown}{text}")).unwrap_err();
        // A table that comes again as one with a header is an error of TOML itself.
        let is_told = error.message.contains("no-such-key") || text.contains("emulator");
        assert!(is_told, "{error}");
    }
}

/// The answer of a client.
///
/// Credentials must have an access key ID of one word. Unescaping a value must undo its escaping.
pub fn client_answers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for answer in [given(&text), read_output(&text)] {
        match answer {
            Ok(given) => assert!(!given.access_key_id.is_empty()),
            Err(error) => assert!(error.broken && error.kind.is_none()),
        }
    }
    if let Ok(given) = given(&text) {
        let mut words = text.split_whitespace();
        assert_eq!(words.next(), Some(given.access_key_id.as_str()));
        assert_eq!(words.next().is_some(), given.expires.is_some());
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&text) {
        let id = json.get("AccessKeyId").and_then(|id| id.as_str());
        assert!(id.is_some_and(|id| !id.is_empty()) || read_output(&text).is_err());
    }
    let error = failed(&text);
    assert!(!error.broken);
    assert!(
        error
            .kind
            .as_ref()
            .is_none_or(|kind| KINDS.contains(&kind.as_str()))
    );
    assert!(text.contains(&error.message));

    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    assert_eq!(unescaped(&escaped), text);
    assert!(unescaped(&text).len() <= text.len());
}
