//! A log in a bucket, of S3 or of Google, by the same calls as the command's.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use maintner::dump::Dump;
use maintner::journal::{Journal, Options};
use maintner::log::Log;
use maintnerd::{Config, Daemon, Of};
use object_store::{ObjectStore, ObjectStoreExt as _};
use prost::Message as _;
use store::{AccessKey, CloudOptions, Objects};
use testkit::{Buckets, Cloud};

use crate::daemon::repo;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_original_is_led_from_anywhere() {
    led(Cloud::S3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_google_is_too() {
    led(Cloud::Gcs).await;
}

/// A bucket that a leader of the original wrote: segments, and nothing else.
async fn led(cloud: Cloud) {
    let buckets = Buckets::start(cloud).unwrap();
    buckets.create("its-log").unwrap();
    let options = CloudOptions {
        endpoint: Some(buckets.endpoint()),
        region: Some("eu-central-1".into()),
        key: Some(AccessKey { id: "AKIAEXAMPLE".into(), secret: "secret".into() }),
        ..CloudOptions::default()
    };
    let nowhere = std::path::Path::new("nowhere");
    let objects = Objects::open_with(
        &format!("{}://its-log/go/log", cloud.scheme()).parse().unwrap(),
        nowhere,
        &options,
    )
    .unwrap();
    objects.probe("test").await.unwrap();
    let store: Arc<dyn ObjectStore> = objects.into_store();

    let made = tempfile::tempdir().unwrap();
    let segment = 150;
    let journal = Journal::open(made.path(), Options { segment, ..Options::default() }).await.unwrap();
    journal.append((0..20).map(|nth| repo(&format!("r{nth}")).encode_to_vec()).collect()).await.unwrap();
    journal.close().await.unwrap();
    let log = Log::open(made.path()).unwrap();
    let mut put = Vec::new();
    for file in log.files() {
        let digest = <sha2::Sha224 as sha2::Digest>::digest(file.bytes());
        let name = format!("{:04}.{}.mutlog", put.len(), hex::encode(digest));
        store.put(&name.as_str().into(), file.bytes().to_vec().into()).await.unwrap();
        put.push(name);
    }
    assert!(put.len() > 2);

    let start = |folder: &tempfile::TempDir| {
        let (store, folder) = (store.clone(), folder.path().to_path_buf());
        let options = Options { segment, ..Options::default() };
        Daemon::start(Of::Stored { store, folder, options }, Config::default(), None)
    };
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = start(&one).await.unwrap();
    assert_eq!((first.corpus().records, first.corpus().log.len()), (20, log.len()));
    for nth in 20..36 {
        first.sink().unwrap().add(vec![repo(&format!("r{nth}"))]).await.unwrap();
    }
    // All that is full comes there, and what was there stays.
    let full = first.standing().segments - 1;
    let uploaded = async {
        loop {
            let all: Vec<_> = store.list(None).try_collect().await.unwrap();
            let names: Vec<&str> = all.iter().map(|one| one.location.as_ref()).collect();
            let segments = names.iter().filter(|name| name.ends_with(".mutlog")).count();
            assert!(put.iter().all(|name| names.contains(&name.as_str())), "{names:?}");
            if segments == full {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), uploaded).await.unwrap();
    assert!(full > put.len());
    let second = start(&other).await.unwrap();
    assert_eq!(Dump::of(&second.corpus()).digest(), Dump::of(&first.corpus()).digest());
    let why = first.sink().unwrap().add(vec![repo("late")]).await.unwrap_err().to_string();
    assert!(why.contains("another leader took over"), "{why}");
}
