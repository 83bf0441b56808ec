//! A year of faults, and what must hold in it.

use std::collections::BTreeSet;
use std::time::Duration;

use ec2_role_host::RefreshPolicy;
use imds_conformance::simulation::{
    Incident, Kind, LENGTH, Plan, WORLDS_A_YEAR, herd, run, simulate,
};
use imds_emulator::fault::kinds::BodyFault;
use imds_emulator::fault::{Fault, Rule};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The same in every run, so that anyone can replay a failure.
const SEED: u64 = 1;

#[test]
fn a_year_of_faults() {
    let simulated = simulate(SEED, WORLDS_A_YEAR, false, |_| {});
    if let Some((world, violation)) = &simulated.failure {
        panic!(
            "{violation}\nto replay: cargo run --release -p imds-conformance -- simulate --seed {SEED} --world {world}"
        );
    }
    assert_eq!(simulated.worlds, WORLDS_A_YEAR);
    println!("{:?}", simulated.counts);
    // Fewer would mean that the year was quiet.
    assert!(simulated.counts.incidents > 1_000);
    assert!(simulated.counts.faults > 1_000);
    assert!(simulated.counts.refreshes > 10_000);
    let acted = simulated.acted;
    let samples = Fault::samples(&mut ChaCha8Rng::seed_from_u64(SEED));
    let idle: BTreeSet<String> = samples
        .iter()
        // The simulation has no packets.
        .filter(|fault| !matches!(fault, Fault::Network(_)))
        .map(|fault| {
            let fault = serde_json::to_value(fault).unwrap();
            fault["type"].as_str().unwrap().to_owned()
        })
        .filter(|name| !acted.contains_key(name))
        .collect();
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn a_fault_that_lasts_until_it_acts_takes_effect() {
    let mut plan = Plan::new(SEED, 0);
    plan.length = Duration::from_secs(3 * 86_400);
    for until_it_acts in [true, false] {
        let incident = Incident {
            number: 0,
            begins: Duration::from_secs(86_400),
            amid: None,
            lasts: Duration::from_millis(1),
            until_it_acts,
            kind: Kind::Fault(Box::new(Rule::new("fault", Fault::token_flap()))),
        };
        let outcome = run(&plan, &[incident], None);
        assert_eq!(outcome.violation, None);
        assert_eq!(outcome.acted.contains_key("token_flap"), until_it_acts);
    }
}

#[test]
fn a_seed_gives_the_same_run_event_for_event() {
    let plan = Plan::new(7, 3);
    let trace = || {
        let mut trace = Vec::new();
        let outcome = run(&plan, &plan.incidents, Some(&mut trace));
        (outcome, trace)
    };
    let (first, second) = (trace(), trace());
    assert!(first.1.len() > 1_000);
    assert_eq!(first, second);
    let other = Plan::new(8, 3);
    assert_ne!(run(&other, &other.incidents, None).digest, first.0.digest);
}

/// The same judge and the same model, but it is WebAssembly that answers, in the sandbox that it has
/// everywhere: within its memory, or it would begin anew.
#[test]
fn a_month_of_faults_for_the_component_in_its_host() {
    // The other one refreshes in the background.
    for (world, background) in [(1, false), (6, true)] {
        let plan = Plan::hosted(SEED, world);
        assert_eq!(plan.background, background);
        let outcome = run(&plan, &plan.incidents, None);
        assert_eq!(outcome.violation, None);
        assert!(outcome.counts.refreshes > 300, "{:?}", outcome.counts);
        // Which was searched for secrets.
        assert!(outcome.counts.logged > 10_000, "{:?}", outcome.counts);
    }
}

/// Each client rests for a time of its own, so they do not come all at once when IMDS is back; and without dice they
/// would.
#[test]
fn a_thousand_clients_come_back_from_an_outage_one_by_one() {
    for policy in [RefreshPolicy::Classic, RefreshPolicy::Windowed] {
        let apart = herd(SEED, 1_000, policy, true);
        let together = herd(SEED, 1_000, policy, false);
        println!("{policy:?}: {apart:?}, {together:?}");
        for herd in [&apart, &together] {
            assert_eq!(herd.late, 0, "{herd:?}");
            // All have to ask, two or three times, and within a quarter of an hour.
            assert!(herd.requests >= 2_000, "{herd:?}");
        }
        assert!(apart.busiest <= 100, "{apart:?}");
        assert!(together.busiest >= 1_000, "{together:?}");
    }
}

/// A month leaves as much behind as a week.
#[test]
fn what_is_held_does_not_grow() {
    let mut plan = Plan::new(SEED, 2);
    // What one of these sends is long, and which is the longest is a matter of chance.
    plan.incidents.retain(|incident| match &incident.kind {
        Kind::Fault(rule) => !matches!(rule.fault, Fault::Body(BodyFault::LongBody(_))),
        _ => true,
    });
    let mut most = |length| {
        plan.length = length;
        let mut calls = 0;
        let memory = allocation_counter::measure(|| {
            let outcome = run(&plan, &plan.incidents, None);
            assert_eq!(outcome.violation, None);
            calls = outcome.counts.calls;
        });
        (memory.bytes_max, calls)
    };
    let (in_a_week, few) = most(LENGTH / 4);
    let (in_a_month, many) = most(LENGTH);
    println!("{in_a_week} bytes at most in {few} calls, {in_a_month} in {many}");
    assert!(many > 2 * few);
    assert!(
        in_a_month < in_a_week + 64 * 1024,
        "{in_a_week}, {in_a_month}"
    );
}

/// What the simulation has found in the component and its host, by what it took to find it.
#[test]
fn what_was_found_before_stays_mended() {
    // A clock that was ahead when credentials came due, and was then set back: the component handed
    // the old credentials out again. The incidents are in a file, so that they stay the same when
    // others are drawn for this seed.
    let incidents: Vec<Incident> = include_str!("../golden/incidents/clock-set-back.jsonl")
        .lines()
        .map(|incident| serde_json::from_str(incident).unwrap())
        .collect();
    assert_eq!(incidents.len(), 9);
    let plan = Plan::hosted(1, 46);
    assert_eq!(run(&plan, &incidents, None).violation, None);
    // Each request left a handle behind, until there was no room for another.
    assert_eq!(run(&Plan::hosted(1, 1), &[], None).violation, None);
    // Credentials that are due in the middle of a second: in the background they were asked for over and over, until
    // it was over.
    let plan = Plan::hosted(1, 6);
    assert!(plan.background);
    assert_eq!(run(&plan, &[], None).violation, None);
}
