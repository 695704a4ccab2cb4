//! Questions to the server about one service.

use crate::http::{Client, encode};
use anyhow::Context;
use serde_json::Value;

/// How many functions are asked for.
const FUNCTIONS: usize = 1_000;

/// How much arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) profiles: usize,
    pub(crate) samples: u64,
    pub(crate) types: usize,
    pub(crate) spans: u64,
}

/// A function's values.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) own: i64,
    pub(crate) total: i64,
}

/// The functions of a selection.
#[derive(Clone, Debug)]
pub(crate) struct Top {
    pub(crate) total: i64,
    pub(crate) samples: u64,
    /// By their own value, largest first.
    pub(crate) functions: Vec<Function>,
}

impl Top {
    /// The largest total among functions whose name holds `part`; 0 where there is none.
    pub(crate) fn total_of(&self, part: &str) -> i64 {
        let named = self.functions.iter().filter(|function| function.name.contains(part));
        named.map(|function| function.total).max().unwrap_or_default()
    }
}

/// Asks a server about a service.
#[derive(Debug)]
pub(crate) struct Asked {
    url: String,
    pub(crate) service: String,
    client: Client,
}

impl Asked {
    pub(crate) fn new(url: &str, service: &str) -> Self {
        Self { url: url.to_owned(), service: service.to_owned(), client: Client::new() }
    }

    fn get(&self, question: &str, parameters: &str) -> anyhow::Result<Value> {
        let matcher = encode(&format!("{{service_name=\"{}\"}}", self.service));
        let url = &self.url;
        let range = "from=now-1h&to=now%2B1h";
        let url = format!("{url}/api/v1/{question}?match={matcher}&{range}{parameters}");
        self.client.get_json(&url)
    }

    /// Ids of profile types with data.
    pub(crate) fn types(&self) -> anyhow::Result<Vec<String>> {
        let answer = self.get("profile-types", "")?;
        let types = answer["types"].as_array().context("the answer lists no types")?;
        Ok(types.iter().filter_map(|one| one["id"].as_str()).map(str::to_owned).collect())
    }

    /// Functions of a type; `filter` begins with `&` where there is one.
    pub(crate) fn top(&self, of: &str, filter: &str) -> anyhow::Result<Top> {
        let parameters = format!("&type={}&limit={FUNCTIONS}&sort=self{filter}", encode(of));
        let answer = self.get("top", &parameters)?;
        let functions = answer["functions"].as_array().context("the answer has no functions")?;
        let function = |one: &Value| Function {
            name: one["name"].as_str().unwrap_or_default().to_owned(),
            file: one["file"].as_str().unwrap_or_default().to_owned(),
            own: one["self"].as_i64().unwrap_or_default(),
            total: one["total"].as_i64().unwrap_or_default(),
        };
        Ok(Top {
            total: answer["meta"]["total"].as_i64().context("the answer has no meta.total")?,
            samples: answer["meta"]["samples"].as_u64().unwrap_or_default(),
            functions: functions.iter().map(function).collect(),
        })
    }

    /// Threads with samples of a type.
    pub(crate) fn threads(&self, of: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.get("top", &format!("&type={}&by=thread", encode(of)))?;
        let groups = answer["groups"].as_array().context("the answer has no groups")?;
        let keys = groups.iter().filter_map(|one| one["key"].as_str());
        Ok(keys.filter(|key| !key.is_empty()).map(str::to_owned).collect())
    }

    /// Whether Datadog's libraries are told of a path.
    pub(crate) fn offers(&self, path: &str) -> anyhow::Result<bool> {
        let info = self.client.get_json(&format!("{}/info", self.url))?;
        let endpoints = info["endpoints"].as_array().context("/info lists no endpoints")?;
        Ok(endpoints.iter().any(|one| one == path))
    }

    /// Values of a label.
    pub(crate) fn label(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.get(&format!("labels/{name}/values"), "")?;
        let values = answer["values"].as_array().context("the answer lists no values")?;
        Ok(values.iter().filter_map(|one| one["value"].as_str()).map(str::to_owned).collect())
    }

    /// All services.
    pub(crate) fn services(&self) -> anyhow::Result<Vec<String>> {
        let url = format!("{}/api/v1/services?from=now-1h&to=now%2B1h", self.url);
        let answer = self.client.get_json(&url)?;
        let services = answer["services"].as_array().context("the answer lists no services")?;
        Ok(services.iter().filter_map(|one| one["service"].as_str()).map(str::to_owned).collect())
    }

    /// Requests by what they were about, with their number.
    pub(crate) fn endpoints(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let answer = self.get("endpoints", "")?;
        let endpoints = answer["endpoints"].as_array().context("the answer lists no endpoints")?;
        let one = |one: &Value| {
            let resource = one["resource"].as_str().unwrap_or_default().to_owned();
            (resource, one["count"].as_u64().unwrap_or_default())
        };
        Ok(endpoints.iter().map(one).collect())
    }

    /// All spans of a trace.
    pub(crate) fn trace(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.client.get_json(&format!("{}/api/v1/traces/{id}", self.url))?;
        Ok(answer["spans"].as_array().context("the answer lists no spans")?.clone())
    }

    /// How much arrived.
    pub(crate) fn figures(&self) -> anyhow::Result<Figures> {
        let answer = self.get("profiles", "&limit=1000")?;
        let profiles = answer["profiles"].as_array().context("the answer lists no profiles")?;
        let spans = self.get("endpoints", "&entries=false")?;
        Ok(Figures {
            profiles: profiles.len(),
            samples: profiles.iter().filter_map(|one| one["samples"].as_u64()).sum(),
            types: self.types()?.len(),
            spans: spans["spans"].as_u64().unwrap_or_default(),
        })
    }
}
