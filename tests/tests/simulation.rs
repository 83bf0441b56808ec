//! A year of faults, and what must hold in it.

use ec2_role_host::RefreshPolicy;
use imds_conformance::simulation::{Plan, WORLDS_A_YEAR, herd, run, simulate};

/// The same in every run: a failure here is one that anybody can replay.
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
    // It would be a quiet year in which little happened.
    assert!(simulated.counts.incidents > 1_000);
    assert!(simulated.counts.faults > 1_000);
    assert!(simulated.counts.refreshes > 10_000);
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
    let plan = Plan::hosted(SEED, 1);
    let outcome = run(&plan, &plan.incidents, None);
    assert_eq!(outcome.violation, None);
    assert!(outcome.counts.refreshes > 300, "{:?}", outcome.counts);
}

/// Each client rests for a time of its own, so they do not come all at once when IMDS is back.
#[test]
fn a_thousand_clients_come_back_from_an_outage_one_by_one() {
    for policy in [RefreshPolicy::Classic, RefreshPolicy::Windowed] {
        let herd = herd(SEED, 1_000, policy);
        println!("{policy:?}: {herd:?}");
        assert_eq!(herd.late, 0, "{herd:?}");
        // All have to ask, two or three times, and within a quarter of an hour.
        assert!(herd.requests >= 2_000, "{herd:?}");
        assert!(herd.busiest <= 50, "{herd:?}");
    }
}

/// What the simulation has found in the component and its host, by what it took to find it.
#[test]
fn what_was_found_before_stays_mended() {
    // A clock that is ahead when credentials come due, and is then set back: they were handed out again.
    assert_holds(&Plan::hosted(1, 3), &[9]);
    // Each request left a handle behind, until there was no room for another.
    assert_holds(&Plan::hosted(1, 1), &[]);
}

fn assert_holds(plan: &Plan, incidents: &[usize]) {
    let given = plan.incidents.iter();
    let given: Vec<_> = given
        .filter(|incident| incidents.contains(&incident.number))
        .cloned()
        .collect();
    assert_eq!(given.len(), incidents.len());
    assert_eq!(run(plan, &given, None).violation, None);
}
