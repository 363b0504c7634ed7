//! Buckets that are not there, not ours, away, silent or full: what is said of them, and how long is waited.

use std::time::Duration;

use store::{ObjectError, ObjectLimits, Objects};
use testkit::{Buckets, Cloud, Forwarder, Way};

use super::objects::cloud::{open, options, started};

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_at_the_start() {
    for cloud in [Cloud::S3, Cloud::Gcs] {
        let url = format!("{}://no-such-bucket/x", cloud.scheme());
        let error = open(started(cloud), &url).probe("p").await.unwrap_err();
        let ObjectError::Unfit { source, .. } = &error else { panic!("{error}") };
        assert!(matches!(**source, ObjectError::NotFound(_)), "{error}");
        assert!(error.to_string().contains("make the bucket"), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_is_said_at_the_start() {
    // moto checks keys after the first request, which makes the bucket.
    let buckets = Buckets::start_with(Cloud::S3, &[("INITIAL_NO_AUTH_ACTION_COUNT", "1")]).unwrap();
    buckets.create("ci-logs").unwrap();
    let error = open(&buckets, "s3://ci-logs").probe("p").await.unwrap_err();
    let ObjectError::Unfit { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, ObjectError::Denied(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("AWS_ACCESS_KEY_ID") && !text.contains("secret\""), "{text}");
}

/// A bucket behind a way that can be made bad.
fn behind(cloud: Cloud, name: &str) -> (Forwarder, Objects) {
    let buckets = started(cloud);
    buckets.create(name).unwrap();
    let way = Forwarder::start(buckets.address()).unwrap();
    let options =
        store::CloudOptions { endpoint: Some(format!("http://{}", way.address())), ..options(buckets) };
    let url = format!("{}://{name}", cloud.scheme()).parse().unwrap();
    let objects = Objects::open_with(&url, std::path::Path::new("/"), &options).unwrap();
    (way, objects)
}

#[tokio::test]
async fn what_is_away_for_a_moment_is_asked_again() {
    for cloud in [Cloud::S3, Cloud::Gcs] {
        let (way, objects) = behind(cloud, "ci-moment");
        for bad in [Way::Cut, Way::Unwell] {
            way.set(bad);
            let before = way.connections();
            let path = format!("logs/{bad:?}");
            let put = objects.put_new(&path, "text");
            let mend = async {
                while way.connections() < before + 2 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                way.set(Way::Through);
            };
            let both = futures::future::join(put, mend);
            let (put, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
            put.unwrap();
            assert_eq!(objects.get(&path).await.unwrap(), "text");
        }
    }
}

#[tokio::test]
async fn what_stays_away_is_unavailable_and_what_stays_silent_is_late() {
    for cloud in [Cloud::S3, Cloud::Gcs] {
        let (way, objects) = behind(cloud, "ci-away");
        objects.put_new("a", "text").await.unwrap();
        for bad in [Way::Cut, Way::Unwell] {
            way.set(bad);
            let error = objects.get("a").await.unwrap_err();
            assert!(matches!(error, ObjectError::Unavailable(_)), "{bad:?}: {error}");
            assert!(error.is_transient());
        }
        way.set(Way::Mute);
        let limit = Duration::from_millis(300);
        let hasty = objects.clone().with_limits(ObjectLimits { call: limit, part: limit, complete: limit });
        let stream = futures::stream::iter([Ok(bytes::Bytes::from("x"))]);
        for error in [
            hasty.get("a").await.unwrap_err(),
            hasty.put_new("b", "x").await.unwrap_err(),
            hasty.put_stream("c", stream).await.unwrap_err(),
            hasty.exists("a").await.unwrap_err(),
            hasty.delete("d").await.unwrap_err(),
            hasty.list("").await.unwrap_err(),
            hasty.get_stream("a").await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, ObjectError::TimedOut(_)) && error.is_transient(), "{error}");
        }
        way.set(Way::Through);
        assert_eq!(objects.get("a").await.unwrap(), "text");
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_object() {
    for cloud in [Cloud::S3, Cloud::Gcs] {
        let (way, objects) = behind(cloud, "ci-lost");
        way.set(Way::Slow(Duration::from_secs(60)));
        let arrived = open(started(cloud), &format!("{}://ci-lost", cloud.scheme()));
        let put = objects.put_new("logs/a", "text");
        let lose = async {
            // The store has it, and its answer is on its way.
            while !arrived.exists("logs/a").await.unwrap() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            way.set(Way::Cut);
            way.set(Way::Through);
        };
        let both = futures::future::join(put, lose);
        let (put, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        put.unwrap();
        assert_eq!(objects.list("").await.unwrap().len(), 1);
    }
}
