//! Routes together with their descriptions: every route has one.

use axum::Router;
use axum::routing::MethodRouter;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::input::Problem;

/// Routes and their descriptions.
pub(super) struct Api<S> {
    router: Router<S>,
    paths: Vec<(&'static str, Vec<Operation>)>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            paths: Vec::new(),
        }
    }

    /// Adds a path with its methods, and a description of each.
    pub(super) fn path<const N: usize>(
        mut self,
        path: &'static str,
        methods: MethodRouter<S>,
        operations: [Operation; N],
    ) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push((path, operations.into()));
        self
    }

    /// This API and another one.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }

    /// The routes.
    pub(super) fn router(self) -> Router<S> {
        self.router
    }

    /// The description, as OpenAPI 3.1.
    pub(super) fn description(self) -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
        });
        let mut schemas = settings.into_generator();
        let mut paths = Map::new();
        for (path, operations) in self.paths {
            let mut described = Map::new();
            if path.contains("{name}") {
                let name = json!({
                    "name": "name", "in": "path", "required": true,
                    "schema": {"type": "string", "minLength": 1},
                });
                described.insert("parameters".into(), json!([name]));
            }
            for operation in operations {
                let method = operation.method.to_owned();
                described.insert(method, operation.describe(&mut schemas));
            }
            paths.insert(path.into(), described.into());
        }
        let schemas = schemas.take_definitions(true);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "imds-emulator: admin API",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Faults, clock, events and journal of an emulator of the EC2 Instance Metadata Service (IMDS)",
            },
            "paths": paths,
            "components": {"schemas": schemas},
        })
    }
}

/// The description of a method.
pub(super) struct Operation {
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Option<Describe>,
    query: Option<Describe>,
    responses: Vec<(u16, &'static str, Content)>,
}

type Describe = fn(&mut SchemaGenerator) -> Schema;

enum Content {
    Nothing,
    Json(Describe),
    Text(&'static str),
}

macro_rules! methods {
    ($($method:ident)*) => { $(
        pub(super) fn $method(id: &'static str, summary: &'static str) -> Self {
            Self::new(stringify!($method), id, summary)
        }
    )* };
}

impl Operation {
    methods!(get post put patch delete);

    fn new(method: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            id,
            summary,
            body: None,
            query: None,
            responses: Vec::new(),
        }
    }

    /// The body of the request.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self.fails(&[400, 413, 415])
    }

    /// The parameters of the query.
    pub(super) fn asks<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::root_schema_for::<T>);
        self.fails(&[400])
    }

    pub(super) fn gives<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        let content = Content::Json(SchemaGenerator::subschema_for::<T>);
        self.responses.push((status, what, content));
        self
    }

    pub(super) fn gives_nothing(mut self) -> Self {
        self.responses.push((204, "done", Content::Nothing));
        self
    }

    pub(super) fn gives_text(mut self, kind: &'static str) -> Self {
        self.responses.push((200, "the text", Content::Text(kind)));
        self
    }

    pub(super) fn fails(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let why = match status {
                400 => "the body or the query is malformed",
                404 => "nothing with this name exists",
                409 => "the request conflicts with the emulator's state",
                413 => "the body is too long",
                415 => "the Content-Type is not application/json",
                _ => "a value is not accepted; `field` names it",
            };
            let content = Content::Json(SchemaGenerator::subschema_for::<Problem>);
            self.responses.push((*status, why, content));
        }
        self
    }

    fn describe(self, schemas: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        for (status, what, content) in self.responses {
            let kind = if status < 400 {
                "application/json"
            } else {
                "application/problem+json"
            };
            let mut response = json!({"description": what});
            let content = match content {
                Content::Nothing => None,
                Content::Json(describe) => Some(json!({kind: {"schema": describe(schemas)}})),
                Content::Text(kind) => Some(json!({kind: {"schema": {"type": "string"}}})),
            };
            if let (Some(content), Some(response)) = (content, response.as_object_mut()) {
                response.insert("content".into(), content);
            }
            responses.insert(status.to_string(), response);
        }
        // 403 and 405, which do not depend on the operation.
        let problem = schemas.subschema_for::<Problem>();
        responses.insert(
            "default".into(),
            json!({
                "description": "the request is not accepted",
                "content": {"application/problem+json": {"schema": problem}},
            }),
        );
        let mut described = Map::new();
        described.insert("operationId".into(), self.id.into());
        described.insert("summary".into(), self.summary.into());
        if let Some(describe) = self.body {
            let body = json!({
                "required": true,
                "content": {"application/json": {"schema": describe(schemas)}},
            });
            described.insert("requestBody".into(), body);
        }
        if let Some(describe) = self.query {
            described.insert("parameters".into(), parameters(&describe(schemas)));
        }
        described.insert("responses".into(), responses.into());
        described.into()
    }
}

/// The properties of a schema, as parameters of a query.
fn parameters(schema: &Schema) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| json!({"name": name, "in": "query", "schema": plain(schema)}))
        .collect()
}

/// The schema of a parameter, which may be absent but never null.
fn plain(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(kinds) = schema.get_mut("type")
        && let Some(kind) = kinds.as_array().and_then(|kinds| kinds.first().cloned())
    {
        *kinds = kind;
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("default");
    }
    schema
}
