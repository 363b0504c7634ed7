//! The seeded script against a real Gerrit. One for all of it: a start takes some 15 s of a core.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

use testkit::GitRepo;
use testkit::gerrit::{Gerrit, Options, Status, differences, dump, run};

#[test]
fn gerrit_says_what_the_script_meant_and_shows_its_meta_refs() {
    let site = tempfile::tempdir().unwrap();
    let mut gerrit = Gerrit::start(&site.path().join("site")).unwrap();
    assert!(!gerrit.version().unwrap().is_empty());
    let made = run(&gerrit, Options { changes: 8, seed: 1 }, &mut |line| println!("{line}")).unwrap();
    assert!(made.changes.len() >= 8);

    let said = dump(&made.follower).unwrap();
    assert_eq!(differences(&said, &made.changes), [""; 0], "{}", gerrit.printed());
    let has = |what: &dyn Fn(&testkit::gerrit::Meant) -> bool| made.changes.iter().any(what);
    assert!(has(&|change| change.status == Status::Merged) && has(&|change| change.uploaders.len() >= 11));
    assert!(has(&|change| change.private) && has(&|change| change.hashtags.len() > 1));
    assert!(has(&|change| change.votes.values().any(|value| *value == -2)));
    let changes = said["changes"].as_array().unwrap();
    let commented = |change: &serde_json::Value| {
        let comments = change["comments"].as_array().unwrap();
        comments.iter().any(|comment| {
            comment["text"] == "Why „this“?\n\nSee below – 😀." && comment["unresolved"] == true
        })
    };
    assert!(changes.iter().any(commented), "{said:#}");
    // A script that meant otherwise would be found out.
    let mut other = made.changes.clone();
    other[0].hashtags.insert("never".into());
    other[1].votes.clear();
    other[2].status = Status::Abandoned;
    assert_eq!(differences(&said, &other).len(), 3);

    for change in &made.changes {
        let meta = format!("refs/changes/{:02}/{}/meta", change.number % 100, change.number);
        let of_follower = made.follower.refs(&change.project).unwrap();
        let id = of_follower.get(&meta).unwrap_or_else(|| panic!("{meta} is not shown to the follower"));
        let of_nobody = gerrit.nobody().refs(&change.project).unwrap();
        assert_eq!(of_nobody.contains_key(&meta), !change.private, "{meta}");
        if change.private {
            for person in &made.people {
                let (name, votes) = (person.name().to_owned(), change.votes.keys());
                let near = change.owner == name
                    || change.reviewers.contains(&name)
                    || votes.clone().any(|(_, voter)| *voter == name);
                assert_eq!(person.refs(&change.project).unwrap().contains_key(&meta), near, "{name} {meta}");
            }
            let repo = GitRepo::create(&site.path().join("clone")).unwrap();
            let mut fetch = made.follower.git_options();
            fetch.extend(
                ["fetch", "--quiet", &made.follower.repository(&change.project), &meta].map(str::to_owned),
            );
            repo.git(&fetch).unwrap();
            let text = repo.git(&["log", "--format=%B", id]).unwrap();
            assert!(text.contains(&format!("\nChange-id: {}\n", change.change_id)), "{text}");
        }
    }

    let java = gerrit.pid().unwrap();
    gerrit.stop().unwrap();
    assert!(gerrit.version().is_err());
    assert!(!std::path::Path::new(&format!("/proc/{java}")).exists());
}
