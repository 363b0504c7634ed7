//! The keys of `[maintnerd]`.

use super::Section;
use super::Type::*;
use super::keys::key;

pub(super) static MAINTNERD: Section = Section {
    name: "maintnerd",
    header: "[maintnerd]",
    doc: "The state of projects at their forges, and the log of it: see docs/maintnerd.md. It runs where something to watch or to \
          follow is named, and hears what `[pubsubhelper]` takes. Read at the start.",
    project: false,
    keys: &[
        key(
            "github",
            Texts,
            "none",
            r#"github = ["golang/go", "golang/vscode-go"]"#,
            "Repositories of GitHub that are watched, `OWNER/REPO`.",
        ),
        key(
            "gerrit",
            Texts,
            "none",
            r#"gerrit = ["go.googlesource.com/go"]"#,
            "Projects of a Gerrit that are watched, `HOST/PROJECT`, by git at `https://HOST/PROJECT`.",
        ),
        key(
            "git",
            Tables(&WATCHED_GIT),
            "none",
            r#"git = { project = "example.org/tools", url = "https://example.org/tools.git" }"#,
            "Repositories that are fetched from elsewhere, or are on no Gerrit.",
        ),
        key(
            "follow",
            Text,
            "none",
            r#"follow = "https://maintner.example.org/logs""#,
            "Watches nothing and writes no log: has what the log has whose index is there. What was fetched before is answered from \
             where that server is away.",
        ),
        key(
            "token_file",
            Path,
            "none",
            r#"token_file = "github-token""#,
            "The file with the token that is shown to GitHub, or with `follow` to the other server.",
        ),
        key(
            "token_env",
            Variable,
            "none",
            r#"token_env = "GITHUB_TOKEN""#,
            "The server's variable with that token.",
        ),
        key(
            "github_api",
            Text,
            r#""https://api.github.com""#,
            r#"github_api = "https://github.example.org/api/v3""#,
            "GitHub's API.",
        ),
        key(
            "github_hook",
            Table(&GITHUB_HOOK),
            "none",
            r#"github_hook = { url = "https://ci.example.org/hooks/github" }"#,
            "The webhook of the repositories of GitHub, whose failed deliveries are asked for.",
        ),
        key(
            "visibility",
            OneOf(&["public", "private"]),
            r#""public", or where `follow` and a token are said "private""#,
            r#"visibility = "private""#,
            "Who may read the log and ask about it: all readers, or developers only. All that is watched is one log, so one private \
             project makes it private. A log that its server shows only with a token is shown to all only where `public` is said.",
        ),
        key(
            "home",
            Text,
            r#""go.googlesource.com/go""#,
            r#"home = "gerrit.example.org/main""#,
            "The project that releases are made of, `HOST/PROJECT`.",
        ),
        key(
            "reviews",
            Text,
            "none",
            r#"reviews = "https://go-review.googlesource.com""#,
            "The Gerrit that is asked which changes wait to be tried.",
        ),
        key(
            "sealed_at",
            Text,
            "none",
            r#"sealed_at = "https://storage.googleapis.com/BUCKET""#,
            "Where copies of the sealed segments are, from which the original's clients fetch with less work.",
        ),
    ],
};

static GITHUB_HOOK: Section = Section {
    name: "github_hook",
    header: "[maintnerd.github_hook]",
    doc: "What GitHub could not deliver is looked for in its list of failed deliveries. The token must be one that may read the \
          repositories' webhooks. A webhook of an organization is not among them.",
    project: false,
    keys: &[
        key(
            "url",
            Text,
            "required",
            r#"url = "https://ci.example.org/hooks/github""#,
            "Where the webhook goes, as GitHub's settings of each repository have it.",
        ),
        key(
            "every",
            Timeout,
            r#""1m""#,
            r#"every = "5m""#,
            "How often GitHub is asked; each costs a request for each repository.",
        ),
    ],
};

static WATCHED_GIT: Section = Section {
    name: "watched_git",
    header: "[[maintnerd.git]]",
    doc: "One repository that is watched by git.",
    project: false,
    keys: &[
        key(
            "project",
            Text,
            "required",
            r#"project = "example.org/tools""#,
            "What the log calls it, `HOST/PATH`.",
        ),
        key(
            "url",
            Text,
            "`https://` and the project",
            r#"url = "ssh://git@example.org/tools.git""#,
            "Where it is fetched from.",
        ),
        key(
            "changes",
            Bool,
            "false",
            "changes = true",
            "It is on a Gerrit: its changes are watched too, and not only its branches and tags.",
        ),
        key(
            "every",
            Timeout,
            r#""5m""#,
            r#"every = "10s""#,
            "How often it is looked at where nothing hints at a change; a look that finds nothing costs one request.",
        ),
    ],
};
