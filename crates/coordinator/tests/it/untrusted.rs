//! What nobody has reviewed: where it runs, what it is given, and what it leaves.

use coordinator::{Clock as _, Confined, Confinement};
use dashboard::api::Outcome;
use store::builds::NewBuild;
use store::{BuildId, Micros};

use crate::world::{World, hash};

fn configuration(trust: &str) -> String {
    format!(
        "[host.own]\npool = \"local\"\ncapacity = 1\nenv_pass = [\"PATH\"]\nlabels = {{ kind = \"k\" }}\n\
         [host.open]\npool = \"local\"\ncapacity = 1\nenv_pass = [\"PATH\"]\nisolation = \"namespaces\"\nlabels = {{ kind = \"k\" }}\ntrust = \"{trust}\"\n\
         [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
         [builder.b]\nneeds = {{ kind = \"k\" }}\nrecipe = \"r\"\n\
         [recipe.r]\nbuild = \"echo built > built\"\nsnapshot = true\nrun = \"cat built\"\n"
    )
}

/// Queues a build of a commit as a try run does.
async fn queue(world: &World, commit: u32) -> BuildId {
    queue_of(world, "b", commit).await
}

async fn queue_of(world: &World, builder: &str, commit: u32) -> BuildId {
    let id = BuildId::new(Micros(1), &mut |to: &mut [u8]| world.clock.random(to));
    let new = NewBuild {
        id,
        builder: builder.into(),
        repo: "one".into(),
        branch: "main".into(),
        toolchain_branch: None,
        revision: format!("one@{}", hash(commit)),
        class: "try",
        priority: 0,
        commit_time: Micros(1),
        untrusted: true,
        sample: String::new(),
        avoid: String::new(),
        rules: String::new(),
    };
    let mut tx = world.db.begin().await.unwrap();
    assert!(store::builds::insert(&mut tx, &new, Micros::now()).await.unwrap());
    tx.commit().await.unwrap();
    id
}

/// The trust that the latest attempt's job was given, and its host.
async fn told(world: &World, build: BuildId) -> (String, String) {
    let attempts = store::attempts::of_build(&mut world.db.read().await.unwrap(), build).await.unwrap();
    let last = attempts.last().unwrap();
    let job: serde_json::Value = serde_json::from_str(&last.job).unwrap();
    (job["trust"].as_str().unwrap().to_owned(), last.host.clone())
}

pub async fn it_runs_where_such_work_is_taken_and_leaves_nothing(world: World) {
    world.configure(&configuration("untrusted-ok"));
    let files = [("hello".to_owned(), "hello\n".to_owned())];
    world.mirror.files.lock().unwrap().insert("one".to_owned(), files.into());
    let build = queue(&world, 7).await;
    let running = world.start().await;
    let done = world.done("one", "b").await;
    assert_eq!(done.outcome, Some(Outcome::Ok), "{done:?}");
    assert_eq!(told(&world, build).await, ("untrusted".to_owned(), "open".to_owned()));
    assert_eq!(
        world.objects.list("snapshots").await.unwrap().len(),
        0,
        "nobody can start from what it built"
    );
    // A person who asks for it once more does not make it trusted.
    running
        .admin()
        .call_json::<_, serde_json::Value>(
            http::Method::POST,
            &format!("/api/v1/builds/{build}/retry"),
            Some(&serde_json::json!({})),
        )
        .await
        .unwrap();
    let again = world.until("one", "b", |row| row.state == "done" && row.attempts == 2 && row.reported).await;
    assert_eq!((again.class.as_str(), again.untrusted), ("interactive", true));
    assert_eq!(told(&world, build).await, ("untrusted".to_owned(), "open".to_owned()));
    assert_eq!(world.objects.list("snapshots").await.unwrap().len(), 0);
}

/// Says whether any process has this in its environment.
fn runs(mark: &str) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let environs = entries.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
    environs.into_iter().any(|environ| environ.split(|byte| *byte == 0).any(|text| text == mark.as_bytes()))
}

pub async fn it_reaches_nothing_of_the_server_and_of_the_next(mut world: World) {
    let dir = world.dir.path().to_owned();
    let hide = vec![dir.clone()];
    world.confined = Confined::by(move |host| {
        (host == "open").then(|| Confinement { hide: hide.clone(), once: true, ..Confinement::default() })
    });
    std::fs::write(dir.join("order-key"), "the server's").unwrap();
    // What is tried and must not be; then what is left for the next one, who looks for it.
    let (here, server) = (dir.display().to_string(), std::process::id());
    let script = format!(
        "for file in order-key s; do if ls {here}/$file/ {here}/$file >/dev/null 2>&1; then echo found $file; fi; done; \
         if [ $(ls {here}/workers | wc -l) != 1 ]; then echo found others; fi; \
         if kill -0 {server} 2>/dev/null; then echo found the server; fi; \
         for file in /tmp/left /dev/shm/left ../left $HOME/left; do if test -e $file; then echo found $file; fi; echo x > $file; done; \
         BW_MARK={here} setsid sleep 600 >/dev/null 2>&1 </dev/null & sleep 0.1; echo looked"
    );
    let text = configuration("untrusted-ok").replace("\"echo built > built\"", &format!("'''{script}'''"));
    world.configure(
        &format!("{text}[builder.c]\nneeds = {{ kind = \"k\" }}\nrecipe = \"r\"\n")
            .replace("cat built", "true"),
    );
    let files = [("hello".to_owned(), "hello\n".to_owned())];
    world.mirror.files.lock().unwrap().insert("one".to_owned(), files.into());
    let mut workers = std::collections::BTreeSet::new();
    let builds = [("b", queue_of(&world, "b", 7).await), ("c", queue_of(&world, "c", 7).await)];
    let _running = world.start().await;
    for (builder, build) in builds {
        let done = world.done("one", builder).await;
        let log = world.log(done.attempts.last().unwrap()).await;
        assert!(log.contains("looked") && !log.contains("found"), "{done:?}\n{log}");
        let attempts = store::attempts::of_build(&mut world.db.read().await.unwrap(), build).await.unwrap();
        assert!(workers.insert(attempts.last().unwrap().worker), "the same worker did both");
    }
    assert!(!runs(&format!("BW_MARK={here}")), "a job's process is still there");
}

pub async fn it_waits_while_no_host_takes_it(world: World) {
    world.configure(&configuration("trusted"));
    let files = [("hello".to_owned(), "hello\n".to_owned())];
    world.mirror.files.lock().unwrap().insert("one".to_owned(), files.into());
    let build = queue(&world, 7).await;
    let running = world.start().await;
    let status = running.until(|status| !status.queued.is_empty()).await;
    assert_eq!(
        status.queued[0].reason, "blocked(nobody has reviewed it, and no host of builder b takes that)",
        "{status:?}"
    );
    // The host that is configured to take it is the one that does, though the other is free, too.
    world.configure(&configuration("untrusted-ok"));
    let done = world.done("one", "b").await;
    assert_eq!(done.outcome, Some(Outcome::Ok), "{done:?}");
    assert_eq!(told(&world, build).await.1, "open");
}
