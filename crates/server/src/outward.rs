//! Connections to others, with TLS where an address is of https: whose certificates are trusted,
//! and what is said of one that is not.

use crate::limits::OUTWARD_CONNECT_TIMEOUT;
use anyhow::{Result, anyhow, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_native_certs::CertificateResult;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower::Service;

/// What is spoken over TLS, by the names of ALPN.
pub(crate) const HTTP1: &[u8] = b"http/1.1";
/// The same for gRPC.
pub(crate) const HTTP2: &[u8] = b"h2";

/// They say where the certificates of this system are.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// So a certificate is refused that may sign others, such as `openssl req -x509` makes.
const OF_CA: &str = "CaUsedAsEndEntity";

/// Whose certificates are trusted.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<RootCertStore>);

impl Trust {
    /// What is needed for requests to these addresses: nobody is trusted without one of https.
    pub(crate) fn towards<'a>(addresses: impl IntoIterator<Item = &'a Uri>) -> Result<Self> {
        if !addresses.into_iter().any(|uri| uri.scheme() == Some(&Scheme::HTTPS)) {
            return Ok(Self(Arc::new(RootCertStore::empty())));
        }
        let is_named = VARIABLES.iter().any(|name| std::env::var_os(name).is_some());
        Self::of_system(rustls_native_certs::load_native_certs(), is_named)
    }

    /// What the system trusts. Where it has nothing, and nobody said where it is, those that
    /// Mozilla trusts.
    fn of_system(found: CertificateResult, is_named: bool) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("; ");
        ensure!(
            !is_named || !roots.is_empty(),
            "no certificates are where SSL_CERT_FILE or SSL_CERT_DIR say: {errors}; name a PEM \
             file, or unset them"
        );
        if !errors.is_empty() {
            tracing::warn!("some certificates of this system are not trusted: {errors}");
        }
        if roots.is_empty() {
            tracing::info!("this system has no certificates; those that are built in are trusted");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// Connects to the host of an address, in limited time.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Connector {
    /// Over TLS nothing but `protocol` is spoken.
    pub(crate) fn new(trust: &Trust, protocol: &[u8]) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Shared among the addresses of a host, so that one that is silent leaves time for others.
        http.set_connect_timeout(Some(OUTWARD_CONNECT_TIMEOUT));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("ring has their ciphers");
        let mut config = config.with_root_certificates(Arc::clone(&trust.0)).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { https: HttpsConnector::from((http, config)), timeout: OUTWARD_CONNECT_TIMEOUT }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = anyhow::Error;
    type Future = BoxFuture<'static, Result<Self::Response>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.https.poll_ready(context).map_err(anyhow::Error::from_boxed)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connecting = tokio::time::timeout(timeout, self.https.call(uri.clone()));
        async move {
            let host = uri.host().unwrap_or_default();
            match connecting.await {
                Ok(connected) => connected.map_err(|error| explained(host, error)),
                Err(_) => Err(anyhow!("{host} accepts no connection within {timeout:?}")),
            }
        }
        .boxed()
    }
}

/// What is wrong with TLS is said with whose it is, and what to do.
fn explained(host: &str, error: Box<dyn Error + Send + Sync>) -> anyhow::Error {
    use CertificateError::{BadSignature, UnknownIssuer};
    match of_tls(&*error) {
        Some(rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)) => anyhow!(
            "the certificate of {host} is not trusted: nobody whom this system knows signed it; \
             if your own CA did, name a file with its certificate in SSL_CERT_FILE"
        ),
        Some(rustls::Error::InvalidCertificate(why)) if why.to_string().contains(OF_CA) => anyhow!(
            "the certificate of {host} is not trusted: it is one for a CA; give the server another \
             that this CA signed"
        ),
        Some(rustls::Error::InvalidCertificate(why)) => {
            anyhow!("the certificate of {host} is not trusted: {why}")
        }
        Some(why) => anyhow!("no TLS with {host}: {why}"),
        None => anyhow::Error::from_boxed(error),
    }
}

/// The error of TLS that I/O failed with.
fn of_tls<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error = match inner {
            Some(inner) => inner,
            None => error.source()?,
        };
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../tests/it/tls.rs"]
pub(crate) mod tls;
