//! Tests of the scenarios: the component passes all of them, and each expectation can fail.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use ec2_role_host::RefreshPolicy;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use imds_conformance::client::component::{Hosted, Native};
use imds_conformance::client::{
    Answer, Client, Driver, Failed, Given, Offers, Time, Unable, World,
};
use imds_conformance::judge::{Seen, SeenStep, judge};
use imds_conformance::run::{Runner, Verdict};
use imds_conformance::scenario::{Gives, Scenario, Step, TEMPLATE, built_in};

/// Runs a client through all scenarios, and judges what was seen again with each expectation negated.
async fn passes_everything(driver: impl Driver + 'static) {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    let runs = built_in().unwrap().into_iter().map(|scenario| {
        let driver = Arc::clone(&driver);
        tokio::spawn(async move { run(&*driver, &scenario).await })
    });
    let wrong: Vec<String> = stream::iter(runs)
        // A client in this process mostly waits.
        .buffer_unordered(32)
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
        let (scenario, seen) = negated(scenario, &seen, number);
        let findings = judge(&scenario, &seen);
        let failed: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        if failed.len() != 1 {
            return Some(format!(
                "{}: negated, expectation {number} gives {findings:#?}",
                scenario.id
            ));
        }
    }
    None
}

/// A scenario and what was seen, changed so that the expectation with this number fails, and no other.
fn negated(scenario: &Scenario, seen: &Seen, mut number: usize) -> (Scenario, Seen) {
    let (mut scenario, mut seen) = (scenario.clone(), seen.clone());
    for (step, seen_step) in scenario.steps_mut().iter_mut().zip(&mut seen.steps) {
        let expectations = match step {
            Step::Get(_) | Step::Metadata(_) => 1,
            Step::Journal(assertions) => assertions.len(),
            _ => 0,
        };
        if number >= expectations {
            number -= expectations;
            continue;
        }
        match (step, seen_step) {
            (Step::Get(get), _) => {
                get.gives = match get.gives {
                    Gives::Nothing => Gives::Credentials,
                    Gives::Same => Gives::New,
                    Gives::New => Gives::Same,
                    Gives::Credentials | Gives::Current => Gives::Nothing,
                };
                get.error = None;
            }
            (Step::Metadata(metadata), _) => {
                metadata.gives = Some("another value".into());
                metadata.error = None;
            }
            (_, SeenStep::Journal(report)) => report.verdicts[number].holds = false,
            (step, seen) => unreachable!("{step}: {seen:?}"),
        }
        return (scenario, seen);
    }
    let verdicts = seen
        .journal
        .iter_mut()
        .flat_map(|report| &mut report.verdicts);
    match verdicts.into_iter().nth(number) {
        Some(verdict) => verdict.holds = false,
        // The last expectation is that the client writes no secret. All tokens begin like this.
        None => seen.said.push_str("AQAEA"),
    }
    (scenario, seen)
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

/// A client that always returns the same answer.
#[derive(Clone)]
struct Constant(Answer);

impl Driver for Constant {
    fn name(&self) -> &str {
        "constant"
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

impl Client for Constant {
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
async fn made_up_credentials_and_no_credentials_do_not_both_pass_a_scenario() {
    let makes_up = Constant(Ok(Given {
        access_key_id: "ASIAOUTOFTHINAIR0000".into(),
        expires: None,
    }));
    let has_nothing = Constant(Err(Failed::new(None, "no")));
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
fn every_scenario_has_its_own_behaviour() {
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
fn a_former_name_means_one_scenario() {
    let scenarios = built_in().unwrap();
    let mut names = BTreeSet::new();
    for scenario in &scenarios {
        for name in scenario.formerly().iter().chain([&scenario.id]) {
            assert!(names.insert(name), "{name} is the name of two scenarios");
        }
    }
    assert!(names.len() > scenarios.len());
}

#[test]
fn the_readme_states_the_numbers_of_scenarios_and_checks() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for number in [
        format!("each of {} scenarios", built_in().unwrap().len()),
        format!("runs {} checks", imds_conformance::server::checks().len()),
    ] {
        assert!(
            readme.contains(&number),
            "the README does not contain {number:?}"
        );
    }
}

#[test]
fn the_page_with_the_matrix_has_every_scenario() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/matrix.md")).unwrap();
    let page = page.replace("\\|", "\u{0}").replace("&lt;", "<");
    let mut group = "";
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            group = heading;
        }
        let Some(row) = line.strip_prefix("| ") else {
            continue;
        };
        let mut cells = row.split(" | ").map(|cell| cell.replace('\0', "|"));
        let (first, second) = (cells.next().unwrap(), cells.next().unwrap_or_default());
        if ["must", "should", "may"].contains(&second.as_str()) {
            rows.push([group.into(), first, second]);
        }
    }
    let expected: Vec<[String; 3]> = built_in()
        .unwrap()
        .iter()
        .map(|scenario| {
            let (group, behaviour) = (scenario.group(), scenario.behaviour());
            [
                group.into(),
                behaviour.into(),
                scenario.weight().to_string(),
            ]
        })
        .collect();
    assert_eq!(
        rows, expected,
        "run tests/clients/conformance.sh with BLESS=1"
    );
}

#[test]
fn the_template_is_a_scenario() {
    Scenario::parse("own/template", TEMPLATE).unwrap();
}

#[test]
fn errors_name_what_is_wrong_in_a_scenario() {
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
        (with("steps = []"), "steps: at least one step is needed"),
        (with("steps = [{ advance = '6h' }]"), "no expectation"),
        (
            with("steps = [{ get = { gives = 'nothing', error = ['bad-luck'] } }]"),
            "error is \"bad-luck\"; accepted: disabled,",
        ),
        (
            with("steps = [{ get = { gives = 'current', error = ['no-role'] } }]"),
            "get.error needs gives = \"nothing\"",
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
