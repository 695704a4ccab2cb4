//! Names for addresses that came without one: uploading files that name them, and which are missing.

use super::admin::{AdminState, refused};
use crate::limits::{
    SYMBOL_BINARIES_MAX, SYMBOL_FILE_BYTES_MAX, SYMBOL_READ_TIMEOUT, SYMBOL_UPLOADS_MAX,
};
use crate::question::{Scope, Values, problem_of};
use crate::shapes::{Problem as ProblemShape, Range};
use axum::body::Body;
use axum::extract::State;
use axum::{Json, Router};
use futures::StreamExt;
use http::StatusCode;
use ingest::auth::Rule;
use ingest::{Need, Principal, Problem, Query};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use store::{NamesRow, NewNames};
use symbols::names::{self, FileSource, NameTable};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use views::{Selection, Views};

/// State of these routes.
#[derive(Clone)]
pub struct SymbolsState {
    /// Where tables of names are kept.
    pub admin: AdminState,
    /// What says which are missing.
    pub views: Arc<dyn Views>,
    /// Where uploads wait to be read: on the disk, in the data folder.
    pub folder: std::path::PathBuf,
    /// One upload is read at a time, few wait.
    pub turns: Arc<Semaphore>,
}

impl SymbolsState {
    /// With so many turns as uploads may come at the same time.
    pub fn new(admin: AdminState, views: Arc<dyn Views>, folder: std::path::PathBuf) -> Self {
        Self { admin, views, folder, turns: Arc::new(Semaphore::new(SYMBOL_UPLOADS_MAX)) }
    }
}

impl std::fmt::Debug for SymbolsState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SymbolsState").finish_non_exhaustive()
    }
}

const fn rule(method: &'static str, path: &'static str, need: Need) -> Rule {
    Rule { method, path, need }
}

/// What each of these routes needs. Names change what everybody reads, so an administrator gives
/// them; what is missing, everybody may see.
pub const RULES: &[Rule] = &[
    rule("GET", "/api/v1/symbols", Need::Read),
    rule("GET", "/api/v1/symbols/missing", Need::Read),
    rule("POST", "/api/v1/admin/symbols", Need::Admin),
    rule("DELETE", "/api/v1/admin/symbols", Need::Admin),
];

#[derive(OpenApi)]
struct Description;

pub(crate) fn described() -> OpenApiRouter<SymbolsState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(list))
        .routes(routes!(missing))
        .routes(routes!(upload, remove))
}

/// The routes.
pub fn router(state: SymbolsState) -> Router {
    described().split_for_parts().0.with_state(state)
}

/// Names of one binary.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Symbols {
    /// Their id.
    pub id: String,
    /// Build ids of the binary, the usual one first.
    pub build_ids: Vec<String>,
    /// Name of the file that was uploaded.
    pub file: String,
    /// Where the names come from, best first: `dwarf`, `go`, `symbols`.
    pub sources: Vec<String>,
    /// Number of functions.
    pub functions: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// When they came, in epoch milliseconds.
    pub created_ms: i64,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

fn shown(row: &NamesRow) -> Symbols {
    Symbols {
        id: row.id.to_string(),
        build_ids: row.build_ids.clone(),
        file: row.file.clone(),
        sources: row.sources.clone(),
        functions: row.functions,
        bytes: row.bytes,
        created_ms: row.created_at.millis(),
        notes: row.notes.clone(),
    }
}

/// The tenant's uploaded names.
#[utoipa::path(get, path = "/api/v1/symbols", tag = "symbols",
    responses((status = 200, description = "Oldest first", body = Vec<Symbols>)))]
pub async fn list(State(state): State<SymbolsState>, principal: Principal) -> Json<Vec<Symbols>> {
    let rows = state.admin.store.names(&principal.tenant);
    Json(rows.iter().map(|row| shown(row)).collect())
}

/// What is uploaded.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadRequest {
    /// Name of the file, to be shown.
    #[serde(default)]
    pub name: String,
}

fn unreadable(detail: String) -> Problem {
    let hint = "upload an ELF file with debug information or a symbol table: the program as it was \
                before it was stripped, its .debug file, or a Go program";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "/problems/no-symbols", "The file gives no names", detail, hint)
}

fn spooling(error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Problem::disk_full(format!("the upload cannot be kept: {error}"));
    }
    Problem::unavailable(format!("the upload cannot be kept: {error}"))
}

async fn receive(body: Body, folder: &std::path::Path) -> Result<File, Problem> {
    let mut file = names::spool(folder).map_err(|error| spooling(&error))?;
    let (mut stream, mut bytes) = (body.into_data_stream(), 0_u64);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            Problem::bad_request(format!("the upload broke off: {error}"), "send it again")
        })?;
        bytes += piece.len() as u64;
        if bytes > SYMBOL_FILE_BYTES_MAX {
            let detail = format!("a file of symbols has at most {SYMBOL_FILE_BYTES_MAX} bytes");
            let hint = "upload only its debug information: objcopy --only-keep-debug FILE OUT";
            return Err(Problem::too_large(detail, hint));
        }
        // To the page cache: short, and bounded by the piece.
        file.write_all(&piece).map_err(|error| spooling(&error))?;
    }
    Ok(file)
}

type Read = Result<(NewNames, Vec<u8>), String>;

fn read(file: File, name: String, wanted: Option<&str>, clock: &dyn Clock, time: Duration) -> Read {
    let until = clock.monotonic().saturating_add(time);
    let source = FileSource::new(file).map_err(|error| error.to_string())?;
    let names = names::read(&source, &|| clock.monotonic() >= until);
    let names = names.map_err(|error| error.to_string())?;
    if let Some(wanted) = wanted.filter(|id| names.build_ids.iter().all(|have| have != id)) {
        return Err(format!("it is of another binary than {wanted}"));
    }
    let table = names.table.encode().map_err(|error| error.to_string())?;
    // What nobody could read again is not kept.
    NameTable::decode(&table).map_err(|error| error.to_string())?;
    let new = NewNames {
        build_ids: names.build_ids,
        file: name,
        sources: names.sources.iter().map(|source| (*source).to_owned()).collect(),
        functions: names.table.functions() as u64,
        notes: names.notes,
    };
    Ok((new, table))
}

/// Keeps the names in a file, which must be of the binary `wanted` if one is named; they are durable
/// when this returns.
pub async fn keep(
    state: &SymbolsState,
    tenant: &str,
    name: &str,
    file: File,
    wanted: Option<&str>,
) -> Result<Symbols, Problem> {
    let wanted = wanted.map(str::to_owned);
    let clock = Arc::clone(&state.admin.clock);
    let shown_name: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
    let work = move || read(file, shown_name, wanted.as_deref(), &*clock, SYMBOL_READ_TIMEOUT);
    let done = tokio::task::spawn_blocking(work).await;
    let read = done.unwrap_or_else(|_| Err("reading it failed: see the server's log".to_owned()));
    let (new, table) = read.map_err(|error| unreadable(format!("{}: {error}", shown_or(name))))?;
    let kept = state.admin.store.add_names(tenant, new, table).await;
    let row = kept.map_err(|error| refused(&error))?;
    tracing::info!(tenant, file = ?row.file, build_ids = ?row.build_ids, "symbols uploaded");
    Ok(shown(&row))
}

fn shown_or(name: &str) -> &str {
    if name.is_empty() { "the file" } else { name }
}

/// Uploads a file that names code: an ELF file with debug information or a symbol table, debug
/// information split off, or a Go program. Profiles that are stored already become readable.
#[utoipa::path(post, path = "/api/v1/admin/symbols", tag = "symbols", params(UploadRequest),
    request_body(content_type = "application/octet-stream", description = "The file as it is"),
    responses(
    (status = 200, description = "Kept; it is durable", body = Symbols),
    (status = 413, description = "Too large", body = ProblemShape,
        content_type = "application/problem+json"),
    (status = 422, description = "There are no names in it", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn upload(
    State(state): State<SymbolsState>,
    principal: Principal,
    Query(wanted): Query<UploadRequest>,
    body: Body,
) -> Result<Json<Symbols>, Problem> {
    let busy = || Problem::busy("other files of symbols are being read");
    let _turn = Arc::clone(&state.turns).try_acquire_owned().map_err(|_| busy())?;
    let file = receive(body, &state.folder).await?;
    keep(&state, &principal.tenant, &wanted.name, file, None).await.map(Json)
}

/// Which names to remove.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RemoveRequest {
    /// A build id, or the id of the upload.
    pub build_id: String,
}

/// Removes names; the addresses are shown again.
#[utoipa::path(delete, path = "/api/v1/admin/symbols", tag = "symbols", params(RemoveRequest),
    responses(
    (status = 204, description = "Removed"),
    (status = 404, description = "No such names", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn remove(
    State(state): State<SymbolsState>,
    principal: Principal,
    Query(wanted): Query<RemoveRequest>,
) -> Result<StatusCode, Problem> {
    let store = &state.admin.store;
    let removed = store.remove_names(&principal.tenant, &wanted.build_id).await;
    if removed.map_err(|error| refused(&error))? > 0 {
        tracing::info!(tenant = ?principal.tenant, build_id = ?wanted.build_id, "symbols removed");
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = format!("there are no symbols of {:?}", wanted.build_id);
    Err(Problem::not_found(detail, "see /api/v1/symbols"))
}

/// A binary of which addresses have no name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MissingBinary {
    /// Its build id; empty when profiles do not say it, and then no upload can be matched.
    pub build_id: String,
    /// Its path on the machine that was profiled.
    pub file: String,
    /// The value of stacks that end in such an address.
    #[serde(rename = "self")]
    pub own: i64,
    /// The same in percent of the answer's total.
    pub percent: f64,
    /// Number of such addresses.
    pub addresses: u64,
    /// Whether there are uploaded names for it, which do not cover these addresses.
    pub has_symbols: bool,
}

/// What has no name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Missing {
    /// The profile type it is measured in.
    pub profile_type: String,
    /// The whole value.
    pub total: i64,
    /// The range.
    pub range: Range,
    /// Binaries, the heaviest first.
    pub binaries: Vec<MissingBinary>,
    /// Binaries left out.
    pub left_out: u64,
}

/// The type asked for, or the one that says most: time on the CPU where there is any.
async fn type_of(state: &SymbolsState, selection: &Selection) -> Result<String, Problem> {
    let types = state.views.profile_types(selection).await.map_err(|error| problem_of(&error))?;
    let cpu = types.iter().find(|one| one.id.0.starts_with("process_cpu:cpu:"));
    let best = cpu.or(types.first()).map(|one| one.id.0.clone());
    best.ok_or_else(|| Problem::not_found("there are no profiles", "ask for a longer range"))
}

/// Binaries whose addresses have no name, and how much they weigh: what to upload.
#[utoipa::path(get, path = "/api/v1/symbols/missing", tag = "symbols", params(Scope, Values),
    responses((status = 200, description = "The heaviest first", body = Missing)))]
pub async fn missing(
    State(state): State<SymbolsState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(mut values): Query<Values>,
) -> Result<Json<Missing>, Problem> {
    let selection = scope.selection(&principal, state.admin.clock.now())?;
    if values.profile_type.as_deref().unwrap_or_default().is_empty() {
        values.profile_type = Some(type_of(&state, &selection).await?);
    }
    let selection = values.narrow(selection, &scope)?;
    let (tree, _) = state.views.tree(&selection).await.map_err(|error| problem_of(&error))?;
    let (unnamed, total) = (tree.unnamed(), tree.total());
    let left_out = unnamed.len().saturating_sub(SYMBOL_BINARIES_MAX) as u64;
    let binary = |row: &views::UnnamedBinary| MissingBinary {
        build_id: row.build_id.to_string(),
        file: row.path.to_string(),
        own: row.own,
        percent: if total == 0 { 0.0 } else { row.own as f64 * 100.0 / total as f64 },
        addresses: row.addresses,
        has_symbols: !row.build_id.is_empty()
            && !state.admin.store.names_of(&principal.tenant, &row.build_id).is_empty(),
    };
    Ok(Json(Missing {
        profile_type: values.profile_type.unwrap_or_default(),
        total,
        range: selection.range.into(),
        binaries: unnamed.iter().take(SYMBOL_BINARIES_MAX).map(binary).collect(),
        left_out,
    }))
}
