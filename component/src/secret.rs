//! Text that must not appear in logs.

use alloc::string::String;
use core::fmt;

/// Text that `Debug` hides and that has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. The name makes every use stand out in review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Unwraps the text.
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
