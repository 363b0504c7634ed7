//! `pubsubhelper`: the service alone.

use std::process::ExitCode;

use access::{Access, AccessParts};
use anyhow::{Context as _, Result};
use store::{DatabaseUrl, Db};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::up::{DEFAULT, Signals};
use crate::args::Pubsubhelper;
use crate::server::{self, Door, Taken};
use crate::system::composed::Composer;
use crate::system::hints;
use crate::system::{data, targets};

pub async fn run(args: &Pubsubhelper) -> Result<ExitCode> {
    let dir = data::dir(args.data.as_deref())?;
    let composer = Composer::new(targets::server_only(Some(&args.config))?, args.environment.as_deref())?;
    let config = composer.without_projects()?.config;
    let environment = config.environment().clone();
    let wanted = args.listen.clone().unwrap_or_else(|| environment.listen.clone());
    let wanted = if wanted.is_empty() { DEFAULT.to_owned() } else { wanted };
    let (listener, address) = server::listen(&wanted, Taken::Refuse).await?;
    let mail = match &config.hints().gerrit {
        Some(gerrit) => {
            Some(server::listen(&gerrit.listen, Taken::Refuse).await.context("pubsubhelper.gerrit.listen")?)
        }
        None => None,
    };
    let owner = data::own(&dir)?;
    data::claim(&owner, environment.name.as_str())?;
    let url: DatabaseUrl =
        environment.database.parse().with_context(|| format!("database {:?}", environment.database))?;
    let db = Db::open(&url, &dir).await.context("opening the database")?;
    data::claim_database(&db, environment.name.as_str()).await?;
    let hub = hints::open(&config, db.clone(), &url, &dir, None).await?;
    let hub = hub.with_context(|| {
        format!(
            "{} names no forge: write [pubsubhelper.github] or [pubsubhelper.gerrit] (docs/pubsubhelper.md)",
            args.config.display()
        )
    })?;
    // It stays as it is.
    let (_sender, config) = watch::channel(config);
    let admin_token = server::admin_token(&dir)?;
    let access = Access::new(AccessParts { db, config: config.clone(), admin_token, data: dir.clone() });
    let routes = access.with(pubsubhelper::routes(&hub));
    let door = Door::open(&config, &dir, address)?;
    eprintln!("pubsubhelper · environment {} · http://{address}", environment.name);
    let port = match mail {
        Some((listener, address)) => {
            eprintln!("  mail      {address}");
            Some(hints::mail(listener, &door.edge).await?)
        }
        None => None,
    };
    let stop = CancellationToken::new();
    let mut running = hints::run(hub, port);
    let serving = tokio::spawn(door.serve(listener, hints::marked(access.before(routes)), stop.clone()));
    let mut signals = Signals::new()?;
    let ended = tokio::select! {
        () = signals.next() => None,
        error = running.ended() => Some(error),
    };
    stop.cancel();
    let _ = serving.await;
    match ended {
        Some(error) => Err(error),
        None => {
            running.stop().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
