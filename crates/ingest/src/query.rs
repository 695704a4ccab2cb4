//! Query parameters, with a problem that says which one is wrong.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

/// Parameters of the request as a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(read) = read.map_err(|rejection| {
            let hint = "see /api/v1/openapi.json for the parameters of each route";
            Problem::bad_request(rejection.body_text(), hint)
        })?;
        Ok(Self(read))
    }
}
