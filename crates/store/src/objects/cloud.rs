//! Buckets of S3 and of Google Cloud Storage.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::http::Connector;
use super::{Bucket, CloudOptions, ObjectError};

/// How often a request is sent again, and for how long: less than those who ask us wait.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(15),
    }
}

fn connector(options: &CloudOptions) -> Result<Connector, ObjectError> {
    let named = || std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from);
    Connector::new(options.authorities.clone().or_else(named).as_deref())
}

pub(super) fn s3(bucket: &Bucket, options: &CloudOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        .with_retry(retry())
        .with_http_connector(connector(options)?);
    let endpoint = options.endpoint.clone().or_else(|| {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
            .iter()
            .find_map(|key| std::env::var(key).ok())
    });
    if let Some(endpoint) = endpoint {
        let plain = is_plain(&endpoint, options)?;
        builder = builder.with_endpoint(endpoint).with_allow_http(plain);
    } else {
        builder = builder.with_allow_http(false);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &options.key {
        builder = builder.with_access_key_id(&key.id).with_secret_access_key(&key.secret);
    }
    prefixed(builder.build()?, bucket)
}

pub(super) fn gcs(bucket: &Bucket, options: &CloudOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&bucket.name)
        .with_retry(retry())
        .with_http_connector(connector(options)?);
    if let Some(file) = &options.service_account {
        builder = builder.with_service_account_path(file.display().to_string());
    }
    let set = builder.get_config_value(&GoogleConfigKey::BaseUrl);
    if let Some(endpoint) = options.endpoint.clone().or(set) {
        is_plain(&endpoint, options)?;
        // An endpoint of one's own is an emulator, or something else that no token of Google's is for, unless
        // somebody says who we are there.
        let known = options.service_account.is_some()
            || builder.get_config_value(&GoogleConfigKey::ApplicationCredentials).is_some()
            || builder.get_config_value(&GoogleConfigKey::ServiceAccount).is_some();
        builder = builder.with_base_url(&endpoint);
        if !known {
            builder = builder.with_bearer_token("nobody");
        }
    }
    prefixed(builder.build()?, bucket)
}

fn prefixed(store: impl ObjectStore, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    if bucket.prefix.is_empty() {
        return Ok(Arc::new(store));
    }
    Ok(Arc::new(PrefixStore::new(store, super::checked(&bucket.prefix)?)))
}

/// Whether an endpoint is spoken to without TLS: only on this machine, or if that is allowed.
fn is_plain(endpoint: &str, options: &CloudOptions) -> Result<bool, ObjectError> {
    let uri: http::Uri = endpoint.parse().map_err(|_| ObjectError::Plain(endpoint.to_owned()))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(false),
        Some("http") if here || options.allow_http => Ok(true),
        _ => Err(ObjectError::Plain(endpoint.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_out_where_others_can_read_it_unless_it_is_allowed() {
        let options = CloudOptions::default();
        for (endpoint, plain) in [
            ("https://minio.example", Some(false)),
            ("http://127.0.0.1:9000", Some(true)),
            ("http://localhost:9000", Some(true)),
            ("http://[::1]:9000", Some(true)),
            ("http://minio.example", None),
            ("http://localhost.example", None),
            ("ftp://localhost", None),
            ("minio", None),
        ] {
            assert_eq!(is_plain(endpoint, &options).ok(), plain, "{endpoint}");
        }
        let allowed = CloudOptions { allow_http: true, ..options };
        assert_eq!(is_plain("http://minio.example", &allowed).ok(), Some(true));
    }
}
