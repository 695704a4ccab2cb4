//! `[[tee]]`: other addresses that clients' requests also go to.

use crate::egress::target;
use crate::tee::Settings;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use http::{HeaderName, HeaderValue, Uri};
use ingest::receivers::Intake;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The short way, without headers.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct TeeFlags {
    /// Also send what Datadog's libraries send to this address, e.g. http://127.0.0.1:8127 of their
    /// agent, or one of https; see [[tee]] of the settings file for more.
    #[arg(long, env = "VESTA_TEE_DATADOG", value_name = "URL")]
    tee_datadog: Option<String>,
    /// Also send what Pyroscope's clients send to this address, e.g. http://127.0.0.1:4041, or one
    /// of https.
    #[arg(long, env = "VESTA_TEE_PYROSCOPE", value_name = "URL")]
    tee_pyroscope: Option<String>,
}

/// An address as the file has it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTee {
    intake: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<bool>,
}

impl FileTee {
    /// Takes what is secret out of what is printed.
    pub(super) fn hide(&mut self) {
        if let Some(value) = &mut self.value {
            "(hidden)".clone_into(value);
        }
    }
}

/// Those of the file, and those of flags or variables.
pub(super) fn with(flags: &TeeFlags, file: Vec<FileTee>) -> Vec<FileTee> {
    let named = [(Intake::Datadog, &flags.tee_datadog), (Intake::Pyroscope, &flags.tee_pyroscope)];
    let named = named.into_iter().filter_map(|(intake, to)| {
        Some(FileTee { intake: intake.name().to_owned(), to: to.clone()?, ..FileTee::default() })
    });
    file.into_iter().chain(named).collect()
}

/// What runs.
pub(super) fn checked(file: &[FileTee]) -> Result<Vec<Settings>> {
    file.iter().map(|one| check(one).with_context(|| format!("[[tee]] to {:?}", one.to))).collect()
}

fn check(file: &FileTee) -> Result<Settings> {
    let names = Intake::ALL.map(Intake::name).join(", ");
    let intake = Intake::ALL.into_iter().find(|intake| intake.name() == file.intake);
    let intake = intake.with_context(|| format!("intake {:?} is none of {names}", file.intake))?;
    let to: Uri = file.to.parse().context("write https://HOST or http://HOST:PORT")?;
    target(&to)?;
    ensure!(to.query().is_none(), "it has a query: give https://HOST or http://HOST:PORT");
    let header = match (&file.header, &file.value, &file.value_file) {
        (None, None, None) => None,
        (Some(name), Some(value), None) => Some(header(name, value)?),
        (Some(name), None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("read value_file {}", path.display()))?;
            Some(header(name, text.trim())?)
        }
        _ => bail!("give a header with either value or value_file"),
    };
    Ok(Settings { intake, to, header, has_credentials: file.credentials.unwrap_or(false) })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let name: HeaderName = name.parse().with_context(|| format!("{name:?} is no header"))?;
    let mut value = HeaderValue::from_str(value).context("the value is none of a header")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn addresses_read_with_their_headers_and_print_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "from a file\n").unwrap();
        let text = format!(
            "[[tee]]\nintake = 'datadog'\nto = 'http://a:8126'\nheader = 'DD-API-KEY'\n\
             value_file = '{}'\n[[tee]]\nintake = 'pyroscope'\nto = 'http://b:4040/base'\n\
             header = 'Authorization'\nvalue = 'secret'\ncredentials = true\n",
            key.display()
        );
        let flags = TeeFlags { tee_datadog: Some("http://c:1".to_owned()), ..TeeFlags::default() };
        let mut file = with(&flags, parse(&text).unwrap().tee);
        let found = checked(&file).unwrap();
        let headers: Vec<_> = found.iter().map(|one| one.header.clone()).collect();
        assert_eq!(headers[0].as_ref().unwrap().1, "from a file");
        assert_eq!(headers[1].as_ref().unwrap().0, "authorization");
        assert_eq!((found[1].intake, found[1].has_credentials), (Intake::Pyroscope, true));
        assert_eq!((found[2].intake, found[2].to.port_u16()), (Intake::Datadog, Some(1)));
        assert!(headers[2].is_none() && !found[2].has_credentials);
        file.iter_mut().for_each(FileTee::hide);
        let printed = toml::to_string(&file[1]).unwrap();
        assert!(!printed.contains("secret") && printed.contains("http://b:4040/base"), "{printed}");
    }

    #[test]
    fn mistakes_are_refused_with_advice() {
        for (rest, advice) in [
            ("intake = 'otlp'\nto = 'http://a'", "none of datadog, pyroscope"),
            ("intake = 'datadog'\nto = 'ftp://a'", "only https:// and http://"),
            ("intake = 'datadog'\nto = 'a:1'", "only https:// and http://"),
            ("intake = 'datadog'\nto = 'https://a/?x=1'", "has a query"),
            ("intake = 'datadog'\nto = 'http://a/?x=1'", "has a query"),
            ("intake = 'datadog'\nto = 'http://a'\nvalue = 'x'", "either value or value_file"),
            ("intake = 'datadog'\nto = 'http://a'\nheader = 'a b'\nvalue = 'x'", "is no header"),
            (
                "intake = 'datadog'\nto = 'http://a'\nheader = 'a'\nvalue_file = '/no/such'",
                "/no/such",
            ),
        ] {
            let file = parse(&format!("[[tee]]\n{rest}\n")).unwrap();
            let error = format!("{:#}", checked(&file.tee).unwrap_err());
            assert!(error.contains(advice), "{rest}: {error}");
        }
    }
}
