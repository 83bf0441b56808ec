//! A world, from its beginning to its end or to the first thing that must not be.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_executor::LocalPool;
use futures_util::future::join_all;
use futures_util::task::LocalSpawnExt as _;
use imds_emulator::config::{Config, HttpTokens, Invalid};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::client::{Call, Dice, Exchange, Log, Native, Network, Said};
use super::hosted::{Hosted, Rest};
use super::judge::{Around, Invariant, Judge, Violation};
use super::machine::{Machine, Moment};
use super::plan::{Caller, ClientPlan, Plan, Stream};
use super::schedule::{Incident, Kind, Readable};
use super::server::Server;
use super::timeline::Timeline;

/// What came of a world.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The first thing that must not be; there it ended.
    pub violation: Option<Violation>,
    /// How much there was.
    pub counts: Counts,
    /// How many requests each kind of fault had its hands in.
    pub acted: BTreeMap<String, u64>,
    /// The same for the same events in the same order.
    pub digest: u64,
}

/// How much there was in a world, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Moments at which something happened.
    pub events: u64,
    /// Things that went wrong.
    pub incidents: u64,
    /// Requests that a fault had its hands in.
    pub faults: u64,
    /// Calls for credentials.
    pub calls: u64,
    /// Calls that asked IMDS.
    pub refreshes: u64,
    /// Requests to IMDS.
    pub requests: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Bytes of what the host logged.
    pub logged: u64,
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.incidents += other.incidents;
        self.faults += other.faults;
        self.calls += other.calls;
        self.refreshes += other.refreshes;
        self.requests += other.requests;
        self.errors += other.errors;
        self.logged += other.logged;
    }
}

/// What all in a world share.
struct World {
    timeline: Timeline,
    server: Arc<Server>,
    notes: RefCell<Notes>,
    /// How many things are wrong, for everybody and for each client.
    wrong: Cell<u32>,
    well_since: Cell<Option<Duration>>,
    /// Where clients are hosted.
    rest: Option<Rest>,
    background: bool,
    /// Calls under way: whose, and since when.
    open: RefCell<BTreeMap<u64, (usize, Duration)>>,
    /// The faults of the rules, by their names.
    faults: HashMap<String, String>,
    /// How often a clock was set, or a machine suspended.
    jumps: Cell<u64>,
}

/// No call takes so long, whatever its turn: some of them wait for a look-up or two of up to twenty seconds each
/// before theirs.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

struct Notes {
    counts: Counts,
    acted: BTreeMap<String, u64>,
    digest: DefaultHasher,
    violation: Option<Violation>,
    trace: Option<Vec<String>>,
}

impl World {
    fn note(&self, line: &str) {
        let mut notes = self.notes.borrow_mut();
        notes.digest.write_u128(self.timeline.now().as_nanos());
        notes.digest.write(line.as_bytes());
        if let Some(trace) = &mut notes.trace {
            let at = Readable(self.timeline.now());
            trace.push(format!("{at}  {line}"));
        }
    }

    fn call(&self, client: usize, judge: &RefCell<Judge>, began: Duration, call: &Call) {
        let around = Around {
            now: self.timeline.now(),
            began,
            well_since: self.well_since.get(),
            jumps: self.jumps.get(),
        };
        {
            let notes = &mut *self.notes.borrow_mut();
            let counts = &mut notes.counts;
            counts.calls += 1;
            counts.refreshes += u64::from(!call.exchanges.is_empty());
            counts.requests += call.exchanges.len() as u64;
            counts.errors += u64::from(call.answer.is_err());
            counts.logged += call.logged.len() as u64;
            for exchange in &call.exchanges {
                let rules = &exchange.exchanged.rules;
                counts.faults += u64::from(!rules.is_empty());
                for fault in rules.iter().filter_map(|rule| self.faults.get(&**rule)) {
                    match notes.acted.get_mut(fault) {
                        Some(times) => *times += 1,
                        None => drop(notes.acted.insert(fault.clone(), 1)),
                    }
                }
            }
        }
        for exchange in &call.exchanges {
            self.note(&format!("  client {client}: {exchange}"));
        }
        match &call.answer {
            Ok(given) => self.note(&format!("client {client}: {given:?}")),
            Err(said) => self.note(&format!("client {client}: {}", said.line)),
        }
        self.blame(judge.borrow_mut().call(call, around));
    }

    fn blame(&self, violation: Option<Violation>) {
        if let Some(violation) = violation {
            self.note(&violation.to_string());
            self.notes.borrow_mut().violation.get_or_insert(violation);
        }
    }

    fn is_over(&self) -> bool {
        self.notes.borrow().violation.is_some()
    }

    fn begin_to_be_wrong(&self) {
        self.wrong.set(self.wrong.get() + 1);
        self.well_since.set(None);
    }

    fn end_to_be_wrong(&self) {
        self.wrong.set(self.wrong.get() - 1);
        if self.wrong.get() == 0 {
            self.well_since.set(Some(self.timeline.now()));
        }
    }
}

/// A client, which can begin anew.
struct Client {
    plan: ClientPlan,
    number: usize,
    machine: Machine,
    random: RefCell<ChaCha8Rng>,
    life: RefCell<Rc<Life>>,
}

/// A client from its beginning to its end, and who watches it.
struct Life {
    provider: Provider,
    judge: RefCell<Judge>,
}

enum Provider {
    Native(Box<Native>),
    Hosted(Hosted),
}

impl Provider {
    /// A caller of a native client has no way to go away: the component runs to its end.
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

    async fn metadata(&self, judge: impl FnOnce(&[Exchange], Option<Said>)) {
        match self {
            Self::Native(native) => native.metadata(judge).await,
            Self::Hosted(hosted) => hosted.metadata(judge).await,
        }
    }
}

impl Client {
    fn new(world: &World, plan: &Plan, number: usize) -> Result<Self, Broken> {
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

    fn restart(&self, world: &World) -> Result<(), Broken> {
        let random = &mut self.random.borrow_mut();
        let life = Self::begin(world, &self.plan, self.number, &self.machine, random)?;
        self.life.replace(Rc::new(life));
        Ok(())
    }

    /// That a call takes longer than any may, while its machine is awake.
    fn too_long(&self, world: &World, began: Duration, what: &str) -> Option<Violation> {
        let now = world.timeline.now();
        let took = now.saturating_sub(self.machine.woke().max(began));
        (took > PATIENCE).then(|| Violation {
            invariant: Invariant::NoHang,
            at: now,
            client: self.number,
            seen: format!("a call from {} {what}", Readable(began)),
        })
    }

    /// One call, and now and then more than that.
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
        world.blame(self.too_long(world, began, "took its time"));
        match random.random_range(0..1000) {
            0..4 => {
                // AWS did not take them, or somebody thinks so.
                let Some(key) = key else { return };
                let judge = |now| {
                    world.note(&format!("client {}: {key} is rejected", self.number));
                    life.judge.borrow_mut().rejected(&key, now);
                };
                life.provider.reject(&key, judge).await;
            }
            4..5 => {
                let judge = || {
                    world.note(&format!("client {}: invalidated", self.number));
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

    async fn calls(&self, world: &World, caller: Caller, mut random: ChaCha8Rng) {
        let (every, crowd) = match caller {
            Caller::Steady(every) | Caller::Storm(every, _) => (every, 1),
            Caller::Crowd(every, crowd) => (every, crowd),
        };
        loop {
            // Nobody is as regular as a clock.
            let pause = every.mul_f64(random.random_range(0.2..1.8));
            world.timeline.sleep(pause).await;
            match caller {
                Caller::Storm(_, calls) => {
                    for _ in 0..calls {
                        self.call(world, &mut random).await;
                        world.timeline.sleep(Duration::from_secs(1)).await;
                    }
                }
                Caller::Steady(_) | Caller::Crowd(..) => {
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

/// A world that cannot be made: a fault of the simulation.
enum Broken {
    Plan,
    Config(Box<str>),
}

impl From<Invalid> for Broken {
    fn from(invalid: Invalid) -> Self {
        Self::Config(invalid.to_string().into())
    }
}

/// An incident, from its beginning to its end.
async fn happen(world: &World, clients: &[Client], incident: &Incident) -> Result<(), Broken> {
    world.timeline.sleep_until(incident.begins).await;
    if let Some(delay) = incident.amid {
        let of = match incident.kind {
            Kind::WallClock { client, .. }
            | Kind::Suspend { client }
            | Kind::ClientRestart { client } => u16::try_from(client).ok(),
            _ => None,
        };
        world.server.request(of).await;
        world.timeline.sleep(delay).await;
    }
    world.note(&incident.to_string());
    world.notes.borrow_mut().counts.incidents += 1;
    if matches!(incident.kind, Kind::WallClock { .. } | Kind::Suspend { .. }) {
        // Once there, and once back.
        world.jumps.set(world.jumps.get() + 2);
    }
    world.begin_to_be_wrong();
    begin(world, clients, incident)?;
    if incident.lasts.is_zero() {
        // What was under way may fail by it.
        world.end_to_be_wrong();
        return Ok(());
    }
    world.timeline.sleep(incident.lasts).await;
    world.note(&format!("{:>4}  is over", incident.number));
    end(world, clients, incident)?;
    world.end_to_be_wrong();
    Ok(())
}

fn begin(world: &World, clients: &[Client], incident: &Incident) -> Result<(), Broken> {
    let server = &world.server;
    match &incident.kind {
        Kind::Fault(rule) => server.break_with(rule.as_ref().clone())?,
        Kind::Restart { .. } => server.stop(),
        Kind::RoleChange { to } => {
            server.change(|imds, now| {
                let mut config = imds.config().clone();
                if let Some(iam) = &mut config.instance.iam {
                    iam.role = Some(to.clone());
                }
                imds.changed(config, now)
            })?;
            server.forget_documents();
        }
        Kind::Rotation => {
            server.change(|imds, now| Ok::<_, Invalid>(imds.with_credentials_rotated(now)))?;
            server.forget_documents();
        }
        Kind::Revocation => server.revoke_tokens(),
        Kind::Tokens { required } => tokens(server, *required)?,
        Kind::WallClock { client, by } => {
            if let Some(client) = clients.get(*client) {
                client.machine.shift(*by);
            }
        }
        Kind::Suspend { client } => {
            if let Some(client) = clients.get(*client) {
                client.machine.suspend(incident.lasts);
            }
        }
        Kind::ClientRestart { client } => {
            if let Some(client) = clients.get(*client) {
                client.restart(world)?;
            }
        }
    }
    Ok(())
}

fn end(world: &World, clients: &[Client], incident: &Incident) -> Result<(), Broken> {
    let server = &world.server;
    match &incident.kind {
        Kind::Fault(rule) => server.heal(&rule.name),
        Kind::Restart { same_seed } => server.start(*same_seed)?,
        Kind::Tokens { required } => tokens(server, !required)?,
        Kind::WallClock { client, by } => {
            if let Some(client) = clients.get(*client) {
                client.machine.shift(-by);
            }
        }
        _ => {}
    }
    Ok(())
}

fn tokens(server: &Server, required: bool) -> Result<(), Invalid> {
    server.change(|imds, now| {
        let mut config: Config = imds.config().clone();
        config.metadata_options.http_tokens = match required {
            true => HttpTokens::Required,
            false => HttpTokens::Optional,
        };
        imds.changed(config, now)
    })
}

/// Lets a world run, with those incidents of its plan that are given.
///
/// # Panics
///
/// If the plan cannot be carried out, which is a fault of the plan's.
#[expect(clippy::panic, reason = "documented")]
pub fn run(plan: &Plan, given: &[Incident], trace: Option<&mut Vec<String>>) -> Outcome {
    let timeline = Timeline::default();
    let mut dice = plan.dice(Stream::Server);
    let epoch = DateTime::from_timestamp(plan.epoch.cast_signed(), 0).unwrap_or_default();
    let server = Server::new(timeline.clone(), epoch, plan.config.clone(), dice.random());
    let mut outcome = match server {
        Ok(server) => {
            let world = World {
                timeline,
                server: Arc::new(server),
                notes: RefCell::new(Notes {
                    counts: Counts::default(),
                    acted: BTreeMap::new(),
                    digest: DefaultHasher::new(),
                    violation: None,
                    trace: trace.is_some().then(Vec::new),
                }),
                wrong: Cell::new(0),
                well_since: Cell::new(Some(Duration::ZERO)),
                rest: plan.hosted.then(Rest::default),
                background: plan.background,
                open: RefCell::default(),
                faults: given.iter().filter_map(fault).collect(),
                jumps: Cell::new(0),
            };
            live(world, plan, given)
        }
        Err(invalid) => Err(invalid.into()),
    };
    if let (Ok(outcome), Some(trace)) = (&mut outcome, trace) {
        *trace = std::mem::take(&mut outcome.1);
    }
    match outcome {
        Ok((outcome, _)) => outcome,
        Err(Broken::Plan) => panic!("{plan:?} cannot be carried out"),
        Err(Broken::Config(why)) => panic!("{plan:?} cannot be carried out: {why}"),
    }
}

/// The name of a rule, and its fault.
fn fault(incident: &Incident) -> Option<(String, String)> {
    let Kind::Fault(rule) = &incident.kind else {
        return None;
    };
    let fault = serde_json::to_value(&rule.fault).ok()?;
    Some((rule.name.clone(), fault.get("type")?.as_str()?.to_owned()))
}

/// A call that does not come to its end, though its machine is awake.
fn hanging(world: &World, clients: &[Client]) -> Option<Violation> {
    let open = world.open.borrow();
    open.values().find_map(|(client, began)| {
        let client = clients.get(*client)?;
        client.too_long(world, *began, "is under way")
    })
}

type Lived = (Outcome, Vec<String>);

fn live(world: World, plan: &Plan, given: &[Incident]) -> Result<Lived, Broken> {
    let world = Rc::new(world);
    let clients: Result<Vec<Client>, Broken> = (0..plan.clients.len())
        .map(|number| Client::new(&world, plan, number))
        .collect();
    let clients = Rc::new(clients?);
    let failed: Rc<RefCell<Option<Broken>>> = Rc::default();
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    for incident in given {
        let incident = incident.clone();
        let (of_world, all, result) = (Rc::clone(&world), Rc::clone(&clients), Rc::clone(&failed));
        spawner
            .spawn_local(async move {
                if let Err(broken) = happen(&of_world, &all, &incident).await {
                    result.replace(Some(broken));
                }
            })
            .map_err(|_| Broken::Plan)?;
    }
    for (number, client) in clients.iter().enumerate() {
        for (at, caller) in client.plan.callers.iter().copied().enumerate() {
            let random = plan.dice(Stream::Caller(number, at));
            let (of_world, all) = (Rc::clone(&world), Rc::clone(&clients));
            let calls = async move {
                if let Some(client) = all.get(number) {
                    client.calls(&of_world, caller, random).await;
                }
            };
            spawner.spawn_local(calls).map_err(|_| Broken::Plan)?;
        }
    }
    loop {
        match &world.rest {
            Some(rest) => {
                if !rest.settle(|| pool.run_until_stalled()) {
                    world.blame(Some(Violation {
                        invariant: Invariant::NoHang,
                        at: world.timeline.now(),
                        client: 0,
                        seen: "the host goes in circles".into(),
                    }));
                }
            }
            None => pool.run_until_stalled(),
        }
        let over = world.is_over() || world.timeline.now() >= plan.length;
        if over || failed.borrow().is_some() || !world.timeline.step() {
            break;
        }
        world.notes.borrow_mut().counts.events += 1;
    }
    if let Some(broken) = failed.take() {
        return Err(broken);
    }
    if !world.is_over() {
        world.blame(hanging(&world, &clients));
    }
    drop(pool);
    let mut notes = world.notes.borrow_mut();
    let outcome = Outcome {
        violation: notes.violation.take(),
        counts: notes.counts,
        acted: std::mem::take(&mut notes.acted),
        digest: notes.digest.finish(),
    };
    Ok((outcome, notes.trace.take().unwrap_or_default()))
}
