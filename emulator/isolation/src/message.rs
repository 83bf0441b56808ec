//! What the processes before the command tell the caller.

use rustix::io::Errno;

use crate::plan::Facet;

/// What was being done when the preparation failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// The namespaces were being created.
    Namespaces,
    /// The users of the namespace were being mapped.
    User,
    /// The supervisor, the init process or the command was being started.
    Processes,
    /// The network was being connected to the one outside.
    Outside,
    /// Addresses were being added.
    Network,
    /// The ports were being opened.
    Listeners,
    /// File systems were being mounted.
    Mounts,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::User,
        Self::Processes,
        Self::Outside,
        Self::Network,
        Self::Listeners,
        Self::Mounts,
    ];

    /// What failed.
    pub fn description(self) -> &'static str {
        match self {
            Self::Namespaces => "creating the namespaces",
            Self::User => "mapping the user into the namespace",
            Self::Processes => "starting a process in the namespace",
            Self::Outside => "connecting the network to the one outside",
            Self::Network => "adding the addresses",
            Self::Listeners => "listening in the namespace",
            Self::Mounts => "mounting file systems",
        }
    }
}

/// The error of each facet that could not be had.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Report([i32; Facet::ALL.len()]);

impl Report {
    pub(crate) fn get(&self, facet: Facet) -> Option<Errno> {
        let errno = self.0.get(facet as usize).copied();
        errno
            .filter(|errno| *errno != 0)
            .map(Errno::from_raw_os_error)
    }

    pub(crate) fn set(&mut self, facet: Facet, errno: Errno) {
        if let Some(slot) = self.0.get_mut(facet as usize) {
            *slot = errno.raw_os_error();
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    /// A command is being started. A socket for what follows comes with it.
    Announced,
    /// A socket for the listener with this index comes with it.
    Listener(i32),
    /// A socket for messages about the network comes with it.
    Network,
    /// A socket for questions about the sockets of the network comes with it.
    Sockets,
    /// A socket for messages about the packet filters of the network comes with it.
    Filters,
    /// The command can begin. `supervisor` is the process that the caller waits for.
    Ready {
        supervisor: i32,
        report: Report,
    },
    Failed(Stage, Errno),
}

/// The length of an encoded message: a kind and six numbers.
pub(crate) const LENGTH: usize = 28;

impl Message {
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let numbers = match self {
            Self::Filters => [6, 0, 0, 0, 0, 0, 0],
            Self::Sockets => [5, 0, 0, 0, 0, 0, 0],
            Self::Network => [4, 0, 0, 0, 0, 0, 0],
            Self::Announced => [3, 0, 0, 0, 0, 0, 0],
            Self::Listener(at) => [0, at, 0, 0, 0, 0, 0],
            Self::Ready {
                supervisor,
                report: Report([a, b, c, d, e]),
            } => [1, supervisor, a, b, c, d, e],
            Self::Failed(stage, errno) => [2, stage as i32, errno.raw_os_error(), 0, 0, 0, 0],
        };
        let mut bytes = [0; LENGTH];
        for (into, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            into.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers = [0; LENGTH / 4];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = i32::from_ne_bytes(bytes.try_into().ok()?);
        }
        let [kind, first, a, b, c, d, e] = numbers;
        match kind {
            0 => Some(Self::Listener(first)),
            1 => Some(Self::Ready {
                supervisor: first,
                report: Report([a, b, c, d, e]),
            }),
            2 => {
                let stage = Stage::ALL
                    .into_iter()
                    .find(|stage| *stage as i32 == first)?;
                Some(Self::Failed(stage, Errno::from_raw_os_error(a)))
            }
            3 => Some(Self::Announced),
            4 => Some(Self::Network),
            5 => Some(Self::Sockets),
            6 => Some(Self::Filters),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive() {
        let mut report = Report::default();
        report.set(Facet::Hosts, Errno::PERM);
        let messages = [
            Message::Announced,
            Message::Network,
            Message::Sockets,
            Message::Filters,
            Message::Listener(3),
            Message::Ready {
                supervisor: 70,
                report,
            },
            Message::Failed(Stage::Mounts, Errno::ACCESS),
        ];
        for message in messages {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[9; LENGTH]), None);
    }
}
