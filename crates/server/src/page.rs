//! The page and its files, embedded in the binary.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use ingest::Problem;

struct File {
    path: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What the page may do: only what this server itself serves.
const CSP: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; \
    object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Answers what no route does: a file of the page, the page itself for the addresses of its views,
/// or 404.
pub(crate) async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || path.starts_with("/api/") || path == "/api" {
        return api::no_such_route(path).into_response();
    }
    let name = if path == "/" { "/index.html" } else { path };
    if let Some(file) = FILES.iter().find(|file| file.path == name) {
        return answer(file, request.headers());
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let index = FILES.iter().find(|file| file.path == "/index.html");
    match index {
        Some(index) if accepts_html(request.headers()) && !last.contains('.') => {
            answer(index, request.headers())
        }
        _ => {
            let detail = format!("there is nothing at {path}");
            Problem::not_found(detail, "the page is at /, the API under /api/v1").into_response()
        }
    }
}

/// Answers what is no route of a port that has no page.
pub(crate) async fn not_here(request: Request) -> Response {
    let detail = format!("there is nothing at {} on this port", request.uri().path());
    let hint = "this port takes what its protocol has for profiles; the page, the API and all uploads are on \
                the main port (4040 where none was chosen)";
    Problem::not_found(detail, hint).into_response()
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_known = text(header::IF_NONE_MATCH).is_some_and(|tags| tags.contains(file.etag));
    let accepts_gzip = text(header::ACCEPT_ENCODING).is_some_and(|all| all.contains("gzip"));
    let packed = file.gzip.filter(|_| accepts_gzip);
    let body = if is_known { &[] } else { packed.unwrap_or(file.plain) };
    let mut response = Response::new(Body::from(body));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let is_page = file.path == "/index.html";
    let caching = if file.path.starts_with("/assets/") { IMMUTABLE } else { "no-cache" };
    let mut set =
        |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, media_type(file.path));
    set(header::ETAG, file.etag);
    set(header::CACHE_CONTROL, caching);
    set(header::VARY, "accept-encoding");
    if packed.is_some() && !is_known {
        set(header::CONTENT_ENCODING, "gzip");
    }
    if is_page {
        set(header::CONTENT_SECURITY_POLICY, CSP);
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::X_FRAME_OPTIONS, "DENY");
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str, accept: &str) -> Response {
        let request = Request::builder().uri(path).header(header::ACCEPT, accept);
        serve(request.body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn views_get_the_page_and_missing_files_do_not() {
        let page = get("/services", "text/html,*/*").await;
        assert_eq!(page.status(), StatusCode::OK);
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"));
        for (path, accept) in
            [("/assets/gone.js", "text/html"), ("/services", "*/*"), ("/api/v1/gone", "text/html")]
        {
            assert_eq!(get(path, accept).await.status(), StatusCode::NOT_FOUND, "{path} {accept}");
        }
    }

    #[tokio::test]
    async fn a_known_file_is_not_sent_again() {
        let page = get("/", "text/html").await;
        let etag = page.headers()[header::ETAG].clone();
        let request = Request::builder().uri("/").header(header::IF_NONE_MATCH, etag);
        let again = serve(request.body(Body::empty()).unwrap()).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
}
