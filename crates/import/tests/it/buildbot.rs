//! Buildbot. The syntax tree comes from a real `python3`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use import::{DUMP, Imported, Options, SourceFile, System, Verdict, translate};

use super::{has, says, translated};

const MASTER: &str = r#"# -*- python -*-
from buildbot.plugins import *
import os

c = BuildmasterConfig = {}
c['workers'] = [worker.Worker("w1", os.environ["PASS"])]
c['protocols'] = {'pb': {'port': 9989}}
REPO = 'https://example.org/app.git'
ARCHES = ['amd64', '386']

def factory(arch, race=False):
    f = util.BuildFactory()
    f.addStep(steps.Git(repourl=REPO, mode='incremental', submodules=True))
    f.addStep(steps.ShellCommand(name='build', command=['make', 'ARCH=%s' % arch], haltOnFailure=True, workdir='build/src'))
    f.addSteps([
        steps.Test(command='make test', maxTime=1200, env={'RACE': '1' if race else '0'}, timeout=60),
        steps.ShellCommand(command=["echo", util.Interpolate('%(prop:revision)s'), "it's"], alwaysRun=True),
        steps.ShellCommand(command=["deploy", util.Property('unheard')], doStepIf=lambda s: True),
    ])
    f.addStep(steps.FileUpload(workersrc="dist/app.tar.gz", masterdest="x"))
    f.addStep(steps.Trigger(schedulerNames=['next']))
    return f

c['builders'] = []
for arch in ARCHES:
    c['builders'].append(util.BuilderConfig(name=f"App {arch}", workernames=["w1"], factory=factory(arch),
        env={"GOARCH": arch}, locks=[]))
c['builders'] += [util.BuilderConfig(name="race", workernames=["w1"], factory=factory('amd64', race=True), tags=['x'])]
c['schedulers'] = [
    schedulers.SingleBranchScheduler(name="all", change_filter=util.ChangeFilter(branch='main'), treeStableTimer=None,
        builderNames=[b for b in ["App amd64", "App 386"]]),
    schedulers.ForceScheduler(name="force", builderNames=["race"]),
    schedulers.Nightly(name="n", hour=3, builderNames=["race"]),
]
if os.path.exists('/x'):
    c['builders'].append(util.BuilderConfig(name="maybe", workernames=["w1"], factory=factory('x')))
with open('secret') as fp:
    SECRET = fp.read()
c['title'] = "App"
c['services'] = [reporters.MailNotifier(fromaddr="x@example.org")]
"#;

fn tree(text: &str) -> String {
    let mut python = Command::new("python3")
        .args(["-I", "-c", DUMP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn master(text: &str) -> Imported {
    translated(System::Buildbot, "master.cfg", &tree(text))
}

fn refused(text: &str) -> String {
    let file = SourceFile { name: "master.cfg".into(), text: tree(text) };
    translate(&[file], System::Buildbot, &Options::default()).unwrap_err().to_string()
}

#[test]
fn loops_functions_and_factories_are_followed() {
    let imported = master(MASTER);
    has(
        &imported,
        &[
            "branches = [\"main\"]",
            "# Ran on the workers w1.",
            "[builder.app-amd64]",
            "notes = \"App amd64\"",
            "branches = [\"main\"]",
            "artifacts = [\"dist/app.tar.gz\"]",
            "env = { GOARCH = \"amd64\" }",
            "run = 'make ARCH=amd64'",
            "dir = \"src\"",
            "run = 'make test'",
            "timeout = \"20m\"",
            "env = { RACE = \"0\" }",
            "export CI_COMMIT_SHA=",
            "when = \"always\"",
            "# not carried over: ShellCommand, the property \"unheard\"",
            "[builder.app-386]",
            "run = 'make ARCH=386'",
            "# Built only when somebody asks",
            "[builder.race]",
            "post_submit = false",
            "env = { RACE = \"1\" }",
        ],
    );
    assert_eq!(imported.builders, 3);
    for (line, words) in [
        (6, "hosts of the server's file"),
        (13, "submodules"),
        (13, "named in the server's file"),
        (18, "unheard"),
        (18, "condition in Python"),
        (21, "Trigger"),
        (27, "[limit.NAME]"),
        (33, "by the clock"),
        (35, "neither side was followed"),
        (37, "With"),
        (40, "nobody is told"),
    ] {
        says(&imported, Verdict::Open, line, words);
    }
    says(&imported, Verdict::Meaningless, 2, "only names");
    says(&imported, Verdict::Meaningless, 39, "title");
}

#[test]
fn nothing_is_run_and_faults_have_a_place() {
    let dir = std::env::temp_dir().join(format!("bellwether-import-{}", std::process::id()));
    let text =
        format!("import os\nos.mkdir({:?})\nc = {{}}\nc['builders'] = [1]\n", dir.display().to_string());
    let imported = master(&text);
    assert!(!dir.exists());
    says(&imported, Verdict::Open, 2, "os.mkdir, which is not run");
    assert!(refused("c = {\n").starts_with("master.cfg:1:"), "{}", refused("c = {\n"));
    assert!(refused("x = 1\n").contains("no `c = BuildmasterConfig"));
    assert!(refused("c = {}\n").contains("no builder"));
    assert!(refused("x = 1\0\n").contains("no Python"), "{}", refused("x = 1\0\n"));
    let deep = format!("c = {}1{}\n", "(1+".repeat(190), ")".repeat(190));
    assert!(refused(&deep).contains("nested too deep"), "{}", refused(&deep));
}

#[test]
fn functions_that_call_themselves_and_loops_that_grow_end() {
    let builders = "c = {}\nc['builders'] = [util.BuilderConfig(name='b', factory=util.BuildFactory([steps.ShellCommand(command='make')]))]\n";
    let imported = master(&format!(
        "def f(n):\n    return f(n)\nx = f(1)\ny = [1] * 5\nl = [1, 2]\nfor a in l:\n    l.append(a)\n{builders}"
    ));
    assert_eq!(imported.builders, 1, "{}", imported.project);
    let grows = "z = ['a']\nfor a in z + z + z:\n    for b in z + z:\n        z += z\n";
    let long = format!("{grows}{}", "for a in z:\n    for b in z:\n        x = 'a' + b\n".repeat(3));
    assert!(refused(&format!("{long}{builders}")).contains("over 20000 statements"));
}
