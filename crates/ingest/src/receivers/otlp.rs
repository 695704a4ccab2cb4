//! OTLP exports, however they come: over HTTP (`otlp_http`) or gRPC (`otlp_grpc`).
//!
//! Contracts: <https://opentelemetry.io/docs/specs/otlp/>, and for profiles opentelemetry-proto
//! v1.11.0, `ExportProfilesServiceRequest`. A request of which a part was left out is answered with
//! success and says how much, as the contract wants it: it is not to be sent again.

use crate::decode;
use crate::normalise::Context;
use crate::payload::{Receiver, Request};
use crate::pipeline::{Ingest, Received, SpanReceipt};
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::Receipt;
use formats::traces::Form;
use formats::{Decoded, Options};
use http::HeaderMap;
use rpc::otlp::PartialSuccess;

/// What an export holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Profiles.
    Profiles,
    /// Spans.
    Traces,
    /// Log records, of which those that carry profiles are read: Splunk's distributions of
    /// OpenTelemetry send them so.
    Logs,
}

impl Export {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Profiles, Self::Traces, Self::Logs];

    /// Its path over HTTP.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Profiles => "/v1development/profiles",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    /// What the number of those left out is called in JSON.
    pub(super) fn rejected(self) -> &'static str {
        match self {
            Self::Profiles => "rejectedProfiles",
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
        }
    }

    /// Stores what a request holds.
    pub(super) async fn store(
        self,
        ingest: &Ingest,
        principal: &Principal,
        received: Received,
        headers: &HeaderMap,
        form: Form,
    ) -> Result<PartialSuccess, Problem> {
        let of =
            |receiver| (Request::of(receiver, ingest.clock.now(), &[], headers), context(headers));
        match self {
            Self::Profiles => {
                let (of, decode) = (of(Receiver::Otlp), profile_decoder(form));
                Ok(of_profiles(&ingest.store(principal, received, of, decode).await?))
            }
            Self::Logs => {
                let (of, decode) = (of(Receiver::OtlpLogs), log_decoder(form));
                Ok(of_logs(&ingest.store(principal, received, of, decode).await?))
            }
            Self::Traces => {
                let decode = move |bytes: &[u8], options: &Options| {
                    formats::traces::decode(bytes, form, options)
                };
                let context = context(headers);
                Ok(of_spans(ingest.store_spans(principal, received, context, decode).await?))
            }
        }
    }
}

/// Reads a form of profiles.
pub(crate) fn profile_decoder(form: Form) -> fn(&[u8], &Options) -> Decoded {
    match form {
        Form::Protobuf => decode::otlp,
        Form::Json => formats::otlp::decode_json,
    }
}

/// Reads the profiles of a form of logs.
pub(crate) fn log_decoder(form: Form) -> fn(&[u8], &Options) -> Decoded {
    match form {
        Form::Protobuf => |bytes, options| formats::logs::decode(bytes, Form::Protobuf, options),
        Form::Json => |bytes, options| formats::logs::decode(bytes, Form::Json, options),
    }
}

/// What an OTLP client says of itself.
pub(crate) fn context(headers: &HeaderMap) -> Context {
    Context { source: "otel", client: decode::user_agent(headers), ..Context::default() }
}

fn of_profiles(receipt: &Receipt) -> PartialSuccess {
    PartialSuccess { rejected: 0, message: receipt.issues.join("; ") }
}

fn of_spans(receipt: SpanReceipt) -> PartialSuccess {
    let rejected = i64::try_from(receipt.rejected).unwrap_or(i64::MAX);
    PartialSuccess { rejected, message: receipt.issues.join("; ") }
}

/// Records that carry no profiles are not kept; the answer says how many they were.
fn of_logs(receipt: &Receipt) -> PartialSuccess {
    let ignored = receipt.ignored;
    let logs = (ignored > 0).then(|| {
        format!("{ignored} log records are not kept: only those that carry profiles are read here")
    });
    let said: Vec<&str> = logs.iter().chain(&receipt.issues).map(String::as_str).collect();
    PartialSuccess {
        rejected: i64::try_from(ignored).unwrap_or(i64::MAX),
        message: said.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_or_odd_is_said() {
        let receipt =
            Receipt { issues: vec!["one".into(), "two".into()], ignored: 3, ..Receipt::default() };
        let part = |rejected, message: &str| PartialSuccess { rejected, message: message.into() };
        assert_eq!(of_profiles(&receipt), part(0, "one; two"));
        let said = "3 log records are not kept: only those that carry profiles are read here";
        assert_eq!(of_logs(&receipt), part(3, &format!("{said}; one; two")));
        let receipt =
            SpanReceipt { rejected: 2, issues: vec!["late".into()], ..Default::default() };
        assert_eq!(of_spans(receipt), part(2, "late"));
    }
}
