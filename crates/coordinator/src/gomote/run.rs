//! What a command on a held machine is given, and what becomes of its output.

use std::sync::Arc;
use std::time::Duration;

use buildenv::{Builder, Config, Host, Project};
use buildlet_client::{OriginalExec, OriginalMode, OutputStream};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use gomote::{ExecuteCommandRequest, ExecuteCommandResponse};
use tonic::Status;
use transport::{Standing, Viewer};

use super::{Session, reaches};
use crate::clock::SharedClock;

/// How often a call that lasts puts the end of its machine off.
pub(crate) const RENEW: Duration = Duration::from_secs(60);

/// The environment that builds of a builder have; later wins, and each variable is there once.
pub(super) fn environment(builder: &Builder, host: Option<&Host>, more: &[String]) -> Vec<String> {
    let name = builder.name.to_string();
    let own = [("GO_BUILDER_NAME".to_owned(), name.clone()), ("BELLWETHER_BUILDER".to_owned(), name)];
    let of_host = host.map(|host| host.env.as_slice()).unwrap_or_default();
    let configured = own.iter().chain(of_host).chain(&builder.env);
    let mut env: Vec<String> = Vec::new();
    for entry in configured.map(|(name, value)| format!("{name}={value}")).chain(more.iter().cloned()) {
        let key = |entry: &str| entry.split_once('=').map_or(entry.len(), |(key, _)| key.len() + 1);
        env.retain(|known| known[..key(known)] != entry[..key(&entry)]);
        env.push(entry);
    }
    env
}

/// How somebody works on a machine whose builder they do not name again.
pub(crate) struct Place {
    /// The environment that builds have there.
    pub env: Vec<String>,
    /// Whom its SSH server lets in, where it has one of its own.
    pub ssh_user: Option<String>,
}

/// How somebody works on the machine that they hold.
pub(crate) fn place(config: &Config, session: &Session) -> Place {
    let host = config.hosts().iter().find(|host| host.name.as_str() == session.host);
    let of_builder =
        builder(config, &session.builder, |_| true).map(|builder| environment(builder, host, &[]));
    Place {
        // A builder that was taken out of the configuration since has none.
        env: of_builder.unwrap_or_default(),
        ssh_user: host.and_then(|host| host.ssh_user.clone()),
    }
}

pub(super) fn command(request: ExecuteCommandRequest, env: Vec<String>) -> OriginalExec {
    OriginalExec {
        cmd: request.command,
        args: request.args,
        mode: if request.system_level { OriginalMode::System } else { OriginalMode::Workdir },
        dir: request.directory,
        env,
        path: request.path,
        debug: request.debug,
    }
}

/// The builder that a name means, if it is the only one of those that somebody may know of.
pub(super) fn builder<'c>(
    config: &'c Config,
    name: &str,
    may: impl Fn(&Builder) -> bool,
) -> Result<&'c Arc<Builder>, String> {
    let known: Vec<_> = config.builders().iter().filter(|builder| may(builder)).collect();
    if let Some(builder) = known.iter().find(|builder| builder.full_name() == name) {
        return Ok(builder);
    }
    let of_name: Vec<_> = known.into_iter().filter(|builder| builder.name.as_str() == name).collect();
    match *of_name {
        [builder] => Ok(builder),
        [] => Err(format!("there is no builder {name}; `bellwether gomote create --list` has all")),
        _ => {
            let names: Vec<_> = of_name.iter().map(|builder| builder.full_name()).collect();
            Err(format!("there are several builders {name}: {}", names.join(", ")))
        }
    }
}

/// The repositories that somebody may know of whose own builders are not known yet.
pub(super) fn unread<'c>(config: &'c Config, viewer: &Viewer) -> Vec<&'c str> {
    let names = config.repos().iter().map(|repo| repo.name.as_str());
    let unread = |repo: &&str| config.project(repo).is_some_and(|project| *project == Project::default());
    names.filter(unread).filter(|repo| reaches(config, viewer, repo)).collect()
}

/// What a command prints, and at its end an error if it did not end well; its machine is used as long.
pub(super) fn output(
    session: Arc<Session>,
    output: OutputStream,
    clock: SharedClock,
    idle: Duration,
    standing: Standing,
) -> BoxStream<'static, Result<ExecuteCommandResponse, Status>> {
    stream::unfold(Some((session, output)), move |state| {
        let (clock, standing) = (Arc::clone(&clock), standing.clone());
        async move {
            let (session, mut output) = state?;
            loop {
                session.renew(clock.now(), idle);
                let next = tokio::select! {
                    next = tokio::time::timeout(RENEW, output.next()) => next,
                    over = session.over(&standing) => return Some((Err(over.into()), None)),
                };
                return match next {
                    Err(_) => continue,
                    Ok(Some(Ok(chunk))) => {
                        Some((Ok(ExecuteCommandResponse { output: chunk.to_vec() }), Some((session, output))))
                    }
                    Ok(Some(Err(error))) => Some((Err(Status::aborted(error.to_string())), None)),
                    Ok(None) => match output.trailer("process-state") {
                        Some("ok") => None,
                        // As with the original: the text ends with how the process did.
                        Some(state) => Some((Err(Status::unknown(state.to_owned())), None)),
                        None => {
                            let text = "the machine did not say how the command ended";
                            Some((Err(Status::aborted(text)), None))
                        }
                    },
                };
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_later_wins_and_stands_once() {
        let source = buildenv::Source::server(
            "t.toml",
            "[host.h]\npool = \"local\"\nenv = { A = \"1\", B = \"2\" }\n[repo.r]\nurl = \"x\"\n\
             [builder.b]\nhost = \"h\"\nrecipe = \"x\"\nenv = { B = \"3\" }\n[recipe.x]\nrun = \"true\"\n",
        );
        let config = buildenv::load(&[source], &|path| Err(std::io::Error::other(path)), None).unwrap();
        let builder = builder(&config, "b", |_| true).unwrap();
        let env = environment(builder, config.hosts().first(), &["A=9".into(), "C".into(), "C=4".into()]);
        assert_eq!(env, ["GO_BUILDER_NAME=b", "BELLWETHER_BUILDER=b", "B=3", "A=9", "C", "C=4"]);
    }
}
