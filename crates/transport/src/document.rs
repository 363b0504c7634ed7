//! The OpenAPI document of what is registered with a description.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::operation::{Content, EVENTS, JSON, Operation};
use crate::{ApiError, Role};

/// An operation with where and for whom it is.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) path: String,
    pub(crate) method: &'static str,
    pub(crate) role: Role,
    pub(crate) operation: Operation,
}

/// The refusals that are described, by status.
const REFUSALS: [(u16, &str, &str); 16] = [
    (400, "Bad", "The request can't be read, or says what can't be."),
    (401, "Unauthorized", "Who asks did not say who they are, or by a token that is not known."),
    (403, "Forbidden", "Who asks is known, and may not."),
    (404, "NotFound", "There is no such thing, or not for who asks."),
    (409, "Conflict", "It is not as the request takes it to be."),
    (413, "TooLarge", "The body is too large."),
    (415, "UnsupportedType", "The body is of another content type."),
    (416, "Range", "The range is not within what there is."),
    (422, "Unprocessable", "The body is JSON, and not of the form that is wanted."),
    (
        429,
        "TooMany",
        "Too many requests of somebody who did not say who they are; `Retry-After` says when to come again.",
    ),
    (500, "Internal", "Something failed here; the server's log has it under the request's id."),
    (502, "Source", "Another place that was needed did not answer as it should."),
    (503, "Unavailable", "Something that is needed is away; the same request may do later."),
    (504, "Late", "Another place did not answer in time."),
    (507, "Full", "No space is left."),
    (408, "Slow", "The request did not come in time."),
];

/// Writes the document.
pub(crate) fn document(title: &str, description: &str, described: &[Described]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut of = settings.into_generator();
    let mut paths = Map::new();
    let mut used = Vec::new();
    for one in described {
        let path = one.operation.path.map_or_else(|| one.path.clone(), str::to_owned);
        let at = paths.entry(path.clone()).or_insert_with(|| json!({}));
        let text = operation(one, &path, &mut of, &mut used);
        if let Some(at) = at.as_object_mut() {
            at.insert(one.method.to_lowercase(), text);
        }
    }
    let error = of.subschema_for::<ApiError>();
    let mut schemas = Value::Object(of.take_definitions(true));
    bounded(&mut schemas);
    let mut paths = Value::Object(paths);
    bounded(&mut paths);
    let refusal = |(_, name, description): &(u16, &str, &str)| {
        let content = json!({ JSON: { "schema": error } });
        (name.to_string(), json!({ "description": description, "content": content }))
    };
    let refusals: Map<String, Value> =
        REFUSALS.iter().filter(|(status, ..)| used.contains(status)).map(refusal).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": "1", "description": description },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(one: &Described, path: &str, of: &mut SchemaGenerator, used: &mut Vec<u16>) -> Value {
    let Operation { id, summary, parts, query, headers, body, body_required, answers, .. } = &one.operation;
    let mut parameters = Vec::new();
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| path.find(&format!("{{{}}}", part.name)));
    for part in parts {
        let schema = (part.schema)(of);
        parameters.push(json!({
            "name": part.name, "in": "path", "required": true, "description": part.description, "schema": schema,
        }));
    }
    if let Some(query) = query {
        let schema = query(of);
        parameters.extend(fields(&schema));
    }
    for header in headers {
        let schema = (header.schema)(of);
        parameters.push(json!({
            "name": header.name, "in": "header", "required": false, "description": header.description, "schema": schema,
        }));
    }
    let mut responses = Map::new();
    for (status, description, content) in answers {
        let mut answer = json!({ "description": description });
        if let Some(content) = content {
            answer["content"] = shown(std::slice::from_ref(content), of);
        }
        responses.insert(status.to_string(), answer);
    }
    for status in refusals(one, path) {
        let Some((_, name, _)) = REFUSALS.iter().find(|(known, ..)| *known == status) else { continue };
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
        used.push(status);
    }
    let may: Vec<&str> = Role::ALL.into_iter().filter(|role| role.may(one.role)).map(Role::as_str).collect();
    let open = matches!(one.role, Role::Anonymous | Role::Reader);
    let security = if open { json!([{ "bearer": [] }, {}]) } else { json!([{ "bearer": [] }]) };
    let mut text = json!({
        "operationId": id, "summary": summary, "responses": responses, "security": security, "x-roles": may,
    });
    if !parameters.is_empty() {
        text["parameters"] = Value::Array(parameters);
    }
    if !body.is_empty() {
        text["requestBody"] = json!({ "required": body_required, "content": shown(body, of) });
    }
    text
}

/// The statuses of refusals that an operation may answer with.
fn refusals(one: &Described, path: &str) -> Vec<u16> {
    let operation = &one.operation;
    let mut statuses = vec![401, 429, 500, 503];
    if !Role::Reader.may(one.role) {
        statuses.push(403);
    }
    if operation.query.is_some() || !operation.body.is_empty() {
        statuses.push(400);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if operation.body.iter().any(|content| content.schema.is_some()) {
        statuses.extend([413, 415, 422]);
    }
    statuses.extend(&operation.may);
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn shown(contents: &[Content], of: &mut SchemaGenerator) -> Value {
    let one = |content: &Content| {
        let value = match (content.schema, content.kind) {
            (Some(schema), EVENTS) => json!({ "schema": event(&schema(of)) }),
            (Some(schema), _) => json!({ "schema": schema(of) }),
            (None, _) => json!({}),
        };
        (content.kind.to_owned(), value)
    };
    Value::Object(contents.iter().map(one).collect())
}

/// An event of a stream, whose data is JSON; one that only marks an end has a word there.
fn event(data: &Schema) -> Value {
    json!({
        "type": "object",
        "properties": {
            "event": { "type": "string" },
            "id": { "type": "string" },
            "data": { "type": "string", "contentMediaType": JSON, "contentSchema": data },
        },
    })
}

/// The fields of a query, each a parameter.
fn fields(schema: &Schema) -> Vec<Value> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map_or(Vec::new(), |names| names.iter().filter_map(Value::as_str).collect());
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let one = |(name, schema): (&String, &Value)| {
        let mut schema = given(schema.clone());
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({
            "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema,
        });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties.iter().map(one).collect()
}

/// The schema of a value that is given: a parameter is left out and not `null`.
fn given(mut schema: Value) -> Value {
    let description = schema.get("description").cloned();
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            schema["type"] = kind.clone();
        }
    }
    if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
        let rest: Vec<Value> = either.iter().filter(|one| one["type"] != "null").cloned().collect();
        if let [one] = rest.as_slice() {
            schema = one.clone();
            if let (Some(description), Some(schema)) = (description, schema.as_object_mut()) {
                schema.insert("description".to_owned(), description);
            }
        }
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("default");
    }
    schema
}

/// Says of each whole number what its type holds, where nothing narrower is said.
fn bounded(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(bounded),
        Value::Object(map) => {
            let limits = match map.get("format").and_then(Value::as_str) {
                Some("uint32") => Some((json!(0), json!(u32::MAX))),
                Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
                Some("uint64" | "uint") => Some((json!(0), json!(u64::MAX))),
                Some("int64") => Some((json!(i64::MIN), json!(i64::MAX))),
                _ => None,
            };
            if let Some((least, most)) = limits {
                map.entry("minimum").or_insert(least);
                map.entry("maximum").or_insert(most);
            }
            map.values_mut().for_each(bounded);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;
    use crate::Routes;
    use crate::operation::{NameText, operation};
    use crate::routes::get;

    /// What is asked for.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Asked {
        /// At most so many.
        #[schemars(range(min = 1, max = 9))]
        limit: Option<u32>,
        /// From here.
        from: u64,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Thing {
        name: String,
        of: Option<Box<Thing>>,
    }

    fn document() -> Value {
        let ok = || async { "ok" };
        let inner = Routes::new().route(
            "/things/{name}",
            get(Role::Reader, ok)
                .about(
                    operation("get_thing", "Returns one.")
                        .part::<NameText>("name", "Its name.")
                        .answers::<Thing>(),
                )
                .put(Role::Service, ok)
                .about(operation("put_thing", "Puts one.").query::<Asked>().takes::<Thing>().answers::<()>()),
        );
        let twin = operation("get_page", "The same.").at("/things/{name}.json").answers::<Vec<Thing>>();
        Routes::new()
            .nest("/api", inner)
            .route("/things/{name}", get(Role::Reader, ok).about(twin))
            .route("/page", get(Role::Reader, ok))
            .document("Things", "About things.")
    }

    #[test]
    fn what_is_described_is_in_the_document_and_a_page_is_not() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["/api/things/{name}", "/things/{name}.json"]);
        let get = &paths["/api/things/{name}"]["get"];
        assert_eq!(get["parameters"][0]["in"], "path");
        assert_eq!(get["security"], json!([{ "bearer": [] }, {}]));
        let schema = &get["responses"]["200"]["content"][JSON]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/Thing");
        assert!(document["components"]["schemas"]["Thing"]["properties"]["of"].is_object());
    }

    #[test]
    fn refusals_follow_from_role_path_query_and_body() {
        let document = document();
        let statuses = |path: &str, method: &str| {
            let responses = document["paths"][path][method]["responses"].as_object().unwrap();
            responses.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(statuses("/api/things/{name}", "get"), "200 401 404 429 500 503");
        assert_eq!(statuses("/api/things/{name}", "put"), "200 400 401 403 404 413 415 422 429 500 503");
        for refusal in document["components"]["responses"].as_object().unwrap().values() {
            assert_eq!(refusal["content"][JSON]["schema"]["$ref"], "#/components/schemas/ApiError");
        }
        let put = &document["paths"]["/api/things/{name}"]["put"];
        assert_eq!(put["security"], json!([{ "bearer": [] }]));
        assert_eq!(put["x-roles"], json!(["service"]));
    }

    #[test]
    fn a_parameter_is_left_out_and_never_null_and_numbers_have_their_bounds() {
        let document = document();
        let parameters = &document["paths"]["/api/things/{name}"]["put"]["parameters"];
        let named =
            |name: &str| parameters.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        let (limit, from) = (named("limit"), named("from"));
        assert_eq!((&limit["required"], &from["required"]), (&json!(false), &json!(true)));
        assert_eq!(limit["description"], "At most so many.");
        assert_eq!(limit["schema"]["type"], "integer");
        assert_eq!((&limit["schema"]["minimum"], &limit["schema"]["maximum"]), (&json!(1), &json!(9)));
        assert_eq!(from["schema"]["maximum"], json!(u64::MAX));
    }
}
