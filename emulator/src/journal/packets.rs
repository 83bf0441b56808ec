//! The packets that clients send to IMDS.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Process;

/// The packets per second that an instance may send to link-local services `[I26]`.
const ALLOWED: u64 = 1024;
/// The time that the limit is for.
const SECOND: Duration = Duration::from_secs(1);
/// The number of samples kept for each exchange that the journal keeps. A connection with one request
/// needs two.
const SAMPLES_PER_EXCHANGE: usize = 4;

/// The packets that clients have sent to IMDS, acknowledgements and the like included.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Packets {
    /// The number of packets.
    pub sent: u64,
    /// The highest number of packets within one second.
    pub most_per_second: u64,
    /// The number of packets per second that EC2 allows an instance to send to IMDS, DNS and the time
    /// service together. EC2 drops the rest.
    pub allowed_per_second: u64,
    /// The connections, oldest first, as far as the journal goes back.
    pub connections: Vec<ConnectionPackets>,
}

/// A summary, and a line for each connection.
impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            most_per_second,
            allowed_per_second,
            ..
        } = self;
        write!(
            f,
            "packets sent: {sent}, within one second at most {most_per_second} of the \
             {allowed_per_second} that EC2 allows"
        )?;
        for of in &self.connections {
            write!(f, "\nconnection {}", of.connection)?;
            if let Some(process) = &of.process {
                write!(f, " of {process}")?;
            }
            write!(f, ": {}", of.sent)?;
        }
        Ok(())
    }
}

/// The packets that a client has sent on one connection.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ConnectionPackets {
    /// The number of the connection, as in its exchanges.
    pub connection: u64,
    /// The process that opened the connection, as in its exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Process>")]
    pub process: Option<Arc<Process>>,
    /// The number of packets.
    pub sent: u64,
}

/// Packets that a client has sent on a connection since the last sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When they were counted, in real time since the emulator was started.
    pub(crate) at: Duration,
    pub(crate) connection: u64,
    pub(crate) process: Option<Arc<Process>>,
    pub(crate) packets: u64,
}

/// The newest samples.
#[derive(Debug)]
pub(super) struct Traffic {
    samples: VecDeque<Sample>,
    capacity: usize,
    /// Number of all samples, dropped ones included.
    added: u64,
}

impl Traffic {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            samples: VecDeque::new(),
            capacity: capacity.saturating_mul(SAMPLES_PER_EXCHANGE),
            added: 0,
        }
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.added += 1;
        if self.samples.len() >= self.capacity {
            self.samples.pop_front();
        }
        if self.capacity > 0 {
            self.samples.push_back(sample);
        }
    }

    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// The samples after a number of samples.
    pub(super) fn after(&self, before: u64) -> Vec<Sample> {
        let wanted = usize::try_from(self.added.saturating_sub(before)).unwrap_or(usize::MAX);
        let skipped = self.samples.len().saturating_sub(wanted);
        self.samples.iter().skip(skipped).cloned().collect()
    }

    pub(super) fn packets(&self) -> Packets {
        let mut connections = BTreeMap::new();
        for sample in &self.samples {
            connections
                .entry(sample.connection)
                .or_insert_with(|| ConnectionPackets {
                    connection: sample.connection,
                    process: sample.process.clone(),
                    sent: 0,
                })
                .sent += sample.packets;
        }
        Packets {
            sent: self.samples.iter().map(|sample| sample.packets).sum(),
            most_per_second: sum(busiest(&self.after(0))),
            allowed_per_second: ALLOWED,
            connections: connections.into_values().collect(),
        }
    }
}

/// The samples of the second with the most packets.
pub(super) fn busiest(samples: &[Sample]) -> &[Sample] {
    let mut most: &[Sample] = &[];
    let mut from = 0;
    for (at, sample) in samples.iter().enumerate() {
        while samples
            .get(from)
            .is_some_and(|first| sample.at.saturating_sub(first.at) >= SECOND)
        {
            from += 1;
        }
        let window = samples.get(from..=at).unwrap_or_default();
        if sum(window) > sum(most) {
            most = window;
        }
    }
    most
}

pub(super) fn sum(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.packets).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, connection: u64, packets: u64) -> Sample {
        Sample {
            at: Duration::from_millis(at),
            connection,
            process: None,
            packets,
        }
    }

    #[test]
    fn packets_are_summed_by_connection_and_by_second() {
        let mut traffic = Traffic::new(1);
        for sample in [
            sample(0, 1, 3),
            sample(10, 1, 2),
            sample(999, 2, 4),
            sample(1_000, 3, 5),
            sample(5_000, 1, 8),
        ] {
            traffic.add(sample);
        }
        let all = [(10, 2), (999, 4), (1_000, 5), (5_000, 8)];
        let told: Vec<_> = traffic
            .after(0)
            .iter()
            .map(|sample| (sample.at.as_millis() as u64, sample.packets))
            .collect();
        assert_eq!(told, all, "the newest are kept");
        let packets = traffic.packets();
        assert_eq!((packets.sent, packets.most_per_second), (19, 11));
        let by_connection: Vec<_> = packets
            .connections
            .iter()
            .map(|of| (of.connection, of.sent))
            .collect();
        assert_eq!(by_connection, [(1, 10), (2, 4), (3, 5)]);

        assert_eq!(sum(&traffic.after(4)), 8);
        assert_eq!(sum(busiest(&traffic.after(3))), 8);
        assert!(traffic.after(traffic.added()).is_empty());
        traffic.clear();
        assert_eq!((traffic.packets().sent, traffic.added()), (0, 5));
    }

    #[test]
    fn a_second_ends_before_the_next_begins() {
        let samples = [sample(0, 1, 1), sample(999, 1, 1), sample(1_000, 1, 1)];
        assert_eq!(sum(busiest(&samples)), 2);
        assert_eq!(busiest(&samples)[0].at, Duration::ZERO);
    }
}
