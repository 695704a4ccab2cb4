//! Unary calls as the clients of Connect, gRPC and gRPC-Web make them, on any HTTP server: which of
//! them a request speaks, the message in its body, and the answer in the same words.
//!
//! Contract: <https://connectrpc.com/docs/protocol/>, gRPC over HTTP/2, and gRPC-Web. Streams are
//! not spoken here.

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write;
use wire::Message;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Connect with protobuf.
    Proto,
    /// Connect with JSON.
    Json,
    /// gRPC.
    Grpc,
    /// gRPC-Web, not as base64.
    GrpcWeb,
}

/// Flag of the frame of gRPC-Web that holds the trailers.
const TRAILERS: u8 = 0x80;

/// An error as Connect writes it.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

/// The same reason in three systems: Connect's name, gRPC's number, Connect's HTTP status.
struct Code(&'static str, u8, StatusCode);

impl Code {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self("unauthenticated", 16, status),
            StatusCode::FORBIDDEN => Self("permission_denied", 7, status),
            StatusCode::NOT_FOUND => Self("not_found", 5, status),
            StatusCode::CONFLICT => Self("aborted", 10, status),
            StatusCode::REQUEST_TIMEOUT => {
                Self("deadline_exceeded", 4, StatusCode::GATEWAY_TIMEOUT)
            }
            // Its own status tells clients that sending it again does not help.
            StatusCode::PAYLOAD_TOO_LARGE => Self("resource_exhausted", 8, status),
            StatusCode::TOO_MANY_REQUESTS => Self("resource_exhausted", 8, status),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self("invalid_argument", 3, status),
            StatusCode::SERVICE_UNAVAILABLE => Self("unavailable", 14, status),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Self("unimplemented", 12, StatusCode::NOT_IMPLEMENTED)
            }
            status if status.is_client_error() => {
                Self("invalid_argument", 3, StatusCode::BAD_REQUEST)
            }
            _ => Self("internal", 13, StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Dialect {
    /// What a request speaks, by its content type; `None` where it is another one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/proto" | "application/x-protobuf" | "application/protobuf" => {
                Some(Self::Proto)
            }
            "application/json" => Some(Self::Json),
            "application/grpc" | "application/grpc+proto" => Some(Self::Grpc),
            "application/grpc-web" | "application/grpc-web+proto" => Some(Self::GrpcWeb),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Proto => "application/proto",
            Self::Json => "application/json",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web+proto",
        }
    }

    /// The message of a body, still compressed where the headers or the frame say so.
    ///
    /// # Errors
    /// What is wrong with the frame, in words.
    pub fn unframe(self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, String> {
        match self {
            Self::Proto | Self::Json => Ok(body),
            Self::Grpc | Self::GrpcWeb => {
                let message = crate::otlp::unframe(headers, body);
                message.map_err(|rejection| rejection.message)
            }
        }
    }

    /// Reads a message without its compression.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn read<M: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<M, String> {
        match self {
            // Connect sends no body at all for a message without a value.
            Self::Json if body.iter().all(u8::is_ascii_whitespace) => Ok(M::default()),
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Proto | Self::Grpc | Self::GrpcWeb => {
                M::decode(body).map_err(|error| error.to_string())
            }
        }
    }

    /// A successful answer.
    pub fn answer<M: Message + Serialize>(self, message: &M) -> Response {
        let ok = HeaderValue::from_static("0");
        match self {
            Self::Json => match serde_json::to_vec(message) {
                Ok(body) => self.response(Body::from(body)),
                Err(error) => self.refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            Self::Proto => self.response(Body::from(message.encode_to_vec())),
            Self::Grpc => {
                let body = Full::new(frame(0, &message.encode_to_vec()));
                let trailers = HeaderMap::from_iter([(GRPC_STATUS, ok)]);
                let trailers = std::future::ready(Some(Ok(trailers)));
                self.response(Body::new(body.with_trailers(trailers)))
            }
            Self::GrpcWeb => {
                let message = frame(0, &message.encode_to_vec());
                let trailers = frame(TRAILERS, b"grpc-status: 0\r\n");
                self.response(Body::from([message, trailers].concat()))
            }
        }
    }

    fn response(self, body: Body) -> Response {
        let mut response = Response::new(body);
        let kind = HeaderValue::from_static(self.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// A refusal for the reason that `status` names; `message` says what, where and what to do.
    pub fn refuse(self, status: StatusCode, message: &str) -> Response {
        let Code(name, number, status) = Code::of(status);
        match self {
            Self::Proto | Self::Json => {
                // An error is JSON whatever the request was.
                let body = serde_json::to_vec(&ErrorBody { code: name, message });
                let mut response = Self::Json.response(Body::from(body.unwrap_or_default()));
                *response.status_mut() = status;
                response
            }
            Self::Grpc | Self::GrpcWeb => {
                let mut response = self.response(Body::empty());
                let headers = response.headers_mut();
                headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(number)));
                if let Ok(message) = HeaderValue::from_str(&percent_encoded(message)) {
                    headers.insert("grpc-message", message);
                }
                response
            }
        }
    }
}

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");

fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(flag);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Text as gRPC writes it in a header.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::pyroscope::{LabelValuesRequest, ProfileType, ProfileTypesResponse};

    fn headers(content_type: &str) -> HeaderMap {
        [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect()
    }

    fn collected(response: Response) -> (Vec<u8>, Option<HeaderMap>) {
        let body = response.into_body().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body).unwrap();
        let trailers = body.trailers().cloned();
        (body.to_bytes().to_vec(), trailers)
    }

    #[test]
    fn the_dialect_follows_from_the_content_type() {
        let of = |text| Dialect::of(&headers(text));
        assert_eq!(of("application/proto"), Some(Dialect::Proto));
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(Dialect::Json));
        assert_eq!(of("application/grpc"), Some(Dialect::Grpc));
        assert_eq!(of("application/grpc-web+proto"), Some(Dialect::GrpcWeb));
        assert_eq!(of("application/connect+proto"), None, "a stream");
        assert_eq!(Dialect::of(&HeaderMap::new()), None);
    }

    #[test]
    fn one_message_reads_the_same_in_json_and_protobuf() {
        let wanted = LabelValuesRequest {
            name: "service_name".to_owned(),
            matchers: vec!["{}".to_owned()],
            start: 1_700_000_000_000,
            end: -1,
        };
        let json = br#"{"name":"service_name","matchers":["{}"],"start":"1700000000000","end":-1}"#;
        assert_eq!(Dialect::Json.read::<LabelValuesRequest>(json), Ok(wanted.clone()));
        let proto = wanted.encode_to_vec();
        assert_eq!(Dialect::Proto.read::<LabelValuesRequest>(&proto), Ok(wanted));
        assert_eq!(Dialect::Json.read(b" "), Ok(LabelValuesRequest::default()));
        for bad in [&b"{"[..], b"7", br#"{"start":"soon"}"#, br#"{"start":1.5}"#] {
            assert!(Dialect::Json.read::<LabelValuesRequest>(bad).is_err());
        }
    }

    #[test]
    fn answers_speak_as_the_question_did() {
        let profile_type = ProfileType { id: "a:b".to_owned(), ..ProfileType::default() };
        let message = ProfileTypesResponse { profile_types: vec![profile_type] };
        let (json, _) = collected(Dialect::Json.answer(&message));
        let json = String::from_utf8(json).unwrap();
        assert!(
            json.starts_with(r#"{"profileTypes":[{"ID":"a:b","name":"","sampleType""#),
            "{json}"
        );
        let proto = message.encode_to_vec();
        assert_eq!(collected(Dialect::Proto.answer(&message)).0, proto);
        let framed = [&[0, 0, 0, 0, proto.len() as u8], proto.as_slice()].concat();
        let (grpc, trailers) = collected(Dialect::Grpc.answer(&message));
        assert_eq!(
            (grpc, trailers.unwrap()["grpc-status"].as_bytes()),
            (framed.clone(), &b"0"[..])
        );
        let (web, _) = collected(Dialect::GrpcWeb.answer(&message));
        assert!(web.starts_with(&framed) && web.ends_with(b"grpc-status: 0\r\n"));
        assert_eq!(web[framed.len()], TRAILERS);
    }

    #[test]
    fn refusals_carry_their_code() {
        let refused = Dialect::Proto.refuse(StatusCode::UNPROCESSABLE_ENTITY, "no \"x\"");
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(refused.headers()["content-type"], "application/json");
        let body = String::from_utf8(collected(refused).0).unwrap();
        assert_eq!(body, r#"{"code":"invalid_argument","message":"no \"x\""}"#);
        let refused = Dialect::Grpc.refuse(StatusCode::UNAUTHORIZED, "who?\u{e9}\n");
        assert_eq!(refused.status(), StatusCode::OK);
        assert_eq!(refused.headers()["grpc-status"], "16");
        assert_eq!(refused.headers()["grpc-message"], "who?%C3%A9%0A");
    }
}
