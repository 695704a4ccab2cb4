//! Uploading one file each way and asking the server about it.

use super::truth::{TruthFile, TypeTruth};
use crate::http::{Client, encode, multipart};
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many entries of the top are compared.
const TOP: usize = 5;
/// How many functions are asked for, so that those of one name can be added up.
const FUNCTIONS: usize = 1_000;

/// The ways in.
#[derive(Clone, Copy, Debug)]
enum Way {
    IngestRaw,
    IngestMultipart,
    Profiles,
}

/// Which profiles an answer is about.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// All of a service.
    Service(String),
    /// One, by its id.
    Profile(String),
}

/// Asks a running server.
#[derive(Debug)]
pub(crate) struct Checker {
    url: String,
    client: Client,
    uploads: usize,
    types: usize,
}

impl Checker {
    pub(crate) fn new(url: String) -> Self {
        Self { url, client: Client::new(), uploads: 0, types: 0 }
    }

    /// What differs from the truth, whichever way the file goes in; empty when nothing does.
    pub(crate) fn check(&mut self, file: &TruthFile) -> Vec<String> {
        let bytes = match std::fs::read(&file.path) {
            Ok(bytes) => bytes,
            Err(error) => return vec![format!("cannot be read: {error}")],
        };
        let mut problems = Vec::new();
        for way in [Way::IngestRaw, Way::IngestMultipart, Way::Profiles] {
            match self.check_way(way, &bytes, file) {
                Ok(found) => problems.extend(found.iter().map(|text| format!("{way:?}: {text}"))),
                Err(error) => problems.push(format!("{way:?}: {error:#}")),
            }
        }
        problems
    }

    /// How much was compared.
    pub(crate) fn summary(&self) -> String {
        format!("{} uploads, {} totals and tops compared", self.uploads, self.types)
    }

    /// Uploads a file whose format is told by its content; the service it went to and the receipt.
    pub(super) fn upload_raw(&mut self, bytes: &[u8]) -> anyhow::Result<(String, Value)> {
        self.uploads += 1;
        let service = format!("corpus-{}", self.uploads);
        let receipt = self.upload(Way::Profiles, &service, bytes)?;
        Ok((service, receipt))
    }

    /// The server's address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The profiles of a service.
    pub(super) fn profiles(&self, service: &str) -> anyhow::Result<Vec<Value>> {
        let matcher = encode(&format!("{{service_name=\"{service}\"}}"));
        let url =
            format!("{}/api/v1/profiles?match={matcher}&from=0&to=now%2B1d&limit=1000", self.url);
        let answer = self.client.get_json(&url)?;
        Ok(answer["profiles"].as_array().context("the answer lists no profiles")?.clone())
    }

    /// Total and top of one profile.
    pub(super) fn compare_one(
        &mut self,
        truth: &TypeTruth,
        profile: &str,
        profile_type: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.types += 1;
        let answer = self.client.get_json(&format!(
            "{}/api/v1/top?type={}&profile={profile}&limit={FUNCTIONS}&sort=self",
            self.url,
            encode(profile_type)
        ))?;
        compare(truth, &answer)
    }

    fn check_way(
        &mut self,
        way: Way,
        bytes: &[u8],
        file: &TruthFile,
    ) -> anyhow::Result<Vec<String>> {
        self.uploads += 1;
        // A name of its own, so that nothing else is added to its answers.
        let service = format!("corpus-{}", self.uploads);
        let receipt = self.upload(way, &service, bytes)?;
        self.compare_types(&file.types, &Scope::Service(service), &receipt)
    }

    /// What differs from the truth of each sample type.
    pub(super) fn compare_types(
        &mut self,
        truths: &[TypeTruth],
        scope: &Scope,
        receipt: &Value,
    ) -> anyhow::Result<Vec<String>> {
        let ids = profile_types(receipt)?;
        let mut problems = Vec::new();
        for truth in truths {
            let Some(id) = ids.get(&truth.sample_type) else {
                if truth.is_zero() {
                    continue;
                }
                problems.push(format!("the receipt has no sample type {:?}", truth.sample_type));
                continue;
            };
            let answer = self.top(id, scope)?;
            problems.extend(compare(truth, &answer)?);
        }
        Ok(problems)
    }

    fn upload(&self, way: Way, service: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        let octets = "application/octet-stream";
        let ingest = format!("{}/ingest?name={service}&format=pprof", self.url);
        match way {
            Way::IngestRaw => self.client.post(&ingest, octets, bytes),
            Way::IngestMultipart => {
                let (content_type, body) = multipart(bytes);
                let ingest = format!("{}/ingest?name={service}", self.url);
                self.client.post(&ingest, &content_type, &body)
            }
            Way::Profiles => {
                let url = format!("{}/api/v1/profiles?service_name={service}", self.url);
                self.client.post(&url, octets, bytes)
            }
        }
    }

    /// One more upload was made without this.
    pub(super) fn count_upload(&mut self) {
        self.uploads += 1;
    }

    /// How many spans there are.
    pub(super) fn spans(&self) -> anyhow::Result<u64> {
        let question = "endpoints?entries=false&from=0&to=now%2B1d";
        let answer = self.client.get_json(&format!("{}/api/v1/{question}", self.url))?;
        answer["spans"].as_u64().context("the answer counts no spans")
    }

    /// Everything about a profile but its samples.
    pub(super) fn detail(&self, id: &str) -> anyhow::Result<Value> {
        self.client.get_json(&format!("{}/api/v1/profiles/{id}", self.url))
    }

    /// How many events of a name a service has.
    pub(super) fn events(&mut self, service: &str, name: &str) -> anyhow::Result<u64> {
        self.types += 1;
        let service = encode(service);
        let url = format!(
            "{}/api/v1/events?service={service}&name={}&from=0&to=now%2B1d&limit=1000",
            self.url,
            encode(name)
        );
        let (mut found, mut cursor) = (0, String::new());
        loop {
            let page = self.client.get_json(&format!("{url}&cursor={cursor}"))?;
            found += page["events"].as_array().context("the answer has no events")?.len() as u64;
            let Some(next) = page["next_cursor"].as_str() else { return Ok(found) };
            cursor = encode(next);
        }
    }

    /// How often a gauge of a service was read.
    pub(super) fn readings(&mut self, service: &str, gauge: &str) -> anyhow::Result<u64> {
        self.types += 1;
        let (service, gauge) = (encode(service), encode(gauge));
        let answer = self.client.get_json(&format!(
            "{}/api/v1/metrics?service={service}&names={gauge}&from=0&to=now%2B1d&step_ms=86400000",
            self.url
        ))?;
        let gauges = answer["metrics"].as_array().context("the answer has no gauges")?;
        let points = gauges.iter().filter_map(|one| one["points"].as_array()).flatten();
        Ok(points.filter_map(|point| point["readings"].as_u64()).sum())
    }

    pub(super) fn top(&mut self, profile_type: &str, scope: &Scope) -> anyhow::Result<Value> {
        self.types += 1;
        let scope = match scope {
            Scope::Service(name) => {
                format!("match={}", encode(&format!("{{service_name=\"{name}\"}}")))
            }
            Scope::Profile(id) => format!("profile={id}"),
        };
        self.client.get_json(&format!(
            "{}/api/v1/top?type={}&{scope}&from=0&to=now%2B1d&limit={FUNCTIONS}&sort=self",
            self.url,
            encode(profile_type)
        ))
    }
}

/// Profile type ids by sample type, as the receipt of one upload says.
pub(super) fn profile_types(receipt: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    let profiles = receipt["profiles"].as_array().context("the receipt lists no profiles")?;
    let mut ids = BTreeMap::new();
    for entry in profiles.iter().filter_map(|profile| profile["types"].as_array()).flatten() {
        let (name, id) = (entry["sample_type"].as_str(), entry["type"].as_str());
        let (Some(name), Some(id)) = (name, id) else { bail!("a type without its id: {entry}") };
        ids.insert(name.to_owned(), id.to_owned());
    }
    Ok(ids)
}

/// A function's name as the truth writes it. Functions whose name is empty are shown by address;
/// where the truth has such a function, addresses stand for it.
fn truth_name<'a>(truth: &TypeTruth, shown: &'a str) -> &'a str {
    let has_unnamed = truth.top_self.iter().any(|entry| entry.0.is_empty());
    if has_unnamed && shown.starts_with("0x") { "" } else { shown }
}

/// Total and top by self, both exact. Functions of one name (in several files) are one in the
/// truth. Names are compared by value, so that the order among equals does not matter.
fn compare(truth: &TypeTruth, answer: &Value) -> anyhow::Result<Vec<String>> {
    let name = &truth.sample_type;
    let total = answer["meta"]["total"].as_i64().context("the answer has no meta.total")?;
    let mut by_name: BTreeMap<&str, i64> = BTreeMap::new();
    for function in answer["functions"].as_array().context("the answer has no functions")? {
        let own = function["self"].as_i64().context("a function without self")?;
        let shown = function["name"].as_str().context("a function without a name")?;
        *by_name.entry(truth_name(truth, shown)).or_default() += own;
    }
    let mut problems = Vec::new();
    if total != truth.total {
        problems.push(format!("{name}: total {total}, truth {}", truth.total));
    }
    for (function, own) in truth.top_self.iter().take(TOP) {
        let got = by_name.get(function.as_str()).copied().unwrap_or_default();
        if got != *own {
            problems.push(format!("{name}: self of {function:?} is {got}, truth {own}"));
        }
    }
    let mut largest: Vec<i64> = by_name.into_values().collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let expected: Vec<i64> = truth.top_self.iter().take(TOP).map(|entry| entry.1).collect();
    largest.truncate(expected.len());
    if largest != expected {
        problems.push(format!("{name}: top values {largest:?}, truth {expected:?}"));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn truth() -> TypeTruth {
        let top_self = vec![("f".to_owned(), 5), ("g".to_owned(), 2)];
        TypeTruth { sample_type: "cpu".into(), total: 8, top_self }
    }

    fn answer(total: i64, functions: &[(&str, i64)]) -> Value {
        let functions: Vec<Value> = functions
            .iter()
            .map(|(name, own)| json!({ "name": name, "file": "", "self": own }))
            .collect();
        json!({ "meta": { "total": total }, "functions": functions })
    }

    #[test]
    fn equal_is_exact_and_functions_of_one_name_are_added_up() {
        let same = answer(8, &[("g", 2), ("f", 3), ("f", 2), ("h", 1)]);
        assert!(compare(&truth(), &same).unwrap().is_empty());
    }

    #[test]
    fn addresses_stand_for_functions_whose_name_is_empty() {
        let mut truth = truth();
        truth.top_self[1].0 = String::new();
        assert!(
            compare(&truth, &answer(8, &[("f", 5), ("0x0", 1), ("0x1", 1)])).unwrap().is_empty()
        );
        assert!(!compare(&truth, &answer(8, &[("f", 5), ("g", 2)])).unwrap().is_empty());
    }

    #[test]
    fn each_difference_is_named() {
        let cases = [
            (answer(9, &[("f", 5), ("g", 2)]), "total 9, truth 8"),
            (answer(8, &[("f", 4), ("g", 2)]), "self of \"f\" is 4, truth 5"),
            (answer(8, &[("f", 5), ("g", 2), ("h", 6)]), "top values [6, 5], truth [5, 2]"),
        ];
        for (answer, expected) in cases {
            let problems = compare(&truth(), &answer).unwrap();
            assert!(problems.iter().any(|text| text.contains(expected)), "{problems:?}");
        }
        assert!(compare(&truth(), &json!({})).is_err());
    }

    #[test]
    fn receipts_give_profile_types() {
        let receipt =
            json!({ "profiles": [{ "types": [{ "sample_type": "cpu", "type": "a:b" }] }] });
        assert_eq!(profile_types(&receipt).unwrap()["cpu"], "a:b");
        assert!(profile_types(&json!({})).is_err());
    }
}
