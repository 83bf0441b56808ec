//! The suite of scenarios, put to the test: the component passes all of it, and each expectation in it can
//! fail.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use ec2_role_host::RefreshPolicy;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use imds_conformance::client::component::{Hosted, Native};
use imds_conformance::client::{
    Answer, Client, Driver, Failed, Given, Offers, Time, Unable, World,
};
use imds_conformance::judge::judge;
use imds_conformance::run::{Runner, Verdict};
use imds_conformance::scenario::{Scenario, TEMPLATE, built_in};

/// Runs a client through all scenarios, and what was seen through the judge again, with each expectation
/// turned into its opposite.
async fn passes_everything(driver: impl Driver + 'static) {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    let runs = built_in().unwrap().into_iter().map(|scenario| {
        let driver = Arc::clone(&driver);
        tokio::spawn(async move { run(&*driver, &scenario).await })
    });
    let wrong: Vec<String> = stream::iter(runs)
        .buffer_unordered(16)
        .map(|problem| problem.unwrap())
        .filter_map(|problem| async { problem })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn run(driver: &dyn Driver, scenario: &Scenario) -> Option<String> {
    let (outcome, seen) = Runner::default().run_one(driver, scenario).await;
    if outcome.verdict != Verdict::Passed {
        return Some(format!(
            "{}: {:?} {:#?}",
            scenario.id, outcome.verdict, outcome.findings
        ));
    }
    for number in 0..scenario.expectations() {
        let findings = judge(scenario, &seen, Some(number));
        let failed: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        if failed.len() != 1 {
            return Some(format!(
                "{}: switched round, expectation {number} gives {findings:#?}",
                scenario.id
            ));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn the_component_in_its_host_passes_with_the_windowed_policy() {
    passes_everything(Hosted::new(RefreshPolicy::Windowed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_component_in_its_host_passes_with_the_classic_policy() {
    passes_everything(Hosted::new(RefreshPolicy::Classic)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logic_alone_passes_with_the_windowed_policy() {
    passes_everything(Native::new(RefreshPolicy::Windowed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logic_alone_passes_with_the_classic_policy() {
    passes_everything(Native::new(RefreshPolicy::Classic)).await;
}

/// A client that is of no use.
#[derive(Clone)]
struct Useless(Answer);

impl Driver for Useless {
    fn name(&self) -> &str {
        "useless"
    }

    fn offers(&self) -> Offers {
        Offers {
            session: true,
            time: Time::World,
            concurrent: true,
            reject: true,
            metadata: true,
            settings: true,
        }
    }

    fn start<'a>(&'a self, _: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Client>) })
    }
}

impl Client for Useless {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move { vec![self.0.clone(); callers] })
    }

    fn reject(&mut self, _: &str) -> BoxFuture<'_, Result<(), Failed>> {
        Box::pin(async { Ok(()) })
    }

    fn metadata(&mut self, _: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let answer = self.0.clone().map(|given| given.access_key_id);
        Box::pin(async { answer })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_scenario_is_passed_by_a_client_that_makes_things_up_and_one_that_has_nothing() {
    let makes_up = Useless(Ok(Given {
        access_key_id: "ASIAOUTOFTHINAIR0000".into(),
        expires: None,
    }));
    let has_nothing = Useless(Err(Failed::new(None, "no")));
    let runs = built_in().unwrap().into_iter().map(|scenario| {
        let (makes_up, has_nothing) = (makes_up.clone(), has_nothing.clone());
        tokio::spawn(async move {
            let runner = Runner::default();
            let (one, _) = runner.run_one(&makes_up, &scenario).await;
            let (other, _) = runner.run_one(&has_nothing, &scenario).await;
            let passed = |verdict| verdict == Verdict::Passed;
            (passed(one.verdict) && passed(other.verdict)).then_some(scenario.id)
        })
    });
    let passed: Vec<_> = stream::iter(runs).buffer_unordered(16).collect().await;
    let passed: Vec<_> = passed.into_iter().filter_map(|id| id.unwrap()).collect();
    assert_eq!(passed, [""; 0]);
}

#[test]
fn every_scenario_is_one_behaviour_with_a_source() {
    let scenarios = built_in().unwrap();
    assert!(scenarios.len() >= 80, "{}", scenarios.len());
    let sentences: BTreeSet<_> = scenarios.iter().map(Scenario::behaviour).collect();
    assert_eq!(sentences.len(), scenarios.len());
    for scenario in &scenarios {
        let sentence = scenario.behaviour();
        assert!(
            sentence.starts_with(|first: char| first.is_uppercase() || first.is_numeric()),
            "{sentence}"
        );
        assert!(!sentence.ends_with('.'), "{sentence}");
        assert!(!scenario.why().trim().is_empty(), "{sentence}");
    }
}

#[test]
fn the_template_is_a_scenario() {
    Scenario::parse("own/template", TEMPLATE).unwrap();
}

#[test]
fn what_is_wrong_in_a_scenario_is_named() {
    let with = |more: &str| {
        format!("behaviour = 'x'\nweight = 'must'\nrests-on = ['x']\nwhy = 'x'\n{more}",)
    };
    for (text, message) in [
        (
            with("steps = [{ get = { gives = 'current' } }]\nwieght = 'may'"),
            "unknown field `wieght`",
        ),
        (
            with("steps = [{ get = { gifs = 'current' } }]"),
            "unknown field `gifs`",
        ),
        (
            with("steps = [{ get = { gives = 'something' } }]"),
            "unknown variant `something`",
        ),
        (with("steps = [{ jump = '6h' }]"), "unknown variant `jump`"),
        (with("steps = [{ advance = 'six hours' }]"), "six hours"),
        (with("steps = []"), "steps: there are none"),
        (with("steps = [{ advance = '6h' }]"), "it expects nothing"),
        (
            with("steps = [{ get = { gives = 'nothing', error = ['bad-luck'] } }]"),
            "error is \"bad-luck\"; accepted: disabled,",
        ),
        (
            with("steps = [{ get = { gives = 'current', error = ['no-role'] } }]"),
            "only with gives = \"nothing\"",
        ),
        (
            with("steps = [{ get = { gives = 'current', concurrent = 0 } }]"),
            "concurrent is 0; accepted: 1 to 1000",
        ),
        (
            with(
                "steps = [{ get = { gives = 'current' } }]\n[emulator]\ninstance.instance-typ = 'x'",
            ),
            "did you mean `instance-type`?",
        ),
        (
            with("steps = [{ get = { gives = 'current' } }]\njournal = ['no_imdsv3']"),
            "unknown variant `no_imdsv3`",
        ),
    ] {
        match Scenario::parse("own/wrong", &text) {
            Ok(_) => panic!("{text}"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("scenario own/wrong: "), "{error}");
                assert!(error.contains(message), "{error}");
            }
        }
    }
}
