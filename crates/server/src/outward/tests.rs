//! Whom connections are made to, and what is said where they are not.

use super::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, generate_simple_self_signed,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

impl Trust {
    /// Whoever has this certificate, and nobody else.
    pub(crate) fn only(pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        Self(Arc::new(roots))
    }
}

fn nobody() -> Trust {
    Trust::towards(&["http://a".parse().unwrap()]).unwrap()
}

async fn ask(connector: Connector, url: &str) -> Result<http::Version> {
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let answer = client.request(Request::get(url).body(Empty::<Bytes>::new())?).await?;
    Ok(answer.version())
}

async fn why(connector: Connector, url: &str) -> String {
    format!("{:#}", ask(connector, url).await.unwrap_err())
}

fn ok(_: Request<Bytes>) -> Response<Full<Bytes>> {
    Response::default()
}

#[tokio::test]
async fn a_trusted_server_is_spoken_to_in_the_protocol_asked_for() {
    let both = tls::serve("127.0.0.1", &[HTTP2, HTTP1], ok).await;
    let trust = Trust::only(&both.certificate);
    let version = ask(Connector::new(&trust, HTTP1), &both.url).await.unwrap();
    assert_eq!(version, http::Version::HTTP_11);
    let version = ask(Connector::new(&trust, HTTP2), &both.url).await.unwrap();
    assert_eq!(version, http::Version::HTTP_2);
    let old = tls::serve("127.0.0.1", &[HTTP1], ok).await;
    let connector = Connector::new(&Trust::only(&old.certificate), HTTP2);
    let error = why(connector, &old.url).await;
    assert!(error.contains("no TLS with 127.0.0.1: "), "{error}");
}

#[tokio::test]
async fn whoever_is_not_trusted_is_named_with_the_reason() {
    let one = tls::serve("127.0.0.1", &[], ok).await;
    let other = tls::serve("other.example", &[], ok).await;
    for trust in [nobody(), Trust::only(&other.certificate)] {
        let error = why(Connector::new(&trust, HTTP1), &one.url).await;
        assert!(error.contains("the certificate of 127.0.0.1 is not trusted"), "{error}");
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
    }
    let trust = Trust::only(&other.certificate);
    let error = why(Connector::new(&trust, HTTP1), &other.url).await;
    assert!(
        error.contains("127.0.0.1 is not trusted") && error.contains("other.example"),
        "{error}"
    );
    assert!(!error.contains("SSL_CERT_FILE"), "its issuer is trusted: {error}");
}

#[tokio::test]
async fn a_certificate_for_a_ca_is_refused_with_what_to_do() {
    let signing_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&signing_key).unwrap();
    let server = tls::serve_as(CertifiedKey { cert, signing_key }, &[], ok).await;
    let connector = Connector::new(&Trust::only(&server.certificate), HTTP1);
    let error = why(connector, &server.url).await;
    assert!(error.contains("give the server another that this CA signed"), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_during_the_handshake() {
    // The kernel accepts; nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut connector = Connector::new(&nobody(), HTTP1);
    connector.timeout = Duration::from_millis(20);
    let error = why(connector, &url).await;
    assert!(error.contains("127.0.0.1 accepts no connection within 20ms"), "{error}");
}

#[test]
fn built_in_certificates_are_trusted_only_where_the_system_has_none() {
    let none = CertificateResult::default;
    assert!(Trust::of_system(none(), false).unwrap().0.len() > 50);
    let error = Trust::of_system(none(), true).unwrap_err().to_string();
    assert!(error.contains("SSL_CERT_FILE"), "{error}");
    let mut one = none();
    let own = generate_simple_self_signed(["a".to_owned()]).unwrap();
    one.certs.push(own.cert.der().clone());
    assert_eq!(Trust::of_system(one, true).unwrap().0.len(), 1);
    assert!(nobody().0.is_empty());
}
