//! The rule books, `component/docs/rules.toml` and `emulator/docs/rules.toml`.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

#[path = "../../xtask/src/rules.rs"]
mod rules;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn pages_say_what_the_books_say() {
    for book in rules::books(workspace()).unwrap() {
        let page = fs::read_to_string(&book.page).unwrap();
        assert!(
            page == book.print(),
            "{} differs from its rules.toml: run `cargo xtask rules`",
            book.page.display()
        );
        assert!(book.rules().count() > 40);
    }
}
