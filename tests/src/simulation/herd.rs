//! A thousand clients, each with its own IMDS, in one common outage: do they all return at once after it?
//!
//! Only the jitter of the component can keep them apart: they start at the same moment, their credentials become
//! due at the same moment, and their callers ask at the same moment, every few seconds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use ec2_role_component::config::Options;
use ec2_role_host::RefreshPolicy;
use futures_executor::LocalPool;
use futures_util::task::LocalSpawnExt as _;
use imds_emulator::config::{Config, Iam, Span};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::client::{Dice, Log, Native, Network};
use super::machine::Machine;
use super::server::Server;
use super::timeline::Timeline;
use crate::settings::refresh_policy;

const MINUTE: Duration = Duration::from_secs(60);

/// The time between two calls around the end of the outage, and before that.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_BEFORE: Duration = MINUTE;

/// The seed of all clients, if they have no jitter of their own.
const LOADED: u64 = 4;

/// A client that has not recovered by this time after the outage is late.
const LATE: Duration = Duration::from_secs(16 * 60);

/// The outcome.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Herd {
    /// The number of clients.
    pub clients: usize,
    /// The length of the outage.
    pub outage: Duration,
    /// The requests of all clients in the busiest second after the outage.
    pub busiest: u64,
    /// The requests of all clients after the outage.
    pub requests: u64,
    /// Clients that had not recovered a quarter of an hour after it.
    pub late: usize,
}

/// Runs clients with a refresh policy through an outage. Without `jitter`, all of them draw the same random numbers.
pub fn herd(seed: u64, clients: usize, policy: RefreshPolicy, jitter: bool) -> Herd {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // By then, all clients have credentials, which become due during the outage.
    let begins = MINUTE * random.random_range(10..30);
    let outage = MINUTE * random.random_range(70..110);
    let over = begins + outage;
    let timeline = Timeline::default();
    let mut pool = LocalPool::new();
    let requests: Rc<RefCell<BTreeMap<u64, u64>>> = Rc::default();
    let late = Rc::new(RefCell::new(0));
    for number in 0..clients {
        let mut random = ChaCha8Rng::from_rng(&mut random);
        let (timeline, requests, late) = (timeline.clone(), Rc::clone(&requests), Rc::clone(&late));
        let life = async move {
            let mut dice = match jitter {
                true => ChaCha8Rng::from_rng(&mut random),
                false => ChaCha8Rng::seed_from_u64(LOADED),
            };
            let Some(client) = Client::new(&timeline, number, policy, &mut random, &mut dice)
            else {
                return;
            };
            let outage = async {
                timeline.sleep_until(begins).await;
                client.server.stop();
                timeline.sleep_until(over).await;
                // A restart with the same seed cannot fail.
                let _ = client.server.start(true);
                std::future::pending::<()>().await;
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
                        failing = call.failing || call.result.is_err();
                    };
                    client.native.get(note).await;
                    let after = timeline.now().checked_sub(over);
                    match after {
                        Some(_) if !failing => return,
                        Some(after) if after >= LATE => {
                            *late.borrow_mut() += 1;
                            return;
                        }
                        Some(_) => timeline.sleep(EVERY).await,
                        None if timeline.now() + 2 * EVERY_BEFORE < over => {
                            timeline.sleep(EVERY_BEFORE).await;
                        }
                        None => timeline.sleep(EVERY).await,
                    }
                }
            };
            let (outage, calls) = (std::pin::pin!(outage), std::pin::pin!(calls));
            futures_util::future::select(outage, calls).await;
        };
        // The pool still exists.
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
        dice: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let epoch = DateTime::from_timestamp(1_767_225_600, 0)?;
        let mut iam = Iam::default();
        iam.rotation = Span::minutes(60);
        iam.lifetime = Some(Span::minutes(6 * 60));
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
        // The defaults, which most clients use.
        let options = Options {
            endpoint: Some("http://127.0.0.1".into()),
            refresh_policy: Some(refresh_policy(policy)),
            ..Options::default()
        };
        let native = Native::new(network, Dice::new(ChaCha8Rng::from_rng(dice)), options).ok()?;
        Some(Self { server, native })
    }
}
