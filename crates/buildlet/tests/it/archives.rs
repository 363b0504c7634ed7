//! Archives in and out, and those that want to get out.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use buildlet_client::{BuildletClient, Error};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use tar::{Builder, EntryType, Header};

use crate::agent::Agent;

type Tar = Builder<GzEncoder<Vec<u8>>>;
/// Puts members into an archive.
type Fill<'a> = Box<dyn Fn(&mut Tar) + 'a>;

fn tar() -> Tar {
    Builder::new(GzEncoder::new(Vec::new(), Compression::fast()))
}

fn add(tar: &mut Tar, kind: EntryType, name: &str, link: &str, mode: u32, mtime: u64, content: &str) {
    let mut header = Header::new_gnu();
    // Written as they are: the crate's own setters refuse what an attacker would not.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(mtime);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content.as_bytes()).unwrap();
}

async fn send(client: &BuildletClient, dir: &str, tar: Tar) -> Result<(), Error> {
    let bytes = Bytes::from(tar.into_inner().unwrap().finish().unwrap());
    // In small pieces, so that nothing depends on how it arrives.
    let pieces: Vec<_> = bytes.chunks(100).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    client.write_tgz(dir, futures::stream::iter(pieces)).await
}

#[tokio::test]
async fn a_tree_comes_in_and_goes_out_as_it_is() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let mut archive = tar();
    add(
        &mut archive,
        EntryType::XGlobalHeader,
        "pax_global_header",
        "",
        0o644,
        0,
        "52 comment=0123456789012345678901234567890123456789\n",
    );
    add(&mut archive, EntryType::Directory, "./d/", "", 0o555, 5, "");
    add(&mut archive, EntryType::Regular, "d/run", "", 0o755, 1_000_000_000, "#!/bin/sh\n");
    add(&mut archive, EntryType::Regular, "d/future", "", 0o600, 9_999_999_999, "x");
    add(&mut archive, EntryType::Symlink, "d/link", "../e/later", 0o777, 0, "");
    add(&mut archive, EntryType::Link, "hard", "d/run", 0o755, 0, "");
    add(&mut archive, EntryType::Regular, "e/later", "", 0o644, 0, "later");
    add(&mut archive, EntryType::Symlink, "self", "self", 0o777, 0, "");
    let before = std::time::SystemTime::now();
    send(&client, "src/tree", archive).await.unwrap();
    let base = agent.workdir().join("src/tree");
    let run = base.join("d/run").metadata().unwrap();
    assert_eq!((run.mode() & 0o7777, run.mtime(), run.nlink()), (0o755, 1_000_000_000, 2));
    assert_eq!(base.join("d").metadata().unwrap().permissions().mode() & 0o777, 0o555);
    let future = base.join("d/future").metadata().unwrap().modified().unwrap();
    assert!(future <= std::time::SystemTime::now() && future >= before - std::time::Duration::from_secs(1));
    assert_eq!(std::fs::read_to_string(base.join("d/link")).unwrap(), "later");
    assert!(!base.join("pax_global_header").exists());

    // Out again, in two gzip members with something behind them, and in once more.
    let mut stream = client.tgz("src/tree").await.unwrap();
    let mut archive = Vec::new();
    while let Some(bytes) = stream.next().await {
        archive.extend_from_slice(&bytes.unwrap());
    }
    client.write_tgz("copy", futures::stream::iter([Ok(Bytes::from(archive))])).await.unwrap();
    let copy = agent.workdir().join("copy");
    assert_eq!(copy.join("d/run").metadata().unwrap().mtime(), 1_000_000_000);
    assert_eq!(std::fs::read_link(copy.join("d/link")).unwrap().to_str(), Some("../e/later"));
    assert_eq!(std::fs::read_to_string(copy.join("hard")).unwrap(), "#!/bin/sh\n");
}

#[tokio::test]
async fn an_archive_of_several_gzip_members_is_read_to_its_end() {
    let agent = Agent::start(&[]).await;
    let mut archive = tar();
    add(&mut archive, EntryType::Regular, "a", "", 0o644, 0, &"a".repeat(5000));
    add(&mut archive, EntryType::Regular, "b", "", 0o644, 0, "b");
    let gz = archive.into_inner().unwrap().finish().unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gz[..]), &mut plain).unwrap();
    let mut members = Vec::new();
    for part in plain.chunks(700) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut encoder, part).unwrap();
        members.extend(encoder.finish().unwrap());
    }
    agent.client().write_tgz("", futures::stream::iter([Ok(Bytes::from(members))])).await.unwrap();
    assert_eq!(std::fs::read(agent.workdir().join("b")).unwrap(), b"b");
}

#[tokio::test]
async fn no_member_gets_out_and_each_is_refused_by_name() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let outside = agent.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "safe").unwrap();
    let out = outside.to_str().unwrap();
    let evil: Vec<(&str, Fill<'_>)> = vec![
        ("../evil-up", Box::new(|t| add(t, EntryType::Regular, "../evil-up", "", 0o644, 0, "x"))),
        ("a/../../evil-mid", Box::new(|t| add(t, EntryType::Regular, "a/../../evil-mid", "", 0o644, 0, "x"))),
        ("/tmp/evil-abs", Box::new(|t| add(t, EntryType::Regular, "/tmp/evil-abs", "", 0o644, 0, "x"))),
        ("link-abs", Box::new(|t| add(t, EntryType::Symlink, "link-abs", out, 0o777, 0, ""))),
        ("link-up", Box::new(|t| add(t, EntryType::Symlink, "link-up", "../../outside", 0o777, 0, ""))),
        (
            "link-dangling",
            Box::new(|t| add(t, EntryType::Symlink, "link-dangling", "none/../../../x", 0o777, 0, "")),
        ),
        (
            "s/victim",
            Box::new(|t| {
                // Two steps that are each inside, together out: refused where the second would leave.
                add(t, EntryType::Symlink, "s", ".", 0o777, 0, "");
                add(t, EntryType::Symlink, "s/victim", "../../outside/victim", 0o777, 0, "");
            }),
        ),
        ("hard-out", Box::new(|t| add(t, EntryType::Link, "hard-out", "../../outside/victim", 0o644, 0, ""))),
        ("hard-none", Box::new(|t| add(t, EntryType::Link, "hard-none", "not-there", 0o644, 0, ""))),
        ("device", Box::new(|t| add(t, EntryType::Char, "device", "", 0o666, 0, ""))),
        ("fifo", Box::new(|t| add(t, EntryType::Fifo, "fifo", "", 0o666, 0, ""))),
        ("planted/x", Box::new(|t| add(t, EntryType::Regular, "planted/x", "", 0o644, 0, "x"))),
    ];
    for (name, fill) in evil {
        client.remove_all(&["dest"]).await.unwrap();
        // What a job may have left before the archive came.
        std::fs::create_dir_all(agent.workdir().join("dest")).unwrap();
        std::os::unix::fs::symlink(&outside, agent.workdir().join("dest/planted")).unwrap();
        let mut archive = tar();
        fill(&mut archive);
        let refused = send(&client, "dest", archive).await;
        let Err(Error::Refused { status: 400, message, .. }) = &refused else {
            panic!("{name}: {refused:?}")
        };
        assert!(message.contains(&format!("{name:?}")), "{name}: {message}");
    }
    let left: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["victim"]);
    assert_eq!(std::fs::read_to_string(outside.join("victim")).unwrap(), "safe");
    for name in ["evil-up", "evil-mid", "x"] {
        assert!(!agent.dir.path().join(name).exists() && !agent.workdir().join(name).exists(), "{name}");
    }
    assert!(!std::path::Path::new("/tmp/evil-abs").exists());
}

#[tokio::test]
async fn a_file_replaces_a_link_and_never_writes_through_it() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let victim = agent.dir.path().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    std::os::unix::fs::symlink(&victim, agent.workdir().join("f")).unwrap();
    std::fs::write(agent.workdir().join("one"), "one").unwrap();
    std::fs::hard_link(agent.workdir().join("one"), agent.workdir().join("two")).unwrap();
    let mut archive = tar();
    add(&mut archive, EntryType::Regular, "f", "", 0o644, 0, "new");
    add(&mut archive, EntryType::Regular, "two", "", 0o644, 0, "changed");
    send(&client, "", archive).await.unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "safe");
    assert_eq!(std::fs::read_to_string(agent.workdir().join("f")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(agent.workdir().join("one")).unwrap(), "one");
    assert!(client.write_file("link/x", 0o644, Bytes::new()).await.is_ok());
    std::os::unix::fs::symlink(agent.dir.path(), agent.workdir().join("out")).unwrap();
    assert!(client.write_file("out/victim", 0o644, Bytes::from("bad")).await.is_err());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "safe");
}

#[tokio::test]
async fn damage_is_the_senders_fault() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let garbage =
        client.write_tgz("", futures::stream::iter([Ok(Bytes::from_static(b"not gzip at all"))])).await;
    assert!(matches!(garbage, Err(Error::Refused { status: 400, .. })), "{garbage:?}");
    let broken = futures::stream::iter([
        Ok(Bytes::from_static(&[0x1f, 0x8b])),
        Err(std::io::Error::other("source broke")),
    ]);
    let result = client.write_tgz("", broken).await;
    assert!(matches!(result, Err(Error::Source(_))), "{result:?}");
    client.status().await.unwrap();
}

#[tokio::test]
async fn a_missing_directory_breaks_the_archive_off() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let failed = match client.tgz("none").await {
        Err(_) => true,
        Ok(mut stream) => loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => break true,
                None => break false,
            }
        },
    };
    assert!(failed, "no clean end without content");
}

#[tokio::test]
async fn the_agent_answers_while_it_unpacks() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(1);
    let stream = futures::stream::unfold(receiver, async |mut r| r.recv().await.map(|item| (item, r)));
    let upload = tokio::spawn({
        let client = client.clone();
        async move { client.write_tgz("", stream).await }
    });
    let mut archive = tar();
    add(&mut archive, EntryType::Regular, "f", "", 0o644, 0, "content");
    let bytes = Bytes::from(archive.into_inner().unwrap().finish().unwrap());
    sender.send(Ok(bytes.slice(..20))).await.unwrap();
    client.status().await.unwrap();
    sender.send(Ok(bytes.slice(20..))).await.unwrap();
    drop(sender);
    upload.await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(agent.workdir().join("f")).unwrap(), "content");
}
