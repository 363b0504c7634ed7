//! Where traces go, from the standard's variables.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::{HeaderName, HeaderValue, Uri};

/// A collector.
#[derive(Debug)]
pub struct Target {
    /// Scheme and authority.
    pub base: String,
    /// The path that takes traces.
    pub path: String,
    /// What is sent with each request, such as a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one request may take.
    pub timeout: Duration,
    /// What is said of this server, beside its version.
    pub resource: Vec<(String, String)>,
}

impl Target {
    /// Reads the variables. `None` if none says that traces are wanted.
    ///
    /// # Errors
    /// Names the variable that can't be followed.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Target>> {
        let said =
            |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let of_traces = |tail: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{tail}");
            let all = format!("OTEL_EXPORTER_OTLP_{tail}");
            said(&own).map(|text| (own, text)).or_else(|| said(&all).map(|text| (all, text)))
        };
        let off = said("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let Some((name, endpoint)) = of_traces("ENDPOINT").filter(|_| !off) else { return Ok(None) };
        match said("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => bail!("OTEL_TRACES_EXPORTER: {other:?} is not known here; otlp and none are"),
        }
        if let Some((name, protocol)) = of_traces("PROTOCOL").filter(|(_, text)| text != "http/protobuf") {
            bail!("{name}: {protocol:?} is not spoken here; http/protobuf is");
        }
        let uri: Uri = endpoint.parse().with_context(|| format!("{name}: {endpoint:?} is no address"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("{name}: expected http://HOST:PORT or https://HOST:PORT, found {endpoint:?}");
        };
        let given = uri.path();
        let path = match name.ends_with("TRACES_ENDPOINT") {
            true => given.to_owned(),
            false => format!("{}/v1/traces", given.trim_end_matches('/')),
        };
        let timeout = match of_traces("TIMEOUT") {
            None => 10_000,
            Some((name, text)) => {
                text.parse().with_context(|| format!("{name}: {text:?} is no number of milliseconds"))?
            }
        };
        let mut headers = Vec::new();
        if let Some((name, text)) = of_traces("HEADERS") {
            for (key, value) in pairs(&name, &text)? {
                let key =
                    HeaderName::try_from(&key).with_context(|| format!("{name}: {key:?} is no header"))?;
                // Its value may be a key: it is not shown.
                let mut value = HeaderValue::try_from(value)
                    .with_context(|| format!("{name}: what is given for {key} can't be sent"))?;
                value.set_sensitive(true);
                headers.push((key, value));
            }
        }
        let mut resource = Vec::new();
        if let Some(text) = said("OTEL_RESOURCE_ATTRIBUTES") {
            resource = pairs("OTEL_RESOURCE_ATTRIBUTES", &text)?;
        }
        let service = said("OTEL_SERVICE_NAME").or_else(|| {
            resource.iter().find(|(key, _)| key == "service.name").map(|(_, value)| value.clone())
        });
        resource.retain(|(key, _)| key != "service.name");
        resource.push(("service.name".into(), service.unwrap_or_else(|| "bellwether".into())));
        let base = format!("{scheme}://{authority}");
        Ok(Some(Target { base, path, headers, timeout: Duration::from_millis(timeout), resource }))
    }
}

/// Reads `key=value,key=value`, whose values are percent-encoded.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        // The pair is not shown: it may hold a key.
        let Some((key, value)) = pair.split_once('=') else {
            bail!("{name}: expected key=value,key=value; one has no \"=\"");
        };
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8();
        let value = value.with_context(|| format!("{name}: what is given for {key} is not UTF-8"))?;
        pairs.push((key.trim().to_owned(), value.into_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Target>> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Target::from_env(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_variables_of_the_standard_say_where_to() {
        assert!(read(&[]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example:4318/x/");
        let target = read(&[endpoint]).unwrap().unwrap();
        assert_eq!(
            (target.base.as_str(), target.path.as_str()),
            ("https://otel.example:4318", "/x/v1/traces")
        );
        assert_eq!(target.resource, [("service.name".to_owned(), "bellwether".to_owned())]);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/in");
        let target = read(&[
            endpoint,
            own,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.name=ci"),
        ]);
        let target = target.unwrap().unwrap();
        assert_eq!((target.base.as_str(), target.path.as_str()), ("http://127.0.0.1:9", "/in"));
        assert_eq!(target.headers[0].1.to_str().unwrap(), "a b");
        assert!(target.headers[0].1.is_sensitive());
        assert_eq!(target.timeout, Duration::from_millis(250));
        assert_eq!(target.resource.last().unwrap().1, "ci");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(read(&[endpoint, off]).unwrap().is_none(), "{off:?}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
        for bad in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            let error = format!("{:#}", read(&[bad, endpoint]).unwrap_err());
            assert!(error.starts_with(bad.0) && !error.contains("hunter2"), "{error}");
        }
    }
}
