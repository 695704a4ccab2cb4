//! The receivers, a file a protocol, and the table of their routes.

pub mod datadog;
pub mod otlp;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod pyroscope;
pub mod upload;

use crate::auth::Rule;
use crate::decode::UPLOAD_PATH;
use crate::pipeline::Ingest;
use crate::principal::Need;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use http::Method;
use otlp::Export;
use std::sync::Arc;

/// What each receiver's route needs.
pub const RULES: &[Rule] = &[
    Rule { method: "POST", path: Export::Profiles.path(), need: Need::Upload },
    Rule { method: "POST", path: Export::Traces.path(), need: Need::Upload },
    Rule { method: "POST", path: Export::Logs.path(), need: Need::Upload },
    Rule { method: "POST", path: "/ingest", need: Need::Upload },
    Rule { method: "POST", path: "/pyroscope/ingest", need: Need::Upload },
    Rule { method: "POST", path: pyroscope::push::PUSH_PATH, need: Need::Upload },
    Rule { method: "POST", path: UPLOAD_PATH, need: Need::Upload },
    // Datadog's libraries.
    Rule { method: "POST", path: "/profiling/v1/input", need: Need::Upload },
    Rule { method: "POST", path: "/api/v2/profile", need: Need::Upload },
    Rule { method: "POST", path: "/v1/input", need: Need::Upload },
    Rule { method: "POST", path: "/v0.3/traces", need: Need::Upload },
    Rule { method: "PUT", path: "/v0.3/traces", need: Need::Upload },
    Rule { method: "POST", path: "/v0.4/traces", need: Need::Upload },
    Rule { method: "PUT", path: "/v0.4/traces", need: Need::Upload },
    Rule { method: "POST", path: "/v0.5/traces", need: Need::Upload },
    Rule { method: "PUT", path: "/v0.5/traces", need: Need::Upload },
    Rule { method: "POST", path: "/v0.7/traces", need: Need::Upload },
    Rule { method: "PUT", path: "/v0.7/traces", need: Need::Upload },
    // It says nothing but what is served.
    Rule { method: "GET", path: "/info", need: Need::Public },
    Rule { method: "GET", path: "/v0.7/config", need: Need::Upload },
    Rule { method: "POST", path: "/v0.7/config", need: Need::Upload },
    Rule { method: "POST", path: "/v0.6/stats", need: Need::Upload },
    Rule { method: "PUT", path: "/v0.6/stats", need: Need::Upload },
    Rule { method: "POST", path: datadog::agent::TELEMETRY, need: Need::Upload },
    Rule { method: "POST", path: "/dogstatsd/v1/proxy", need: Need::Upload },
    Rule { method: "POST", path: "/dogstatsd/v2/proxy", need: Need::Upload },
];

/// Clients of one kind: what they send may go to other addresses, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Datadog's libraries.
    Datadog,
    /// Pyroscope's.
    Pyroscope,
}

/// What is sent, by its route. Questions are none: their answers are ours.
const INTAKES: [(Intake, &str); 14] = [
    (Intake::Pyroscope, "/ingest"),
    (Intake::Pyroscope, "/pyroscope/ingest"),
    (Intake::Pyroscope, pyroscope::push::PUSH_PATH),
    (Intake::Datadog, "/profiling/v1/input"),
    (Intake::Datadog, "/api/v2/profile"),
    (Intake::Datadog, "/v1/input"),
    (Intake::Datadog, "/v0.3/traces"),
    (Intake::Datadog, "/v0.4/traces"),
    (Intake::Datadog, "/v0.5/traces"),
    (Intake::Datadog, "/v0.7/traces"),
    (Intake::Datadog, "/v0.6/stats"),
    (Intake::Datadog, datadog::agent::TELEMETRY),
    (Intake::Datadog, "/dogstatsd/v1/proxy"),
    (Intake::Datadog, "/dogstatsd/v2/proxy"),
];

impl Intake {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Datadog, Self::Pyroscope];

    /// Name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Datadog => "datadog",
            Self::Pyroscope => "pyroscope",
        }
    }

    /// Whose request it is; `route` is the router's pattern.
    pub fn of(method: &Method, route: &str) -> Option<Self> {
        let is_sent = *method == Method::POST || *method == Method::PUT;
        let found = INTAKES.iter().find(|(_, path)| is_sent && *path == route);
        found.map(|(intake, _)| *intake)
    }
}

/// OTLP over HTTP: for its own port, and part of [`routes`].
pub fn otlp_routes(ingest: Arc<Ingest>) -> Router {
    otlp_http::routes().layer(DefaultBodyLimit::disable()).with_state(ingest)
}

/// What Datadog's libraries ask of their agent: for its own port, and part of [`routes`].
pub fn datadog_routes(ingest: Arc<Ingest>) -> Router {
    datadog::agent::routes().layer(DefaultBodyLimit::disable()).with_state(ingest)
}

/// All receivers over HTTP.
pub fn routes(ingest: Arc<Ingest>) -> Router {
    Router::new()
        .route("/ingest", post(pyroscope::receive))
        .route("/pyroscope/ingest", post(pyroscope::receive))
        .route(pyroscope::push::PUSH_PATH, post(pyroscope::push::receive))
        .route(UPLOAD_PATH, post(upload::receive))
        .merge(otlp_http::routes())
        .merge(datadog::agent::routes())
        // Bodies are read through the pipeline, which has limits of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(ingest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_upload_of_datadog_and_pyroscope_can_be_sent_on() {
        let mut others = vec![UPLOAD_PATH, "/v0.7/config"];
        others.extend(Export::ALL.map(Export::path));
        for rule in RULES.iter().filter(|rule| rule.need == Need::Upload) {
            let method = rule.method.parse().unwrap();
            let is_other = others.contains(&rule.path);
            assert_eq!(Intake::of(&method, rule.path).is_none(), is_other, "{}", rule.path);
        }
        for (_, path) in INTAKES {
            assert!(RULES.iter().any(|rule| rule.path == path), "{path}");
            assert_eq!(Intake::of(&Method::GET, path), None);
        }
    }
}
