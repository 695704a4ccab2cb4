//! Which headers go on.

use super::Settings;
use axum::extract::Request;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ingest::auth::is_credential;

/// They are about one connection, or follow from the address and the body.
const OF_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Further ones, for which there are no constants.
const OF_CONNECTION_OLD: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Whether a request came through somebody of this name.
pub(super) fn names(request: &Request, name: &str) -> bool {
    let via = request.headers().get_all(header::VIA);
    let mut via = via.iter().filter_map(|value| value.to_str().ok());
    via.any(|value| value.contains(name))
}

/// The headers of a request that goes on; `via` says through whom.
pub(super) fn onward(given: &HeaderMap, settings: &Settings, via: &HeaderValue) -> HeaderMap {
    let connection = given.get_all(header::CONNECTION);
    let named = connection.iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let is_of_connection = OF_CONNECTION.contains(name)
            || OF_CONNECTION_OLD.contains(&name.as_str())
            || named.iter().any(|other| name.as_str().eq_ignore_ascii_case(other));
        if !is_of_connection && (settings.has_credentials || !is_credential(name)) {
            headers.append(name, value.clone());
        }
    }
    if let Some((name, value)) = &settings.header {
        headers.insert(name, value.clone());
    }
    headers.append(header::VIA, via.clone());
    headers
}
