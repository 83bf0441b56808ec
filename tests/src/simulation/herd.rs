//! A thousand clients, each with an IMDS of its own, and an outage that they all have together: do they come
//! back all at once?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use ec2_role_host::RefreshPolicy;
use futures_executor::LocalPool;
use futures_util::task::LocalSpawnExt as _;
use imds_emulator::config::{Config, Iam, Span};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::client::{Dice, Log, Native, Network};
use super::machine::Machine;
use super::plan::ClientPlan;
use super::server::Server;
use super::timeline::Timeline;

const MINUTE: Duration = Duration::from_secs(60);

/// Clients begin within this time.
const BEGIN: Duration = Duration::from_secs(3600);

/// After the outage it is watched for so long.
const WATCHED: Duration = Duration::from_secs(20 * 60);

/// What became of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Herd {
    /// How many there were.
    pub clients: usize,
    /// How long the outage was.
    pub outage: Duration,
    /// Requests in the busiest second after the outage, all clients together.
    pub busiest: u64,
    /// And in all of that time.
    pub requests: u64,
    /// Clients that were not well again a quarter of an hour after it.
    pub late: usize,
}

/// Lets so many clients of a policy live through an outage.
pub fn herd(seed: u64, clients: usize, policy: RefreshPolicy) -> Herd {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // All have credentials by then, and few are to be refreshed in the very minute in which it begins.
    let begins = BEGIN + MINUTE * random.random_range(30..60);
    let outage = MINUTE * random.random_range(20..90);
    let over = begins + outage;
    let timeline = Timeline::default();
    let mut pool = LocalPool::new();
    let requests: Rc<RefCell<BTreeMap<u64, u64>>> = Rc::default();
    let late = Rc::new(RefCell::new(0));
    for number in 0..clients {
        let mut random = ChaCha8Rng::from_rng(&mut random);
        let (timeline, requests, late) = (timeline.clone(), Rc::clone(&requests), Rc::clone(&late));
        let life = async move {
            timeline.sleep(BEGIN.mul_f64(random.random())).await;
            let Some(client) = Client::new(&timeline, number, policy, &mut random) else {
                return;
            };
            let outage = async {
                timeline.sleep_until(begins).await;
                client.server.stop();
                timeline.sleep_until(over).await;
                // With the same seed nothing can go wrong.
                let _ = client.server.start(true);
                timeline.sleep_until(over + WATCHED).await;
            };
            let calls = async {
                let mut failing = true;
                loop {
                    let note = |call: &super::client::Call| {
                        let second = timeline.now().saturating_sub(over).as_secs();
                        if timeline.now() >= over {
                            let mut requests = requests.borrow_mut();
                            *requests.entry(second).or_default() += call.exchanges.len() as u64;
                        }
                        failing = call.failing || call.answer.is_err();
                    };
                    client.native.get(note).await;
                    if failing && timeline.now() >= over + 16 * MINUTE {
                        *late.borrow_mut() += 1;
                        return;
                    }
                    let pause = MINUTE.mul_f64(random.random_range(0.5..4.0));
                    timeline.sleep(pause).await;
                }
            };
            let (outage, calls) = (std::pin::pin!(outage), std::pin::pin!(calls));
            futures_util::future::select(outage, calls).await;
        };
        // The pool is there.
        let _ = pool.spawner().spawn_local(life);
    }
    loop {
        pool.run_until_stalled();
        if !timeline.step() {
            break;
        }
    }
    let requests = requests.borrow();
    let late = *late.borrow();
    Herd {
        clients,
        outage,
        busiest: requests.values().copied().max().unwrap_or(0),
        requests: requests.values().sum(),
        late,
    }
}

struct Client {
    server: Arc<Server>,
    native: Native,
}

impl Client {
    fn new(
        timeline: &Timeline,
        number: usize,
        policy: RefreshPolicy,
        random: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let epoch = DateTime::from_timestamp(1_767_225_600, 0)?;
        let mut iam = Iam::default();
        iam.rotation = Span::minutes(60);
        iam.lifetime = Span::minutes(6 * 60);
        let mut config = Config::default();
        config.instance.iam = Some(iam);
        let server = Server::new(timeline.clone(), epoch, config, random.next_u64()).ok()?;
        let server = Arc::new(server);
        let machine = Machine::new(timeline.clone(), Duration::from_secs(1_767_225_600));
        let network = Network {
            server: Arc::clone(&server),
            machine,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            log: Log::default(),
        };
        let mut options = ClientPlan::new(random, policy).options;
        // As most have it, and all the same.
        options.expiry_window = None;
        options.max_extension = None;
        options.attempts = None;
        options.extended_path = None;
        options.role_name = None;
        let native = Native::new(network, Dice::new(ChaCha8Rng::from_rng(random)), options).ok()?;
        Some(Self { server, native })
    }
}
