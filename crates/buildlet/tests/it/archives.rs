//! Archives in and out, and those that want to get out.

use std::io::{Cursor, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use buildlet_client::{BuildletClient, Error};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use tar::{Builder, EntryType, Header};

use crate::agent::Agent;
use crate::raw;

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
async fn an_archive_can_be_had_sooner_or_smaller() {
    let agent = Agent::start(&[]).await;
    let client = agent.client();
    let text: String = (0..40_000_u32).map(|n| format!("{} of {}\n", n * n % 977, n % 313)).collect();
    std::fs::write(agent.workdir().join("words"), &text).unwrap();
    let whole = async |stream: Result<buildlet_client::OutputStream, _>| {
        let parts: Vec<Bytes> = stream.unwrap().map(|bytes| bytes.unwrap()).collect().await;
        let mut member = tar::Archive::new(flate2::read::MultiGzDecoder::new(Cursor::new(parts.concat())));
        let mut read = String::new();
        member.entries().unwrap().next().unwrap().unwrap().read_to_string(&mut read).unwrap();
        assert!(read == text);
        parts.concat().len()
    };
    let (usual, fast) = (whole(client.tgz("").await).await, whole(client.tgz_fast("").await).await);
    assert!(fast > usual, "{fast} {usual}");
    for level in ["0", "10", "-1", "best"] {
        let answer = raw::send(&agent, raw::bare(&format!("GET /tgz?level={level}")));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
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

/// Packs by the system's tar, with these options.
fn system_tar(options: &[&str], dir: &Path) -> Bytes {
    let packed = Command::new("tar").args(options).args(["-cz", "-C"]).arg(dir).arg(".").output().unwrap();
    assert!(packed.status.success(), "{packed:?}");
    packed.stdout.into()
}

#[tokio::test]
async fn holes_and_long_names_come_in_by_each_way_that_tar_has() {
    let agent = Agent::start(&[]).await;
    let source = tempfile::tempdir().unwrap();
    let deep = format!("{}/{}", "d".repeat(120), "n".repeat(140));
    std::fs::create_dir(source.path().join("d".repeat(120))).unwrap();
    std::fs::write(source.path().join(&deep), "deep").unwrap();
    std::os::unix::fs::symlink(&deep, source.path().join("link")).unwrap();
    let holes = std::fs::File::create(source.path().join("holes")).unwrap();
    // More pieces than fit in a header, and a hole at the end.
    for n in 0..40_u64 {
        std::os::unix::fs::FileExt::write_all_at(&holes, format!("piece {n}").as_bytes(), n << 16).unwrap();
    }
    holes.set_len(50 << 16).unwrap();
    let want = std::fs::read(source.path().join("holes")).unwrap();
    for (number, options) in [
        &["--format=gnu", "-S"][..],
        &["--format=pax", "-S", "--sparse-version=0.0"],
        &["--format=pax", "-S", "--sparse-version=0.1"],
        &["--format=pax", "-S", "--sparse-version=1.0"],
        &["--format=pax"],
    ]
    .into_iter()
    .enumerate()
    {
        let archive = system_tar(options, source.path());
        let dir = format!("t{number}");
        agent.client().write_tgz(&dir, futures::stream::iter([Ok(archive)])).await.unwrap();
        let came = agent.workdir().join(dir);
        assert!(std::fs::read(came.join("holes")).unwrap() == want, "{options:?}");
        assert_eq!(std::fs::read_to_string(came.join(&deep)).unwrap(), "deep", "{options:?}");
        assert_eq!(std::fs::read_to_string(came.join("link")).unwrap(), "deep", "{options:?}");
        let modified = |path: &Path| path.join("holes").metadata().unwrap().mtime();
        assert_eq!(modified(&came), modified(source.path()), "{options:?}");
        assert_eq!(std::fs::read_dir(&came).unwrap().count(), 3, "{options:?}");
    }
}

#[tokio::test]
async fn what_goes_out_is_read_by_any_tar_and_the_same() {
    let agent = Agent::start(&[]).await;
    let tree = agent.workdir().join("tree");
    std::fs::create_dir_all(tree.join("empty")).unwrap();
    // Some that fill blocks to their edges and beyond, one that can't be made smaller, one of nothing.
    let mut seed = 1_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = |seed: &mut u64| {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*seed >> 56) as u8
        };
        (0..length).map(|_| next(&mut seed)).collect()
    };
    for (name, content) in [
        ("noise", noise(3 << 20)),
        ("same", vec![b'x'; 5 << 20]),
        ("nothing", Vec::new()),
        ("edge", noise((512 << 10) - 512)),
        ("odd", noise(513)),
    ] {
        std::fs::write(tree.join(name), content).unwrap();
    }
    let long = "long".repeat(50);
    std::fs::write(tree.join(&long), "").unwrap();
    std::os::unix::fs::symlink(format!("{long}/{long}"), tree.join("link")).unwrap();
    std::fs::set_permissions(tree.join("odd"), std::fs::Permissions::from_mode(0o741)).unwrap();
    let mut stream = agent.client().tgz("tree").await.unwrap();
    let mut archive = Vec::new();
    while let Some(bytes) = stream.next().await {
        archive.extend_from_slice(&bytes.unwrap());
    }
    // Each member says how long it is.
    let (mut at, mut members) = (0, 0);
    while at < archive.len() {
        assert_eq!(archive[at..at + 4], [0x1f, 0x8b, 8, 4], "member {members} at {at}");
        assert_eq!(archive[at + 10..at + 16], [8, 0, b'B', b'W', 4, 0]);
        at += u32::from_le_bytes(archive[at + 16..at + 20].try_into().unwrap()) as usize;
        members += 1;
    }
    assert_eq!((at, members), (archive.len(), (archive_size(&archive) as usize).div_ceil(512 << 10)));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.tar.gz"), &archive).unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let read = Command::new("tar").arg("-xzf").arg(dir.path().join("a.tar.gz")).arg("-C").arg(&out).output();
    assert!(read.as_ref().unwrap().status.success() && read.as_ref().unwrap().stderr.is_empty(), "{read:?}");
    for entry in std::fs::read_dir(&tree).unwrap() {
        let (was, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        let (old, new) = (was.symlink_metadata().unwrap(), out.join(&name).symlink_metadata().unwrap());
        assert_eq!((old.mode(), old.mtime()), (new.mode(), new.mtime()), "{name:?}");
        if old.is_file() {
            assert!(std::fs::read(was).unwrap() == std::fs::read(out.join(&name)).unwrap(), "{name:?}");
        } else if old.is_symlink() {
            assert_eq!(std::fs::read_link(was).unwrap(), std::fs::read_link(out.join(&name)).unwrap());
        }
    }
    assert_eq!(std::fs::read_dir(&tree).unwrap().count(), std::fs::read_dir(&out).unwrap().count());
}

/// Bytes that an archive has unpacked.
fn archive_size(archive: &[u8]) -> u64 {
    std::io::copy(&mut flate2::read::MultiGzDecoder::new(archive), &mut std::io::sink()).unwrap()
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
