//! `imds-emulator ctl`: the admin API from a shell.

use std::error::Error;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use tokio::net::{TcpStream, UnixStream};

/// The variable that says where the admin API is.
pub(crate) const ADMIN_URL: &str = "IMDS_EMULATOR_ADMIN_URL";

#[derive(Args, Debug)]
pub(crate) struct Ctl {
    /// The admin API: its URL, as the ready line has it, or the path of its Unix socket.
    #[arg(long, env = ADMIN_URL, default_value = "http://127.0.0.1:1339", global = true)]
    admin: String,
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Rules: what goes wrong, for which requests, and when.
    #[command(subcommand)]
    Fault(Fault),
    /// Faults by name.
    #[command(subcommand)]
    Preset(Preset),
    /// The emulator's clock.
    #[command(subcommand)]
    Clock(Clock),
    /// Show the instance, or change it: KEY=VALUE, as in the configuration below `instance`.
    Instance { set: Vec<String> },
    /// Show the metadata options, or change them: HttpTokens=optional.
    Options { set: Vec<String> },
    /// Show the events, change them as JSON (`-` reads standard input), or take all back.
    Events {
        /// Like '{"rebalance-recommendation": {}}'.
        json: Option<String>,
        /// Take all events back.
        #[arg(long, conflicts_with = "json")]
        clear: bool,
    },
    /// What happens, when, or after which requests.
    #[command(subcommand)]
    Timeline(Timeline),
    /// Give the role new credentials.
    Rotate,
    /// Make all tokens invalid.
    Revoke,
    /// What was asked and answered.
    #[command(subcommand)]
    Requests(Requests),
    /// Whether assertions hold. The exit status is 1 if one does not.
    ///
    /// An assertion is its name (no_imdsv1), NAME=VALUE (max_token_puts=1) or JSON; `-` reads a JSON
    /// list of them from standard input.
    Verify {
        #[arg(required = true)]
        assertions: Vec<String>,
    },
    /// The state of a scenario; with STATE, puts it into that.
    Scenario { name: String, state: Option<String> },
    /// Make everything what it was at the start.
    Reset,
    /// Counts, in the text format of Prometheus.
    Metrics,
    /// Whether it is alive.
    Health,
}

#[derive(Debug, Subcommand)]
enum Fault {
    /// Add a rule.
    ///
    /// With a NAME and a TYPE: `ctl fault add outage status code=503 --path /latest/api/token`.
    /// With JSON alone: `ctl fault add '{"name": …, "match": …, "when": …, "fault": …}'`; `-` reads it
    /// from standard input.
    Add {
        /// The name of the rule, or all of it as JSON.
        name: String,
        /// What goes wrong: blackhole, status, latency …
        kind: Option<String>,
        /// Its parameters: KEY=VALUE.
        parameters: Vec<String>,
        /// For requests to such paths alone.
        #[arg(long, value_name = "GLOB")]
        path: Option<String>,
        /// For requests with this method alone.
        #[arg(long)]
        method: Option<String>,
        /// For so many requests.
        #[arg(long)]
        count: Option<u64>,
        /// Not for the first so many.
        #[arg(long)]
        skip_first: Option<u64>,
        /// For this share of the requests, from 0 to 1.
        #[arg(long)]
        probability: Option<f64>,
        /// For so long, on the emulator's clock: 5m.
        #[arg(long)]
        duration: Option<String>,
        /// For so long, on the machine's clock: 5m.
        #[arg(long)]
        ttl: Option<String>,
    },
    /// List the rules, and how often each applied.
    List,
    /// Show a rule.
    Show { name: String },
    /// Take a rule away.
    Remove { name: String },
    /// Take all rules away.
    Clear,
}

#[derive(Debug, Subcommand)]
enum Preset {
    /// List the presets, and what they do.
    List,
    /// Apply one.
    Apply { name: String },
    /// Take one away.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
enum Clock {
    /// Show it.
    Show,
    /// Move it: 6h, or back: -5m.
    #[command(allow_negative_numbers = true)]
    Advance {
        #[arg(allow_hyphen_values = true)]
        by: String,
    },
    /// Set it: 2026-01-02T03:04:05Z.
    Set { to: String },
    /// Stop it.
    Freeze,
    /// Let it run.
    Run,
}

#[derive(Debug, Subcommand)]
enum Timeline {
    /// Show the steps, and what has become of them.
    Show,
    /// Put other steps in place of them, as a JSON list; `-` reads standard input.
    Set { json: String },
    /// Take a step now.
    Take { name: String },
    /// Take all steps away.
    Clear,
}

#[derive(Debug, Subcommand)]
enum Requests {
    /// List the newest ones, one a line.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List those for which everything holds: KEY=VALUE, like status=401 or path=/latest/**.
    Find { filter: Vec<String> },
    /// Count those for which everything holds.
    Count { filter: Vec<String> },
    /// Print each as it ends, until interrupted.
    Follow,
    /// Forget all.
    Clear,
}

/// A request that was not accepted, or could not be made.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {}

type Outcome<T> = Result<T, Box<dyn Error>>;

pub(crate) async fn run(ctl: Ctl) -> Outcome<ExitCode> {
    let api = Api(ctl.admin);
    match ctl.order {
        Order::Fault(order) => api.fault(order).await?,
        Order::Preset(order) => api.preset(order).await?,
        Order::Clock(order) => api.clock(order).await?,
        Order::Timeline(order) => {
            let (method, path, body) = match order {
                Timeline::Show => (Method::GET, "timeline".to_owned(), None),
                Timeline::Set { json } => (
                    Method::PUT,
                    "timeline".to_owned(),
                    Some(parsed(&input(&json)?)?),
                ),
                Timeline::Take { name } => {
                    (Method::POST, format!("timeline/{}", segment(&name)), None)
                }
                Timeline::Clear => (Method::DELETE, "timeline".to_owned(), None),
            };
            let steps = api.order(method, &path, body).await?;
            for status in steps.as_array().into_iter().flatten() {
                let name = text(field(status, "step"), "name");
                print(&format!("{name}: {}", field(status, "state")))?;
            }
        }
        Order::Instance { set } => api.part("instance", &set).await?,
        Order::Options { set } => api.part("metadata-options", &set).await?,
        Order::Events { json, clear } => {
            if clear {
                api.order(Method::DELETE, "events", None).await?;
            } else {
                let (method, body) = match json {
                    Some(text) => (Method::PATCH, Some(parsed(&input(&text)?)?)),
                    None => (Method::GET, None),
                };
                print(&pretty(&api.order(method, "events", body).await?)?)?;
            }
        }
        Order::Rotate => {
            api.order(Method::POST, "credentials/rotate", None).await?;
        }
        Order::Revoke => {
            api.order(Method::POST, "tokens/revoke", None).await?;
        }
        Order::Requests(order) => api.requests(order).await?,
        Order::Verify { assertions } => return api.verify(&assertions).await,
        Order::Scenario { name, state } => {
            let path = format!("scenarios/{}/state", segment(&name));
            let (method, body) = match state {
                Some(state) => (Method::PUT, Some(json!({"state": state}))),
                None => (Method::GET, None),
            };
            let state = api.order(method, &path, body).await?;
            print(text(&state, "state"))?;
        }
        Order::Reset => {
            api.order(Method::POST, "reset", None).await?;
        }
        Order::Metrics => {
            let metrics = api.ask(Method::GET, "metrics", None).await?;
            print(String::from_utf8_lossy(&metrics).trim_end())?;
        }
        Order::Health => {
            print(text(
                &api.order(Method::GET, "health", None).await?,
                "status",
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The admin API: its URL, or the path of its socket.
struct Api(String);

impl Api {
    async fn fault(&self, order: Fault) -> Outcome<()> {
        match order {
            Fault::Add {
                name,
                kind,
                parameters,
                path,
                method,
                count,
                skip_first,
                probability,
                duration,
                ttl,
            } => {
                let rule = match kind {
                    None => parsed(&input(&name)?)?,
                    Some(kind) => {
                        let mut fault = assignments(&parameters)?;
                        fault.insert("type".into(), kind.into());
                        json!({
                            "name": name,
                            "match": given([("path", json!(path)), ("method", json!(method))]),
                            "when": given([
                                ("count", json!(count)),
                                ("skip-first", json!(skip_first)),
                                ("probability", json!(probability)),
                                ("duration", json!(duration)),
                                ("ttl", json!(ttl)),
                            ]),
                            "fault": fault,
                        })
                    }
                };
                self.order(Method::POST, "faults", Some(rule)).await?;
                Ok(())
            }
            Fault::List => {
                let faults = self.order(Method::GET, "faults", None).await?;
                for applied in faults.as_array().into_iter().flatten() {
                    let rule = field(applied, "rule");
                    let count = field(applied, "applied");
                    let name = text(rule, "name");
                    print(&format!(
                        "{name}: {} (applied to {count})",
                        field(rule, "fault")
                    ))?;
                }
                Ok(())
            }
            Fault::Show { name } => {
                let path = format!("faults/{}", segment(&name));
                print(&pretty(&self.order(Method::GET, &path, None).await?)?)
            }
            Fault::Remove { name } => {
                let path = format!("faults/{}", segment(&name));
                self.order(Method::DELETE, &path, None).await?;
                Ok(())
            }
            Fault::Clear => {
                self.order(Method::DELETE, "faults", None).await?;
                Ok(())
            }
        }
    }

    async fn preset(&self, order: Preset) -> Outcome<()> {
        match order {
            Preset::List => {
                let presets = self.order(Method::GET, "presets", None).await?;
                for preset in presets.as_array().into_iter().flatten() {
                    let (name, what) = (text(preset, "name"), text(preset, "description"));
                    print(&format!("{name:<20} {what}"))?;
                }
            }
            Preset::Apply { name } => {
                let path = format!("presets/{}", segment(&name));
                self.order(Method::POST, &path, None).await?;
            }
            Preset::Remove { name } => {
                let path = format!("presets/{}", segment(&name));
                self.order(Method::DELETE, &path, None).await?;
            }
        }
        Ok(())
    }

    async fn clock(&self, order: Clock) -> Outcome<()> {
        let (method, path, body) = match order {
            Clock::Show => (Method::GET, "clock", None),
            Clock::Advance { by } => (Method::POST, "clock/advance", Some(json!({"by": by}))),
            Clock::Set { to } => (Method::PATCH, "clock", Some(json!({"now": to}))),
            Clock::Freeze => (Method::PATCH, "clock", Some(json!({"running": false}))),
            Clock::Run => (Method::PATCH, "clock", Some(json!({"running": true}))),
        };
        let clock = self.order(method, path, body).await?;
        let state = match field(&clock, "running").as_bool() {
            Some(true) => "running",
            _ => "standing",
        };
        print(&format!("{} {state}", text(&clock, "now")))
    }

    /// A part of the configuration, shown or changed.
    async fn part(&self, path: &str, set: &[String]) -> Outcome<()> {
        let (method, body) = match set {
            [] => (Method::GET, None),
            set => (Method::PATCH, Some(Value::Object(assignments(set)?))),
        };
        print(&pretty(&self.order(method, path, body).await?)?)
    }

    async fn requests(&self, order: Requests) -> Outcome<()> {
        match order {
            Requests::List { limit, json } => {
                let path = format!("requests?limit={limit}");
                let found = self.order(Method::GET, &path, None).await?;
                match json {
                    true => print(&pretty(&found)?),
                    false => lines(&found),
                }
            }
            Requests::Find { filter } => {
                let filter = Some(assignments(&filter)?.into());
                lines(&self.order(Method::POST, "requests/find", filter).await?)
            }
            Requests::Count { filter } => {
                let filter = Some(assignments(&filter)?.into());
                let count = self.order(Method::POST, "requests/count", filter).await?;
                print(&field(&count, "count").to_string())
            }
            Requests::Clear => {
                self.order(Method::DELETE, "requests", None).await?;
                Ok(())
            }
            Requests::Follow => {
                let mut body = self.send(Method::GET, "requests/stream", None).await?;
                let mut received = String::new();
                while let Some(frame) = body.frame().await {
                    if let Ok(bytes) = frame?.into_data() {
                        received.push_str(&String::from_utf8_lossy(&bytes));
                    }
                    while let Some((line, rest)) = received.split_once('\n') {
                        if let Some(exchange) = line.strip_prefix("data: ") {
                            print(&line_of(&serde_json::from_str(exchange)?))?;
                        }
                        received = rest.to_owned();
                    }
                }
                Ok(())
            }
        }
    }

    async fn verify(&self, assertions: &[String]) -> Outcome<ExitCode> {
        let list = match assertions {
            [one] if one == "-" => parsed(&input("-")?)?,
            assertions => assertions
                .iter()
                .map(
                    |assertion| match assertion.trim_start().starts_with(['{', '"']) {
                        true => parsed(assertion),
                        false if !assertion.contains('=') => Ok(json!(assertion)),
                        false => Ok(Value::Object(assignments(&[assertion])?)),
                    },
                )
                .collect::<Outcome<Value>>()?,
        };
        let report = self
            .order(Method::POST, "requests/verify", Some(list))
            .await?;
        for verdict in field(&report, "verdicts").as_array().into_iter().flatten() {
            let holds = match field(verdict, "holds").as_bool() {
                Some(true) => "holds",
                _ => "FAILS",
            };
            let why = text(verdict, "why");
            print(&format!("{holds}  {}: {why}", field(verdict, "assertion")))?;
            for exchange in field(verdict, "exchanges").as_array().into_iter().flatten() {
                print(&format!("         {}", line_of(exchange)))?;
            }
        }
        Ok(match field(&report, "holds").as_bool() {
            Some(true) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// The JSON that an order is answered with; null for nothing.
    async fn order(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Value> {
        let bytes = self.ask(method, path, body).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&bytes)?)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Bytes> {
        Ok(self
            .send(method, path, body)
            .await?
            .collect()
            .await?
            .to_bytes())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Outcome<hyper::body::Incoming> {
        let unreachable = |error: &dyn fmt::Display| {
            Failed(format!(
                "cannot reach the admin API at {}: {error}; give its URL with --admin, as the \
                 emulator's ready line has it",
                self.0
            ))
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/__admin/{path}"));
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(&body)?)
            }
            None => Bytes::new(),
        };
        let mut sender = match self.0.strip_prefix("http://") {
            Some(address) => {
                let address = address.trim_end_matches('/');
                request = request.header(HOST, address);
                let stream = TcpStream::connect(address).await;
                let stream = stream.map_err(|error| unreachable(&error))?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
            None => {
                request = request.header(HOST, "localhost");
                let stream = UnixStream::connect(PathBuf::from(&self.0)).await;
                let stream = stream.map_err(|error| unreachable(&error))?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        let answer = sender.send_request(request.body(Full::new(bytes))?).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let bytes = answer.into_body().collect().await?.to_bytes();
        Err(Box::new(refused(status, &bytes)))
    }
}

fn refused(status: StatusCode, problem: &[u8]) -> Failed {
    let problem: Value = serde_json::from_slice(problem).unwrap_or_default();
    let detail = field(&problem, "detail")
        .as_str()
        .unwrap_or("it is no admin API");
    Failed(match field(&problem, "field").as_str() {
        Some(field) if !detail.starts_with(field) => format!("{field}: {detail} ({status})"),
        _ => format!("{detail} ({status})"),
    })
}

/// The text itself, or with `-` standard input.
fn input(text: &str) -> Outcome<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    Ok(input)
}

fn parsed(text: &str) -> Outcome<Value> {
    serde_json::from_str(text)
        .map_err(|error| Failed(format!("{text:?} is no JSON: {error}")).into())
}

/// KEY=VALUE, where keys with dots are objects in objects, and values are JSON or texts.
fn assignments<S: AsRef<str>>(pairs: &[S]) -> Outcome<Map<String, Value>> {
    let mut object = Map::new();
    for pair in pairs {
        let pair = pair.as_ref();
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failed(format!("{pair:?} is not KEY=VALUE")).into());
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let mut into = &mut object;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                into.insert(part.to_owned(), value);
                break;
            }
            let inner = into.entry(part).or_insert_with(|| Map::new().into());
            let Some(inner) = inner.as_object_mut() else {
                return Err(Failed(format!("{key:?} is below a value")).into());
            };
            into = inner;
        }
    }
    Ok(object)
}

/// Those that are not null.
fn given<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn lines(found: &Value) -> Outcome<()> {
    for exchange in field(found, "exchanges").as_array().into_iter().flatten() {
        print(&line_of(exchange))?;
    }
    match field(found, "dropped").as_u64() {
        Some(dropped @ 1..) => print(&format!("({dropped} older ones were dropped)")),
        _ => Ok(()),
    }
}

/// An exchange in a line.
fn line_of(exchange: &Value) -> String {
    let end = match field(exchange, "status").as_u64() {
        Some(status) => status.to_string(),
        None => text(exchange, "outcome").to_owned(),
    };
    let mut line = format!(
        "#{} {} {} {} {} {end} {} token:{}",
        field(exchange, "number"),
        text(exchange, "at"),
        text(exchange, "client"),
        text(exchange, "method"),
        text(exchange, "path"),
        text(exchange, "imds"),
        text(exchange, "token"),
    );
    for rule in field(exchange, "rules").as_array().into_iter().flatten() {
        line.push_str(&format!(" [{}]", rule.as_str().unwrap_or_default()));
    }
    line
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    self::field(value, field).as_str().unwrap_or_default()
}

/// A field, or null.
fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn pretty(value: &Value) -> Outcome<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

fn print(line: &str) -> Outcome<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
