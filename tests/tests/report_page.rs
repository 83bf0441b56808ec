//! The HTML report without a browser: its structure, and that it escapes all text.
//! `tests/clients/report-page.sh` tests it in a browser.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use ec2_role_host::RefreshPolicy;
use futures_util::future::BoxFuture;
use imds_conformance::client::component::Native;
use imds_conformance::client::{Answer, Client, Driver, Given, Offers, Time, Unable, World};
use imds_conformance::report::{Format, Report};
use imds_conformance::run::{Runner, Verdict};
use imds_conformance::scenario::{Scenario, built_in};

const NAME: &str = r#"made <script>alert("up")</script> & 'so'"#;
const GIVEN: &str = "ASIA<img src=x onerror=alert(1)>";

/// Always returns the same made-up credentials.
struct MadeUp;

impl Driver for MadeUp {
    fn name(&self) -> &str {
        NAME
    }

    fn offers(&self) -> Offers {
        Offers {
            session: true,
            time: Time::World,
            settings: true,
            ..Offers::default()
        }
    }

    fn start<'a>(&'a self, _: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn Client>) })
    }
}

impl Client for MadeUp {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        let given = Given {
            access_key_id: GIVEN.into(),
            expires: None,
        };
        Box::pin(async move { vec![Ok(given); callers] })
    }
}

async fn report() -> Report {
    let wanted = [
        "token/replaced-after-401",
        "stability/recovers",
        "transport/no-response",
        "concurrency/first-retrieval",
    ];
    let scenarios: Vec<Arc<Scenario>> = built_in()
        .unwrap()
        .into_iter()
        .filter(|scenario| wanted.contains(&scenario.id.as_str()))
        .map(Arc::new)
        .collect();
    assert_eq!(scenarios.len(), wanted.len());
    let drivers: [Arc<dyn Driver>; 2] = [
        Arc::new(Native::new(RefreshPolicy::Windowed)),
        Arc::new(MadeUp),
    ];
    let runner = Runner::default();
    let outcomes = runner.run(&drivers, &scenarios, |_| {}).await;
    Report::new(runner.seed, &drivers, &scenarios, outcomes)
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    let found = page.split(&start).skip(1);
    found.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The content of a cell.
fn template<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<template id=\"{id}\"")).unwrap();
    rest.split("</template>").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_has_its_template() {
    let report = report().await;
    let page = report.render(Format::Html);
    let cells = values(&page, "data-cell");
    assert_eq!(cells.len(), report.outcomes.len());

    let ids = values(&page, "id");
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id is there twice");
    for tag in page.split('<').filter_map(|rest| rest.split('>').next()) {
        let classes = tag.matches(" class=\"").count();
        assert!(classes < 2, "<{tag}> has {classes} attributes class");
    }
    for cell in &cells {
        let scenario = values(template(&page, cell), "data-scenario");
        assert!(scenario.iter().all(|id| distinct.contains(id)), "{cell}");
    }
    for link in values(&page, "href") {
        let inside = link
            .strip_prefix('#')
            .is_some_and(|id| distinct.contains(id));
        assert!(inside || link == "data:,", "{link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_that_was_run_has_a_timeline() {
    let report = report().await;
    let page = report.render(Format::Html);
    let links = values(&page, "data-link");
    for outcome in &report.outcomes {
        let link = format!("{}/{}", outcome.client, outcome.scenario);
        let at = links.iter().position(|other| plain(other) == link).unwrap();
        let opened = template(&page, values(&page, "data-cell").get(at).unwrap());
        let drawn = opened.contains("<svg class=\"lanes\"");
        let run = !matches!(outcome.verdict, Verdict::NotRun(_));
        assert_eq!(drawn, run, "{link}");
        let wrong = outcome.verdict == Verdict::Failed;
        assert_eq!(opened.contains("Failed expectations"), wrong, "{link}");
        assert!(!opened.contains("NaN"), "{link}");
    }
    // The report has every kind of verdict.
    let verdicts: BTreeSet<String> = report
        .outcomes
        .iter()
        .map(|outcome| match outcome.verdict {
            Verdict::NotRun(_) => "not run".into(),
            ref other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
    // The seven hours that were skipped are a gap with a label.
    assert!(page.contains(">+ 7 h</text>"));
    assert!(page.contains(">token 1</text>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_escaped() {
    let page = report().await.render(Format::Html);
    assert_eq!(
        page.matches("<script").count(),
        1,
        "only the script of the page"
    );
    assert!(page.contains("made &lt;script&gt;alert(&quot;up&quot;)&lt;/script&gt; &amp; 'so'"));
    assert!(!page.contains("<img"));
    assert!(page.contains("ASIA&lt;img src=x onerror=alert(1)&gt;"));
    // The page loads nothing.
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("https:"));
    assert!(!page.contains("@import"));
    assert!(values(&page, "src").is_empty());
}

/// As a browser reads it.
fn plain(escaped: &str) -> String {
    escaped
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
