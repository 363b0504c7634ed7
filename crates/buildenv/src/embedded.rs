//! What is true without any file: environment `dev`, and a host `local` that runs jobs as processes here.

use crate::name::RepoName;
use crate::source::{Kind, Source};
use crate::tree::quote;

/// The variables of a worker that a job may see when its host does not say which.
pub const ENV_PASS: &[&str] = &[
    "PATH",
    "LANG",
    "LC_*",
    "TZ",
    "TERM",
    "USER",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "CARGO_NET_*",
    "CARGO_REGISTRIES_*",
    "GOPROXY",
    "GOFLAGS",
    "GONOSUMDB",
    "GONOSUMCHECK",
    "GOSUMDB",
    "GOPRIVATE",
    "GOTOOLCHAIN",
    "GOMODCACHE",
    "PIP_*",
    "UV_*",
    "NPM_CONFIG_*",
    "npm_config_*",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "JAVA_HOME",
    "MAVEN_OPTS",
];

/// The shown name of built-in defaults.
pub const BUILT_IN: &str = "built-in defaults";

/// Gives the built-in defaults for a machine of this system and processor (`linux`, `amd64`).
///
/// They give way to a server's file: its keys win one by one, and once it defines a host or an environment of its
/// own, the built-in one is there only if the file names it too.
#[must_use]
pub fn embedded(os: &str, arch: &str) -> Source {
    let pass: Vec<_> = ENV_PASS.iter().map(|v| quote(v)).collect();
    let text = format!(
        "[environment.dev]\nbisect = false\n\n[host.local]\npool = \"local\"\ntrust = \"trusted\"\nlabels = {{ os = {}, arch = {} }}\nenv_pass = [{}]\n",
        quote(os),
        quote(arch),
        pass.join(", ")
    );
    Source { file: BUILT_IN.into(), text, kind: Kind::Embedded }
}

/// Gives a server source that watches one repository, for `up URL` without a server file.
#[must_use]
pub fn repo_source(file: &str, name: &RepoName, url: &str) -> Source {
    Source::server(file, format!("[repo.{}]\nurl = {}\n", quote(name.as_str()), quote(url)))
}

/// Names this machine's system and processor as labels are written: `("linux", "amd64")`.
#[must_use]
pub fn this_machine() -> (&'static str, &'static str) {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "loongarch64" => "loong64",
        "powerpc64" => "ppc64",
        other => other,
    };
    (os, arch)
}
