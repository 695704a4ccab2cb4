//! Requests of Pyroscope's clients, sent again byte for byte to the server's own port: what is then
//! stored must be what the truth of the request says.
//!
//! An item has `requests/NNNN.head` with the request line and headers, beside it the body as it went
//! over the wire (`.wire` where it was chunked, else `.body`), and in `truth.json` the profiles of
//! each request, by its number.

use super::check::Checker;
use super::items::Item;
use super::truth::{TypeTruth, type_truths};
use crate::http::{has_header, replay, without_header};
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The header that names a tenant.
const TENANT: &str = "x-scope-orgid";

/// A captured request and what is in it.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Path within the item.
    pub(crate) name: String,
    head: PathBuf,
    body: PathBuf,
    service: String,
    /// Of each profile; none where other tools say nothing of it.
    profiles: Vec<Vec<TypeTruth>>,
}

/// The item's requests to Pyroscope's addresses.
pub(crate) fn requests(item: &Item) -> anyhow::Result<Vec<Replay>> {
    let text = std::fs::read_to_string(item.dir.join("truth.json"))?;
    let truth: Value = serde_json::from_str(&text).context("truth.json is no JSON")?;
    let listed = truth["requests"].as_array().or(truth["profiles"].as_array());
    let mut found = Vec::new();
    for request in listed.into_iter().flatten() {
        let (Some(number), Some(path)) = (request["n"].as_u64(), request["path"].as_str()) else {
            continue;
        };
        let (is_push, is_ingest) = (path.contains("PusherService/"), path.starts_with("/ingest?"));
        let file = |ending: &str| item.dir.join(format!("requests/{number:04}.{ending}"));
        let body = if file("wire").exists() { file("wire") } else { file("body") };
        if !(is_push || is_ingest) || !file("head").exists() || !body.exists() {
            continue;
        }
        let mut profiles = Vec::new();
        collect(request, &mut profiles);
        let service = if is_push { pushed_service(request) } else { named_service(path) };
        found.push(Replay {
            name: format!("requests/{number:04}"),
            head: file("head"),
            body,
            service: service.with_context(|| format!("request {number} names no service"))?,
            profiles,
        });
    }
    Ok(found)
}

/// Every object with totals, wherever it stands.
fn collect(value: &Value, found: &mut Vec<Vec<TypeTruth>>) {
    if let Some(types) = type_truths(value) {
        found.push(types);
        return;
    }
    match value {
        Value::Object(object) => object.values().for_each(|inner| collect(inner, found)),
        Value::Array(array) => array.iter().for_each(|inner| collect(inner, found)),
        _ => {}
    }
}

fn pushed_service(request: &Value) -> Option<String> {
    let labels = request["series"][0]["labels"].as_array()?;
    let label = labels.iter().find(|pair| pair[0] == "service_name")?;
    label[1].as_str().map(str::to_owned)
}

fn named_service(path: &str) -> Option<String> {
    let mut parameters = path.split_once('?')?.1.split('&');
    let name = parameters.find_map(|one| one.strip_prefix("name="))?;
    Some(name.split("%7B").next()?.to_owned())
}

impl Replay {
    /// What differs from the truth.
    pub(crate) fn check(&self, checker: &mut Checker) -> Vec<String> {
        self.compare(checker).unwrap_or_else(|error| vec![format!("{error:#}")])
    }

    fn compare(&self, checker: &mut Checker) -> anyhow::Result<Vec<String>> {
        let before = ids(&checker.profiles(&self.service)?);
        let (head, body) = (std::fs::read(&self.head)?, std::fs::read(&self.body)?);
        let address = checker.url().strip_prefix("http://").context("an address without http")?;
        let (mut status, _) = replay(address, &head, &body)?;
        if status == 403 && has_header(&head, TENANT) {
            // A tenant that nobody gave this client a token for.
            (status, _) = replay(address, &without_header(&head, TENANT), &body)?;
        }
        if status != 200 {
            bail!("the answer is {status}");
        }
        let mut stored = checker.profiles(&self.service)?;
        stored.retain(|one| !before.contains(one["id"].as_str().unwrap_or_default()));
        if self.profiles.is_empty() {
            let is_there = stored.iter().any(|one| one["samples"].as_u64() > Some(0));
            let missing = (!is_there).then(|| "nothing is stored".to_owned());
            return Ok(missing.into_iter().collect());
        }
        let mut problems = Vec::new();
        for truth in self.profiles.iter().flatten().filter(|truth| !truth.is_zero()) {
            let found = stored.iter().find_map(|one| {
                let id = type_id(one, &truth.sample_type)?;
                Some((one["id"].as_str()?.to_owned(), id))
            });
            match found {
                Some((profile, id)) => problems.extend(checker.compare_one(truth, &profile, &id)?),
                None => problems.push(format!("nothing is stored of {:?}", truth.sample_type)),
            }
        }
        Ok(problems)
    }
}

fn ids(profiles: &[Value]) -> BTreeSet<String> {
    profiles.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
}

/// The profile type that a client's sample type has become, by the second part of its id.
fn type_id(profile: &Value, sample_type: &str) -> Option<String> {
    let totals = profile["totals"].as_array()?.iter();
    let ids = totals.filter_map(|total| total["type"].as_str());
    let mut ids = ids.filter(|id| id.split(':').nth(1) == Some(sample_type));
    ids.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_found_with_their_service_and_truth() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("requests")).unwrap();
        let pprof =
            json!({ "bytes": 1, "totals": { "cpu": 9 }, "top_self": { "cpu": [["f", 9]] } });
        let series = json!([{ "labels": [["service_name", "a"]], "profiles": [pprof] }]);
        let truth = json!({ "requests": [
            { "n": 1, "path": "/push.v1.PusherService/Push", "series": series },
            { "n": 2, "path": "/ingest?from=1&name=b.c%7Bk%3Dv%7D", "parts": [{ "pprof": pprof }] },
            { "n": 3, "path": "/info" },
        ]});
        std::fs::write(dir.path().join("truth.json"), truth.to_string()).unwrap();
        for file in ["0001.head", "0001.body", "0002.head", "0002.wire", "0003.head", "0003.body"] {
            std::fs::write(dir.path().join("requests").join(file), "x").unwrap();
        }
        let item = Item { name: "x".into(), dir: dir.path().to_owned() };
        let found = requests(&item).unwrap();
        let services: Vec<&str> = found.iter().map(|one| one.service.as_str()).collect();
        assert_eq!(services, ["a", "b.c"]);
        assert!(found.iter().all(|one| one.profiles[0][0].total == 9));
        assert!(found[1].body.ends_with("0002.wire"));
    }
}
