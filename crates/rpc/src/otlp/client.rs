//! Sends encoded export requests.

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use wire::Message;
use wire::otlp::collector_profiles::ExportProfilesServiceResponse;

use super::EXPORT_PATH;
use crate::bytes_codec::BytesCodec;
use crate::limits;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the server cannot be used.
    #[error("cannot use {endpoint:?} as a gRPC address ({reason}): give http://HOST:PORT")]
    Endpoint {
        /// The address as given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token holds characters that no header may hold.
    #[error("the token cannot be sent: it holds characters other than visible ASCII")]
    Token,
    /// The request is larger than what is ever sent.
    #[error(
        "the request has {size_bytes} bytes, more than the {limit_bytes} that are sent at once"
    )]
    TooLarge {
        /// Size of the encoded request.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The server did not take the request, or could not be reached.
    #[error("the server did not take the profiles ({code}): {message}")]
    Refused {
        /// The gRPC status by name, e.g. `Unavailable`.
        code: String,
        /// What the server, or the transport, says.
        message: String,
        /// Whether sending the same request later can help.
        is_retryable: bool,
    },
    /// The server took a part and says that the rest is not to be sent again.
    #[error("the server refused {rejected} profiles of the request: {message}")]
    PartlyRefused {
        /// Number of profiles refused.
        rejected: i64,
        /// What the server says.
        message: String,
    },
}

impl Error {
    /// Whether sending the same request again later can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Refused { is_retryable: true, .. })
    }
}

/// A client of one server. Clones share the connection, which is made at the first export and
/// again whenever it broke.
#[derive(Clone, Debug)]
pub struct ProfilesClient {
    grpc: Grpc<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl ProfilesClient {
    /// A client of `endpoint` (`http://HOST:PORT`, or `HOST:PORT`) that sends `token` as a bearer
    /// token. Connects when first used; call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Endpoint`] and [`Error::Token`].
    pub fn connect_lazy(endpoint: &str, token: Option<&str>) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Endpoint { endpoint: endpoint.to_owned(), reason };
        if endpoint.starts_with("https://") {
            return Err(refuse("encrypted connections are not supported yet".to_owned()));
        }
        let has_scheme = endpoint.contains("://");
        let uri = if has_scheme { endpoint.to_owned() } else { format!("http://{endpoint}") };
        let channel = Endpoint::from_shared(uri)
            .and_then(|endpoint| endpoint.user_agent(concat!("vesta/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| refuse(error.to_string()))?
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .timeout(limits::EXPORT_TIMEOUT)
            .connect_lazy();
        let authorization = token.map(bearer).transpose()?;
        let grpc = Grpc::new(channel)
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_encoding_message_size(limits::CLIENT_MESSAGE_BYTES_MAX)
            .max_decoding_message_size(limits::CLIENT_MESSAGE_BYTES_MAX);
        Ok(ProfilesClient { grpc, authorization })
    }

    /// Sends one encoded `ExportProfilesServiceRequest`, compressed with gzip, and waits until the
    /// server has acknowledged it.
    ///
    /// # Errors
    /// [`Error::is_retryable`] tells whether to send it again.
    pub async fn export(&self, body: Bytes) -> Result<(), Error> {
        let limit_bytes = limits::CLIENT_MESSAGE_BYTES_MAX;
        if body.len() > limit_bytes {
            return Err(Error::TooLarge { size_bytes: body.len(), limit_bytes });
        }
        let mut request = Request::new(body);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Error::Refused {
            code: "Unavailable".to_owned(),
            message: format!("no connection to the server: {}", chain(&error)),
            is_retryable: true,
        })?;
        let path = PathAndQuery::from_static(EXPORT_PATH);
        let response = grpc.unary(request, path, BytesCodec).await.map_err(refused)?;
        // An answer that cannot be read is still an acknowledgement.
        let answer = ExportProfilesServiceResponse::decode(response.into_inner()).ok();
        match answer.and_then(|answer| answer.partial_success) {
            Some(part) if part.rejected_profiles > 0 => Err(Error::PartlyRefused {
                rejected: part.rejected_profiles,
                message: part.error_message,
            }),
            _ => Ok(()),
        }
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The codes that OTLP calls retryable; a full server (`ResourceExhausted`) is waited for too.
fn refused(status: Status) -> Error {
    let is_retryable = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    let message = match std::error::Error::source(&status) {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None => status.message().to_owned(),
    };
    Error::Refused { code: format!("{:?}", status.code()), message, is_retryable }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
