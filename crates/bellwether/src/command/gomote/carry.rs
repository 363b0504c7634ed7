//! Files to a machine and from it.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use axum::body::Body;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use gomote::{ReadTgzToUrlRequest, UploadFileRequest, WriteFileFromUrlRequest, WriteTgzFromUrlRequest};
use http::{Request, header};
use tokio::io::AsyncRead;
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;

use super::desk::Desk;
use super::several;
use crate::args::{Gettar, Put, Puttar};

/// A piece of a file.
const PIECE: usize = 256 << 10;

pub(super) async fn put(args: &Put) -> Result<()> {
    let desk = Desk::new(&args.server)?;
    let own = match args.source.as_str() {
        "-" => 0o666,
        file => {
            std::fs::metadata(file).with_context(|| format!("reading {file}"))?.permissions().mode() & 0o777
        }
    };
    let mode = match &args.mode {
        Some(text) => {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
            mode.with_context(|| format!("--mode {text}: three octal digits, such as 755"))?
        }
        None => own,
    };
    let filename = match (&args.dest, args.source.as_str()) {
        (Some(dest), _) => dest.clone(),
        (None, "-") => bail!("say where it lies there: gomote put NAME - DEST"),
        (None, file) => {
            let name = Path::new(file).file_name().with_context(|| format!("{file} is no file"))?;
            name.to_string_lossy().into_owned()
        }
    };
    ensure!(
        names_a_file(&filename),
        "{filename:?} is a directory, and put writes one file: say its name there, such as {}",
        within(&filename, &args.source)
    );
    let names = several::all(&desk, &args.server, &args.name).await?;
    let url = upload(&desk, source(&args.source).await?).await?;
    several::each(names, async |gomote_id| {
        let (url, filename) = (url.clone(), filename.clone());
        let request = WriteFileFromUrlRequest { gomote_id, url, filename, mode };
        desk.done(|mut api| async move { api.write_file_from_url(request).await }).await
    })
    .await?;
    Ok(())
}

/// Whether a path there can be a file's, whatever is there already.
fn names_a_file(path: &str) -> bool {
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    !matches!(last, "" | "." | "..")
}

/// A file of the same name in a directory there.
fn within(dir: &str, source: &str) -> String {
    let name = match source {
        "-" => "FILE".into(),
        file => Path::new(file).file_name().map_or("FILE".into(), |name| name.to_string_lossy()),
    };
    match dir.strip_suffix("/.").unwrap_or(dir).trim_end_matches(['/', '\\']) {
        "" | "." => name.into_owned(),
        dir => format!("{dir}/{name}"),
    }
}

pub(super) async fn puttar(args: &Puttar) -> Result<()> {
    let desk = Desk::new(&args.server)?;
    let names = several::all(&desk, &args.server, &args.name).await?;
    let url = upload(&desk, source(&args.source).await?).await?;
    several::each(names, async |name| unpack(&desk, name, url.clone(), args.dir.clone()).await).await?;
    Ok(())
}

/// Has an uploaded archive unpacked.
pub(super) async fn unpack(desk: &Desk, gomote_id: String, url: String, directory: String) -> Result<()> {
    let request = WriteTgzFromUrlRequest { gomote_id, url, directory };
    desk.done(|mut api| async move { api.write_tgz_from_url(request).await }).await?;
    Ok(())
}

async fn source(name: &str) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    if name == "-" {
        ensure!(!std::io::stdin().is_terminal(), "stdin is a terminal; name a file, or send one: … < FILE");
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("reading stdin")?;
        return Ok(Box::new(tokio::fs::File::from_std(stdin.into())));
    }
    Ok(Box::new(tokio::fs::File::open(name).await.with_context(|| format!("reading {name}"))?))
}

/// Uploads a file, and returns the address by which the server knows it.
pub(super) async fn upload(desk: &Desk, file: impl AsyncRead + Send + Unpin + 'static) -> Result<String> {
    let form = desk.done(|mut api| async move { api.upload_file(UploadFileRequest {}).await }).await?;
    let boundary = format!("bellwether-{}", form.object_name);
    let mut head = String::new();
    for (name, value) in &form.fields {
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    head.push_str(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\r\n"
    ));
    let once = |text: String| stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(text)) });
    let pieces = ReaderStream::with_capacity(file, PIECE);
    let body = once(head).chain(pieces).chain(once(format!("\r\n--{boundary}--\r\n")));
    let request = Request::post(path(&form.url)?)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
        .body(Body::from_stream(Box::pin(body)))
        .context("the server gave a form that can't be posted")?;
    desk.files.send_ok(request).await.context("uploading")?;
    Ok(format!("{}{}", form.url, form.object_name))
}

/// The part of an address that comes after the server's own.
fn path(url: &str) -> Result<String> {
    let uri: http::Uri =
        url.parse().with_context(|| format!("the server gave an address that is none: {url}"))?;
    Ok(uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string))
}

pub(super) async fn gettar(args: &Gettar) -> Result<()> {
    let desk = Desk::new(&args.server)?;
    let gomote_id = several::one(&args.name)?;
    let file = match args.output.as_deref() {
        Some("-") => None,
        Some(file) => Some(file.to_owned()),
        None if std::io::stdout().is_terminal() => Some(format!("{gomote_id}.tar.gz")),
        None => None,
    };
    let request = ReadTgzToUrlRequest { gomote_id, directory: args.dir.clone() };
    let made = desk.done(|mut api| async move { api.read_tgz_to_url(request).await }).await?;
    let request = Request::get(path(&made.url)?).body(Body::empty()).context("an address")?;
    let body = desk.files.send_ok(request).await.context("fetching the archive")?.into_body();
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    match file {
        None => copied(bytes, &mut std::io::stdout().lock()).await.context("writing to stdout")?,
        Some(name) => {
            let partial = format!("{name}.partial");
            let mut out = std::fs::File::create(&partial).with_context(|| format!("writing {partial}"))?;
            copied(bytes, &mut out).await.with_context(|| format!("writing {partial}"))?;
            std::fs::rename(&partial, &name).with_context(|| format!("writing {name}"))?;
            eprintln!("{name}");
        }
    }
    Ok(())
}

async fn copied(
    bytes: impl Stream<Item = std::io::Result<Bytes>>,
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let mut bytes = std::pin::pin!(bytes);
    while let Some(piece) = bytes.next().await {
        out.write_all(&piece?)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_by_its_name() {
        for dir in ["", ".", "..", "a/", "a/.", "a/..", "/", "a\\"] {
            assert!(!names_a_file(dir), "{dir:?}");
        }
        for file in ["a", ".a", "a/b", "a/.b", "..."] {
            assert!(names_a_file(file), "{file:?}");
        }
        for (dir, source, said) in [
            (".", "x/f", "f"),
            ("a/", "f", "a/f"),
            ("a/.", "f", "a/f"),
            ("", "f", "f"),
            (".", "-", "FILE"),
            ("..", "f", "../f"),
        ] {
            assert_eq!(within(dir, source), said, "{dir:?} {source:?}");
        }
    }
}
