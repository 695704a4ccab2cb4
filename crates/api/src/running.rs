//! Questions that are being answered: who asks what, how far it is; and their end, when the answer
//! is there, takes too long, is not wanted any more, or whoever asked goes away.

use crate::limits::{QUERIES_LISTED_MAX, QUERY_ID_BYTES_MAX, QUERY_TIME_MAX};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ingest::{Principal, Problem, Role};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stdx::{Clock, Timestamp};
use tokio::sync::Notify;
use views::Progress;
use views::progress::watched;

/// Header with which who asks gives the question an id of its own.
pub const QUERY_ID: &str = "x-query-id";

/// One question.
#[derive(Debug)]
struct Running {
    tenant: String,
    /// Name of the token.
    who: String,
    what: String,
    started_at: Timestamp,
    progress: Arc<Progress>,
    cancel: Arc<Notify>,
}

/// A question as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Who asks: the token's name.
    pub who: String,
    /// Path and parameters.
    pub what: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Rows looked through so far.
    pub rows_read: u64,
    /// Rows to be looked through, as far as is known.
    pub rows_to_read: u64,
}

/// All questions that are being answered.
#[derive(Debug)]
pub struct Queries {
    running: Mutex<BTreeMap<(String, String), Running>>,
    clock: Arc<dyn Clock>,
    next: AtomicU64,
    time_max: Duration,
}

/// Takes a question off the list, however it ends.
struct Entry<'a> {
    queries: &'a Queries,
    key: (String, String),
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.queries.running().remove(&self.key);
    }
}

impl Queries {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_time(clock, QUERY_TIME_MAX)
    }

    /// None yet; each may take so long.
    pub fn with_time(clock: Arc<dyn Clock>, time_max: Duration) -> Self {
        Self { running: Mutex::default(), clock, next: AtomicU64::new(1), time_max }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<(String, String), Running>> {
        // Changed by whole entries; a panic elsewhere leaves it usable.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(
        &self,
        principal: &Principal,
        what: &str,
        wanted: Option<&str>,
    ) -> (Entry<'_>, Arc<Progress>, Arc<Notify>) {
        let (progress, cancel) = (Arc::new(Progress::default()), Arc::new(Notify::new()));
        let mut running = self.running();
        let tenant = principal.tenant.clone();
        let is_free = |id: &&str| !running.contains_key(&(tenant.clone(), (*id).to_owned()));
        let id = wanted.filter(|id| is_id(id)).filter(is_free).map_or_else(
            || format!("q{}", self.next.fetch_add(1, Ordering::Relaxed)),
            str::to_owned,
        );
        let key = (tenant.clone(), id);
        let entry = Running {
            tenant,
            who: principal.name.clone(),
            what: what.to_owned(),
            started_at: self.clock.now(),
            progress: Arc::clone(&progress),
            cancel: Arc::clone(&cancel),
        };
        running.insert(key.clone(), entry);
        drop(running);
        (Entry { queries: self, key }, progress, cancel)
    }

    /// Those of the principal's tenant, the oldest first.
    pub fn list(&self, principal: &Principal) -> Vec<Listed> {
        let running = self.running();
        let own = running.iter().filter(|(_, one)| one.tenant == principal.tenant);
        let mut listed: Vec<Listed> = own
            .map(|((_, id), one)| {
                let (rows_read, rows_to_read) = one.progress.rows();
                Listed {
                    id: id.clone(),
                    who: one.who.clone(),
                    what: one.what.clone(),
                    started_at: one.started_at,
                    rows_read,
                    rows_to_read,
                }
            })
            .collect();
        drop(running);
        listed.sort_by(|a, b| a.started_at.cmp(&b.started_at).then_with(|| a.id.cmp(&b.id)));
        listed.truncate(QUERIES_LISTED_MAX);
        listed
    }

    /// Ends one of the principal's tenant. Who reads ends their own, who operates everybody's.
    pub fn cancel(&self, principal: &Principal, id: &str) -> Result<(), Problem> {
        let running = self.running();
        let found = running.get(&(principal.tenant.clone(), id.to_owned()));
        let Some(one) = found else {
            let hint = "it may have ended; GET /api/v1/queries lists those that run";
            return Err(Problem::not_found(format!("no question {id:?} is running"), hint));
        };
        let is_allowed =
            one.who == principal.name || matches!(principal.role, Role::Operator | Role::Admin);
        if !is_allowed {
            let hint = "ask an operator to end it";
            return Err(Problem::forbidden("another one asked this question", hint));
        }
        one.cancel.notify_one();
        Ok(())
    }
}

fn is_id(id: &str) -> bool {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain && !id.is_empty() && id.len() <= QUERY_ID_BYTES_MAX
}

/// 409: somebody ended it.
fn cancelled() -> Problem {
    let title = "The question was cancelled";
    let kind = "/problems/query-cancelled";
    let detail = "it was ended before its answer was there";
    Problem::new(StatusCode::CONFLICT, kind, title, detail, "ask again if it is still wanted")
}

/// 422: it takes too long.
fn too_slow(time_max: Duration) -> Problem {
    let title = "The answer takes too long";
    let kind = "/problems/query-too-slow";
    let detail = format!("no answer within {} s (query_time_max)", time_max.as_secs_f64());
    let hint = "ask for a shorter range or with a narrower selector";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail, hint)
}

/// The layer around questions. When the connection breaks, this future is dropped, and with it what
/// it waits for: plans stop, and the entry goes.
pub async fn watch(State(queries): State<Arc<Queries>>, request: Request, next: Next) -> Response {
    let Some(principal) = request.extensions().get::<Principal>().cloned() else {
        return next.run(request).await;
    };
    let what: String =
        request.uri().to_string().chars().take(crate::limits::QUERY_TEXT_CHARS_MAX).collect();
    let wanted = request.headers().get(QUERY_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (entry, progress, cancel) = queries.enter(&principal, &what, wanted.as_deref());
    let response = tokio::select! {
        response = watched(progress, next.run(request)) => response,
        () = cancel.notified() => cancelled().into_response(),
        () = tokio::time::sleep(queries.time_max) => too_slow(queries.time_max).into_response(),
    };
    drop(entry);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use ingest::principal::Scope;
    use std::net::SocketAddr;
    use std::sync::atomic::AtomicBool;
    use stdx::ManualClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn principal(name: &str, role: Role, tenant: &str) -> Principal {
        Principal { tenant: tenant.to_owned(), role, scope: Scope::Tenant, name: name.to_owned() }
    }

    fn viewer() -> Principal {
        principal("ann", Role::Viewer, "team")
    }

    /// Whether the question's work was dropped.
    #[derive(Clone, Debug, Default)]
    struct Stopped(Arc<AtomicBool>);

    struct Work(Stopped);

    impl Drop for Work {
        fn drop(&mut self) {
            self.0.0.store(true, Ordering::SeqCst);
        }
    }

    async fn never(State(stopped): State<Stopped>) -> &'static str {
        let _work = Work(stopped);
        let progress = views::progress::current();
        progress.expect(100);
        tokio::task::yield_now().await;
        views::progress::current().advance(40);
        std::future::pending().await
    }

    /// A server of one question that never ends; a viewer asks.
    async fn serve(time_max: Duration) -> (SocketAddr, Arc<Queries>, Stopped) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(5)));
        let queries = Arc::new(Queries::with_time(clock, time_max));
        let stopped = Stopped::default();
        let who = |mut request: Request, next: Next| async move {
            request.extensions_mut().insert(viewer());
            next.run(request).await
        };
        let router = Router::new()
            .route("/never", get(never))
            .with_state(stopped.clone())
            .route_layer(from_fn_with_state(Arc::clone(&queries), watch))
            .layer(from_fn(who));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, queries, stopped)
    }

    async fn ask(address: SocketAddr, id: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /never?type=x HTTP/1.1\r\nhost: h\r\nx-query-id: {id}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&text).contains('}') {
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the connection ended");
            text.extend_from_slice(&piece[..read]);
        }
        String::from_utf8(text).unwrap()
    }

    async fn until(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..4000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {what}");
    }

    #[tokio::test]
    async fn a_question_whose_asker_goes_away_stops() {
        let (address, queries, stopped) = serve(Duration::from_mins(5)).await;
        let stream = ask(address, "mine").await;
        let is_listed = || queries.list(&viewer()).iter().any(|one| one.rows_read == 40);
        until("listed with its progress", is_listed).await;
        assert!(!stopped.0.load(Ordering::SeqCst));
        drop(stream);
        until("stopped", || stopped.0.load(Ordering::SeqCst)).await;
        until("off the list", || queries.list(&viewer()).is_empty()).await;
    }

    #[tokio::test]
    async fn questions_are_ended_by_who_asked_and_by_operators_of_the_tenant() {
        let (address, queries, stopped) = serve(Duration::from_mins(5)).await;
        let stream = ask(address, "mine").await;
        until("listed", || queries.list(&viewer()).iter().any(|one| one.rows_read > 0)).await;
        let listed = queries.list(&viewer()).remove(0);
        assert_eq!((listed.id.as_str(), listed.who.as_str()), ("mine", "ann"));
        assert_eq!((listed.rows_read, listed.rows_to_read), (40, 100));
        assert_eq!(listed.what, "/never?type=x");
        let stranger = principal("eve", Role::Admin, "other");
        assert!(queries.list(&stranger).is_empty());
        let refused = queries.cancel(&stranger, "mine").unwrap_err();
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "another tenant's is not known");
        let other = principal("bob", Role::Viewer, "team");
        let refused = queries.cancel(&other, "mine").unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        queries.cancel(&principal("op", Role::Operator, "team"), "mine").unwrap();
        let text = answer(stream).await;
        assert!(text.contains("409") && text.contains("/problems/query-cancelled"), "{text}");
        assert!(stopped.0.load(Ordering::SeqCst) && queries.list(&viewer()).is_empty());
        let second = ask(address, "mine").await;
        until("listed again", || queries.list(&viewer()).len() == 1).await;
        queries.cancel(&viewer(), "mine").unwrap();
        assert!(answer(second).await.contains("409"), "who asked may end it");
        assert_eq!(queries.cancel(&viewer(), "mine").unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_question_that_takes_too_long_is_refused_with_the_limits_name() {
        let (address, queries, stopped) = serve(Duration::from_millis(50)).await;
        let text = answer(ask(address, "slow").await).await;
        assert!(text.contains("422") && text.contains("query_time_max"), "{text}");
        assert!(stopped.0.load(Ordering::SeqCst) && queries.list(&viewer()).is_empty());
    }

    #[tokio::test]
    async fn ids_that_are_taken_or_no_ids_are_replaced() {
        let (address, queries, _) = serve(Duration::from_mins(5)).await;
        let long = "x".repeat(QUERY_ID_BYTES_MAX + 1);
        let mut streams = Vec::new();
        for id in ["mine", "mine", "a b", &long] {
            streams.push(ask(address, id).await);
        }
        until("listed", || queries.list(&viewer()).len() == 4).await;
        let ids: Vec<String> = queries.list(&viewer()).into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["mine", "q1", "q2", "q3"]);
    }
}
