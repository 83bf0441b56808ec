//! A thousand clients, each with an IMDS of its own, and an outage that they all have together: do they come
//! back all at once?
//!
//! All that could keep them apart but the component's own dice is left out: they begin at one moment, their
//! credentials are due at one moment, and all are asked at one moment, every few seconds.

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

/// A client is asked so often about the end of the outage, and before that.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_BEFORE: Duration = MINUTE;

/// Where a client has no dice of its own, it throws this, as all others do.
const LOADED: u64 = 4;

/// Who is not well by then, after the outage, is late.
const LATE: Duration = Duration::from_secs(16 * 60);

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

/// Lets so many clients of a policy live through an outage. Without `dice` of their own they all throw the same.
pub fn herd(seed: u64, clients: usize, policy: RefreshPolicy, dice: bool) -> Herd {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // All have credentials by then, and they are due while it lasts.
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
            let mut dice = match dice {
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
                // With the same seed nothing can go wrong.
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
                        failing = call.failing || call.answer.is_err();
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
        dice: &mut ChaCha8Rng,
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
        // As most have it.
        let options = Options {
            endpoint: Some("http://127.0.0.1".into()),
            refresh_policy: Some(refresh_policy(policy)),
            ..Options::default()
        };
        let native = Native::new(network, Dice::new(ChaCha8Rng::from_rng(dice)), options).ok()?;
        Some(Self { server, native })
    }
}
