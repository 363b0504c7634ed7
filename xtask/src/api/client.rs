//! The client of the API as Rust, made from its OpenAPI document: a function for each operation, a struct for each query.
//!
//! The messages are not made anew: a schema has the name of the type that it comes from, and the client uses that.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const HEAD: &str =
    "// Made from docs/openapi.json by `BELLWETHER_BLESS=1 cargo test -p xtask client`. Not to be edited.

//! Every operation of the API as a typed call. Long because there are that many.

use access::*;
use axum::body::Body;
use coordinator::*;
use dashboard::api::*;
use gitmirror::*;
use http::Method;

use super::{Answer, Client, MaintnerStanding, MirrorState, Query, Reloaded};

";

/// Where it is sent in what form.
enum Sends {
    Nothing,
    Json { of: String, required: bool },
    Bytes,
}

/// What comes back.
enum Gives {
    Json(String),
    Nothing,
    Bytes,
}

/// Where the client is.
const FILE: &str = "crates/bellwether/src/api/generated.rs";

/// Writes it anew.
pub fn write() -> Result<()> {
    let file = crate::metadata::root().join(FILE);
    std::fs::write(&file, of_the_tree()?).with_context(|| format!("writing {}", file.display()))
}

/// The client of this tree's document.
fn of_the_tree() -> Result<String> {
    let document = std::fs::read_to_string(crate::metadata::root().join("docs/openapi.json"))?;
    render(&serde_json::from_str(&document).context("docs/openapi.json")?)
}

/// Makes the client's text.
fn render(document: &Value) -> Result<String> {
    let mut queries = String::new();
    let mut calls = String::new();
    let paths = document["paths"].as_object().context("a document without paths")?;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().context("a path without methods")? {
            one(path, method, operation, &mut queries, &mut calls)
                .with_context(|| format!("{method} {path}"))?;
        }
    }
    formatted(&format!("{HEAD}{queries}impl Client {{\n{calls}}}\n"))
}

fn one(path: &str, method: &str, operation: &Value, queries: &mut String, calls: &mut String) -> Result<()> {
    let id = operation["operationId"].as_str().context("no id")?;
    let summary = operation["summary"].as_str().context("no summary")?;
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let mut arguments = String::new();
    let mut target = path.to_owned();
    for part in parameters.iter().filter(|one| one["in"] == "path") {
        let name = part["name"].as_str().context("a part without a name")?;
        match kind(&part["schema"])?.as_str() {
            "String" => {
                write!(arguments, ", {name}: &str")?;
                target = target.replace(&format!("{{{name}}}"), &format!("{{}}@{name}@"));
            }
            other => {
                write!(arguments, ", {name}: {other}")?;
                target = target.replace(&format!("{{{name}}}"), &format!("{{}}#{name}#"));
            }
        }
    }
    let (target, values) = placed(&target);
    let asked: Vec<_> = parameters.iter().filter(|one| one["in"] == "query").collect();
    let mut body = String::new();
    if asked.is_empty() {
        writeln!(body, "let path = format!(\"{target}\"{values});")?;
    } else {
        let name = camel(id);
        query(&name, id, &asked, queries)?;
        write!(arguments, ", query: &{name}Query")?;
        writeln!(body, "let path = query.add_to(format!(\"{target}\"{values}));")?;
    }
    let mut head = "&[]".to_owned();
    if let Some(header) = parameters.iter().find(|one| one["in"] == "header") {
        let name = header["name"].as_str().context("a header without a name")?;
        let variable = name.to_lowercase().replace('-', "_");
        write!(arguments, ", {variable}: Option<&str>")?;
        head = format!("&[(\"{}\", {variable})]", name.to_lowercase());
    }
    let sends = sends(operation)?;
    let with = match &sends {
        Sends::Nothing => "None::<&()>".to_owned(),
        Sends::Json { of, required: true } => {
            write!(arguments, ", body: &{of}")?;
            "Some(body)".to_owned()
        }
        Sends::Json { of, .. } => {
            write!(arguments, ", body: Option<&{of}>")?;
            "body".to_owned()
        }
        Sends::Bytes => {
            arguments.push_str(", body: Body");
            "body".to_owned()
        }
    };
    let verb = format!("Method::{}", method.to_uppercase());
    let answer = match (gives(operation)?, &sends) {
        (Gives::Bytes, Sends::Nothing) => {
            writeln!(body, "self.bytes({verb}, &path, {head}).await")?;
            "Body".to_owned()
        }
        (Gives::Json(of), Sends::Bytes) => {
            writeln!(body, "self.send({verb}, &path, {with}).await")?;
            of
        }
        (Gives::Json(of), _) => {
            writeln!(body, "self.call({verb}, &path, {with}).await")?;
            of
        }
        (Gives::Nothing, _) => {
            writeln!(body, "self.call({verb}, &path, {with}).await")?;
            "()".to_owned()
        }
        (Gives::Bytes, _) => bail!("bytes for a body"),
    };
    writeln!(calls, "/// {summary} `{} {path}`", method.to_uppercase())?;
    writeln!(calls, "pub async fn {id}(&self{arguments}) -> Answer<{answer}> {{\n{body}}}\n")?;
    Ok(())
}

/// Splits the marks of values off a path: texts are escaped, numbers are not.
fn placed(target: &str) -> (String, String) {
    let (mut text, mut values) = (String::new(), String::new());
    let mut rest = target;
    while let Some((before, after)) = rest.split_once("{}") {
        text.push_str(before);
        text.push_str("{}");
        let mark = after.chars().next().unwrap_or('@');
        let mut parts = after.splitn(3, mark);
        let (_, name, after) =
            (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let value = if mark == '@' { format!(", transport::segment({name})") } else { format!(", {name}") };
        values.push_str(&value);
        rest = after;
    }
    text.push_str(rest);
    (text, values)
}

/// Writes the struct of a query.
fn query(name: &str, id: &str, asked: &[&Value], queries: &mut String) -> Result<()> {
    let mut fields = String::new();
    let mut adds = String::new();
    for parameter in asked {
        let field = parameter["name"].as_str().context("a parameter without a name")?;
        let description = parameter["description"].as_str().unwrap_or_default();
        let kind = kind(&parameter["schema"])?;
        writeln!(fields, "/// {description}")?;
        if parameter["required"] == true {
            writeln!(fields, "pub {field}: {kind},")?;
            writeln!(adds, "query.add(\"{field}\", Some(&self.{field}));")?;
        } else {
            writeln!(fields, "pub {field}: Option<{kind}>,")?;
            writeln!(adds, "query.add(\"{field}\", self.{field}.as_ref());")?;
        }
    }
    writeln!(
        queries,
        "/// Query of [`Client::{id}`].\n#[derive(Debug, Clone, Default)]\npub struct {name}Query {{\n{fields}}}\n"
    )?;
    writeln!(
        queries,
        "impl {name}Query {{\nfn add_to(&self, path: String) -> String {{\nlet mut query = Query::of(path);\n{adds}query.text()\n}}\n}}\n"
    )?;
    Ok(())
}

fn sends(operation: &Value) -> Result<Sends> {
    let body = &operation["requestBody"];
    let Some(contents) = body["content"].as_object() else { return Ok(Sends::Nothing) };
    match contents.get("application/json") {
        Some(content) => {
            Ok(Sends::Json { of: kind(&content["schema"])?, required: body["required"] == true })
        }
        None => Ok(Sends::Bytes),
    }
}

fn gives(operation: &Value) -> Result<Gives> {
    let responses = operation["responses"].as_object().context("no responses")?;
    let (_, good) = responses.iter().find(|(status, _)| status.starts_with('2')).context("no good answer")?;
    let Some(contents) = good["content"].as_object() else { return Ok(Gives::Nothing) };
    match contents.get("application/json") {
        Some(content) => Ok(Gives::Json(kind(&content["schema"])?)),
        None => Ok(Gives::Bytes),
    }
}

/// The type of a schema.
fn kind(schema: &Value) -> Result<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return Ok(reference.rsplit('/').next().unwrap_or_default().to_owned());
    }
    if let Some(either) = schema["anyOf"].as_array() {
        let rest: Vec<_> = either.iter().filter(|one| one["type"] != "null").collect();
        let [one] = rest.as_slice() else { bail!("a choice of types: {schema}") };
        return Ok(format!("Option<{}>", kind(one)?));
    }
    Ok(match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), _) => "String".to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("null"), _) => "()".to_owned(),
        (Some("integer"), Some("uint32")) => "u32".to_owned(),
        (Some("integer"), Some("int64")) => "i64".to_owned(),
        (Some("integer"), Some("uint64" | "uint")) => "u64".to_owned(),
        (Some("array"), _) => format!("Vec<{}>", kind(&schema["items"])?),
        (Some("object"), _) => "serde_json::Map<String, serde_json::Value>".to_owned(),
        _ => bail!("no type for {schema}"),
    })
}

fn camel(id: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
    };
    id.split('_').map(part).collect()
}

fn formatted(text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(crate::metadata::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running rustfmt")?;
    // rustfmt reads all before it writes anything.
    child.stdin.take().context("rustfmt has no stdin")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_of_the_command_line_is_made_from_the_document() {
        if std::env::var_os("BELLWETHER_BLESS").is_some() {
            return write().unwrap();
        }
        let kept = std::fs::read_to_string(crate::metadata::root().join(FILE)).unwrap();
        assert!(kept == of_the_tree().unwrap(), "BELLWETHER_BLESS=1 writes it anew; read the difference");
    }

    #[test]
    fn a_type_that_is_not_known_is_an_error_and_not_left_out() {
        let operation = |schema: Value| {
            serde_json::json!({"paths": {"/x/{n}": {"get": {
                "operationId": "get_x", "summary": "Returns x.",
                "parameters": [{"name": "n", "in": "path", "schema": {"type": "integer", "format": "uint64"}}],
                "responses": {"200": {"content": {"application/json": {"schema": schema}}}},
            }}}})
        };
        let made =
            render(&operation(serde_json::json!({"type": "array", "items": {"type": "string"}}))).unwrap();
        assert!(made.contains("pub async fn get_x(&self, n: u64) -> Answer<Vec<String>>"), "{made}");
        assert!(made.contains("format!(\"/x/{}\", n)"), "{made}");
        let error = render(&operation(serde_json::json!({"type": "number"}))).unwrap_err();
        assert!(format!("{error:#}").contains("get /x/{n}: no type"), "{error:#}");
    }
}
