//! With servers of this machine in the place of the clouds'.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;

type Answer = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A server that answers a request's head with a body, or 404.
async fn server(answer: Answer) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let (status, body) = match answer(&head) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", String::new()),
            };
            let text = format!(
                "HTTP/1.1 {status}\r\nMetadata-Flavor: Google\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    (at, AbortOnDropHandle::new(serving))
}

async fn found(from: MetadataFrom, variables: &[(&str, &str)]) -> Result<Metadata, MetadataError> {
    let variables: HashMap<String, OsString> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(*value))).collect();
    find(from, &|name| variables.get(name).cloned()).await
}

#[tokio::test]
async fn variables_are_read_or_name_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "pem\nmore\n").unwrap();
    let at = format!("@{}", file.display());
    let metadata = found(
        MetadataFrom::Env,
        &[
            ("META_password", "word"),
            ("META_tls_key", &at),
            ("META_PASSWORD", "not read"),
            ("META_tls_cert", "c"),
        ],
    )
    .await
    .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let want =
        Metadata { cloud: false, password: text("word"), tls_cert: text("c"), tls_key: text("pem\nmore") };
    assert_eq!(metadata, want);
    assert_eq!(found(MetadataFrom::Env, &[]).await.unwrap(), Metadata::default());
    let missing = found(MetadataFrom::Env, &[("META_password", "@/nowhere/at/all")]).await.unwrap_err();
    assert!(missing.to_string().contains("/nowhere/at/all that the variable META_password"), "{missing}");
}

#[tokio::test]
async fn googles_server_is_asked_if_it_is_named_and_not_from_a_pod() {
    let (at, _serving) = server(Box::new(|head| {
        assert!(head.contains("metadata-flavor: google\r\n"), "{head}");
        let key = head.strip_prefix("get /computemetadata/v1/instance/attributes/")?.split(' ').next()?;
        match key {
            "password" => Some("word".to_owned()),
            "tls-cert" => Some("cert".to_owned()),
            _ => None,
        }
    }))
    .await;
    let host = ("GCE_METADATA_HOST", at.as_str());
    for from in [MetadataFrom::Env, MetadataFrom::Gce, MetadataFrom::Auto] {
        let metadata = found(from, &[host, ("META_password", "other")]).await.unwrap();
        assert!(metadata.cloud, "{from:?}");
        assert_eq!(metadata.password.as_deref(), Some("word"));
        assert_eq!(metadata.tls_cert.as_deref(), Some("cert"));
        assert_eq!(metadata.tls_key, None, "what is not set is nothing");
    }
    for pod in [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("IN_KUBERNETES", "true")] {
        let metadata = found(MetadataFrom::Env, &[host, pod, ("META_password", "other")]).await.unwrap();
        assert_eq!((metadata.cloud, metadata.password.as_deref()), (false, Some("other")));
    }
}

#[tokio::test]
async fn amazons_user_data_is_read_with_a_token_and_without() {
    const DATA: &str =
        r#"{"buildlet_name":"b","tls_cert":"c","tls_key":"k","tls_password":"p","metadata":{}}"#;
    let (with, _serving) = server(Box::new(|head| {
        if head.starts_with("put /latest/api/token ") {
            assert!(head.contains("x-aws-ec2-metadata-token-ttl-seconds: "), "{head}");
            return Some("t0k".to_owned());
        }
        let asked =
            head.starts_with("get /latest/user-data ") && head.contains("x-aws-ec2-metadata-token: t0k\r\n");
        asked.then(|| DATA.to_owned())
    }))
    .await;
    let (without, _serving) =
        server(Box::new(|head| head.starts_with("get /latest/user-data ").then(|| DATA.to_owned()))).await;
    let (other, _serving) = server(Box::new(|_head| Some("#!/bin/sh\n".to_owned()))).await;
    for at in [&with, &without] {
        let at = format!("http://{at}/");
        let metadata = found(MetadataFrom::Ec2, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &at)]).await.unwrap();
        assert!(metadata.cloud);
        assert_eq!(metadata.password.as_deref(), Some("p"));
        assert_eq!((metadata.tls_cert.as_deref(), metadata.tls_key.as_deref()), (Some("c"), Some("k")));
    }
    let error = found(MetadataFrom::Ec2, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &other)]).await.unwrap_err();
    assert!(error.to_string().contains("user data"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_name_and_remedy() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    let error = found(MetadataFrom::Gce, &[("GCE_METADATA_HOST", &at)]).await.unwrap_err().to_string();
    assert!(error.contains(&at) && error.contains("--metadata env"), "{error}");
}
