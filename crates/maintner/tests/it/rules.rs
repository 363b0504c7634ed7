//! What our rules make otherwise than the original's, and what neither may lose.

use maintner::rules::Rules;
use maintpb::{
    BoolChange, GithubIssueCommentMutation, GithubIssueMutation, GithubLabel, GithubMilestone,
    GithubMutation, GithubReview, GithubUser, Mutation, StringChange,
};

use crate::logs::{Said, at, commit, dump, gerrit, issue, of_github, of_issue, sha};
use crate::original::change;

/// The fields of the first line with that letter and those words.
fn fields(text: &str, letter: &str, words: &str) -> Vec<String> {
    let start = format!("{letter}\t{}", words.replace(' ', "\t"));
    let line = text.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no {start} in\n{text}")).split('\t').map(str::to_owned).collect()
}

fn user(id: i64, login: &str) -> GithubUser {
    GithubUser { id, login: login.into() }
}

#[test]
fn a_gone_issue_comes_back_and_has_its_creation_by_ours() {
    let gone = of_issue(GithubIssueMutation { not_exist: true, ..issue(3) });
    let back = of_issue(GithubIssueMutation { created: at(5), title: "t".into(), ..issue(3) });
    let log = [gone.clone(), back];
    assert_eq!(fields(&dump(&log, Rules::Ours), "I", "golang/go 3")[5], "5");
    assert_eq!(fields(&dump(&log, Rules::Original), "I", "golang/go 3")[5], "-");
    let again = [log[0].clone(), log[1].clone(), gone];
    assert_eq!(dump(&again, Rules::Ours).lines().next(), Some("I\tgolang/go\t3\t1"));
}

#[test]
fn assignees_come_and_go_in_order() {
    let assign = |assignees: &[GithubUser], deleted: &[i64]| {
        of_issue(GithubIssueMutation {
            assignees: assignees.to_vec(),
            deleted_assignees: deleted.to_vec(),
            ..issue(3)
        })
    };
    let twice = [assign(&[user(1, "a"), user(2, "b"), user(2, "b")], &[])];
    let list = |text: &str| fields(text, "I", "golang/go 3")[14].clone();
    assert_eq!(
        (list(&dump(&twice, Rules::Ours)), list(&dump(&twice, Rules::Original))),
        ("1,2".into(), "1,2,2".into())
    );
    let log =
        [twice[0].clone(), assign(&[user(2, "bee"), user(3, "")], &[1, 9]), assign(&[user(1, "")], &[])];
    let text = dump(&log, Rules::Ours);
    assert_eq!(list(&text), "2,3,1");
    // A name that is not given is not taken away.
    assert_eq!((fields(&text, "U", "2")[2].as_str(), fields(&text, "U", "1")[2].as_str()), ("bee", "a"));
    assert_eq!(list(&dump(&[twice[0].clone(), assign(&[], &[2])], Rules::Original)), "1");
}

#[test]
fn labels_and_milestones_are_shared_and_those_without_id_passed_over() {
    let label = |id, name: &str| GithubLabel { id, name: name.into() };
    let log = [
        of_github(GithubMutation {
            owner: "golang".into(),
            repo: "go".into(),
            labels: vec![label(0, "zero"), label(7, "seven")],
            milestones: vec![GithubMilestone { id: 0, ..GithubMilestone::default() }],
        }),
        of_issue(GithubIssueMutation {
            add_label: vec![label(8, "eight"), label(7, ""), label(0, "zero")],
            milestone_id: 5,
            milestone_title: "M".into(),
            milestone_num: 49,
            ..issue(3)
        }),
        of_issue(GithubIssueMutation { remove_label: vec![7, 8], add_label: vec![label(8, "")], ..issue(3) }),
    ];
    let text = dump(&log, Rules::Ours);
    let line = fields(&text, "I", "golang/go 3");
    assert_eq!((line[13].as_str(), line[15].as_str()), ("5", "8"));
    assert_eq!(text.lines().filter(|line| line.starts_with("L\t")).count(), 2);
    assert_eq!(fields(&text, "L", "golang/go 7")[3], "seven");
    assert_eq!(fields(&text, "M", "golang/go 5")[3..], ["49", "0", "M"]);
    let none = of_issue(GithubIssueMutation { no_milestone: true, ..issue(3) });
    assert_eq!(fields(&dump(&[log[1].clone(), none], Rules::Ours), "I", "golang/go 3")[13], "none");
}

#[test]
fn a_body_is_cleared_only_by_its_change() {
    let body = |body: &str, change: Option<&str>| {
        let body_change = change.map(|val| StringChange { val: val.into() });
        of_issue(GithubIssueMutation { body: body.into(), body_change, ..issue(3) })
    };
    let of = |log: &[Mutation]| fields(&dump(log, Rules::Ours), "I", "golang/go 3")[17].clone();
    let x = of(&[body("x", None)]);
    assert!(x.starts_with("1:"));
    assert_eq!(of(&[body("x", None), body("", None)]), x);
    assert_eq!(of(&[body("x", None), body("", Some(""))]), "0");
    assert_eq!(of(&[body("y", Some("x"))]), x);
}

#[test]
fn comments_and_reviews_are_changed_in_place() {
    let comment = |id, body: &str, user: Option<GithubUser>, updated| GithubIssueCommentMutation {
        id,
        user,
        body: body.into(),
        created: None,
        updated: at(updated),
    };
    let review =
        |state: &str| GithubReview { id: 4, actor_id: 9, state: state.into(), ..GithubReview::default() };
    let log = [
        of_issue(GithubIssueMutation {
            comment: vec![comment(2, "first", Some(user(1, "a")), 5), comment(0, "none", None, 5)],
            review: vec![review("COMMENTED")],
            pull_request: true,
            ..issue(3)
        }),
        of_issue(GithubIssueMutation {
            comment: vec![comment(2, "", None, 6), comment(3, "second", None, 7)],
            review: vec![review("APPROVED")],
            locked: Some(BoolChange { val: true }),
            ..issue(3)
        }),
    ];
    let text = dump(&log, Rules::Ours);
    assert_eq!(text.lines().filter(|line| line.starts_with("C\t")).count(), 2);
    let line = fields(&text, "C", "golang/go 3 2");
    assert_eq!((line[4].as_str(), line[6].as_str(), &line[7][..2]), ("1", "6", "5:"));
    assert_eq!(fields(&text, "V", "golang/go 3 4")[6], "APPROVED");
    let line = fields(&text, "I", "golang/go 3");
    assert_eq!((line[9].as_str(), line[10].as_str()), ("1", "1"));
    assert_eq!(fields(&text, "U", "9")[2], "-");
}

#[test]
fn what_names_no_issue_is_passed_over() {
    let nowhere = GithubIssueMutation { repo: String::new(), ..issue(3) };
    assert_eq!(dump(&[of_issue(nowhere), of_issue(issue(0))], Rules::Ours), "R\tgolang/go\n");
}

#[test]
fn the_highest_patch_set_is_current_by_ours() {
    let text = dump(&change(), Rules::Ours);
    let line = fields(&text, "G", "go.googlesource.com/go 107");
    assert_eq!((line[4].as_str(), line[5].clone()), ("10", sha('b')));
    assert_eq!(line.last().map(|subject| subject.starts_with("9:")), Some(true));
    // The later one is current, its message names no issue, and the repo that was named is still listed.
    assert_eq!(line[15], "-");
}

/// Each once, in the order in which they are named first.
#[test]
fn a_message_may_name_thousands_of_issues() {
    let message: String = (1..=6000).chain(1..=6000).map(|number| format!("#{number} ")).collect();
    let who = Said { digit: 'a', parents: &[], who: "Ann <ann@x>", time: 1, message: &message, files: &[] };
    let meta = "Create change\n\nPatch-set: 1\nStatus: new\n";
    let meta = Said { digit: 'b', message: meta, who: "A <1@u>", ..who };
    let refs = [("refs/changes/07/7/1", sha('a')), ("refs/changes/07/7/meta", sha('b'))];
    let refs: Vec<(&str, &str)> = refs.iter().map(|(name, sha)| (*name, sha.as_str())).collect();
    let log = [gerrit(vec![commit(&who), commit(&meta)], &refs, &[])];
    let line = fields(&dump(&log, Rules::Ours), "G", "go.googlesource.com/go 7");
    let named: Vec<String> = line[15].split(',').map(str::to_owned).collect();
    let want: Vec<String> = (1..=6000).map(|number| format!("golang/go#{number}")).collect();
    assert!(named == want, "{} are named", named.len());
}

#[test]
fn a_commit_that_is_none_leaves_the_places_of_its_parents() {
    let mut bad =
        commit(&Said { digit: 'a', parents: &['b'], who: "A <a>", time: 1, message: "m", files: &[] });
    bad.raw = String::from_utf8(bad.raw).unwrap().replace("author A <a> 1 -0800", "author A").into_bytes();
    let text =
        dump(&[gerrit(vec![bad], &[("HEAD", &sha('a')), ("refs/heads/b", &sha('b'))], &[])], Rules::Ours);
    let want = format!(
        "F\tgo.googlesource.com/go\trefs/heads/b\t{b}\nK\t{b}\t-\nP\tgo.googlesource.com/go\t0\t-\n",
        b = sha('b')
    );
    assert_eq!(text, want);
}

#[test]
fn refs_are_deleted_and_come_back() {
    let said = Said { digit: 'a', parents: &['b'], who: "A <a>", time: 1, message: "m", files: &[] };
    let first = gerrit(vec![commit(&said)], &[("HEAD", &sha('a')), ("refs/heads/x", &sha('a'))], &[]);
    let gone = gerrit(vec![], &[], &["refs/heads/x", "refs/heads/never"]);
    let heads =
        |log: &[Mutation]| dump(log, Rules::Ours).lines().filter(|line| line.starts_with("F\t")).count();
    assert_eq!(heads(std::slice::from_ref(&first)), 2);
    assert_eq!(heads(&[first.clone(), gone.clone()]), 1);
    assert_eq!(heads(&[first.clone(), gone, first.clone()]), 2);
    assert!(dump(&[first], Rules::Ours).contains(&format!("\t{}\n", sha('b'))), "its parent is needed");
}

/// A meta ref with a merge in it can't be walked: what is known of the change is not enough to show it.
#[test]
fn a_meta_ref_that_is_no_chain_makes_no_change() {
    let mut log = change();
    let message = "Update\n\nPatch-set: 1\nStatus: merged\n";
    let merge =
        Said { digit: 'e', parents: &['d', 'c'], who: "A <1@u>", time: 1_500_000_009, message, files: &[] };
    log.push(gerrit(vec![commit(&merge)], &[("refs/changes/07/107/meta", &sha('e'))], &[]));
    let line = fields(&dump(&log, Rules::Ours), "G", "go.googlesource.com/go 107");
    assert_eq!(line[3..], ["0".to_owned(), "10".to_owned(), sha('b'), sha('e')]);
}
