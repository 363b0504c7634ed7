//! The port of SSH, where one is wanted besides the pages' port.

use std::time::Duration;

use coordinator::Shells;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long is waited when the system gives no connection: it has no files left.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop`, which cuts whoever is there.
pub async fn serve(listener: TcpListener, shells: Shells, stop: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = open.join_next() => {}
            came = listener.accept() => match came {
                Ok((stream, from)) => {
                    // Keys that are typed are not to wait for more.
                    let _ = stream.set_nodelay(true);
                    let shells = shells.clone();
                    open.spawn(async move { shells.serve(stream, from.to_string()).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of SSH could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
