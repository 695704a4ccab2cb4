//! A Unix socket that Datadog's libraries find where their agent's would be.

use super::listen::Listen;
use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use http::{HeaderValue, Uri, header};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Like a port of loopback: whoever is on this machine may connect, tokens decide the rest.
const MODE: u32 = 0o666;

/// A socket; its file goes with it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Listens at `path`. That it cannot is no reason not to start.
pub(super) fn bind(path: &Path) -> Option<Socket> {
    match try_bind(path) {
        Ok(socket) => {
            tracing::info!("Datadog's protocol at {}", path.display());
            Some(socket)
        }
        Err(error) => {
            tracing::warn!(
                "Datadog's protocol is not served at {}: {error}; choose another path with \
                 --datadog-socket",
                path.display()
            );
            None
        }
    }
}

fn try_bind(path: &Path) -> Result<Socket> {
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(Error::new(ErrorKind::AddrInUse, "another agent answers there")),
            // Left behind by one that was killed.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path)?;
    let socket = Socket { listener, path: path.to_owned() };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    Ok(socket)
}

/// The routes as they are asked for over a socket: libraries put anything into the header Host, and
/// no page of a browser gets here, against which it is checked.
pub(super) fn local(routes: Router) -> Router {
    let rename = async |mut request: Request| {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        request
    };
    // Around a router of its own, so that it comes before whoever checks the header.
    Router::new().fallback_service(routes).layer(map_request(rename))
}

impl Listen for Socket {
    type Stream = UnixStream;

    async fn next(&self) -> Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever comes next replaces it where this fails.
        let _ = std::fs::remove_file(&self.path);
    }
}
