//! A server on loopback that notes what it is asked, and fails as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures::StreamExt as _;
use http::header;
use maintnerd::logs::Logs;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::log::open;

#[derive(Clone, Default)]
pub struct Faults {
    /// Bytes after which the connection of a segment breaks; none at 0.
    pub cut: Arc<AtomicUsize>,
    /// How many of the next requests are answered with 500.
    pub refused: Arc<AtomicUsize>,
    /// How many of the next requests for a segment are.
    pub segments_refused: Arc<AtomicUsize>,
    /// `PATH RANGE` of each request for a segment.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Faults {
    /// What was asked of segments since it was looked at last.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn pass(self, request: Request, next: Next) -> axum::response::Response {
        let path = request.uri().path().to_owned();
        let range = request.headers().get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
        let of_segment = path != "/logs";
        if of_segment {
            let short = path.split('.').next().unwrap();
            self.asked.lock().unwrap().push(format!("{short} {}", range.unwrap_or_default()));
        }
        let counts = |left: &AtomicUsize| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        };
        if counts(&self.refused) || of_segment && counts(&self.segments_refused) {
            return http::Response::builder().status(500).body(Body::empty()).unwrap();
        }
        let response = next.run(request).await;
        let cut = self.cut.load(Ordering::SeqCst);
        if cut == 0 || !of_segment {
            return response;
        }
        let mut left = cut;
        response.map(|body| {
            let pieces = body.into_data_stream().flat_map(move |piece| {
                let mut piece = piece.unwrap();
                let cuts = piece.len() > left;
                piece.truncate(left);
                left -= piece.len();
                let end = cuts.then(|| Err(std::io::Error::other("cut")));
                futures::stream::iter([Ok(piece)].into_iter().chain(end))
            });
            // What was sent before it is on its way when the connection breaks.
            let pieces = pieces.then(|piece| async {
                if piece.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                piece
            });
            Body::from_stream(pieces)
        })
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub faults: Faults,
    runtime: Option<Runtime>,
}

impl Server {
    pub async fn start(logs: &Logs) -> Self {
        Self::at(logs, ([127, 0, 0, 1], 0).into(), Faults::default()).await
    }

    async fn at(logs: &Logs, address: SocketAddr, faults: Faults) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let with = faults.clone();
        let router = open(logs).layer(from_fn(move |request, next| with.clone().pass(request, next)));
        let (tell, told) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self { address: told.await.unwrap(), faults, runtime: Some(runtime) }
    }

    /// Ends it, with its connections.
    pub fn stop(self) -> (SocketAddr, Faults) {
        (self.address, self.faults.clone())
    }

    /// Starts it again where it was.
    pub async fn again(logs: &Logs, (address, faults): (SocketAddr, Faults)) -> Self {
        Self::at(logs, address, faults).await
    }

    pub fn index(&self) -> String {
        format!("http://{}/logs", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its tasks end with it, those of connections too.
        self.runtime.take().unwrap().shutdown_background();
    }
}
