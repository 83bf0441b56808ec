//! What is different between two measurements of a program.

use std::fmt::Debug;

use super::{Measured, Reaction};

/// By how many packets a connection can differ from one run to the next: an acknowledgement travels
/// with data or by itself, depending on how busy the machine is.
const PACKETS_VARY: u64 = 2;

impl Measured {
    /// What is different from an earlier measurement, a line for each field. Times are not compared,
    /// but whether the program gave up is.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare(&mut lines, "packages", &expected.packages, &self.packages);
        compare(&mut lines, "speaks", &expected.speaks, &self.speaks);
        let (old, new) = (&expected.cold, &self.cold);
        compare(&mut lines, "first request", &old.first, &new.first);
        compare(&mut lines, "paths", &old.paths, &new.paths);
        compare(&mut lines, "requests", &old.requests, &new.requests);
        let (lifetimes, seen) = (&old.token_lifetimes, &new.token_lifetimes);
        compare(&mut lines, "token lifetimes", lifetimes, seen);
        compare(
            &mut lines,
            "connections",
            &old.connections,
            &new.connections,
        );
        if old.packets.abs_diff(new.packets) > PACKETS_VARY * old.connections {
            compare(&mut lines, "packets", &old.packets, &new.packets);
        }
        for (name, old, new) in [
            (
                "token refused",
                &expected.token_refused,
                &self.token_refused,
            ),
            ("hop limit of 1", &expected.hop_limit, &self.hop_limit),
            ("refused", &expected.refused, &self.refused),
            ("unreachable", &expected.unreachable, &self.unreachable),
            ("silent", &expected.silent, &self.silent),
        ] {
            reactions(&mut lines, name, old, new);
        }
        for (name, old, new) in [
            (
                "token revoked",
                &expected.token_revoked,
                &self.token_revoked,
            ),
            (
                "credentials expired",
                &expected.credentials_expired,
                &self.credentials_expired,
            ),
            (
                "credentials expire soon",
                &expected.credentials_expire_soon,
                &self.credentials_expire_soon,
            ),
            (
                "run again",
                &expected.credentials_rotated,
                &self.credentials_rotated,
            ),
            ("second use", &expected.again, &self.again),
        ] {
            if let (Some(old), Some(new)) = (old, new) {
                reactions(&mut lines, name, old, new);
            } else {
                let [old, new] = [old, new].map(|reaction| yes_or_no(reaction.is_some()));
                compare(&mut lines, &format!("{name}, applies"), &old, &new);
            }
        }
        lines
    }
}

fn reactions(lines: &mut Vec<String>, situation: &str, old: &Reaction, new: &Reaction) {
    let mut one = |field: &str, old, new| {
        compare(lines, &format!("{situation}, {field}"), &old, &new);
    };
    one(
        "succeeds",
        yes_or_no(old.succeeded),
        yes_or_no(new.succeeded),
    );
    let lacks_token = |reaction: &Reaction| yes_or_no(reaction.without_token > 0);
    one(
        "sends requests without a token",
        lacks_token(old),
        lacks_token(new),
    );
    let ends = |reaction: &Reaction| yes_or_no(reaction.milliseconds.is_some());
    one("ends by itself", ends(old), ends(new));
    let goes_on = |reaction: &Reaction| reaction.went_on.map_or("unknown", yes_or_no);
    one("goes on", goes_on(old), goes_on(new));
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn compare<T: Debug + PartialEq>(lines: &mut Vec<String>, field: &str, expected: &T, seen: &T) {
    if expected != seen {
        lines.push(format!("{field}: expected {expected:?}, saw {seen:?}"));
    }
}
