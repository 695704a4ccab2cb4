//! Servers that speak TLS on loopback, each with a certificate that it signed itself. Unit tests use
//! them, too.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server, as others see it.
pub(crate) struct Secure {
    pub(crate) url: String,
    /// As PEM.
    pub(crate) certificate: String,
}

/// Offers these protocols by ALPN, and answers whole requests. The certificate is for `name`; the
/// address is 127.0.0.1.
pub(crate) async fn serve<A>(name: &str, protocols: &[&[u8]], answer: A) -> Secure
where
    A: Fn(Request<Bytes>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    serve_as(generate_simple_self_signed([name.to_owned()]).unwrap(), protocols, answer).await
}

/// The same with a certificate that is given.
pub(crate) async fn serve_as<A>(
    identity: CertifiedKey<KeyPair>,
    protocols: &[&[u8]],
    answer: A,
) -> Secure
where
    A: Fn(Request<Bytes>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    let CertifiedKey { cert, signing_key } = identity;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![cert.der().clone()], key.into()).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                // Whoever does not trust it goes away.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answer = service_fn(move |request: Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(answer(Request::from_parts(head, body)))
                    }
                });
                let builder = Builder::new(TokioExecutor::new());
                let builder = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => builder.http2_only(),
                    _ => builder.http1_only(),
                };
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Secure { url, certificate: cert.pem() }
}
