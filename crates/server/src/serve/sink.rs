//! The store as the sink of `ingest`.

use futures::future::BoxFuture;
use ingest::{Kept, Payload, Sink, SinkError};
use profile::{Profile, SpanBatch};
use std::sync::Arc;
use store::{Appended, Error, ErrorKind, NewPayload, Store};

/// Appends to a store.
#[derive(Debug)]
pub(super) struct StoreSink(pub(super) Arc<Store>);

impl Sink for StoreSink {
    fn append<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        let (store, tenant) = (Arc::clone(&self.0), tenant.to_owned());
        run(async move { store.append_once(&tenant, profiles).await })
    }

    fn append_spans<'a>(
        &'a self,
        tenant: &'a str,
        batches: Vec<SpanBatch>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        let (store, tenant) = (Arc::clone(&self.0), tenant.to_owned());
        run(async move { store.append_spans(&tenant, batches).await })
    }

    fn keeps_payloads(&self) -> bool {
        self.0.keeps_payloads()
    }

    fn append_with<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
        payload: Payload,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        let (store, tenant) = (Arc::clone(&self.0), tenant.to_owned());
        let Payload { request, body, received_at } = payload;
        let payload = NewPayload { request: request.to_text(), body, received_at };
        run(async move { store.append_with(&tenant, profiles, payload).await })
    }
}

/// A client that goes away does not stop an append half way.
fn run(
    append: impl Future<Output = Result<Vec<Appended>, Error>> + Send + 'static,
) -> BoxFuture<'static, Result<Vec<Kept>, SinkError>> {
    let append = tokio::spawn(append);
    Box::pin(async move {
        let appended = append.await;
        let appended = appended.map_err(|_| SinkError::Failed("the append broke off".into()))?;
        let appended = appended.map_err(|error| match error.kind() {
            ErrorKind::Full => SinkError::Busy(error.to_string()),
            ErrorKind::DiskFull => SinkError::DiskFull(error.to_string()),
            _ => SinkError::Failed(error.to_string()),
        })?;
        let kept = appended.into_iter();
        Ok(kept.map(|row| Kept { id: row.id, is_repeat: row.is_repeat }).collect())
    })
}
