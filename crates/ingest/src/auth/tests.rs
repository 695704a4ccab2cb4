//! Tokens, tenants, hosts and origins.

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
}

fn with_tokens() -> Auth {
    let token = |text: &str, role, tenants: &[&str]| Token {
        sha256: hash_token(text),
        name: text.to_owned(),
        role,
        tenant: "team".to_owned(),
        tenants: tenants.iter().map(|&name| name.to_owned()).collect(),
    };
    let tokens = vec![
        token("reader", Role::Viewer, &[]),
        token("sender", Role::Ingest, &["other"]),
        token("root", Role::Admin, &["*"]),
    ];
    Auth::new(tokens, Vec::new())
}

#[test]
fn a_token_is_read_from_bearer_basic_and_key() {
    let auth = with_tokens();
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("me:reader"));
    for pairs in [
        [("authorization", "Bearer reader")],
        [("authorization", "bearer reader")],
        [("authorization", basic.as_str())],
        [("x-api-key", "reader")],
    ] {
        assert_eq!(auth.principal(&headers(&pairs)).unwrap().role, Role::Viewer, "{pairs:?}");
    }
    for pairs in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Basic !!!")],
        vec![("authorization", "reader")],
        vec![("x-api-key", "")],
    ] {
        let status = auth.principal(&headers(&pairs)).unwrap_err().status;
        assert_eq!(status, http::StatusCode::UNAUTHORIZED, "{pairs:?}");
    }
}

#[test]
fn a_tenant_header_is_honoured_as_far_as_the_token_allows() {
    let auth = with_tokens();
    let tenant = |token: &str, asked: &str| {
        let pairs = [("x-api-key", token), ("x-scope-orgid", asked)];
        auth.principal(&headers(&pairs)).map(|principal| principal.tenant).ok()
    };
    assert_eq!(tenant("reader", "anonymous").as_deref(), Some("team"));
    assert_eq!(tenant("reader", "team").as_deref(), Some("team"));
    assert_eq!(tenant("reader", "other"), None);
    assert_eq!(tenant("sender", "other").as_deref(), Some("other"));
    assert_eq!(tenant("root", "any").as_deref(), Some("any"));
    let mut unreadable = headers(&[("x-api-key", "root")]);
    unreadable.insert("x-scope-orgid", http::HeaderValue::from_bytes(b"t\xe9am").unwrap());
    assert!(auth.principal(&unreadable).is_err(), "what cannot be read is not the own tenant");
    let long = "x".repeat(TENANT_BYTES_MAX + 1);
    assert_eq!(tenant("root", &long), None);
    let local = Auth::default();
    assert!(local.principal(&headers(&[("x-scope-orgid", "anonymous")])).is_ok());
    assert!(local.principal(&headers(&[("x-scope-orgid", "other")])).is_err());
}

#[test]
fn without_tokens_only_loopback_names_and_the_own_page_pass() {
    let auth = Auth::default();
    let uri = Uri::from_static("/api/v1/me");
    let pass = |pairs: &[(&'static str, &str)]| auth.check_origin(&uri, &headers(pairs)).is_ok();
    for host in ["127.0.0.1:4040", "localhost:4040", "[::1]:4040", "LOCALHOST", "127.1.2.3"] {
        assert!(pass(&[("host", host)]), "{host}");
    }
    for host in ["evil.example:4040", "127.0.0.1.evil.example", "", "10.0.0.1:4040"] {
        assert!(!pass(&[("host", host)]), "{host}");
    }
    assert!(pass(&[("host", "localhost:4040"), ("origin", "http://localhost:4040")]));
    for origin in ["http://evil.example", "null", "http://localhost:8080"] {
        assert!(!pass(&[("host", "localhost:4040"), ("origin", origin)]), "{origin}");
    }
    let mut unreadable = headers(&[("host", "localhost:4040")]);
    unreadable.insert("origin", http::HeaderValue::from_bytes(b"http://\xff").unwrap());
    assert!(auth.check_origin(&uri, &unreadable).is_err());
    let cross =
        [("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")];
    assert!(!pass(&cross));
}

#[test]
fn each_role_covers_what_its_name_says() {
    let covered = |role: Role| {
        let needs = [Need::Public, Need::Read, Need::Upload, Need::Observe];
        needs.map(|need| role.covers(need))
    };
    assert_eq!(covered(Role::Viewer), [true, true, false, false]);
    assert_eq!(covered(Role::Ingest), [true, false, true, false]);
    assert_eq!(covered(Role::Operator), [true, true, true, true]);
    assert_eq!(covered(Role::Admin), [true, true, true, true]);
}
