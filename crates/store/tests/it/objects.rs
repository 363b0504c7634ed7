//! The object store: one list of tests on a directory, on S3 (moto) and on Google Cloud Storage (gcp-storage-emulator).

use bytes::Bytes;
use store::{ObjectError, Objects};

/// An empty store and what keeps it.
pub(crate) struct Place {
    pub(crate) objects: Objects,
    _dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(&"file:objects".parse().unwrap(), dir.path()).unwrap();
        Self { objects, _dir: dir }
    }
}

#[cfg(feature = "cloud")]
pub(crate) mod cloud {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use store::{AccessKey, CloudOptions, Objects};
    use testkit::{Buckets, Cloud};

    use super::Place;

    static STARTED: [OnceLock<Buckets>; 2] = [OnceLock::new(), OnceLock::new()];
    static MADE: AtomicU32 = AtomicU32::new(0);

    /// This process's store, which ends with it.
    pub(crate) fn started(cloud: Cloud) -> &'static Buckets {
        STARTED[usize::from(cloud == Cloud::Gcs)].get_or_init(|| Buckets::start(cloud).unwrap())
    }

    pub(crate) fn options(buckets: &Buckets) -> CloudOptions {
        CloudOptions {
            endpoint: Some(buckets.endpoint()),
            region: Some("eu-central-1".into()),
            key: Some(AccessKey { id: "AKIAEXAMPLE".into(), secret: "secret".into() }),
            ..CloudOptions::default()
        }
    }

    pub(crate) fn open(buckets: &Buckets, url: &str) -> Objects {
        let nowhere = std::path::Path::new("/nonexistent");
        Objects::open_with(&url.parse().unwrap(), nowhere, &options(buckets)).unwrap()
    }

    impl Place {
        /// A bucket of one's own, and a prefix in it.
        pub(crate) fn bucket(cloud: Cloud) -> Self {
            let buckets = started(cloud);
            let name = format!("ci-{}", MADE.fetch_add(1, Ordering::Relaxed));
            buckets.create(&name).unwrap();
            let objects = open(buckets, &format!("{}://{name}/some/where", cloud.scheme()));
            Self { objects, _dir: tempfile::tempdir().unwrap() }
        }
    }
}

/// Runs each test of a list on each kind of store.
macro_rules! on_all {
    ($($name:ident),* $(,)?) => {
        mod file {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::directory()).await;
            })*
        }
        #[cfg(feature = "cloud")]
        mod s3 {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::bucket(testkit::Cloud::S3)).await;
            })*
        }
        #[cfg(feature = "cloud")]
        mod gcs {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::bucket(testkit::Cloud::Gcs)).await;
            })*
        }
    };
}

on_all! {
    a_store_that_is_fit_is_left_as_it_was,
    an_object_is_made_once,
    of_many_who_make_one_object_one_does,
    a_stream_that_fails_leaves_nothing,
    a_stream_in_many_parts_comes_back_as_it_was,
    a_list_has_all_below_a_prefix_and_nothing_else,
    paths_stay_inside,
}

async fn a_store_that_is_fit_is_left_as_it_was(on: Place) {
    on.objects.probe("01ABC").await.unwrap();
    assert_eq!(on.objects.list("").await.unwrap(), []);
}

async fn an_object_is_made_once(on: Place) {
    let objects = on.objects;
    objects.put_new("logs/A/1-0.zst", "one").await.unwrap();
    objects.put_new("logs/A/1-0.zst", "one").await.unwrap();
    let again = objects.put_new("logs/A/1-0.zst", "two").await.unwrap_err();
    assert!(matches!(again, ObjectError::Exists(_)), "{again}");
    assert_eq!(objects.get("logs/A/1-0.zst").await.unwrap(), "one");
    assert_eq!(objects.get_range("logs/A/1-0.zst", 1..3).await.unwrap(), "ne");
    assert!(objects.exists("logs/A/1-0.zst").await.unwrap());
    objects.delete("logs/A/1-0.zst").await.unwrap();
    objects.delete("logs/A/1-0.zst").await.unwrap();
    assert!(!objects.exists("logs/A/1-0.zst").await.unwrap());
    for gone in [
        objects.get("logs/A/1-0.zst").await.unwrap_err(),
        objects.get_range("logs/A/1-0.zst", 0..1).await.unwrap_err(),
        objects.get_stream("logs/A/1-0.zst").await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(gone, ObjectError::NotFound(_)), "{gone}");
    }
}

async fn of_many_who_make_one_object_one_does(on: Place) {
    let puts = (0..8).map(|n| on.objects.put_new("logs/A/1-0.zst", format!("text {n}")));
    let done = futures::future::join_all(puts).await;
    let made: Vec<usize> = (0..8).filter(|n| done[*n].is_ok()).collect();
    assert_eq!(made.len(), 1, "{done:?}");
    let others = done.iter().filter(|one| matches!(one, Err(ObjectError::Exists(_)))).count();
    assert_eq!(others, 7, "{done:?}");
    assert_eq!(on.objects.get("logs/A/1-0.zst").await.unwrap(), format!("text {}", made[0]));
}

async fn a_stream_that_fails_leaves_nothing(on: Place) {
    let objects = on.objects;
    let empty = futures::stream::iter([]);
    assert_eq!(objects.put_stream("a/empty", empty).await.unwrap(), 0);
    assert_eq!(objects.get("a/empty").await.unwrap(), "");
    let begun = std::iter::once(Ok(Bytes::from(vec![7; 9_000_000])));
    let bad = futures::stream::iter(begun.chain([Err(std::io::Error::other("digest"))]));
    let failed = objects.put_stream("a/bad", bad).await.unwrap_err();
    assert!(matches!(failed, ObjectError::Source { .. }), "{failed}");
    let names: Vec<_> = objects.list("a").await.unwrap().into_iter().map(|m| m.path).collect();
    assert_eq!(names, ["a/empty"]);
}

async fn a_stream_in_many_parts_comes_back_as_it_was(on: Place) {
    use futures::TryStreamExt as _;
    let whole: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 77_777) as u8).collect();
    let pieces = whole.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece)));
    assert_eq!(on.objects.put_stream("a/b", futures::stream::iter(pieces)).await.unwrap(), 20_000_000);
    let (size, stream) = on.objects.get_stream("a/b").await.unwrap();
    let back: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(size, 20_000_000);
    assert!(back.concat() == whole);
    // What is there is replaced by a stream.
    let other = futures::stream::iter([Ok(Bytes::from("other"))]);
    on.objects.put_stream("a/b", other).await.unwrap();
    assert_eq!(on.objects.get("a/b").await.unwrap(), "other");
}

async fn a_list_has_all_below_a_prefix_and_nothing_else(on: Place) {
    let before = store::Micros::now();
    // More than one page of the emulator's.
    let paths: Vec<String> = (0..230).map(|n| format!("logs/A{}/{n:03}-0.zst", n % 7)).collect();
    let puts = paths.iter().map(|path| on.objects.put_new(path, path.clone()));
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    on.objects.put_new("logsother/x", "x").await.unwrap();
    let mut wanted = paths.clone();
    wanted.sort();
    let found = on.objects.list("logs").await.unwrap();
    assert_eq!(found.iter().map(|one| one.path.clone()).collect::<Vec<_>>(), wanted);
    assert!(found.iter().all(|one| one.size == one.path.len() as u64));
    let slack = 2_000_000;
    assert!(
        found.iter().all(|one| one.made.0 > before.0 - slack && one.made.0 < store::Micros::now().0 + slack)
    );
    assert_eq!(on.objects.list("logs/A3").await.unwrap().len(), 33);
    assert_eq!(on.objects.list("logs/A").await.unwrap(), []);
    assert_eq!(on.objects.list("").await.unwrap().len(), 231);
}

async fn paths_stay_inside(on: Place) {
    for bad in ["", "/etc/passwd", "a//b", "a/../b", "a/.hidden", "a\\b", "a\0b", "ü"] {
        let error = on.objects.put_new(bad, "x").await.unwrap_err();
        assert!(matches!(error, ObjectError::BadPath(_)), "{bad:?}: {error}");
    }
}

#[cfg(not(feature = "cloud"))]
#[test]
fn without_the_feature_buckets_are_named() {
    let error = Objects::open(&"s3://some-bucket".parse().unwrap(), std::path::Path::new("/")).unwrap_err();
    assert!(error.to_string().contains("feature `cloud`"), "{error}");
}
