//! Faults put into the cache on purpose are found by the simulation within a month of it:
//! `cargo test -p imds-conformance --features planted-faults --test planted_faults`.

use ec2_role_component::planted::{Planted, plant};
use imds_conformance::simulation::{Invariant, Plan, Violation, run, shrink};

/// What the first month of this seed says, with a fault and without.
fn month(fault: Planted) -> (Plan, Option<Violation>) {
    let plan = Plan::new(SEED, 0);
    plant(None);
    assert_eq!(run(&plan, &plan.incidents, None).violation, None);
    plant(Some(fault));
    let violation = run(&plan, &plan.incidents, None).violation;
    (plan, violation)
}

const SEED: u64 = 2;

#[test]
fn an_extension_that_never_ends_is_found_and_shrunk() {
    let (plan, violation) = month(Planted::EndlessExtension);
    let violation = violation.unwrap();
    println!("{violation}");
    let needed = shrink(&plan, &violation);
    assert!(needed.len() <= 2, "{needed:#?}");
    let again = run(&plan, &needed, None).violation.unwrap();
    assert_eq!(again.invariant, violation.invariant);
}

#[test]
fn a_lost_single_flight_is_found() {
    let (_, violation) = month(Planted::LostSingleFlight);
    let violation = violation.unwrap();
    println!("{violation}");
    assert_eq!(violation.invariant, Invariant::Model);
    assert!(
        violation.seen.contains("are not due, but GET"),
        "{violation}"
    );
}

#[test]
fn a_window_that_moves_the_wrong_way_is_found() {
    let (_, violation) = month(Planted::WindowTheWrongWay);
    let violation = violation.unwrap();
    println!("{violation}");
    assert_eq!(violation.invariant, Invariant::Model);
}
