//! A full disk on the worker's side: clean refusals, and a worker that is as good as new after.

use buildlet_client::{BuildletClient, Error};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::agent::{Agent, end, read, shell};

/// An archive with a file of so many MiB that does not compress: most of it is still on the way when the disk is full.
fn archive(mib: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size((mib << 20) as u64);
    header.set_mode(0o644);
    let mut word = 1_u64;
    let noise = |_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word ^ (word >> 29)).to_le_bytes()
    };
    let content: Vec<u8> = (0..mib << 17).flat_map(noise).collect();
    tar.append_data(&mut header, "big", content.as_slice()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

async fn send(client: &BuildletClient, mib: usize) -> Result<(), Error> {
    let pieces: Vec<_> = archive(mib).chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    client.write_tgz("tree", futures::stream::iter(pieces)).await
}

fn is_no_space(result: Result<(), Error>) {
    match result {
        Err(Error::Refused { status, code, .. }) => {
            assert_eq!((status, code.as_deref()), (507, Some("no_space")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_archive_that_does_not_fit_is_refused_and_the_worker_is_clean_after_a_wipe() {
    let agent = Agent::start_small("work", "size=8m").await;
    let client = agent.client();
    is_no_space(send(&client, 32).await);
    is_no_space(client.write_file("more", 0o644, Bytes::from(vec![1; 9 << 20])).await);
    // Not even the proof's own files have room now.
    client.start(&shell("fill", "cat /dev/zero >rest; echo $?")).await.unwrap();
    end(&client, "fill").await;
    assert!(read(&client, "fill", 0).await.ends_with("1\n"));
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    send(&client, 4).await.unwrap();
    client.start(&shell("count", "wc -c <tree/big")).await.unwrap();
    end(&client, "count").await;
    assert_eq!(read(&client, "count", 0).await, format!("{}\n", 4 << 20));
}

#[tokio::test]
async fn output_that_does_not_fit_ends_the_command_and_what_fits_is_kept() {
    let agent = Agent::start_small("state", "size=8m").await;
    let client = agent.client();
    client.start(&shell("loud", "exec yes")).await.unwrap();
    let state = end(&client, "loud").await;
    assert_eq!(state.ended_by.as_deref(), Some("worker:disk_full"), "{state:?}");
    assert!(state.output_bytes > 4 << 20, "{state:?}");
    let kept = read(&client, "loud", 0).await;
    assert_eq!(kept.len() as u64, state.output_bytes);
    assert!(kept.bytes().enumerate().all(|(n, byte)| byte == b"y\n"[n % 2]));
    // No command can be noted down, so none is started.
    is_no_space(client.start(&shell("next", "true")).await.map(drop));
    let report = client.wipe().await.unwrap();
    assert!(report.clean, "{report:?}");
    client.start(&shell("after", "echo fine")).await.unwrap();
    end(&client, "after").await;
    assert_eq!(read(&client, "after", 0).await, "fine\n");
}

/// An archive with a member of each kind.
fn tree() -> Vec<u8> {
    use tar::EntryType;
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let members = [
        (EntryType::Directory, "a", ""),
        (EntryType::Regular, "a/b/file", ""),
        (EntryType::Symlink, "a/link", "b"),
        (EntryType::Link, "a/hard", "a/b/file"),
    ];
    for (kind, name, target) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        match target {
            "" => tar.append_data(&mut header, name, [].as_slice()).unwrap(),
            target => tar.append_link(&mut header, name, target).unwrap(),
        }
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_disk_without_inodes_is_met_at_each_member_of_an_archive_and_is_empty_after_a_wipe() {
    // One is the work directory's own.
    let agent = Agent::start_small("work", "nr_inodes=13").await;
    let client = agent.client();
    let mut fitted = 0;
    for taken in (0..=12).rev() {
        for n in 0..taken {
            client.write_file(&format!("taken-{n}"), 0o644, Bytes::new()).await.unwrap();
        }
        let archive = futures::stream::iter([Ok(Bytes::from(tree()))]);
        match client.write_tgz("tree", archive).await {
            Ok(()) => fitted += 1,
            refused => is_no_space(refused),
        }
        // Not even the directories have room in which the proof is planted.
        let report = client.wipe().await.unwrap_or_else(|error| panic!("{taken}: {error}"));
        assert!(report.clean, "{taken}: {report:?}");
    }
    // The tree itself, two directories, a file and two links.
    assert_eq!(fitted, 7);
}
