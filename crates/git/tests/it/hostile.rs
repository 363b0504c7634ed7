//! Nothing in a watched repository runs here or becomes an option.

use git::{RefName, RefSpec};
use tokio::io::AsyncReadExt;

use crate::fixture::{Fixture, options, rev};

#[tokio::test]
async fn hooks_filters_and_settings_of_a_source_have_no_effect() {
    let fixture = Fixture::new();
    let trap = fixture.path("trapped");
    let script = format!("#!/bin/sh\necho \"$0\" >> {}\ncat\n", trap.display());
    let evil = fixture.path("evil.sh");
    std::fs::write(&evil, &script).unwrap();
    make_executable(&evil);
    fixture.write(".gitattributes", "* filter=evil diff=evil merge=evil\n");
    fixture.write(
        ".gitmodules",
        format!(
            "[submodule \"x\"]\n\tpath = x\n\turl = ext::{}\n\tupdate = !{}\n",
            evil.display(),
            evil.display()
        ),
    );
    fixture.write("file", "content");
    let commit = fixture.commit("one");
    let link = format!("160000,{commit},x");
    fixture.run(&["update-index", "--add", "--cacheinfo", &link]);
    fixture.run(&["commit", "-q", "-m", "two"]);
    let head: git::ObjectId = fixture.run(&["rev-parse", "HEAD"]).parse().unwrap();
    // From here on, every hook and every setting that names a command is the trap.
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-update",
        "pre-push",
        "fsmonitor-watchman",
        "pre-auto-gc",
    ] {
        let path = fixture.source.join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &script).unwrap();
        make_executable(&path);
    }
    let evil = evil.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.gitProxy",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.alternateRefsCommand",
        "uploadpack.packObjectsHook",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.external",
        "diff.evil.textconv",
        "tar.tar.command",
        "tar.tgz.command",
        "credential.helper",
        "gpg.program",
        "alias.fetch",
        "alias.rev-parse",
    ] {
        fixture.run(&["config", key, evil]);
    }
    fixture.run(&["config", "core.hooksPath", fixture.source.join(".git/hooks").to_str().unwrap()]);
    fixture.run(&["config", "protocol.ext.allow", "always"]);

    let found = fixture.git.find(&fixture.source).await.unwrap();
    assert_eq!(found.top, fixture.source.canonicalize().unwrap());
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.resolve(&rev("main")).await.unwrap(), Some(head));
    let mut bytes = Vec::new();
    mirror.archive(head, None).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    mirror.first_parent(head, None, 10).await.unwrap();
    mirror.list_tree(head, 3, 100).await.unwrap();
    mirror.bundle(head, Some(1), 1 << 20).await.unwrap();
    let listing = fixture.git.ls_remote(&fixture.url(), git::Scope::All, options().timeout).await.unwrap();
    assert_eq!(listing.head, Some(head));
    // The settings of our own commands hold even on such a repository itself.
    let direct = fixture.git.init_bare(&fixture.source.join(".git")).await.unwrap();
    let name: RefName = "refs/bellwether/x".parse().unwrap();
    direct.update_ref(&name, head, None).await.unwrap();
    direct.delete_ref(&name).await.unwrap();
    assert!(!trap.exists(), "ran: {}", std::fs::read_to_string(&trap).unwrap_or_default());
}

#[tokio::test]
async fn a_branch_named_like_an_option_is_a_branch() {
    let fixture = Fixture::new();
    let head = fixture.commit("one");
    for name in ["refs/heads/--upload-pack=x", "refs/heads/-f", "refs/tags/--exec=touch", "refs/heads/+x"] {
        fixture.run(&["update-ref", name, &head.to_string()]);
    }
    let mirror = fixture.mirror().await;
    let names: Vec<String> =
        mirror.refs("refs/").await.unwrap().iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(
        names,
        [
            "refs/heads/+x",
            "refs/heads/--upload-pack=x",
            "refs/heads/-f",
            "refs/heads/main",
            "refs/tags/--exec=touch"
        ]
    );
    assert_eq!(mirror.resolve(&rev("refs/heads/--upload-pack=x")).await.unwrap(), Some(head));
    let name = RefName::branch("--upload-pack=x").unwrap();
    mirror.fetch(&fixture.url(), &[RefSpec::one(&name, &name)], &options()).await.unwrap();
    assert_eq!(mirror.resolve(&rev("nothing")).await.unwrap(), None);
}

#[tokio::test]
async fn names_of_refs_that_are_not_utf8_are_left_out() {
    let fixture = Fixture::new();
    let head = fixture.commit("one").to_string();
    let stdin = [b"create refs/heads/latin-\xe9 ", head.as_bytes(), b"\n"].concat();
    crate::fixture::run_in(&fixture.source, &["update-ref", "--stdin"], &stdin);
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.refs("refs/heads/").await.unwrap().len(), 1);
    let listing = fixture.git.ls_remote(&fixture.url(), git::Scope::All, options().timeout).await.unwrap();
    assert_eq!(listing.refs.len(), 1);
}

#[tokio::test]
async fn the_variables_of_our_own_process_do_not_reach_git() {
    // Cargo sets CARGO_MANIFEST_DIR for this process; the script stands in for git and says what it sees.
    let fixture = Fixture::new();
    let program = fixture.path("env.sh");
    std::fs::write(
        &program,
        format!("#!/bin/sh\nenv > {}\necho git version 2.40.1\n", fixture.path("seen").display()),
    )
    .unwrap();
    make_executable(&program);
    let config = git::GitConfig { program, ..git::GitConfig::new(fixture.path("home2")) };
    let version = git::Git::new(config).unwrap().version().await.unwrap();
    assert_eq!(version, git::Version(2, 40, 1));
    let seen = std::fs::read_to_string(fixture.path("seen")).unwrap();
    assert!(!seen.contains("CARGO"), "{seen}");
    for wanted in ["GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "GIT_NO_LAZY_FETCH=1"] {
        assert!(seen.lines().any(|line| line == wanted), "{wanted} in {seen}");
    }
}

pub fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
