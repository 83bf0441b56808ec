//! Limits on what the component may use.

use std::time::Duration;

/// The resources that one component instance may use.
///
/// ```
/// use ec2_role_host::{Ec2RoleProvider, Limits};
///
/// let mut limits = Limits::default();
/// limits.memory = 4 * 1024 * 1024;
/// let builder = Ec2RoleProvider::builder().limits(limits);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memory, in bytes. Default: 1 MiB; the built-in component needs 192 KiB.
    pub memory: usize,
    /// Core module instances: the component's own and those that adapt its ABI. Default: 4; the
    /// built-in component needs 3.
    pub instances: usize,
    /// Tables. Default: 2; the built-in component needs both.
    pub tables: usize,
    /// Elements of each table, eight bytes each. Default: 10,000; the built-in component needs fewer
    /// than 100.
    pub table_elements: usize,
    /// Handles (requests, streams, pollables) held at the same time. Default: 64.
    pub handles: usize,
    /// Bytes that a single call may copy from the component to the host. Default: 2 MiB.
    pub hostcall: usize,
    /// Bytes of the headers of one request or response. Default: 16 KiB.
    pub headers: usize,
    /// How long one call may take, including the time it waits for IMDS. A longer call is an error of
    /// the kind [`Component`](crate::ErrorKind::Component); the instance is dropped, and the next call
    /// starts a new one. Default: eight times the operation timeout, plus one second.
    pub call: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1024 * 1024,
            instances: 4,
            tables: 2,
            table_elements: 10_000,
            handles: 64,
            hostcall: 2 * 1024 * 1024,
            headers: 16 * 1024,
            call: None,
        }
    }
}

impl Limits {
    /// The time limit of a call. Getting credentials takes up to seven look-ups `[B4.7]` `[B4.8]`, and
    /// each may take as long as `operation_timeout`.
    pub(crate) fn call(&self, operation_timeout: Option<Duration>) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(5);
        self.call.unwrap_or_else(|| {
            let look_up = operation_timeout.unwrap_or(DEFAULT);
            look_up
                .saturating_mul(8)
                .saturating_add(Duration::from_secs(1))
        })
    }
}
