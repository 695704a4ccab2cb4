//! Damaged uploads: an answer each, no growth, no panic.

use crate::harness::{Server, cpu_pprof, cpu_profile, folder, multipart};
use http::Method;
use std::fmt::Write;
use stdx::Rng;

const UPLOADS: usize = 1000;
const GROWTH_KIB_MAX: i64 = 32 * 1024;

fn folded() -> String {
    let mut text = String::new();
    for at in 0..100 {
        writeln!(text, "main;loop{};call{at};leaf{} {}", at % 7, at % 13, at * 1000 + 1).unwrap();
    }
    text
}

/// Changes, cuts or repeats a few places.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(8) {
        let at = rng.below(bytes.len().max(1) as u64) as usize;
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 => {
                let copy: Vec<u8> = bytes[at..].iter().take(64).copied().collect();
                bytes.splice(at..at, copy);
            }
            2 => bytes.splice(at..at, [0xff; 9]).for_each(drop),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next_u64() as u8;
                }
            }
        }
    }
}

/// A damaged upload: every other one is damaged inside its compression.
fn damaged(whole: &[u8], plain: &[u8], at: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = if at.is_multiple_of(2) { plain.to_vec() } else { whole.to_vec() };
    damage(&mut bytes, rng);
    if at.is_multiple_of(2) { formats::compress::gzip(&bytes) } else { bytes }
}

/// Sends a damaged upload; says whether anything of it was taken.
async fn send(server: &Server, at: usize, body: Vec<u8>) -> bool {
    let window = "from=now-10s&until=now";
    let answer = if at.is_multiple_of(3) {
        let (kind, body) = multipart("profile", &body);
        let path = format!("/ingest?name=damaged&{window}");
        server.send(Method::POST, &path, &[("content-type", &kind)], body).await
    } else {
        server.upload(&format!("service_name=damaged&{window}"), body).await
    };
    let is_fine = answer.status.is_success() || answer.status.is_client_error();
    assert!(is_fine, "upload {at}: {} {:?}", answer.status, answer.body);
    answer.status.is_success()
}

#[tokio::test]
async fn a_thousand_damaged_uploads_leave_the_server_as_it_was() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let whole = cpu_pprof(&folded());
    let plain = formats::pprof::encode(&cpu_profile(&folded()));
    let mut rng = Rng::seeded(42);
    server.upload("service_name=whole&from=now-10s&until=now", whole.clone()).await.ok();
    let before = server.resident_kib();
    let mut taken = 0;
    for at in 0..UPLOADS {
        taken += usize::from(send(&server, at, damaged(&whole, &plain, at, &mut rng)).await);
    }
    assert!(taken > 500 && taken < UPLOADS - 40, "{taken} of {UPLOADS} were taken");
    let growth = server.resident_kib() - before;
    assert!(growth <= GROWTH_KIB_MAX, "grew by {growth} KiB from {before} KiB");
    println!("resident: {before} KiB before, {growth} KiB more after");
    let metrics = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for quiet in ["vesta_ingest_decode_panics_total 0", "vesta_handler_panics_total 0"] {
        assert!(metrics.contains(quiet), "{metrics}");
    }
    server.upload("service_name=whole&from=now-10s&until=now", whole).await.ok();
}
