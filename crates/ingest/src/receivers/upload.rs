//! A raw profile file: `POST /api/v1/profiles?service_name=…&label=key=value&from=…&until=…`.
//! Its format is recognised by its content.

use crate::attime::{self, Epoch};
use crate::decode;
use crate::normalise::Context;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::query::Query;
use crate::receipt::Receipt;
use axum::Json;
use axum::extract::{Request, State};
use profile::labels::names;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// Query parameters, repeated ones included.
pub type Parameters = Vec<(String, String)>;

/// Takes one file.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    let (parts, body) = request.into_parts();
    let now = ingest.clock.now();
    let client = decode::user_agent(&parts.headers);
    let context = context(&parameters, now, client).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let request = Kept::of(Receiver::Upload, now, &parameters, &parts.headers);
    let stored = ingest.store(&principal, received, (request, context), formats::decode);
    Ok(Json(stored.await?))
}

pub(crate) fn context(
    parameters: &[(String, String)],
    now: Timestamp,
    client: String,
) -> Result<Context, Problem> {
    let mut context = Context { source: "upload", client, ..Context::default() };
    let (mut from, mut until) = (None, None);
    for (name, value) in parameters {
        match name.as_str() {
            "service_name" | "service" => {
                context.labels.push((names::SERVICE.to_owned(), value.clone()));
            }
            "label" => {
                let Some((key, value)) = value.split_once('=') else {
                    let detail = format!("label={value:?} has no value");
                    return Err(Problem::bad_request(detail, "write label=key=value"));
                };
                context.labels.push((key.to_owned(), value.to_owned()));
            }
            "from" => from = Some(time(name, value, now)?),
            "until" | "to" => until = Some(time(name, value, now)?),
            _ => {
                let detail = format!("unknown parameter {name:?}");
                let hint = "the parameters are service_name, label=key=value, from and until";
                return Err(Problem::bad_request(detail, hint));
            }
        }
    }
    context.window = match (from, until) {
        (None, None) => None,
        (from, until) => {
            let start = from.or(until).unwrap_or(now);
            if until.is_some_and(|until| until < start) {
                let detail = "until is before from";
                return Err(Problem::bad_request(detail, "swap them, or leave until out"));
            }
            Some(TimeRange::new(start, until.unwrap_or(start)))
        }
    };
    Ok(context)
}

fn time(name: &str, value: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    attime::parse(value, now, Epoch::Guess).ok_or_else(|| {
        let detail = format!("{name}={value:?} is no time");
        Problem::bad_request(detail, "write an epoch time, now, or now-1h")
    })
}
