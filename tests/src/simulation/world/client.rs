//! A client in a world, and its callers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Broken, World};
use crate::simulation::client::{Call, Dice, Exchange, Log, Native, Network, ReportedError};
use crate::simulation::hosted::Hosted;
use crate::simulation::judge::{Invariant, Judge, Violation};
use crate::simulation::machine::{Machine, Moment};
use crate::simulation::plan::{Caller, ClientPlan, Plan, Stream};
use crate::simulation::schedule::Readable;

/// The longest time for a call. Some calls wait for one or two look-ups of up to twenty seconds each before their own.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A client, which can restart.
pub(super) struct Client {
    pub(super) plan: ClientPlan,
    number: usize,
    pub(super) machine: Machine,
    random: RefCell<ChaCha8Rng>,
    life: RefCell<Rc<Life>>,
}

/// A client from a start to the next restart, and its judge.
struct Life {
    provider: Provider,
    judge: RefCell<Judge>,
}

enum Provider {
    Native(Box<Native>),
    Hosted(Hosted),
}

impl Provider {
    /// A caller of a native client cannot give up: the component runs to its end.
    async fn get(&self, patience: Option<Duration>, judge: impl FnOnce(&Call)) -> Option<String> {
        match self {
            Self::Native(native) => native.get(judge).await,
            Self::Hosted(hosted) => hosted.get(patience, judge).await,
        }
    }

    async fn reject(&self, access_key_id: &str, judge: impl FnOnce(Moment)) {
        match self {
            Self::Native(native) => native.reject(access_key_id, judge).await,
            Self::Hosted(hosted) => hosted.reject(access_key_id, judge).await,
        }
    }

    async fn invalidate(&self, judge: impl FnOnce()) {
        match self {
            Self::Native(native) => native.invalidate(judge).await,
            Self::Hosted(hosted) => hosted.invalidate(judge).await,
        }
    }

    async fn metadata(&self, judge: impl FnOnce(&[Exchange], Option<ReportedError>)) {
        match self {
            Self::Native(native) => native.metadata(judge).await,
            Self::Hosted(hosted) => hosted.metadata(judge).await,
        }
    }
}

impl Client {
    pub(super) fn new(world: &World, plan: &Plan, number: usize) -> Result<Self, Broken> {
        let client = plan.clients.get(number).ok_or(Broken::Plan)?.clone();
        let machine = Machine::new(world.timeline.clone(), Duration::from_secs(plan.epoch));
        let mut random = plan.dice(Stream::Client(number));
        let life = Self::begin(world, &client, number, &machine, &mut random)?;
        Ok(Self {
            plan: client,
            number,
            machine,
            random: RefCell::new(random),
            life: RefCell::new(Rc::new(life)),
        })
    }

    fn begin(
        world: &World,
        plan: &ClientPlan,
        number: usize,
        machine: &Machine,
        random: &mut ChaCha8Rng,
    ) -> Result<Life, Broken> {
        let network = Network {
            server: Arc::clone(&world.server),
            machine: machine.clone(),
            number: u16::try_from(number).unwrap_or(u16::MAX),
            log: Log::default(),
        };
        let random = ChaCha8Rng::from_rng(random);
        let options = &plan.options;
        let provider = match &world.rest {
            Some(rest) => {
                let hosted = Hosted::new(
                    network,
                    random,
                    options,
                    plan.policy,
                    world.background,
                    rest.clone(),
                );
                Provider::Hosted(hosted.map_err(|error| Broken::Config(error.to_string().into()))?)
            }
            None => {
                let native = Native::new(network, Dice::new(random), options.clone());
                let native = native.map_err(|error| Broken::Config(error.to_string().into()));
                Provider::Native(Box::new(native?))
            }
        };
        let now = world.timeline.now();
        let judge = Judge::new(number, plan.rules(), options, world.background, now);
        Ok(Life {
            provider,
            judge: RefCell::new(judge),
        })
    }

    pub(super) fn restart(&self, world: &World) -> Result<(), Broken> {
        let random = &mut self.random.borrow_mut();
        let life = Self::begin(world, &self.plan, self.number, &self.machine, random)?;
        self.life.replace(Rc::new(life));
        Ok(())
    }

    /// A violation, if a call takes too long while its machine is awake.
    pub(super) fn too_long(&self, world: &World, began: Duration, what: &str) -> Option<Violation> {
        let now = world.timeline.now();
        let took = now.saturating_sub(self.machine.woke().max(began));
        (took > PATIENCE).then(|| Violation {
            invariant: Invariant::NoHang,
            at: now,
            client: self.number,
            seen: format!("a call that began at {} {what}", Readable(began)),
        })
    }

    /// One call for credentials, and sometimes another call after it.
    async fn call(&self, world: &World, random: &mut ChaCha8Rng) {
        self.machine.awake().await;
        let life = Rc::clone(&self.life.borrow());
        let began = world.timeline.now();
        let judge = |call: &Call| world.call(self.number, &life.judge, began, call);
        let number = {
            let mut open = world.open.borrow_mut();
            let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
            open.insert(number, (self.number, began));
            number
        };
        let patience = (world.background && random.random_bool(0.2))
            .then(|| Duration::from_secs_f64(random.random_range(0.0..3.0)));
        let key = life.provider.get(patience, judge).await;
        world.open.borrow_mut().remove(&number);
        world.blame(self.too_long(world, began, "took too long"));
        match random.random_range(0..1000) {
            0..4 => {
                // AWS rejected the credentials, or the caller believes so.
                let Some(key) = key else { return };
                let judge = |now| {
                    world.note(format_args!("client {}: {key} is rejected", self.number));
                    life.judge.borrow_mut().rejected(&key, now);
                };
                life.provider.reject(&key, judge).await;
            }
            4..5 => {
                let judge = || {
                    world.note(format_args!("client {}: invalidated", self.number));
                    life.judge.borrow_mut().invalidated();
                };
                life.provider.invalidate(judge).await;
            }
            5..10 => {
                life.provider
                    .metadata(|exchanges, said| {
                        let judge = &mut life.judge.borrow_mut();
                        let now = world.timeline.now();
                        world.blame(judge.other(exchanges, said.as_ref(), now));
                    })
                    .await;
            }
            _ => {}
        }
    }

    pub(super) async fn calls(&self, world: &World, caller: Caller, mut random: ChaCha8Rng) {
        let (every, crowd) = match caller {
            Caller::Steady(every) | Caller::Storm(every, _) => (every, 1),
            Caller::Crowd(every, crowd) => (every, crowd),
        };
        loop {
            // Callers are not regular.
            let pause = every.mul_f64(random.random_range(0.2..1.8));
            world.timeline.sleep(pause).await;
            match caller {
                Caller::Storm(_, calls) => {
                    for _ in 0..calls {
                        self.call(world, &mut random).await;
                        world.timeline.sleep(Duration::from_secs(1)).await;
                    }
                }
                Caller::Steady(_) => {
                    let mut random = ChaCha8Rng::from_rng(&mut random);
                    self.call(world, &mut random).await;
                }
                Caller::Crowd(..) => {
                    let calls: Vec<_> = (0..crowd)
                        .map(|_| ChaCha8Rng::from_rng(&mut random))
                        .map(async |mut random| self.call(world, &mut random).await)
                        .collect();
                    join_all(calls).await;
                }
            }
        }
    }
}
