//! Tokens, login links and what is private, from the command line.

use super::world::World;

#[test]
fn a_token_is_made_used_and_revoked_and_a_link_signs_in() {
    let world = World::new();
    world.repo("app", "true");
    let server = world.serve(&["app"]);
    assert!(
        !server.printed().contains("/login"),
        "a link is for a person at a terminal: {}",
        server.printed()
    );
    let built = world.wait_build(&server, "app", "the commit is built", |one| one["state"] == "done");
    let build = built["id"].as_str().unwrap();
    let made = world.run(&[
        "token",
        "create",
        "--server",
        &server.address().to_string(),
        "--data",
        "DATA",
        "ada",
        "--role",
        "developer",
        "--expires",
        "1h",
        "--json",
    ]);
    made.must(0, &["bw_"]);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let with = |token: &str, arguments: &[&str]| {
        let address = server.address().to_string();
        let mut all = arguments.to_vec();
        all.extend(["--server", &address]);
        world.run_with(&all, &[("BELLWETHER_TOKEN", token)])
    };
    let admin = std::fs::read_to_string(world.data().join("admin-token")).unwrap();
    let list = with(admin.trim(), &["token", "list", "--json"]);
    assert_eq!(list.json()[0]["name"], "ada");
    assert!(!list.out.contains(&token), "{}", list.out);
    with(admin.trim(), &["token", "list"]).must(0, &["NAME", "ada", "developer", "all"]);
    with(admin.trim(), &["token", "create", "ada"]).must(2, &["409", "revoke it first"]);
    with(admin.trim(), &["token", "create", "x", "--role", "root"]).must(2, &["not one of the roles"]);
    with(&token, &["token", "list"]).must(2, &["403", "ada is developer"]);
    with(&token, &["retry", build]).must(0, &["queued again"]);

    let link = with(admin.trim(), &["login", "--json"]).json();
    let url = link["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address())).unwrap();
    let page = server.request("GET", path, None, None).unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    assert!(page.contains("<form method=\"post\" action=\"/login\">"), "{page}");
    with(&token, &["login"]).must(2, &["403"]);

    with(admin.trim(), &["token", "revoke", "ada"]).must(0, &["ada is revoked"]);
    with(&token, &["retry", build]).must(2, &["401", "not known here"]);
    with(admin.trim(), &["token", "revoke", "ada"]).must(2, &["404"]);
}

#[test]
fn up_serves_a_private_repository_to_those_who_may_see_it_only() {
    let world = World::new();
    let repo = world.repo("app", "echo hidden-words");
    let file = world.path().join("server.toml");
    let text =
        format!("[repo.app]\nurl = {:?}\nvisibility = \"private\"\n", repo.dir().display().to_string());
    std::fs::write(&file, text).unwrap();
    world.run(&["config", "check", "--config", file.to_str().unwrap()]).must(0, &[]);
    let server = testkit::Server::start(testkit::ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: world.data(),
        arguments: vec!["--config".into(), file.display().to_string()],
        environment: Vec::new(),
    })
    .unwrap();
    let token = std::fs::read_to_string(world.data().join("admin-token")).unwrap();
    let list = || server.request("GET", "/api/v1/builds", Some(token.trim()), None)?.json();
    let id = testkit::wait_for("a build", super::world::LONG, || {
        let list = list()?;
        let done = list["builds"].as_array().into_iter().flatten().find(|build| build["state"] == "done");
        Ok(done.map(|build| build["id"].as_str().unwrap().to_owned()))
    })
    .unwrap();
    for path in
        [format!("/builds/{id}"), format!("/api/v1/builds/{id}/log"), format!("/api/v1/builds/{id}/why")]
    {
        assert_eq!(server.request("GET", &path, None, None).unwrap().status, 404, "{path}");
        assert_eq!(server.request("GET", &path, Some(token.trim()), None).unwrap().status, 200, "{path}");
    }
    let empty = server.request("GET", "/api/v1/builds", None, None).unwrap().json().unwrap();
    assert_eq!(empty["builds"].as_array().unwrap().len(), 0);
}
