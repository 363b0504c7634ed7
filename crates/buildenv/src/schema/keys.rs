//! The tables of keys. Long because it is data: one line per key.

use super::Type::*;
use super::{Key, Section, Type};

/// A key that changes nothing in what a build does.
pub(super) const fn key(
    name: &'static str,
    kind: Type,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, doc, example, digest: false }
}

/// A key that changes what a build does: part of the digest.
const fn build(
    name: &'static str,
    kind: Type,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, doc, example, digest: true }
}

/// What may stand at the top of a file, besides the sections.
pub(crate) static TOP: Section = Section {
    name: "top",
    header: "at the top of a file",
    doc: "`include`, `policy` and `known_missing` belong in a server file; `branches`, `horizon` and `needs` \
          belong in a project file, where they speak of its own repository. `mute` may stand in both.",
    project: true,
    keys: &[
        key(
            "include",
            Texts,
            "none",
            r#"include = ["hosts.toml"]"#,
            "More server files, relative to the folder of the one that `--config` names. A file that includes itself, through whatever others, is an error.",
        ),
        key(
            "policy",
            Tables(&POLICY),
            "none",
            r#"policy = [{ repo = "exp", branch = "release-branch.*", build = "never" }]"#,
            "Rules for all builders. The first that matches is applied together with the builder's own: both must accept.",
        ),
        key(
            "known_missing",
            Names,
            "none",
            r#"known_missing = ["ios-amd64"]"#,
            "Short names that people may ask for in try runs and that no builder serves: the answer says so instead of calling them unknown.",
        ),
        key(
            "mute",
            Texts,
            "none",
            r#"mute = ["mute.toml"]"#,
            "Files of rules that mute tests (docs/flakes.md). In a server file: relative to the folder of the one that `--config` names, \
             for all repositories. In a project file: relative to the top of the repository, read at the commit that the project file was \
             read at, for this repository alone.",
        ),
        key(
            "branches",
            Patterns,
            "the default branch",
            r#"branches = ["main", "release-*"]"#,
            "Project file only: which branches of this repository are built.",
        ),
        key(
            "horizon",
            Int(1, 100_000),
            "20",
            "horizon = 50",
            "Project file only: how many first-parent commits back empty cells are filled.",
        ),
        key(
            "needs",
            Names,
            "none",
            r#"needs = ["go"]"#,
            "Project file only: repositories that this one is built against.",
        ),
    ],
};

/// All named sections, in the order of the manual.
pub(crate) static SECTIONS: [&Section; 24] = [
    &ENVIRONMENT,
    &REPO,
    &REPO_TEMPLATE,
    &HOST,
    &HOST_TEMPLATE,
    &BUILDER,
    &TEMPLATE,
    &MATRIX,
    &RECIPE,
    &LIMIT,
    &SECRET,
    &ACCESS,
    &DASHBOARD,
    &RETENTION,
    &PUBSUBHELPER,
    &super::maintnerd::MAINTNERD,
    &super::quotas::QUOTAS,
    &super::tries::TRIES,
    &super::outbox::GERRIT,
    &super::outbox::GITHUB_POSTS,
    &super::outbox::MAIL,
    &super::outbox::WEBHOOK,
    &super::notify::NOTIFY,
    &super::notify::ALARMS,
];

static ENVIRONMENT: Section = Section {
    name: "environment",
    header: "[environment.NAME]",
    doc: "Production, staging and development differ only here. With more than one, `--env` says which; it is \
          never guessed. A data directory and a database belong to the environment that uses them first, and refuse \
          another. An environment that is not production may share neither addresses, database, objects nor \
          secrets with one that is, and pushes to no mirror.",
    project: false,
    keys: &[
        key(
            "production",
            Bool,
            r#"true for the name "prod""#,
            "production = true",
            "Whether this is production.",
        ),
        key(
            "url",
            Text,
            r#""http://localhost:8119""#,
            r#"url = "https://ci.example.org""#,
            "The address that people and workers use; links are made with it.",
        ),
        key(
            "listen",
            Text,
            r#""127.0.0.1:8119""#,
            r#"listen = "0.0.0.0:8119""#,
            "Address and port to listen on.",
        ),
        key(
            "connections",
            Int(1, 1_000_000),
            "10000",
            "connections = 20000",
            "At most so many connections at once, and no more than three quarters of the files that the process may open. One more takes the place of the one that waited longest for its next request, or else of the one that was told events for longest; where all are being answered, it gets 503.",
        ),
        key(
            "tls",
            Table(&TLS),
            "none",
            r#"tls = { cert_file = "/etc/letsencrypt/live/ci/fullchain.pem", key_file = "/etc/letsencrypt/live/ci/privkey.pem" }"#,
            "TLS on the same port: see docs/OPERATING.md.",
        ),
        key(
            "ssh",
            Table(&SSH),
            "by way of the pages' port, not recorded",
            r#"ssh = { listen = "0.0.0.0:2222", record = true }"#,
            "Shells on machines that people hold: see docs/gomote.md.",
        ),
        key(
            "database",
            Text,
            r#""sqlite:bellwether.db""#,
            r#"database = "postgres://ci@db/bellwether""#,
            "`sqlite:FILE` (under the data directory) or `postgres://…`.",
        ),
        key(
            "objects",
            Text,
            r#""file:objects""#,
            r#"objects = "s3://bellwether""#,
            "Where logs, snapshots and artefacts lie: `file:DIR` (under the data directory), `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.",
        ),
        key(
            "object_store",
            Table(&OBJECT_STORE),
            "what the variables `AWS_…` or `GOOGLE_…` say",
            r#"object_store = { endpoint = "https://minio.example.org", key_id = "ci", secret_key_file = "minio-key" }"#,
            "How the bucket of `objects` is reached.",
        ),
        key(
            "push_mirrors",
            Bool,
            "the value of `production`",
            "push_mirrors = false",
            "Whether repositories are pushed to their `mirrors` from here.",
        ),
        key(
            "builders",
            Patterns,
            "all",
            r#"builders = ["linux-amd64", "linux-386*"]"#,
            "Which builders run here: patterns of names, those of project files as REPO:BUILDER.",
        ),
        key(
            "builders_on",
            Type::Texts,
            "none",
            r#"builders_on = ["reverse"]"#,
            "Pools whose builders run here too, whatever their names.",
        ),
        key(
            "bisect",
            Bool,
            "true (false in `dev`)",
            "bisect = false",
            "Whether the commit that broke a builder is looked for, on machines that nobody else wants (docs/flakes.md).",
        ),
        key(
            "max_builds",
            Int(0, 1_000_000),
            "0 (no limit)",
            "max_builds = 200",
            "At most so many builds at once.",
        ),
        key(
            "max_gomotes",
            Int(1, 100_000),
            "50",
            "max_gomotes = 5",
            "At most so many machines for one person at once: those that they hold or wait for, and those of builds that they want held if they fail (`bellwether gomote`).",
        ),
        key(
            "cloud",
            Vars,
            "none",
            r#"cloud = { project = "my-project", zones = "us-central1-a,us-central1-b" }"#,
            "Settings of machine pools: project, zones, buckets, accounts, by the pool's own names.",
        ),
    ],
};

static SSH: Section = Section {
    name: "ssh",
    header: "[environment.NAME.ssh]",
    doc: "Shells on machines that people hold. `bellwether gomote ssh` needs none of this: it comes by way of the pages' port.",
    project: false,
    keys: &[
        key(
            "listen",
            Text,
            "none",
            r#"listen = "0.0.0.0:2222""#,
            "Address and port to listen on for SSH besides, for those whose clients can't come by HTTP. Read at the start.",
        ),
        key(
            "address",
            Text,
            "the host of `url`, the port of `listen`",
            r#"address = "ssh.ci.example.org:22""#,
            "HOST or HOST:PORT at which people reach that, where it is another.",
        ),
        key(
            "record",
            Bool,
            "false",
            "record = true",
            "Keep what is to be seen of each session with a terminal, and what each other session was asked to do, for 90 days as `recordings/*.cast` among the objects (asciicast 2). What is typed is not kept, nor what comes after 64 MiB.",
        ),
    ],
};

static TLS: Section = Section {
    name: "tls",
    header: "[environment.NAME.tls]",
    doc: "Where the certificate comes from: from files, of our own making, or from an authority by ACME. One of the three.",
    project: false,
    keys: &[
        key(
            "cert_file",
            Path,
            "none",
            r#"cert_file = "/etc/letsencrypt/live/ci/fullchain.pem""#,
            "The certificate in PEM, followed by those between it and its authority. Read again when it changes.",
        ),
        key(
            "key_file",
            Path,
            "none",
            r#"key_file = "/etc/letsencrypt/live/ci/privkey.pem""#,
            "The certificate's key in PEM.",
        ),
        key(
            "self_signed",
            Bool,
            "false",
            "self_signed = true",
            "A certificate that nobody vouches for, made at the first start and kept in the data directory: for development. Its fingerprint is printed at each start.",
        ),
        key(
            "acme",
            Table(&ACME),
            "none",
            r#"acme = { domains = ["ci.example.org"] }"#,
            "A certificate that an authority issues, and issues again in time.",
        ),
        key(
            "plain",
            OneOf(&["loopback", "everywhere", "redirect"]),
            r#""loopback""#,
            r#"plain = "redirect""#,
            "Who is answered without TLS on the same port. This machine and the addresses in `access.proxies` always are; others are refused, answered (`everywhere`), or sent to the environment's `url` (`redirect`).",
        ),
    ],
};

static ACME: Section = Section {
    name: "acme",
    header: "[environment.NAME.tls.acme]",
    doc: "The authority looks by TLS-ALPN-01 whether the names are ours: it connects to port 443 of each, which must lead to this server. Whoever sets this agrees to the authority's terms.",
    project: false,
    keys: &[
        key("domains", Texts, "required", r#"domains = ["ci.example.org"]"#, "The names of the certificate."),
        key(
            "contact",
            Texts,
            "none",
            r#"contact = ["mailto:ops@example.org"]"#,
            "Whom the authority may write to.",
        ),
        key(
            "directory",
            Text,
            r#""https://acme-v02.api.letsencrypt.org/directory""#,
            r#"directory = "https://acme-staging-v02.api.letsencrypt.org/directory""#,
            "The authority's directory.",
        ),
        key(
            "ca_file",
            Path,
            "the well-known authorities",
            r#"ca_file = "pebble.pem""#,
            "Certificates in PEM by which the directory itself is known, in place of the well-known ones.",
        ),
    ],
};

static OBJECT_STORE: Section = Section {
    name: "object_store",
    header: "[environment.NAME.object_store]",
    doc: "How a bucket is reached. What is not said here is taken from the server's variables, as the vendors' own tools \
          do: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, a role of the machine or \
          the pod; `GOOGLE_APPLICATION_CREDENTIALS`, the machine's account. The store must refuse to replace an object \
          when told so (S3, MinIO, Cloudflare R2, Google); the server tries that at its start.",
    project: false,
    keys: &[
        key(
            "endpoint",
            Text,
            "the vendor's",
            r#"endpoint = "https://minio.example.org""#,
            "Where the bucket is asked, for stores that speak S3's or Google's protocol.",
        ),
        key("region", Text, "`AWS_REGION`", r#"region = "eu-central-1""#, "S3: the bucket's region."),
        key(
            "allow_http",
            Bool,
            "false",
            "allow_http = true",
            "Lets an endpoint on another machine be spoken to without TLS. On this machine that needs no leave.",
        ),
        key("key_id", Text, "`AWS_ACCESS_KEY_ID`", r#"key_id = "ci""#, "S3: the id of our access key."),
        key(
            "secret_key_file",
            Path,
            "none",
            r#"secret_key_file = "minio-key""#,
            "S3: the file with the access key's secret. With `key_id`, this or `secret_key_env`.",
        ),
        key(
            "secret_key_env",
            Variable,
            "none",
            r#"secret_key_env = "MINIO_KEY""#,
            "S3: the server's variable with the access key's secret.",
        ),
        key(
            "service_account_file",
            Path,
            "`GOOGLE_APPLICATION_CREDENTIALS`",
            r#"service_account_file = "ci-bucket.json""#,
            "Google: the file with a service account's key.",
        ),
        key(
            "authorities_file",
            Path,
            "`AWS_CA_BUNDLE`",
            r#"authorities_file = "our-ca.pem""#,
            "A file (PEM) with authorities that sign for the endpoint, beside the usual ones.",
        ),
    ],
};

static REPO: Section = Section {
    name: "repo",
    header: "[repo.NAME]",
    doc: "A git repository that is watched. In `url`, `import_path` and `mirrors`, `{name}` stands for its name.",
    project: false,
    keys: &[
        key(
            "template",
            Names,
            "none",
            r#"template = "x""#,
            "Tables `[repo_template.NAME]` whose keys it takes over, like a builder those of its templates.",
        ),
        key(
            "url",
            Text,
            "required",
            r#"url = "https://go.googlesource.com/sync""#,
            "Where it is fetched from: a URL or a path.",
        ),
        key(
            "branches",
            Patterns,
            "the default branch",
            r#"branches = ["master", "release-branch.*"]"#,
            "Which branches are built.",
        ),
        key(
            "default_branch",
            Text,
            "what the remote says",
            r#"default_branch = "master""#,
            "The default branch, where it matters before the first fetch.",
        ),
        key(
            "needs",
            Names,
            "none",
            r#"needs = ["go"]"#,
            "Repositories it is built against; the first is the toolchain, whose branches are paired with this one's. No cycles.",
        ),
        key(
            "pairs",
            Tables(&PAIR),
            "the branch of the same name, else the default branch",
            r#"pairs = [{ branch = "master", with = ["master", "release-branch.*"], newest = 2 }]"#,
            "Which branches of the toolchain a branch is built against; the first entry that matches counts.",
        ),
        key(
            "changes",
            Text,
            "none",
            r#"changes = "go.googlesource.com/sync""#,
            "The project of a Gerrit that has its changes under review, `HOST/PROJECT` as `[maintnerd]` names it: those that somebody votes for are tried.",
        ),
        key(
            "pulls",
            Text,
            "none",
            r#"pulls = "golang/sync""#,
            "The repository on GitHub that has its pull requests, `OWNER/REPO` as `[maintnerd]` names it: those that somebody of `try_by` asks for are tried. It needs `[github_posts]`.",
        ),
        key(
            "try_by",
            Texts,
            "nobody",
            r#"try_by = ["ada", "@example/approvers"]"#,
            "Who may have pull requests tried: logins on GitHub, and `@ORG/TEAM` for who is in a team there, which the token of `[github_posts]` has to see. Nobody else's word counts, whatever they are there.",
        ),
        key(
            "try_label",
            Text,
            "none",
            r#"try_label = "run-tests""#,
            "A label by which somebody of `try_by` asks for a pull request's head, as by `/ok-to-test`.",
        ),
        key(
            "release_branches",
            Patterns,
            r#"["release-branch.*", "release-*", "release/*"]"#,
            r#"release_branches = ["release-branch.*"]"#,
            "Branches whose name holds a version, for `minimum_version` and the policy keys that end in `_min` and `_max`.",
        ),
        key(
            "import_path",
            Text,
            "none",
            r#"import_path = "golang.org/x/sync""#,
            "Its name on the original's API.",
        ),
        key(
            "horizon",
            Int(1, 100_000),
            "20",
            "horizon = 50",
            "How many first-parent commits back empty cells are filled.",
        ),
        key(
            "mirrors",
            Texts,
            "none",
            r#"mirrors = ["git@github.com:golang/go.git"]"#,
            "Where branches and tags are pushed to, deletions included; only by an environment with `push_mirrors`.",
        ),
        build(
            "source",
            OneOf(&["archive", "git"]),
            r#""archive""#,
            r#"source = "git""#,
            "What a build gets: the bare tree, or a shallow git repository for builds that ask git for a version.",
        ),
        key(
            "poll",
            Timeout,
            r#""60s""#,
            r#"poll = "5m""#,
            "How often the remote is asked when nothing hints at a change.",
        ),
        key(
            "visibility",
            OneOf(&["public", "private"]),
            r#""public""#,
            r#"visibility = "private""#,
            "Who may see its commits, builds and logs: all readers, or developers only. To others a private one does not exist, nor does a build that was made with it.",
        ),
        key(
            "tree",
            Table(&TREE),
            "every builder closes it",
            r#"tree = { closers = ["linux-*", "!*-race"], throttle_red = 20 }"#,
            "When the trees of its branches are open, throttled or closed.",
        ),
        key("hidden", Bool, "false", "hidden = true", "Leaves it off the overview pages."),
        key("notes", Text, "none", r#"notes = "moved in 2024""#, "Free text for people."),
    ],
};

/// The keys of a template for repositories: those of a repository.
static REPO_TEMPLATE: Section = Section {
    name: "repo_template",
    header: "[repo_template.NAME]",
    doc: "Keys that several repositories share; `template` names others it builds on.",
    project: false,
    keys: REPO.keys,
};

static TREE: Section = Section {
    name: "tree",
    header: "[repo.NAME.tree]",
    doc: "The tree status of each branch, as far as nobody sets it by hand. A builder is red if it failed the newest commit that it judged, of the newest 32.",
    project: false,
    keys: &[
        key(
            "closers",
            Patterns,
            "all",
            r#"closers = ["linux-*", "!*-race"]"#,
            "Builders of which a red one closes the tree; `\"!*\"` for none.",
        ),
        key(
            "throttle_red",
            Int(0, 100),
            "25",
            "throttle_red = 50",
            "From this share of red builders on, in percent of those that judged something, the tree is throttled; 0 for never.",
        ),
        key(
            "throttle_queued",
            Int(0, 1_000_000),
            "0",
            "throttle_queued = 500",
            "If more of the branch's builds wait than this, the tree is throttled; 0 for never.",
        ),
    ],
};

static PAIR: Section = Section {
    name: "pair",
    header: "pairs = [{ … }]",
    doc: "One rule about toolchain branches.",
    project: false,
    keys: &[
        key(
            "branch",
            Patterns,
            "all",
            r#"branch = "master""#,
            "Branches of this repository that the rule is for.",
        ),
        key(
            "with",
            Texts,
            "required",
            r#"with = ["master", "release-branch.go{version}"]"#,
            "Patterns of the toolchain's branches. `{branch}` and `{version}` stand for this repository's branch and the version in its name.",
        ),
        key(
            "newest",
            Int(1, 1000),
            "all",
            "newest = 2",
            "Of the branches with a version, only so many of the newest.",
        ),
    ],
};

static LIMITS: Section = Section {
    name: "limits",
    header: "limits = { … }",
    doc: "What a job may use. A limit of the recipe or builder can only lower the host's.",
    project: true,
    keys: &[
        build("memory", Size, "none", r#"memory = "4GiB""#, "Memory of all the job's processes."),
        build("processes", Int(1, 10_000_000), "none", "processes = 500", "Processes and threads at once."),
        build("disk", Size, "none", r#"disk = "20GiB""#, "Bytes written below the work directory."),
        build(
            "log",
            Size,
            r#""1GiB""#,
            r#"log = "100MiB""#,
            "Bytes of output before the middle is left out.",
        ),
        build(
            "cpu",
            Number,
            "none",
            "cpu = 2.5",
            "Processors, on average: held by the kernel, or by stopping and continuing the job.",
        ),
    ],
};

static HOST: Section = Section {
    name: "host",
    header: "[host.NAME]",
    doc: "A kind of machine. In `image`, `container`, `buildlet` and `bootstrap`, `{name}` stands for the host's name, \
          `{os}` for its label `os`, and `{bucket}` for `bucket` of the environment's `cloud`: so each label and \
          each of those settings.",
    project: false,
    keys: &[
        key(
            "template",
            Names,
            "none",
            r#"template = "container""#,
            "Tables `[host_template.NAME]` whose keys it takes over, like a builder those of its templates.",
        ),
        build(
            "pool",
            OneOf(&["local", "reverse", "kubernetes", "gce", "ec2", "qemu"]),
            r#""local""#,
            r#"pool = "reverse""#,
            "Where the machines come from: processes here, machines that dial in, pods, virtual machines of a cloud or of this host.",
        ),
        key(
            "trust",
            OneOf(&["trusted", "untrusted-ok"]),
            r#""trusted""#,
            r#"trust = "untrusted-ok""#,
            "Whether work from unreviewed changes may run here. On pool local that needs `isolation = \"namespaces\"`, and each piece of work gets a worker of its own.",
        ),
        build(
            "isolation",
            OneOf(&["none", "namespaces", "vm"]),
            r#""none" on pools local and reverse, else "vm""#,
            r#"isolation = "namespaces""#,
            "What separates a job from the machine it runs on. On pool local `namespaces` confines its workers to what docs/BUILDLET.md lists (Linux); `vm` is not to be had there.",
        ),
        key(
            "visible",
            Texts,
            "none",
            r#"visible = ["/srv/sdk"]"#,
            "Absolute paths that confined jobs (`isolation = \"namespaces\"` on pool local) see and can't write, beside the system's directories, those of PATH and RUSTUP_HOME.",
        ),
        build(
            "labels",
            Labels,
            "none",
            r#"labels = { os = "linux", arch = "amd64", gpu = "a100" }"#,
            "What `needs` of builders is matched against.",
        ),
        build(
            "env",
            Vars,
            "none",
            r#"env = { CC = "clang" }"#,
            "Variables for each job on it, before the builder's.",
        ),
        build(
            "env_pass",
            Patterns,
            "the list of `bellwether config explain host.local`",
            r#"env_pass = ["PATH", "CARGO_*"]"#,
            "Variables of the worker that a job may see.",
        ),
        key(
            "capacity",
            Int(0, 1_000_000),
            "0 (as many as the pool can)",
            "capacity = 4",
            "At most so many machines at once.",
        ),
        build("limits", Table(&LIMITS), "none", r#"limits = { memory = "4GiB" }"#, "What a job may use."),
        key(
            "expected",
            Int(0, 1_000_000),
            "0",
            "expected = 5",
            "How many machines ought to be connected; fewer is shown as a fault.",
        ),
        key(
            "aliases",
            Names,
            "none",
            r#"aliases = ["linux-arm"]"#,
            "Other names under which its machines may dial in.",
        ),
        key("owners", Texts, "none", r#"owners = ["gopher@example.org"]"#, "Who looks after the machines."),
        key("notes", Text, "none", r#"notes = "in the cupboard""#, "Free text for people."),
        build(
            "image",
            Text,
            "none",
            r#"image = "linux-x86-bookworm:latest""#,
            "Virtual machine or container image.",
        ),
        build(
            "container",
            Text,
            "none",
            r#"container = "gobuilder-arm-aws:latest""#,
            "Container that runs on a machine made from `image`.",
        ),
        build(
            "machine_type",
            Text,
            "the pool's",
            r#"machine_type = "e2-standard-16""#,
            "The cloud's machine type.",
        ),
        build(
            "machine",
            Vars,
            "none",
            r#"machine = { min_cpu_platform = "Intel Cascade Lake", nested_virtualization = "true" }"#,
            "More about the machine, by the pool's own names.",
        ),
        build(
            "buildlet",
            Text,
            "the one of this version",
            r#"buildlet = "https://storage.example.org/buildlet.linux-amd64""#,
            "Where a new machine fetches its buildlet.",
        ),
        build(
            "bootstrap",
            Text,
            "none",
            r#"bootstrap = "https://go.dev/dl/go1.24.6.linux-amd64.tar.gz""#,
            "An archive unpacked on each machine before the first step.",
        ),
        key(
            "delete_after",
            Timeout,
            "the pool's",
            r#"delete_after = "12h""#,
            "Age at which a machine is deleted whatever it does.",
        ),
        key(
            "ssh_user",
            Text,
            "none",
            r#"ssh_user = "gopher""#,
            "Whom a person logs in as on a machine lent to them.",
        ),
        key(
            "hermetic",
            Bool,
            "false on pools local and reverse, else true",
            "hermetic = true",
            "Whether each job finds a machine as new.",
        ),
        key(
            "restricted",
            Bool,
            "false",
            "restricted = true",
            "Machines are lent only to people with the right to them.",
        ),
        key(
            "min_version",
            Int(0, 1_000_000),
            "0",
            "min_version = 27",
            "The oldest buildlet that may dial in, by the number that it registers with; an older one is told so, and given no work.",
        ),
        key(
            "keys",
            Bool,
            "true",
            "keys = false",
            "Whether machines of pool reverse may dial in by the key of the host; if not, each needs a token of its own.",
        ),
    ],
};

/// The keys of a template for hosts: those of a host.
static HOST_TEMPLATE: Section = Section {
    name: "host_template",
    header: "[host_template.NAME]",
    doc: "Keys that several hosts share; `template` names others it builds on.",
    project: false,
    keys: HOST.keys,
};

static WHEN: Section = Section {
    name: "policy-match",
    header: "try = [{ … }]",
    doc: "A condition: all keys given must hold.",
    project: true,
    keys: &[
        key("repo", Patterns, "all", r#"repo = ["net", "sys"]"#, "Repositories."),
        key("branch", Patterns, "all", r#"branch = "release-branch.*""#, "Branches of the repository."),
        key(
            "toolchain_branch",
            Patterns,
            "all",
            r#"toolchain_branch = "master""#,
            "Branches of the toolchain repository; for a repository that needs nothing, its own branch.",
        ),
        key(
            "branch_min",
            Version,
            "none",
            r#"branch_min = "2.0""#,
            "The version in the branch's name, at least. A branch without a version counts as newest.",
        ),
        key(
            "branch_max",
            Version,
            "none",
            r#"branch_max = "1.9""#,
            "The version in the branch's name, at most. Never holds for a branch without one.",
        ),
        key(
            "toolchain_min",
            Version,
            "none",
            r#"toolchain_min = "1.21""#,
            "The same for the toolchain's branch.",
        ),
        key(
            "toolchain_max",
            Version,
            "none",
            r#"toolchain_max = "1.22""#,
            "The same for the toolchain's branch.",
        ),
    ],
};

static POLICY: Section = Section {
    name: "policy",
    header: "[[builder.NAME.policy]] or policy = [{ … }]",
    doc: "A rule: a condition and what follows from it. The first rule that matches decides.",
    project: true,
    keys: &[
        key(
            "build",
            OneOf(&["both", "post-submit", "try", "try-only", "never"]),
            "required",
            r#"build = "never""#,
            "Which classes of work are built: `try` and `try-only` mean the same.",
        ),
        key(
            "builder",
            Patterns,
            "all",
            r#"builder = "!linux-*""#,
            "Builders, those of project files as REPO:BUILDER; only at the top of a server file.",
        ),
        key("repo", Patterns, "all", r#"repo = "net""#, "Repositories."),
        key("branch", Patterns, "all", r#"branch = "release-branch.*""#, "Branches of the repository."),
        key(
            "toolchain_branch",
            Patterns,
            "all",
            r#"toolchain_branch = "master""#,
            "Branches of the toolchain repository; for a repository that needs nothing, its own branch.",
        ),
        key(
            "branch_min",
            Version,
            "none",
            r#"branch_min = "2.0""#,
            "The version in the branch's name, at least. A branch without a version counts as newest.",
        ),
        key(
            "branch_max",
            Version,
            "none",
            r#"branch_max = "1.9""#,
            "The version in the branch's name, at most. Never holds for a branch without one.",
        ),
        key(
            "toolchain_min",
            Version,
            "none",
            r#"toolchain_min = "1.21""#,
            "The same for the toolchain's branch.",
        ),
        key(
            "toolchain_max",
            Version,
            "none",
            r#"toolchain_max = "1.22""#,
            "The same for the toolchain's branch.",
        ),
    ],
};

static ANCESTOR: Section = Section {
    name: "ancestor",
    header: "required_ancestors = [{ … }]",
    doc: "A commit that must be in the history of what is built.",
    project: true,
    keys: &[
        key("repo", Name, "the repository being built", r#"repo = "go""#, "The repository."),
        key(
            "commit",
            Text,
            "required",
            r#"commit = "f65abf6ddc8d1f3d403a9195fd74eaffa022b07f""#,
            "40 hex digits.",
        ),
    ],
};

macro_rules! builder_keys {
    ($($more:expr),* $(,)?) => { &[
        key("template", Names, "none", r#"template = ["linux", "fast"]"#, "Templates whose keys it takes over: later ones over earlier ones, its own over all. Tables like `env` are merged, everything else is replaced."),
        build("host", Name, "any that `needs` allows", r#"host = "linux-amd64""#, "The host to run on."),
        build("needs", Labels, "none", r#"needs = { os = "linux", arch = "amd64" }"#, "Labels that a host must have; values may be patterns. Without `host` and `needs` any host will do."),
        build("recipe", Name, "required", r#"recipe = "go""#, "What is run."),
        build("env", Vars, "none", r#"env = { GOARCH = "386" }"#, "Variables, in order, after the host's."),
        key("repos", Patterns, "all", r#"repos = ["go", "net"]"#, "Repositories it builds."),
        key("exclude_repos", Patterns, "none", r#"exclude_repos = ["exp"]"#, "Repositories it does not build."),
        key("branches", Patterns, "all", r#"branches = ["master"]"#, "Branches it builds."),
        key("toolchain_branches", Patterns, "all", r#"toolchain_branches = ["master"]"#, "Branches of the toolchain it builds against."),
        key("policy", Tables(&POLICY), "none", r#"policy = [{ repo = "net", branch = "release-branch.*", build = "never" }]"#, "Rules by repository, branch and toolchain branch; the first that matches decides, none means both classes."),
        key("try", BoolOrTables(&WHEN), "false", r#"try = [{ repo = "go", branch = "release-branch.*" }]"#, "Whether it builds changes under review: always, never, or where one of the conditions holds."),
        key("post_submit", Bool, "true", "post_submit = false", "Whether it builds what is submitted. False and `try = true` is try only."),
        key("minimum_version", Version, "none", r#"minimum_version = "1.22""#, "Leaves out release branches, of the repository or its toolchain, below this version."),
        key("required_ancestors", Tables(&ANCESTOR), "none", r#"required_ancestors = [{ repo = "go", commit = "f65abf6ddc8d1f3d403a9195fd74eaffa022b07f" }]"#, "Commits without which it is skipped."),
        key("known_issues", Issues, "none", "known_issues = [36435, 58110]", "Issues that explain its failures."),
        key("max_at_once", Int(0, 1_000_000), "0 (no limit)", "max_at_once = 2", "At most so many of its builds at once."),
        key("limit", Names, "none", r#"limit = "licence-servers""#, "Named limits that it shares with other builders."),
        key("width", Int(1, 1000), "1", "width = 4", "How many slots a build of it takes of each of its limits, and of the quotas of its repository; see scheduler.md. Where that is more than there are, it runs alone."),
        build("helpers", Int(0, 1000), "0", "helpers = 6", "More machines that its tests are spread over, where its recipe has a `list`, and a `run` with `{tests}`; see sharding.md."),
        build("try_helpers", Int(0, 1000), "the value of `helpers`", "try_helpers = 3", "The same in try runs."),
        build("tests", Patterns, "all", r#"tests = ["!api", "!test:*"]"#, "Which of the tests that the recipe's `list` prints run; where none is left, a step with `{tests}` is left out."),
        build("try_tests", Patterns, "all", r#"try_tests = ["!reboot"]"#, "Which of those run in try runs."),
        build("compile_only", Bool, "false", "compile_only = true", "Tests are compiled, not run: with results = \"dist\" by `dist test --compile-only`, with \"go-json\" by `go test -exec=/bin/true`; else `list` and `run` are left out and `build` stays."),
        build("stop_after_build", Bool, "false", "stop_after_build = true", "The recipe ends after its build step."),
        build("skip_snapshot", Bool, "false", "skip_snapshot = true", "Makes and uses no snapshot. Excludes helpers, which start from one."),
        build("flaky_net", Bool, "false", "flaky_net = true", "Its network is unreliable: tests that need it may fail without harm."),
        build("private_proxy", Bool, "false", "private_proxy = true", "Its machines reach modules only through the server's proxy."),
        key("bench", Bool, "false", "bench = true", "Its results are benchmarks, kept as series."),
        build("timeout_scale", Number, "1", "timeout_scale = 2.5", "Time limits are multiplied by it."),
        build("limits", Table(&LIMITS), "none", r#"limits = { memory = "2GiB" }"#, "What its jobs may use."),
        key("priority", Int(-1000, 1000), "0", "priority = 10", "Higher goes first within a class, among the builds of one repository and person: between these it is taken turns."),
        key("secrets", Names, "what names it", r#"secrets = ["deploy"]"#, "Secrets that it cannot do without: an error unless each names this builder."),
        key("aliases", Names, "none", r#"aliases = ["longtest"]"#, "Short names for people. One that is another builder's name asks for both."),
        key("owners", Texts, "none", r#"owners = ["gopher@example.org"]"#, "Who looks after it."),
        key("hidden", Bool, "false", "hidden = true", "Leaves it off the overview pages."),
        key("notes", Text, "none", r#"notes = "see the wiki""#, "Free text for people."),
        $($more),*
    ] };
}

/// The keys of a builder.
pub(crate) static BUILDER: Section = Section {
    name: "builder",
    header: "[builder.NAME]",
    doc: "A name, and how to build on a host. In a project file it builds that repository only.",
    project: true,
    keys: builder_keys!(),
};

/// The keys of a template: those of a builder.
pub(crate) static TEMPLATE: Section = Section {
    name: "template",
    header: "[template.NAME]",
    doc: "Keys that several builders share. Takes every key of a builder; `template` names others it builds on.",
    project: true,
    keys: builder_keys!(),
};

static MATRIX: Section = Section {
    name: "matrix",
    header: "[matrix.NAME]",
    doc: "Makes one builder for each combination of its axes. Takes every key of a builder besides its own; \
          `{axis}` in any text stands for the axis's value.",
    project: true,
    keys: builder_keys!(
        key(
            "name",
            Text,
            "required",
            r#"name = "linux-{arch}-{variant}""#,
            "The builders' names. An axis whose value is \"\" leaves no dash behind."
        ),
        key(
            "axes",
            Axes,
            "required",
            r#"axes = { arch = ["amd64", "386"], variant = ["", "race"] }"#,
            "The axes and their values."
        ),
        key(
            "exclude",
            Tables(&AXIS_VALUES),
            "none",
            r#"exclude = [{ arch = "386", variant = "race" }]"#,
            "Combinations that are left out."
        ),
        key(
            "set",
            Tables(&MATRIX_SET),
            "none",
            r#"set = [{ when = { variant = "race" }, env = { GO_TEST_RACE = "1" } }]"#,
            "Builder keys for some combinations only, merged like templates."
        ),
    ),
};

/// A table of axis values; its keys are the matrix's axes.
pub(crate) static AXIS_VALUES: Section = Section {
    name: "axis-values",
    header: "exclude = [{ … }]",
    doc: "Values of axes: all given must be equal.",
    project: true,
    keys: &[],
};

/// One `set` of a matrix.
pub(crate) static MATRIX_SET: Section = Section {
    name: "set",
    header: "[[matrix.NAME.set]]",
    doc: "`when` and any keys of a builder.",
    project: true,
    keys: builder_keys!(key(
        "when",
        Vars,
        "required",
        r#"when = { variant = "race" }"#,
        "Values of axes: all given must be equal."
    )),
};

static STEP: Section = Section {
    name: "step",
    header: "[[recipe.NAME.step]]",
    doc: "One step of a recipe.",
    project: true,
    keys: &[
        build("name", Name, "`step-N`", r#"name = "lint""#, "Its name in logs and spans."),
        build(
            "run",
            Text,
            "required",
            r#"run = "cargo clippy""#,
            "The command line, run by the machine's shell.",
        ),
        build("timeout", Timeout, "the recipe's", r#"timeout = "5m""#, "Its time limit."),
        build("env", Vars, "none", r#"env = { RUST_LOG = "debug" }"#, "Variables, after the builder's."),
        build(
            "dir",
            Text,
            "the tree of the repository",
            r#"dir = "tools""#,
            "Where it runs, below the tree of the repository.",
        ),
        build(
            "when",
            OneOf(&["success", "failure", "always"]),
            r#""success""#,
            r#"when = "always""#,
            "Whether it runs after the steps before went well, or one failed, or in both cases.",
        ),
        build(
            "snapshot",
            Bool,
            "false",
            "snapshot = true",
            "Keeps the tree as it is after this step; later builds of the revision start from there.",
        ),
    ],
};

macro_rules! job_keys {
    ($($more:expr),* $(,)?) => { &[
        build("build", Text, "none", r#"build = "cd src && ./make.bash""#, "The command that builds."),
        build("list", Text, "none", r#"list = "bin/go tool dist test --list""#, "The command that lists the tests, one a line."),
        build("run", Text, "none", r#"run = "bin/go tool dist test {tests}""#, "The command that tests; `{tests}` stands for some of the listed ones."),
        build("step", Tables(&STEP), "none", r#"step = [{ name = "test", run = "make test" }]"#, "Steps in order, in place of `build`, `list` and `run`."),
        build("env", Vars, "none", r#"env = { CI = "1" }"#, "Variables of all steps, before the builder's."),
        build("dir", Text, "the tree of the repository", r#"dir = "backend""#, "Where the steps run, below the tree of the repository."),
        build("snapshot", Bool, "false", "snapshot = true", "Keeps the tree after `build`, and starts later builds of the revision from it."),
        build("results", OneOf(&["dist", "go-json", "junit", "tap", "libtest-json", "libtest", "pytest", "exit-status"]), r#""exit-status""#, r#"results = "go-json""#, "How the output of the tests is read, test by test: that of `run`, or of each `step`."),
        build("junit", Path, "required with results = \"junit\"", r#"junit = "target/junit.xml""#, "The JUnit files, as a path pattern below the tree; they are read once the steps have ended, or with `helpers` after each chunk."),
        build("timeout", Timeout, r#""20m""#, r#"timeout = "1h""#, "The time limit of each step."),
        key("artifacts", Texts, "none", r#"artifacts = ["*.log", "out/**"]"#, "Path patterns of files that are kept, as they are: secrets are not taken out of them."),
        key("fail_fast", Bool, "false", "fail_fast = true", "Where tests are spread over `helpers`: the first that fails ends all others. Without it all of them run."),
        key("retries", Int(0, 10), "0", "retries = 1", "How often a build that failed is tried again, as an attempt of its own; what fails and then passes is marked as a flake, in a warning."),
        build("limits", Table(&LIMITS), "none", r#"limits = { memory = "2GiB" }"#, "What its jobs may use."),
        $($more),*
    ] };
}

static DEPENDENTS: Section = Section {
    name: "dependents",
    header: "[recipe.NAME.dependents]",
    doc: "What a repository runs that needs this recipe's toolchain. The toolchain itself is built, or taken from \
          its snapshot, first.",
    project: true,
    keys: job_keys!(),
};

/// The keys of a recipe.
pub(crate) static RECIPE: Section = Section {
    name: "recipe",
    header: "[recipe.NAME]",
    doc: "The steps of a build.",
    project: true,
    keys: job_keys!(
        build(
            "toolchain",
            Name,
            "none",
            r#"toolchain = "go""#,
            "The repository whose tree others need. The recipe then serves it and those whose first `needs` it is."
        ),
        build(
            "dependents",
            Table(&DEPENDENTS),
            "none",
            r#"dependents = { run = "go test ./..." }"#,
            "What a repository runs that needs the toolchain."
        ),
    ),
};

static LIMIT: Section = Section {
    name: "limit",
    header: "[limit.NAME]",
    doc: "A limit that several builders share.",
    project: false,
    keys: &[key(
        "max",
        Int(1, 1_000_000),
        "required",
        "max = 3",
        "At most so many builds at once of all builders that name it.",
    )],
};

static SECRET: Section = Section {
    name: "secret",
    header: "[secret.NAME]",
    doc: "A secret for named builders, for trusted work only, taken out of logs, warnings and causes, in plain and as the usual tools encode it. Artefacts are not searched: they are kept byte for byte, so what a job with secrets writes into one is seen by whoever may read builds. So is what `env` says of hosts, recipes, builders and steps: it is shown with each build. One of `file` and `env`. While it is not there, the builders that get it are blocked.",
    project: false,
    keys: &[
        key("file", Path, "none", r#"file = "secrets/deploy""#, "The file that holds it."),
        key("env", Variable, "none", r#"env = "DEPLOY_TOKEN""#, "The variable of the server that holds it."),
        key(
            "as",
            Variable,
            "the name in capitals",
            r#"as = "DEPLOY_TOKEN""#,
            "The variable in which a job finds it.",
        ),
        key(
            "builders",
            Texts,
            "none",
            r#"builders = ["linux-amd64", "site:deploy"]"#,
            "Who gets it: a server builder's name, or REPO:BUILDER for one of a project file.",
        ),
        key(
            "environments",
            Names,
            "all",
            r#"environments = ["prod"]"#,
            "Where it exists. Production and another environment may not share one.",
        ),
    ],
};

static ACCESS: Section = Section {
    name: "access",
    header: "[access]",
    doc: "Who may read, and how people sign in: see docs/ACCESS.md.",
    project: false,
    keys: &[
        key(
            "read",
            OneOf(&["anonymous", "developer"]),
            r#""anonymous""#,
            r#"read = "developer""#,
            "Who may see public repositories: everybody, or only those who say who they are.",
        ),
        key(
            "strangers_per_second",
            Int(1, 1_000_000),
            "100",
            "strangers_per_second = 20",
            "Requests that the address of somebody who does not say who they are may make in a second, in the long run; more are answered with 429. An IPv6 address stands for its /64.",
        ),
        key(
            "strangers_burst",
            Int(1, 1_000_000),
            "1000",
            "strangers_burst = 200",
            "Requests that such an address may make at once.",
        ),
        key(
            "proxies",
            Texts,
            "none",
            r#"proxies = ["10.0.0.7"]"#,
            "Addresses whose `X-Forwarded-For` is believed.",
        ),
        key("session", Timeout, r#""7d""#, r#"session = "12h""#, "How long somebody stays signed in."),
        key(
            "oidc",
            Table(&OIDC),
            "none",
            r#"oidc = { issuer = "https://id.example.org", client_id = "ci", client_secret_env = "OIDC_SECRET" }"#,
            "Signing in by OpenID Connect.",
        ),
        key(
            "github",
            Table(&GITHUB),
            "none",
            r#"github = { client_id = "Iv1.8a61f9b3a7aba766", client_secret_env = "GITHUB_SECRET" }"#,
            "Signing in by GitHub.",
        ),
    ],
};

const CLIENT_ID: Key = key("client_id", Text, "required", r#"client_id = "ci""#, "Our id there.");
const CLIENT_SECRET_FILE: Key = key(
    "client_secret_file",
    Path,
    "none",
    r#"client_secret_file = "oidc-secret""#,
    "The file with our secret there. This or `client_secret_env`.",
);
const CLIENT_SECRET_ENV: Key = key(
    "client_secret_env",
    Variable,
    "none",
    r#"client_secret_env = "OIDC_SECRET""#,
    "The server's variable with our secret there.",
);

static OIDC: Section = Section {
    name: "oidc",
    header: "[access.oidc]",
    doc: "The address to give the provider for its way back is `/login/oidc/callback` below the environment's `url`.",
    project: false,
    keys: &[
        key(
            "issuer",
            Text,
            "required",
            r#"issuer = "https://id.example.org""#,
            "Who signs people in; `/.well-known/openid-configuration` is read below it.",
        ),
        CLIENT_ID,
        CLIENT_SECRET_FILE,
        CLIENT_SECRET_ENV,
        key(
            "scopes",
            Texts,
            r#"["openid", "profile", "email"]"#,
            r#"scopes = ["openid", "email", "groups"]"#,
            "What is asked for.",
        ),
        key(
            "groups_claim",
            Text,
            r#""groups""#,
            r#"groups_claim = "roles""#,
            "The claim with a person's groups.",
        ),
        key(
            "roles",
            Vars,
            "none",
            r#"roles = { ops = "admin", "*" = "reader" }"#,
            "Group and role: `reader`, `developer` or `admin`; `*` is everybody. The highest counts, and who has none is not let in.",
        ),
    ],
};

static GITHUB: Section = Section {
    name: "github",
    header: "[access.github]",
    doc: "The address to give GitHub for its way back is `/login/github/callback` below the environment's `url`.",
    project: false,
    keys: &[
        CLIENT_ID,
        CLIENT_SECRET_FILE,
        CLIENT_SECRET_ENV,
        key(
            "roles",
            Vars,
            "none",
            r#"roles = { "example/ci" = "admin", example = "developer", "@ada" = "admin" }"#,
            "Organisation, organisation/team or @person, and role: `reader`, `developer` or `admin`; `*` is everybody. The highest counts, and who has none is not let in.",
        ),
        key(
            "url",
            Text,
            r#""https://github.com""#,
            r#"url = "https://github.example.org""#,
            "Where people are sent to sign in.",
        ),
        key(
            "api",
            Text,
            r#""https://api.github.com""#,
            r#"api = "https://github.example.org/api/v3""#,
            "Where is asked who they are.",
        ),
    ],
};

static DASHBOARD: Section = Section {
    name: "dashboard",
    header: "[dashboard]",
    doc: "The original's API.",
    project: false,
    keys: &[
        key("main", Name, "none", r#"main = "go""#, "The repository shown there without a package path."),
        key(
            "hidden_branches",
            Patterns,
            "none",
            r#"hidden_branches = ["release-branch.go1.4"]"#,
            "Branches that its overview leaves out.",
        ),
        key(
            "builder_key_file",
            Path,
            "none",
            r#"builder_key_file = "builder.key""#,
            "The file that holds the master key of the original's builders and watcher, relative to the data directory. Without it nobody can post there.",
        ),
    ],
};

static RETENTION: Section = Section {
    name: "retention",
    header: "[retention]",
    doc: "How long what is kept. Without an age it is kept for ever. Builds, their outcomes and the audit log always stay; \
          `bellwether gc --dry-run` says what would go.",
    project: false,
    keys: &[
        key("logs", Timeout, "for ever", r#"logs = "180d""#, "Logs, from the end of their build."),
        key(
            "artifacts",
            Timeout,
            "for ever",
            r#"artifacts = "90d""#,
            "Artefacts, from the end of their build.",
        ),
        key("tests", Timeout, "for ever", r#"tests = "365d""#, "Test results, from the end of their build."),
        key(
            "failed",
            Timeout,
            "as the others",
            r#"failed = "730d""#,
            "All three of builds that did not end well, where this is longer.",
        ),
        key(
            "branches",
            Patterns,
            "none",
            r#"branches = ["release-*"]"#,
            "Branches of which all that is built is kept for ever.",
        ),
        key(
            "last_green",
            Int(0, 1000),
            "1",
            "last_green = 5",
            "So many of the newest builds that ended well are kept whatever their age, of each builder on each branch.",
        ),
        key(
            "snapshots",
            Timeout,
            "for ever",
            r#"snapshots = "14d""#,
            "Built trees of revisions that are no branch's head. They are built again where one is needed.",
        ),
    ],
};

static PUBSUBHELPER: Section = Section {
    name: "pubsubhelper",
    header: "[pubsubhelper]",
    doc: "Hints that something happened at a forge, for `/waitevent` and `/recent`: see docs/pubsubhelper.md. It runs where one \
          is named. Read at the start.",
    project: false,
    keys: &[
        key(
            "github",
            Table(&GITHUB_HOOKS),
            "none",
            r#"github = { secret_file = "webhook-secret" }"#,
            "Takes GitHub's webhooks at `/hooks/github`.",
        ),
        key(
            "gerrit",
            Table(&GERRIT_MAIL),
            "none",
            r#"gerrit = { listen = "0.0.0.0:25", rcpt = "bot@ci.example.org" }"#,
            "Takes Gerrit's mail by SMTP, on a port of its own.",
        ),
    ],
};

static GITHUB_HOOKS: Section = Section {
    name: "github_hooks",
    header: "[pubsubhelper.github]",
    doc: "The secret is the one that GitHub was given with the address of the webhook: one of `secret_file` and `secret_env`.",
    project: false,
    keys: &[
        key("secret_file", Path, "none", r#"secret_file = "webhook-secret""#, "The file with the secret."),
        key(
            "secret_env",
            Variable,
            "none",
            r#"secret_env = "WEBHOOK_SECRET""#,
            "The server's variable with the secret.",
        ),
        key(
            "plain",
            Bool,
            "false",
            "plain = true",
            "Takes webhooks that came without TLS, neither to this server nor to a proxy of `access.proxies` whose `X-Forwarded-Proto` says so.",
        ),
    ],
};

static GERRIT_MAIL: Section = Section {
    name: "gerrit_mail",
    header: "[pubsubhelper.gerrit]",
    doc: "A mail counts if it is for `rcpt`, from `sender_host`, and signed by one of `signing_domains` (DKIM). Where the \
          environment has TLS, STARTTLS is offered with its certificate.",
    project: false,
    keys: &[
        key(
            "listen",
            Text,
            "required",
            r#"listen = "0.0.0.0:25""#,
            "Address and port to listen on for SMTP.",
        ),
        key(
            "rcpt",
            Text,
            "required",
            r#"rcpt = "bot@ci.example.org""#,
            "The one address that gets mail, compared exactly.",
        ),
        key(
            "host",
            Text,
            "the host of the environment's `url`",
            r#"host = "mail.ci.example.org""#,
            "What the server calls itself.",
        ),
        key(
            "sender_host",
            Text,
            r#""gerritcodereview.bounces.google.com""#,
            r#"sender_host = "gerrit.example.org""#,
            "The host of the address that sends (`MAIL FROM`).",
        ),
        key(
            "signing_domains",
            Texts,
            r#"["google.com"]"#,
            r#"signing_domains = ["gerrit.example.org"]"#,
            "The domains (`d=`) whose signature counts, compared exactly.",
        ),
        key(
            "unsigned_fields",
            Bool,
            "false",
            "unsigned_fields = true",
            "Also believes `X-Gerrit-…` fields that the signature does not cover, where each is there once. For signers that do not cover them; a false hint costs a look.",
        ),
    ],
};
