//! What lasts longer than a request ends when what was shown for it counts no longer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header;
use http_body::{Body as _, Frame, SizeHint};
use transport::Standing;

/// Breaks off what is still being answered once the standing ends: a client that reads on asks again, and is told why it
/// may not. An answer of a known length is soon over, and gRPC's streams end with a status of their own.
pub(crate) fn with(standing: &Standing, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc || response.body().size_hint().exact().is_some() || standing.holders() == 0 {
        return response;
    }
    let standing = standing.clone();
    let ended = Box::pin(async move { standing.ended().await });
    response.map(|body| Body::new(Cut { body, ended }))
}

struct Cut {
    body: Body,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(context).is_ready() {
            // Told once, and whoever asks on finds the end.
            (self.body, self.ended) = (Body::empty(), Box::pin(std::future::pending()));
            let why = io::Error::new(io::ErrorKind::PermissionDenied, "what was shown counts no longer");
            return Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
