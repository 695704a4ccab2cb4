//! From headers to a [`Principal`]: static tokens, or a local admin on loopback.
//!
//! Without tokens whoever is on this machine is the admin; then the Host header must name loopback
//! (against DNS rebinding), and with or without tokens a page of another origin is refused.

use crate::limits::TENANT_BYTES_MAX;
use crate::principal::{Need, Principal, Role, Scope};
use crate::problem::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::{HeaderMap, HeaderName, Method, Uri, header};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Tenant of those who name none.
pub const DEFAULT_TENANT: &str = "default";
/// What Pyroscope's clients call no tenant.
const ANONYMOUS_TENANT: &str = "anonymous";
/// Header in which Pyroscope's clients name their tenant.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// Headers that hold a token and nothing else; the second is that of Datadog's libraries.
const KEY_HEADERS: [&str; 2] = ["x-api-key", "dd-api-key"];

/// Whether a header may hold a token, or other proof of who asks.
pub fn is_credential(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION
        || *name == header::COOKIE
        || KEY_HEADERS.contains(&name.as_str())
}

/// A token as configured.
#[derive(Clone, Debug)]
pub struct Token {
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    /// Shown to its user and in logs.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Tenant of requests that name none.
    pub tenant: String,
    /// Further tenants that requests may name; `*` stands for any.
    pub tenants: Vec<String>,
}

/// SHA-256 of a token's text.
pub fn hash_token(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A route and what it needs. Routes that are in no rule are refused.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `GET` (covers `HEAD`) or `POST`.
    pub method: &'static str,
    /// Path as the router knows it.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
}

/// How principals are recognised.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    tokens: Vec<Token>,
    rules: Vec<Rule>,
}

impl Auth {
    /// Tokens (none means: local admin on loopback) and the rules of all routes.
    pub fn new(tokens: Vec<Token>, rules: Vec<Rule>) -> Self {
        Self { tokens, rules }
    }

    /// Whether whoever is on this machine is the admin.
    pub fn is_local(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What a route needs; `None` when no rule names it.
    pub fn need(&self, method: &Method, path: &str) -> Option<Need> {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let rule = self.rules.iter().find(|rule| rule.method == method && rule.path == path);
        rule.map(|rule| rule.need)
    }

    /// Who asks.
    pub fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let asked = header_text(headers, TENANT_HEADER).filter(|name| !name.is_empty());
        if asked.is_none() && headers.get(TENANT_HEADER).is_some_and(|name| !name.is_empty()) {
            // Taken for none, it would lead to somebody else's data.
            return Err(wrong_tenant("(unreadable)"));
        }
        if self.is_local() {
            return local_principal(asked);
        }
        let Some(text) = presented(headers) else {
            return Err(Problem::unauthenticated("the request carries no token"));
        };
        let hash = hash_token(&text);
        // Every token is compared, each in constant time, so that timing tells nothing.
        let mut found = None;
        for token in &self.tokens {
            if is_equal(&token.sha256, &hash) {
                found = Some(token);
            }
        }
        let Some(token) = found else {
            return Err(Problem::unauthenticated("the token is not known here"));
        };
        let tenant = match asked {
            None => token.tenant.clone(),
            Some(name) if name == ANONYMOUS_TENANT || name == token.tenant => token.tenant.clone(),
            Some(name) if name.len() <= TENANT_BYTES_MAX && token.reaches(name) => name.to_owned(),
            Some(name) => return Err(wrong_tenant(name)),
        };
        let name = token.name.clone();
        Ok(Principal { tenant, role: token.role, scope: Scope::Tenant, name })
    }

    /// Who asks, if they may do what `need` says.
    pub fn admit(&self, headers: &HeaderMap, need: Need) -> Result<Principal, Problem> {
        let principal = self.principal(headers)?;
        if principal.role.covers(need) {
            return Ok(principal);
        }
        let detail = format!("the role {} may not do this", principal.role.name());
        Err(Problem::forbidden(detail, "use a token of another role"))
    }

    /// Refuses requests that a foreign page makes a browser send.
    pub fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = uri.authority().map(|authority| authority.as_str().to_owned());
        let host = host.or_else(|| header_text(headers, header::HOST.as_str()).map(str::to_owned));
        let host = host.unwrap_or_default();
        if self.is_local() && !is_loopback_name(&host) {
            let detail = format!("the Host header {host:?} does not name this machine's loopback");
            let hint = "open http://127.0.0.1 or http://localhost with the server's port, or \
                        configure tokens ([[auth.tokens]]) to use other names";
            return Err(Problem::forbidden(detail, hint));
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = header_text(headers, header::ORIGIN.as_str()).unwrap_or_default();
            let of_origin = origin.split_once("://").map_or("", |(_, host)| host);
            if !of_origin.eq_ignore_ascii_case(&host) {
                let detail = format!("the origin {origin:?} is not {host:?}");
                return Err(Problem::forbidden(detail, "use the page that this server serves"));
            }
        }
        if header_text(headers, "sec-fetch-site") == Some("cross-site")
            && header_text(headers, "sec-fetch-mode") != Some("navigate")
        {
            let detail = "the request comes from a page of another site";
            return Err(Problem::forbidden(detail, "use the page that this server serves"));
        }
        Ok(())
    }
}

impl Token {
    fn reaches(&self, tenant: &str) -> bool {
        self.tenants.iter().any(|have| have == tenant || have == "*")
    }
}

fn wrong_tenant(name: &str) -> Problem {
    let detail = format!("the tenant {name:?} in X-Scope-OrgID is not open to this request");
    Problem::forbidden(detail, "leave the header out, or use a token that lists this tenant")
}

fn local_principal(asked: Option<&str>) -> Result<Principal, Problem> {
    match asked {
        None | Some(ANONYMOUS_TENANT | DEFAULT_TENANT) => Ok(Principal {
            tenant: DEFAULT_TENANT.to_owned(),
            role: Role::Admin,
            scope: Scope::Tenant,
            name: "local admin".to_owned(),
        }),
        Some(name) => Err(wrong_tenant(name)),
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The token a request presents: X-Api-Key, DD-API-KEY, Bearer or Basic's password.
fn presented(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = KEY_HEADERS.iter().find_map(|name| header_text(headers, name)) {
        return Some(key.to_owned());
    }
    let (scheme, rest) = header_text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0_u8, |found, (a, b)| found | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The layer in front of all routes: refuses foreign pages, unknown principals, wrong roles, and
/// every route that no rule names; puts the principal where routes take it from.
pub async fn guard(State(auth): State<Arc<Auth>>, mut request: Request, next: Next) -> Response {
    if let Err(problem) = auth.check_origin(request.uri(), request.headers()) {
        return problem.into_response();
    }
    // What matches no route is a file of the page or answered with 404; both need nobody.
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let Some(need) = auth.need(request.method(), path.as_str()) else {
        let detail = format!("{} is not open for {}", path.as_str(), request.method());
        let status = http::StatusCode::METHOD_NOT_ALLOWED;
        let title = "Method not allowed";
        let hint = "see /api/v1/openapi.json for what there is";
        return Problem::new(status, "/problems/method", title, detail, hint).into_response();
    };
    if need == Need::Public {
        return next.run(request).await;
    }
    match auth.admit(request.headers(), need) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The layer in front of gRPC, whose handler asks for the principal itself: refuses foreign pages.
pub async fn own_pages_only(
    State(auth): State<Arc<Auth>>,
    request: Request,
    next: Next,
) -> Response {
    match auth.check_origin(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
#[path = "auth/tests.rs"]
mod tests;
