//! Graphs of changes, by hand and at random.

use proptest::prelude::*;

use super::super::chosen::tests::asked;
use super::*;

#[derive(Default)]
struct Graph(BTreeMap<i32, Node>);

impl World for Graph {
    fn node(&self, review: &Review) -> Option<Node> {
        self.0.get(&review.number).cloned()
    }
}

fn review(number: i32) -> Review {
    Review { project: "g/go".into(), number }
}

impl Graph {
    fn put(mut self, number: i32, edges: Vec<Edge>) -> Graph {
        let node = Node {
            repo: Some("go".into()),
            branch: "master".into(),
            patch_set: 1,
            commit: format!("{number:040}"),
            approved: true,
            state: State::Open,
            edges,
        };
        self.0.insert(number, node);
        self
    }

    fn with(mut self, number: i32, change: impl FnOnce(&mut Node)) -> Graph {
        change(self.0.get_mut(&number).unwrap());
        self
    }

    fn of(&self, head: i32) -> Result<Vec<i32>, String> {
        let subject = resolve(&review(head), self);
        match subject.hindrance {
            Some(hindrance) => Err(hindrance.text()),
            None => Ok(subject.with.iter().map(|one| one.review.number).collect()),
        }
    }
}

fn upon(number: i32) -> Edge {
    Edge::Upon { review: review(number), patch_set: 1 }
}

fn needs(number: i32) -> Edge {
    Edge::Needs(review(number))
}

#[test]
fn a_chain_comes_with_what_it_is_built_upon() {
    let graph = Graph::default().put(1, vec![]).put(2, vec![upon(1)]).put(3, vec![upon(2)]);
    assert_eq!(graph.of(3), Ok(vec![1, 2]));
    assert_eq!(graph.of(1), Ok(vec![]));
    // Whoever approves a commit approves what is in its history; that nobody did so by itself is said.
    let graph = graph.with(1, |node| node.approved = false);
    let subject = resolve(&review(3), &graph);
    let shown: Vec<_> =
        subject.with.iter().map(|one| (one.review.number, one.approved, one.covered, one.how)).collect();
    assert_eq!(shown, [(1, false, true, How::Chain), (2, true, true, How::Chain)]);
    let of_three = Asked { review: review(3), commit: "3".repeat(40), ..asked("go", "master", None) };
    assert_eq!(subject.lands(&of_three, "go", "master"), [(review(3), "3".repeat(40))]);
    assert_eq!(subject.lands(&of_three, "go", "other"), []);
    let graph = graph.with(2, |node| node.patch_set = 2);
    let why = "g/go~3 is built upon patch set 1 of g/go~2, and patch set 2 is newer: it has to be rebased";
    assert_eq!(graph.of(3), Err(why.into()));
    // What has landed counts as landed, whatever it was built upon.
    assert_eq!(graph.with(2, |node| node.state = State::Landed).of(3), Ok(vec![]));
}

#[test]
fn what_stands_in_the_way_is_named() {
    let graph = || Graph::default().put(1, vec![needs(2)]).put(2, vec![needs(3)]).put(3, vec![]);
    assert_eq!(graph().of(1), Ok(vec![3, 2]));
    let of = |graph: Graph| graph.of(1).unwrap_err();
    assert_eq!(of(graph().with(3, |node| node.state = State::Abandoned)), "g/go~3 was abandoned");
    assert_eq!(of(graph().with(3, |node| node.state = State::Hidden)), "g/go~3 is private, or can't be read");
    assert_eq!(of(graph().with(3, |node| node.repo = None)), "g/go~3 is of no repository that is built here");
    assert_eq!(of(graph().put(2, vec![needs(9)])), "g/go~9 is not known here");
    assert_eq!(of(graph().put(2, vec![Edge::Broken("is odd".into())])), "g/go~2 is odd");
    let unseen = resolve(&review(1), &graph().put(2, vec![Edge::Unseen("?".into())]));
    assert!(unseen.hindrance.unwrap().unseen);
    // The code of another change is run too, so it takes a vote of its own.
    let why = of(graph().with(3, |node| node.approved = false));
    assert!(
        why.starts_with("g/go~3 would be tried with it, and nobody has approved its patch set 1"),
        "{why}"
    );
}

#[test]
fn changes_that_need_each_other_are_one_subject() {
    let graph =
        Graph::default().put(1, vec![needs(2)]).put(2, vec![needs(3)]).put(3, vec![needs(1), needs(3)]);
    for (head, with) in [(1, [3, 2]), (2, [1, 3]), (3, [2, 1])] {
        assert_eq!(graph.of(head), Ok(with.to_vec()));
    }
    // A diamond: each once.
    let graph =
        Graph::default().put(1, vec![needs(2), needs(3)]).put(2, vec![needs(4)]).put(3, vec![needs(4)]);
    assert_eq!(graph.put(4, vec![]).of(1), Ok(vec![4, 3, 2]));
}

#[test]
fn there_is_a_limit_to_it() {
    let line = |count: i32, edge: fn(i32) -> Edge| {
        (1..=count).fold(Graph::default(), |graph, n| {
            graph.put(n, (n > 1).then(|| edge(n - 1)).into_iter().collect())
        })
    };
    let (most, deepest) = (i32::try_from(MOST).unwrap(), i32::try_from(DEEPEST).unwrap());
    assert_eq!(line(most, upon).of(most).unwrap().len(), MOST - 1);
    assert!(line(most + 1, upon).of(most + 1).unwrap_err().contains("with more than 19 others"));
    assert_eq!(line(deepest + 1, needs).of(deepest + 1).unwrap().len(), DEEPEST);
    assert!(
        line(deepest + 2, needs).of(deepest + 2).unwrap_err().ends_with("more than 10 dependencies away")
    );
}

#[test]
fn a_run_goes_on_while_its_subject_is_the_same() {
    let graph = || Graph::default().put(1, vec![needs(2), needs(3)]).put(2, vec![]).put(3, vec![]);
    let now = |graph: &Graph| resolve(&review(1), graph);
    let had: Vec<_> = now(&graph()).with.iter().map(Member::row).collect();
    let none = BTreeMap::new();
    assert_eq!(now(&graph()).differs(&had, &none), None);
    let newer = graph().with(2, |node| (node.patch_set, node.commit) = (2, "2".repeat(40)));
    assert_eq!(now(&newer).differs(&had, &none).unwrap(), "patch set 2 of g/go~2 is newer");
    let less = graph().put(1, vec![needs(3)]);
    assert_eq!(now(&less).differs(&had, &none).unwrap(), "g/go~2 is not tried with it any more");
    let more = graph().put(1, vec![needs(2), needs(3), needs(4)]).put(4, vec![]);
    assert_eq!(now(&more).differs(&had, &none).unwrap(), "g/go~4 is to be tried with it now");
    let landed = graph().with(2, |node| node.state = State::Landed);
    let by = |commit: &str| BTreeMap::from([("g/go~2".to_owned(), commit.to_owned())]);
    assert_eq!(now(&landed).differs(&had, &by(&format!("{:040}", 2))), None);
    let why = now(&landed).differs(&had, &by("0")).unwrap();
    assert_eq!(why, "g/go~2 has landed as another patch set");
    let abandoned = graph().with(2, |node| node.state = State::Abandoned);
    assert_eq!(now(&abandoned).differs(&had, &none).unwrap(), "g/go~2 was abandoned");
    // What stood in the way of a run that was refused, and does not any more.
    let refused = [Hindrance::new(&review(2), "was abandoned").row()];
    assert!(now(&graph()).differs(&refused, &none).is_some());
    assert!(now(&landed).differs(&refused, &by(&format!("{:040}", 2))).is_some());
}

proptest! {
    /// Whatever leads where: a subject is all that can be reached, each once, and the same from each of those that need each other.
    #[test]
    fn a_subject_is_what_can_be_reached(edges in proptest::collection::vec((0_i32..8, 0_i32..8, any::<bool>()), 0..16)) {
        let mut graph = (0..8).fold(Graph::default(), |graph, n| graph.put(n, vec![]));
        for (from, to, chain) in &edges {
            // A commit is in no cycle of parents.
            let edge = if *chain && to < from { upon(*to) } else { needs(*to) };
            graph.0.get_mut(from).unwrap().edges.push(edge);
        }
        let mut reached = vec![[false; 8]; 8];
        for (n, row) in reached.iter_mut().enumerate() { row[n] = true; }
        for _ in 0..8 {
            for (from, to, _) in &edges {
                for row in &mut reached {
                    row[*to as usize] |= row[*from as usize];
                }
            }
        }
        for (head, reaches) in reached.iter().enumerate() {
            let subject = resolve(&review(head as i32), &graph);
            prop_assert_eq!(&subject.hindrance, &None);
            let mut with: Vec<_> = subject.with.iter().map(|one| one.review.number as usize).collect();
            with.push(head);
            with.sort_unstable();
            let want: Vec<_> = (0..8).filter(|n| reaches[*n]).collect();
            prop_assert_eq!(with, want);
            // Something lands, and what does not is in the history of what does.
            let of_head = Asked { review: review(head as i32), ..asked("go", "master", None) };
            prop_assert!(!subject.lands(&of_head, "go", "master").is_empty());
        }
    }
}
