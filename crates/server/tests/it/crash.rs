//! Nothing acknowledged is lost, whenever the process dies.

use crate::harness::{CPU, Server, cpu_pprof, folder, of_service};
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stdx::Rng;

const KILLS: usize = 20;
const WRITERS: usize = 4;

/// How often each stored id occurs.
async fn stored(server: &Server) -> BTreeMap<String, usize> {
    let (mut ids, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/api/v1/profiles?{}&limit=1000&cursor={cursor}", of_service("crash"));
        let page = server.get(&path).await.ok();
        for profile in page["profiles"].as_array().unwrap() {
            *ids.entry(profile["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return ids,
        }
    }
}

/// Uploads until the server is gone; gives the acknowledged ids.
async fn write(server: Arc<Server>, acknowledged: Arc<AtomicUsize>) -> Vec<String> {
    let mut ids = Vec::new();
    let path = "/api/v1/profiles?service_name=crash&from=now-1s&until=now";
    loop {
        let sent = server.try_send(Method::POST, path, &[], cpu_pprof("main;work 7\n")).await;
        let Some(answer) = sent else { return ids };
        ids.push(answer.ok()["profiles"][0]["id"].as_str().unwrap().to_owned());
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_during_uploads_lose_nothing_acknowledged() {
    let data = folder();
    let mut rng = Rng::seeded(7);
    let mut all: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let server = Arc::new(Server::start(data.path(), &[]));
        let found = stored(&server).await;
        for id in &all {
            assert_eq!(found.get(id), Some(&1), "kill {round}: {id} is there once");
        }
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| tokio::spawn(write(Arc::clone(&server), Arc::clone(&acknowledged))))
            .collect();
        let enough = 1 + rng.below(60) as usize;
        while acknowledged.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
        server.kill_now();
        for writer in writers {
            all.extend(writer.await.unwrap());
        }
    }
    let server = Server::start(data.path(), &[]);
    let found = stored(&server).await;
    assert!(all.iter().all(|id| found.get(id) == Some(&1)));
    assert!(found.len() >= all.len() && all.len() >= KILLS);
    let top = server.get(&format!("/api/v1/top?type={CPU}&{}", of_service("crash"))).await.ok();
    assert_eq!(top["meta"]["total"].as_u64(), Some(7 * found.len() as u64));
}

#[tokio::test]
async fn a_clean_stop_flushes_and_keeps_everything() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let upload = "service_name=crash&from=now-1s&until=now";
    server.upload(upload, cpu_pprof("main;work 7\n")).await.ok();
    let log = server.stop();
    assert!(log.contains("stopped"), "{log}");
    let server = Server::start(data.path(), &[]);
    assert_eq!(stored(&server).await.len(), 1);
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("vesta_store_segments 1"), "{metrics}");
}
