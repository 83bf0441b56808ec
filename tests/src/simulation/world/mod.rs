//! A world, from its beginning to its end or to the first violation.

mod client;
mod incident;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_executor::LocalPool;
use futures_util::task::LocalSpawnExt as _;
use imds_emulator::config::Invalid;
use rand::RngExt as _;

use self::client::Client;
use self::incident::happen;
use super::client::Call;
use super::hosted::Rest;
use super::judge::{Invariant, Judge, Violation, WorldState};
use super::plan::{Plan, Stream};
use super::schedule::{Incident, Kind, Readable, type_of};
use super::server::Server;
use super::timeline::Timeline;

/// The outcome of a world.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The first violation, at which the world ended.
    pub violation: Option<Violation>,
    /// What happened, in numbers.
    pub counts: Counts,
    /// How many requests each kind of fault affected.
    pub acted: BTreeMap<String, u64>,
    /// A hash of all events in their order.
    pub digest: u64,
}

/// What happened in one or many worlds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Moments at which something happened.
    pub events: u64,
    /// Incidents.
    pub incidents: u64,
    /// Requests that a fault affected.
    pub faults: u64,
    /// Calls for credentials.
    pub calls: u64,
    /// Calls with a request to IMDS.
    pub refreshes: u64,
    /// Requests to IMDS.
    pub requests: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Bytes that the host logged.
    pub logged: u64,
}

impl Counts {
    /// Adds other counts to these.
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

/// The shared state of a world.
struct World {
    timeline: Timeline,
    server: Arc<Server>,
    notes: RefCell<Notes>,
    /// The number of incidents in progress.
    incidents: Cell<u32>,
    healthy_since: Cell<Option<Duration>>,
    /// Set if the clients are hosted.
    rest: Option<Rest>,
    background: bool,
    /// Calls in progress: the client, and when the call began.
    open: RefCell<BTreeMap<u64, (usize, Duration)>>,
    /// The fault of each rule, by the name of the rule.
    faults: HashMap<String, String>,
    /// How often a clock was set or a machine was suspended.
    jumps: Cell<u64>,
}

struct Notes {
    counts: Counts,
    acted: BTreeMap<String, u64>,
    digest: DefaultHasher,
    /// The latest event. Each event is written into the same memory.
    line: String,
    violation: Option<Violation>,
    trace: Option<Vec<String>>,
}

impl World {
    fn note(&self, event: fmt::Arguments<'_>) {
        let now = self.timeline.now();
        let Notes {
            digest,
            line,
            trace,
            ..
        } = &mut *self.notes.borrow_mut();
        line.clear();
        // Writing to a text cannot fail.
        let _ = line.write_fmt(event);
        digest.write_u128(now.as_nanos());
        digest.write(line.as_bytes());
        if let Some(trace) = trace {
            trace.push(format!("{}  {line}", Readable(now)));
        }
    }

    fn call(&self, client: usize, judge: &RefCell<Judge>, began: Duration, call: &Call) {
        let state = WorldState {
            now: self.timeline.now(),
            began,
            healthy_since: self.healthy_since.get(),
            jumps: self.jumps.get(),
        };
        {
            let notes = &mut *self.notes.borrow_mut();
            let counts = &mut notes.counts;
            counts.calls += 1;
            counts.refreshes += u64::from(!call.exchanges.is_empty());
            counts.requests += call.exchanges.len() as u64;
            counts.errors += u64::from(call.result.is_err());
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
            self.note(format_args!("  client {client}: {exchange}"));
        }
        match &call.result {
            Ok(given) => self.note(format_args!("client {client}: {given:?}")),
            Err(said) => self.note(format_args!("client {client}: {}", said.line)),
        }
        self.blame(judge.borrow_mut().call(call, state));
    }

    /// Whether faults of the same kind as that of an incident have affected a request.
    fn has_acted(&self, incident: &Incident) -> bool {
        fault(incident).is_none_or(|(_, kind)| self.notes.borrow().acted.contains_key(&kind))
    }

    fn blame(&self, violation: Option<Violation>) {
        if let Some(violation) = violation {
            self.note(format_args!("{violation}"));
            self.notes.borrow_mut().violation.get_or_insert(violation);
        }
    }

    fn is_over(&self) -> bool {
        self.notes.borrow().violation.is_some()
    }

    fn incident_begins(&self) {
        self.incidents.set(self.incidents.get() + 1);
        self.healthy_since.set(None);
    }

    fn incident_ends(&self) {
        self.incidents.set(self.incidents.get() - 1);
        if self.incidents.get() == 0 {
            self.healthy_since.set(Some(self.timeline.now()));
        }
    }
}

/// Why a plan cannot be carried out: an error of the simulation itself.
enum Broken {
    Plan,
    Config(Box<str>),
}

impl From<Invalid> for Broken {
    fn from(invalid: Invalid) -> Self {
        Self::Config(invalid.to_string().into())
    }
}

/// Runs a world with the given incidents of its plan.
///
/// # Panics
///
/// If the plan cannot be carried out.
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
                    line: String::new(),
                    violation: None,
                    trace: trace.is_some().then(Vec::new),
                }),
                incidents: Cell::new(0),
                healthy_since: Cell::new(Some(Duration::ZERO)),
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

/// The name of a rule, and the type of its fault.
fn fault(incident: &Incident) -> Option<(String, String)> {
    let Kind::Fault(rule) = &incident.kind else {
        return None;
    };
    Some((rule.name.clone(), type_of(&rule.fault)?))
}

/// A violation, if a call does not end although its machine is awake.
fn hanging(world: &World, clients: &[Client]) -> Option<Violation> {
    let open = world.open.borrow();
    open.values().find_map(|(client, began)| {
        let client = clients.get(*client)?;
        client.too_long(world, *began, "is still in progress")
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
                        seen: "the host does not settle".into(),
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
