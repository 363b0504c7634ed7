//! The keys of what goes out to the world.

use super::Section;
use super::Type::*;
use super::keys::key;

pub(super) static GERRIT: Section = Section {
    name: "gerrit",
    header: "[gerrit.NAME]",
    doc: "A Gerrit that reviews are posted to: see docs/notifications.md. One of `password_file` and `password_env`. Read at the start.",
    project: false,
    keys: &[
        key("url", Text, "required", r#"url = "https://review.example.org""#, "Its address, without `/a`."),
        key(
            "host",
            Text,
            "that of `url`",
            r#"host = "go.googlesource.com""#,
            "By what host the log names its projects, and `changes` of repositories.",
        ),
        key("user", Text, "required", r#"user = "bellwether""#, "The account that posts."),
        key(
            "password_file",
            Path,
            "none",
            r#"password_file = "gerrit-password""#,
            "The file with the HTTP password that Gerrit made for that account.",
        ),
        key(
            "password_env",
            Variable,
            "none",
            r#"password_env = "GERRIT_PASSWORD""#,
            "The server's variable with that password.",
        ),
    ],
};

pub(super) static GITHUB_POSTS: Section = Section {
    name: "github_posts",
    header: "[github_posts]",
    doc: "GitHub, if comments and checks are posted there: see docs/notifications.md. One of `token_file` and `token_env`, or `app`, `installation` and `app_key_file`. Read at the start.",
    project: false,
    keys: &[
        key(
            "api",
            Text,
            r#""https://api.github.com""#,
            r#"api = "https://github.example.org/api/v3""#,
            "GitHub's API.",
        ),
        key(
            "token_file",
            Path,
            "none",
            r#"token_file = "github-posts-token""#,
            "The file with the token of who posts. Checks are an app's alone.",
        ),
        key(
            "token_env",
            Variable,
            "none",
            r#"token_env = "GITHUB_POSTS_TOKEN""#,
            "The server's variable with that token.",
        ),
        key(
            "app",
            Text,
            "none",
            r#"app = "Iv23liAbCdEf""#,
            "The client id of an app that posts, or its number: tokens of its installation are made as they are needed, so that none \
             ends. With `installation` and `app_key_file`, in the place of a token.",
        ),
        key(
            "installation",
            Int(1, i64::MAX),
            "none",
            "installation = 12345678",
            "The number of the app's installation.",
        ),
        key(
            "app_key_file",
            Path,
            "none",
            r#"app_key_file = "github-app.pem""#,
            "The file with the app's private key, as GitHub gives it.",
        ),
        key(
            "checks",
            Bool,
            "false",
            "checks = true",
            "The token is of an app's installation: try runs are shown as check runs. Otherwise they are shown as commit statuses.",
        ),
    ],
};

pub(super) static MAIL: Section = Section {
    name: "mail",
    header: "[mail]",
    doc: "The server that takes our mail: see docs/notifications.md. With `user`, one of `password_file` and `password_env`. Read at the start.",
    project: false,
    keys: &[
        key(
            "smtp",
            Text,
            "required",
            r#"smtp = "smtp://mail.example.org:587?tls=required""#,
            "Its address: `smtps://HOST`, `smtp://HOST?tls=required` (STARTTLS), or `smtp://HOST`, to which no password is told.",
        ),
        key("from", Text, "required", r#"from = "CI <ci@example.org>""#, "Who sends."),
        key("user", Text, "none", r#"user = "ci""#, "The account there."),
        key(
            "password_file",
            Path,
            "none",
            r#"password_file = "mail-password""#,
            "The file with its password.",
        ),
        key(
            "password_env",
            Variable,
            "none",
            r#"password_env = "MAIL_PASSWORD""#,
            "The server's variable with its password.",
        ),
    ],
};

pub(super) static WEBHOOK: Section = Section {
    name: "webhook",
    header: "[webhook.NAME]",
    doc: "An address that is told by a POST, signed: see docs/notifications.md. One of `secret_file` and `secret_env`. Read at the start.",
    project: false,
    keys: &[
        key(
            "url",
            Text,
            "required",
            r#"url = "https://chat.example.org/hooks/ci""#,
            "Where it is posted to.",
        ),
        key(
            "secret_file",
            Path,
            "none",
            r#"secret_file = "chat-secret""#,
            "The file with what is signed with.",
        ),
        key(
            "secret_env",
            Variable,
            "none",
            r#"secret_env = "CHAT_SECRET""#,
            "The server's variable with what is signed with.",
        ),
        key(
            "private",
            Bool,
            "false",
            "private = true",
            "It may be at an address of this machine or of a private network.",
        ),
    ],
};
