//! Who asks: every route takes a [`Principal`] and there is none unless [`crate::auth`] made one.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;

/// What a principal may do, by name of the token's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, uploads and starts profiling.
    Operator,
    /// Everything.
    Admin,
    /// Uploads only.
    Ingest,
}

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: health checks and the page's own files.
    Public,
    /// A known principal of any role.
    Identity,
    /// Reading profiles.
    Read,
    /// Uploading profiles.
    Upload,
    /// Reading what concerns the server itself.
    Observe,
    /// Changing what is kept, and reading all of it.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Admin, Self::Ingest];

    /// Name in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Ingest => "ingest",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether the role covers a need.
    pub fn covers(self, need: Need) -> bool {
        match need {
            Need::Public | Need::Identity => true,
            Need::Read => self != Self::Ingest,
            Need::Upload => self != Self::Viewer,
            Need::Observe => matches!(self, Self::Operator | Self::Admin),
            Need::Admin => self == Self::Admin,
        }
    }
}

/// Which part of a tenant's data a principal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Tenant,
}

/// Who asks, for which tenant, as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose data this request reads or writes.
    pub tenant: String,
    /// What it may do.
    pub role: Role,
    /// How far it reaches.
    pub scope: Scope,
    /// Name of the token, or `local admin`.
    pub name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::unauthenticated("this route needs a principal"))
    }
}
