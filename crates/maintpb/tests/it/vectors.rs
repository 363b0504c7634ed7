//! Records with their bytes, as the original writes them.

use maintpb::{
    BoolChange, GerritMutation, GitRef, GithubIssueEvent, GithubIssueMutation, GithubIssueSyncStatus,
    GithubLabel, GithubMilestone, GithubMutation, GithubUser, Mutation, StringChange, Timestamp,
};
use prost::Message;
use sha2::{Digest, Sha224};

fn issue(number: i32) -> GithubIssueMutation {
    GithubIssueMutation {
        owner: "golang".into(),
        repo: "go".into(),
        number,
        ..GithubIssueMutation::default()
    }
}

fn of_issue(issue: GithubIssueMutation) -> Mutation {
    Mutation { github_issue: Some(issue), ..Mutation::default() }
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

/// A new issue.
fn a() -> Mutation {
    of_issue(GithubIssueMutation {
        user: Some(GithubUser { id: 100, login: "gopherbot".into() }),
        created: at(1_451_747_040),
        body: "some body".into(),
        title: "some title".into(),
        ..issue(3)
    })
}

/// Changes to false and to nothing, and numbers that are packed.
fn b() -> Mutation {
    of_issue(GithubIssueMutation {
        closed: Some(BoolChange { val: false }),
        remove_label: vec![5, 300],
        body_change: Some(StringChange::default()),
        ..issue(3)
    })
}

fn c() -> Mutation {
    of_issue(GithubIssueMutation { not_exist: true, ..issue(7) })
}

fn d() -> Mutation {
    let reference = GitRef {
        r#ref: "refs/changes/30/48330/meta".into(),
        sha1: "f9fcf0ff9eb58fc8edd989f8bbb3500ff73f9b11".into(),
    };
    let gerrit = GerritMutation {
        project: "go.googlesource.com/build".into(),
        refs: vec![reference],
        ..GerritMutation::default()
    };
    Mutation { gerrit: Some(gerrit), ..Mutation::default() }
}

fn e() -> Mutation {
    let github = GithubMutation {
        owner: "golang".into(),
        repo: "go".into(),
        labels: vec![GithubLabel { id: 123, name: "Builders".into() }],
        milestones: vec![GithubMilestone {
            id: 2_386_495,
            title: "Go1.9".into(),
            closed: Some(BoolChange { val: false }),
            number: 49,
        }],
    };
    Mutation { github: Some(github), ..Mutation::default() }
}

fn f() -> Mutation {
    let event = GithubIssueEvent {
        id: 998_144_526,
        event_type: "labeled".into(),
        actor_id: 2621,
        created: at(1_489_444_768),
        label: Some(GithubLabel { id: 0, name: "enhancement".into() }),
        ..GithubIssueEvent::default()
    };
    of_issue(GithubIssueMutation {
        event: vec![event],
        event_status: Some(GithubIssueSyncStatus { server_date: at(1_489_444_800) }),
        ..issue(3)
    })
}

/// The bytes of [`d`], of which most are text.
fn bytes_of_d() -> String {
    let text = |s: &str| hex::encode(s);
    format!(
        "22630a19{}1a460a1a{}1228{}",
        text("go.googlesource.com/build"),
        text("refs/changes/30/48330/meta"),
        text("f9fcf0ff9eb58fc8edd989f8bbb3500ff73f9b11")
    )
}

/// One file of these records, each after a header that says where in the file it begins and how long it is.
fn file(records: &[Mutation]) -> Vec<u8> {
    let mut file = Vec::new();
    for record in records {
        let payload = record.encode_to_vec();
        file.extend(format!("REC@{:x}+{:x}=", file.len(), payload.len()).into_bytes());
        file.extend(payload);
    }
    file
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha224::digest(bytes))
}

#[test]
fn each_is_written_as_the_original_writes_it_and_read_again() {
    let known = [
        (
            a(),
            "0a3c0a06676f6c616e671202676f1803220d08641209676f70686572626f742a0608e0cd9fb4053a09736f6d6520626f64794a0a736f6d652\
             07469746c65"
                .to_owned(),
        ),
        (b(), "0a1a0a06676f6c616e671202676f18039a0100ba010305ac02fa0100".to_owned()),
        (c(), "0a100a06676f6c616e671202676f18076801".to_owned()),
        (d(), bytes_of_d()),
        (
            e(),
            "1a2c0a06676f6c616e671202676f1a0c087b12084275696c64657273221008bfd491011205476f312e391a002031".to_owned(),
        ),
        (
            f(),
            "0a450a06676f6c616e671202676f1803d20129088ef4f9db0312076c6162656c656418bd14220608a0bf9cc6052a0d120b656e68616e6365\
             6d656e74da01080a0608c0bf9cc605"
                .to_owned(),
        ),
    ];
    for (mutation, bytes) in known {
        assert_eq!(hex::encode(mutation.encode_to_vec()), bytes);
        assert_eq!(Mutation::decode(hex::decode(&bytes).unwrap().as_slice()).unwrap(), mutation);
    }
}

#[test]
fn numbers_that_are_not_packed_are_read_too() {
    let loose = hex::decode("0a150a06676f6c616e671202676f1803b80105b801ac02").unwrap();
    let read = Mutation::decode(loose.as_slice()).unwrap().github_issue.unwrap();
    assert_eq!(read.remove_label, [5, 300]);
}

#[test]
fn what_is_not_known_is_skipped() {
    // Field 99 of each type of the wire, then the issue's number.
    let strange = hex::decode("0a1a980601990601020304050607089a0602aabb9d06010203041807").unwrap();
    let read = Mutation::decode(strange.as_slice()).unwrap().github_issue.unwrap();
    assert_eq!(read.number, 7);
}

#[test]
fn files_of_them_are_the_original_s_byte_for_byte() {
    let segment = file(&[a(), c(), d()]);
    assert_eq!(segment.len(), 210);
    assert_eq!(digest(&segment), "06fcfb5c3b5f84e2c9b61282d25a243378a75a990abc0c7f7b5185aa");
    assert_eq!(digest(&file(&[a()])), "d18c225b686dc2b81ae83887e21455b21f3511bb79813df7c1ec8430");
    assert_eq!(
        digest(&file(&[Mutation::default()])),
        "6f999257d6762411f2c5d42c993e824b5bd6b49b56b88769f9f9a63b"
    );
    let all = file(&[a(), b(), c(), d(), e(), f()]);
    assert_eq!(all.len(), 386);
    assert_eq!(digest(&all), "093dc9ede96d0f7119d84ef7a85cdc851ea5de80706097cd26374cab");
}
