//! Uploads as they came, and reading them again: what a receiver needs beside the body, in a form
//! that is kept. Format page: `docs/formats/payload.md`.

use crate::decode;
use crate::limits::PAYLOAD_ISSUES_MAX;
use crate::normalise::Context;
use crate::pipeline::{Ingest, Prepared, prepare};
use crate::problem::Problem;
use crate::receivers::otlp::{self, Export};
use crate::receivers::otlp_http::kept_form;
use crate::receivers::{datadog, pyroscope, upload};
use bytes::Bytes;
use formats::{Decoded, Options};
use http::{HeaderMap, HeaderValue, header};
use profile::Profile;
use serde::{Deserialize, Serialize};
use stdx::Timestamp;

/// Version of the form in which requests are kept.
const VERSION: u32 = 1;

/// Which receiver took an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// OTLP profiles, over HTTP or gRPC.
    Otlp,
    /// OTLP logs that carry profiles, over HTTP or gRPC.
    OtlpLogs,
    /// Pyroscope's `/ingest`.
    Pyroscope,
    /// Pyroscope's push service.
    PyroscopePush,
    /// A raw file.
    Upload,
    /// Datadog's libraries.
    Datadog,
}

impl Receiver {
    /// Whether it makes something of a parameter: others may be anything, even secrets.
    fn reads(self, parameter: &str) -> bool {
        match self {
            Self::Otlp | Self::OtlpLogs | Self::PyroscopePush => false,
            Self::Pyroscope => pyroscope::PARAMETERS.contains(&parameter),
            // It refuses those that it does not know.
            Self::Upload => true,
            Self::Datadog => datadog::TAG_HEADERS.contains(&parameter),
        }
    }
}

/// What came beside a body and is needed to read it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    version: u32,
    /// Who took it.
    pub receiver: Receiver,
    /// When the query was read, in nanoseconds since the epoch: `now` in its parameters means this.
    pub asked_ns: i64,
    /// Parameters of the query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
    /// Content type; empty when there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// What the client called itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
}

/// An upload to be kept.
#[derive(Clone, Debug)]
pub struct Payload {
    /// What came beside the body.
    pub request: Request,
    /// The untouched body.
    pub body: Bytes,
    /// When it came.
    pub received_at: Timestamp,
}

/// What a payload reads as.
#[derive(Debug)]
pub struct Reading {
    /// Its profiles.
    pub profiles: Vec<Profile>,
    /// What could not be read or had to be changed.
    pub issues: Vec<String>,
    /// Estimated bytes of the profiles in memory.
    pub bytes: usize,
}

type Decode = Box<dyn FnOnce(&[u8], &Options) -> Decoded + Send>;

impl Request {
    /// Of what a receiver was asked.
    pub(crate) fn of(
        receiver: Receiver,
        asked_at: Timestamp,
        parameters: &[(String, String)],
        headers: &HeaderMap,
    ) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self {
            version: VERSION,
            receiver,
            asked_ns: asked_at.nanos(),
            parameters: parameters.iter().filter(|one| receiver.reads(&one.0)).cloned().collect(),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default().to_owned(),
            user_agent: text(header::USER_AGENT).unwrap_or_default().to_owned(),
        }
    }

    /// As it is kept.
    pub fn to_text(&self) -> String {
        // Texts and numbers are always written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Of what was kept; `None` when it is damaged or of a newer version.
    pub fn from_text(text: &str) -> Option<Self> {
        let request: Self = serde_json::from_str(text).ok()?;
        (request.version <= VERSION).then_some(request)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, text) in
            [(header::CONTENT_TYPE, &self.content_type), (header::USER_AGENT, &self.user_agent)]
        {
            if let Ok(value) = HeaderValue::from_str(text)
                && !text.is_empty()
            {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// What the receiver makes of it, as when it came.
    async fn open(&self, body: Bytes) -> Result<(Context, Bytes, Decode), Problem> {
        let (headers, asked_at) = (self.headers(), Timestamp::from_nanos(self.asked_ns));
        match self.receiver {
            Receiver::Otlp => {
                let decode = otlp::profile_decoder(kept_form(&headers, Export::Profiles));
                Ok((otlp::context(&headers), body, Box::new(decode)))
            }
            Receiver::OtlpLogs => {
                let decode = otlp::log_decoder(kept_form(&headers, Export::Logs));
                Ok((otlp::context(&headers), body, Box::new(decode)))
            }
            Receiver::PyroscopePush => {
                let context = pyroscope::push::context(&headers);
                Ok((context, body, Box::new(formats::push::decode)))
            }
            Receiver::Upload => {
                let client = decode::user_agent(&headers);
                let context = upload::context(&self.parameters, asked_at, client)?;
                Ok((context, body, Box::new(formats::decode)))
            }
            Receiver::Pyroscope => {
                let (mut context, mut shape) =
                    pyroscope::read_form(&self.parameters, &headers, asked_at)?;
                let body = pyroscope::body_of(body, &mut shape, &mut context).await?;
                let decode = move |body: &[u8], options: &Options| shape.decode(body, options);
                Ok((context, body, Box::new(decode)))
            }
            Receiver::Datadog => {
                let (context, upload) = datadog::open(body, &headers, &self.parameters).await?;
                let decode = move |_: &[u8], options: &Options| upload.decode(options);
                Ok((context, Bytes::new(), Box::new(decode)))
            }
        }
    }
}

impl Ingest {
    /// Reads a body again as if it came when it did, with the decoders and limits of today. Nothing
    /// is stored.
    pub async fn read_again(&self, payload: Payload) -> Result<Reading, Problem> {
        let Payload { request, body, received_at } = payload;
        let (context, body, decode) = request.open(body).await?;
        let limits = self.limits.clone();
        let work = move || {
            let decoded = decode(&body, &decode::options(&limits));
            prepare(decoded, &context, received_at, &limits)
        };
        let (prepared, _decoder) = self
            .run_decoder(work)
            .await
            .map_err(|_| Problem::internal("the decoder failed on this body"))?;
        let Prepared { content, notes, bytes, .. } = prepared?;
        let mut issues = notes.into_list();
        issues.truncate(PAYLOAD_ISSUES_MAX);
        Ok(Reading { profiles: content.profiles, issues, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never changed: requests of this version are in stores.
    const GOLDEN: &str = include_str!("payload/request-v1.json");

    #[test]
    fn requests_of_version_1_read() {
        let parameters = [("name", "shop{env=prod}"), ("from", "1700000000")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let wanted = Request {
            version: 1,
            receiver: Receiver::Pyroscope,
            asked_ns: 1_700_000_000_123_456_789,
            parameters: parameters.to_vec(),
            content_type: "multipart/form-data; boundary=x".to_owned(),
            user_agent: "Go-http-client/1.1".to_owned(),
        };
        assert_eq!(Request::from_text(GOLDEN), Some(wanted.clone()));
        assert_eq!(wanted.to_text(), GOLDEN.trim(), "and are written so");
        let asked_at = Timestamp::from_nanos(wanted.asked_ns);
        let made =
            Request::of(Receiver::Pyroscope, asked_at, &wanted.parameters, &wanted.headers());
        assert_eq!(made, wanted);
        let asked = [parameters.as_slice(), &[("api_key".to_owned(), "secret".to_owned())]];
        let made = Request::of(Receiver::Pyroscope, asked_at, &asked.concat(), &wanted.headers());
        assert_eq!(made, wanted, "what nobody reads is not kept");
        assert_eq!(Request::from_text("{}"), None);
        assert_eq!(Request::from_text(&GOLDEN.replace("\"version\":1", "\"version\":2")), None);
    }
}
