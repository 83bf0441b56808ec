//! Assertions that are checked at the end of a test.

use std::panic::Location;
use std::sync::Arc;

use super::Shared;
use crate::journal::{Assertion, Place};

/// An assertion about the requests from its creation on. It is checked when the guard is dropped, or
/// by [`verify`](Self::verify).
///
/// Dropping the guard while the thread panics checks nothing: the first panic is the one to read.
#[derive(Debug)]
#[must_use = "the assertion is checked when this is dropped, so at once if it is bound to nothing"]
pub struct ExpectGuard {
    shared: Arc<Shared>,
    /// `None` once it is checked.
    assertion: Option<Assertion>,
    /// The place in the journal after which the assertion applies.
    after: Place,
    created: &'static Location<'static>,
}

impl ExpectGuard {
    #[track_caller]
    pub(super) fn new(shared: Arc<Shared>, assertion: Assertion) -> Self {
        Self {
            after: shared.journal.end(),
            shared,
            assertion: Some(assertion),
            created: Location::caller(),
        }
    }

    /// Checks the assertion now.
    ///
    /// # Panics
    ///
    /// If the assertion does not hold, or is not accepted.
    #[track_caller]
    pub fn verify(mut self) {
        self.check();
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "that is how a test fails")]
    fn check(&mut self) {
        let Some(assertion) = self.assertion.take() else {
            return;
        };
        let created = self.created;
        let recorded = self.shared.recorded();
        let report = self
            .shared
            .journal
            .verify_after(self.after, assertion, recorded);
        match report {
            Ok(report) if report.holds => {}
            Ok(report) => panic!("the expectation of {created} is not met:\n{report}"),
            Err(invalid) => panic!("the expectation of {created} is invalid: {invalid}"),
        }
    }
}

impl Drop for ExpectGuard {
    fn drop(&mut self) {
        // A panic while another one unwinds would abort the process.
        if !std::thread::panicking() {
            self.check();
        }
    }
}
