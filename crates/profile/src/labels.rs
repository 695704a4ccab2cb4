//! Label sets: what names a series.

/// Names of labels that the product itself reads.
pub mod names {
    /// The service (application) that ran.
    pub const SERVICE: &str = "service_name";
    /// Deployment environment.
    pub const ENV: &str = "env";
    /// Version of the service.
    pub const VERSION: &str = "version";
    /// Host name.
    pub const HOST: &str = "host";
    /// Part of the service (Kubernetes workload, Azure role).
    pub const ROLE: &str = "role";
    /// One running process or pod, e.g. `host:pid`.
    pub const INSTANCE: &str = "instance";
    /// Language runtime: `go`, `jvm`, `cpython`, `nodejs`, `native`.
    pub const RUNTIME: &str = "runtime";
    /// Who collected it: `agent`, `ddtrace`, `pyroscope`, `otel`, `upload`.
    pub const SOURCE: &str = "source";
}

/// A label set, sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.binary_search_by(|(have, _)| have.as_str().cmp(&name)) {
            Ok(at) if value.is_empty() => drop(self.0.remove(at)),
            Ok(at) => self.0[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(have, _)| have.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Name and value pairs in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::new();
        for (name, value) in pairs {
            labels.set(name, value);
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_once_and_an_empty_value_removes_it() {
        let mut labels: Labels = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        labels.set("a", "");
        assert_eq!(labels.get("a"), None);
        assert_eq!(labels.len(), 1);
    }
}
