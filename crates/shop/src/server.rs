//! The HTTP service: routes to the modules that do the work. Work that computes or waits runs on
//! the blocking pool, as it would in a careful service; it is slow all the same.

use crate::{catalogue, checkout, export, recommend, report, search, thumbnail};
use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What every handler shares.
struct Shop {
    products: Vec<catalogue::Product>,
    till: checkout::Till,
    export_file: PathBuf,
}

type Shared = State<Arc<Shop>>;
type Answer = Result<Json<Value>, StatusCode>;

/// Serves until it is told to stop (SIGINT or SIGTERM).
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; pass --listen with a free port"))?;
    let export_file = std::env::temp_dir().join(format!("vesta-shop-{}.csv", std::process::id()));
    println!("vesta-shop: serving on http://{}", listener.local_addr()?);
    let router = router(Arc::new(Shop {
        products: catalogue::make(42),
        till: checkout::Till::default(),
        export_file,
    }));
    axum::serve(listener, router).with_graceful_shutdown(stop_signal()).await?;
    Ok(())
}

/// Resolves at the first SIGINT or SIGTERM.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/products/{id}", get(product))
        .route("/search", get(search))
        .route("/checkout", post(checkout))
        .route("/report", get(report))
        .route("/recommend", get(recommend))
        .route("/thumbnail/{id}", get(thumbnail))
        .route("/export", post(export))
        .with_state(shop)
}

/// Runs `work` on the blocking pool; a panic in it is this request's error only.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StatusCode> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn product(State(shop): Shared, Path(id): Path<usize>) -> Answer {
    let product = shop.products.get(id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "id": product.id, "name": product.name, "price_cents": product.price_cents })))
}

#[derive(Deserialize)]
struct SearchQuery {
    q: String,
}

async fn search(State(shop): Shared, Query(query): Query<SearchQuery>) -> Answer {
    if query.q.len() > 40 || query.q.matches('*').count() > 2 {
        return Err(StatusCode::BAD_REQUEST);
    }
    in_background(move || json!({ "found": search::search_catalogue(&shop.products, &query.q) }))
        .await
        .map(Json)
}

async fn checkout(State(shop): Shared, Json(basket): Json<Vec<usize>>) -> Answer {
    in_background(move || json!({ "price_cents": shop.till.checkout(&shop.products, &basket) }))
        .await
        .map(Json)
}

async fn report(State(shop): Shared) -> Result<String, StatusCode> {
    in_background(move || report::build_report(&shop.products[..REPORT_ROWS])).await
}

async fn recommend(State(shop): Shared) -> Answer {
    in_background(move || json!(recommend::recommend_pairs(&shop.products[..RECOMMEND_RANGE])))
        .await
        .map(Json)
}

async fn thumbnail(Path(id): Path<usize>) -> Result<Vec<u8>, StatusCode> {
    in_background(move || thumbnail::make_thumbnail(id % catalogue::PRODUCTS)).await
}

async fn export(State(shop): Shared) -> Answer {
    let checksum = in_background(move || {
        export::export_catalogue(&shop.products[..EXPORT_LINES], &shop.export_file)
    })
    .await?
    .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "checksum": checksum })))
}

/// Rows of a report; its cost grows with the square.
const REPORT_ROWS: usize = 800;
/// Products compared with each other; the cost grows with the square.
const RECOMMEND_RANGE: usize = 1_200;
/// Lines of an export.
const EXPORT_LINES: usize = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts the shop on a free port and asks every endpoint as the driver does.
    #[tokio::test]
    async fn every_endpoint_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shop = Arc::new(Shop {
            products: catalogue::make(42),
            till: checkout::Till::default(),
            export_file: std::env::temp_dir()
                .join(format!("vesta-shop-router-{}.csv", std::process::id())),
        });
        tokio::spawn(async move { axum::serve(listener, router(shop)).await });
        let counts = crate::driver::ask_each_once(address).await.unwrap();
        assert_eq!(counts, crate::driver::ENDPOINTS.len());
    }
}
