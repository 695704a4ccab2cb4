//! The user's own rules for whose code a frame is: `[[classify]]` in the settings file.

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use views::classify::{Class, Override, Overrides, Part};

/// One rule of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    /// `function`, `file` or `library`.
    #[serde(rename = "match")]
    part: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    /// `own`, `dependency`, `runtime`, `kernel` or `unknown`.
    class: String,
}

/// Checks the rules; an error names the rule by its position.
pub(super) fn overrides(rules: &[FileRule]) -> Result<Overrides> {
    let rules = rules.iter().enumerate().map(|(at, rule)| {
        read(rule).map_err(|error| anyhow!("[[classify]] rule {}: {error:#}", at + 1))
    });
    let rules = rules.collect::<Result<Vec<_>>>()?;
    Overrides::new(rules).map_err(|error| anyhow!("[[classify]]: {error}"))
}

fn read(rule: &FileRule) -> Result<Override> {
    let part = match rule.part.as_str() {
        "function" => Part::Function,
        "file" => Part::File,
        "library" => Part::Library,
        other => bail!("match = {other:?} is none of function, file, library"),
    };
    let Some(class) = Class::from_name(&rule.class) else {
        let names = Class::ALL.map(Class::name).join(", ");
        bail!("class = {:?} is none of {names}", rule.class)
    };
    let made = match (&rule.prefix, &rule.regex) {
        (Some(prefix), None) => Override::prefix(part, prefix, class),
        (None, Some(regex)) => Override::regex(part, regex, class),
        _ => bail!("give either prefix or regex"),
    };
    made.map_err(|error| anyhow!(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Overrides> {
        let rules: Vec<FileRule> = toml::from_str::<toml::Table>(text)?
            .remove("classify")
            .unwrap_or_else(|| toml::Value::Array(Vec::new()))
            .try_into()?;
        overrides(&rules)
    }

    #[test]
    fn rules_are_read_in_order_and_mistakes_say_where_they_are() {
        let rules = read_all(
            "[[classify]]\nmatch='function'\nprefix='com.acme.gen.'\nclass='dependency'\n\
             [[classify]]\nmatch='function'\nregex='^com\\.acme\\.'\nclass='own'\n",
        );
        let rules = rules.unwrap();
        let class = |function| rules.class_of(function, "", "", Class::Unknown);
        assert_eq!(class("com.acme.gen.Api.call"), Class::Dependency);
        assert_eq!(class("com.acme.Shop.buy"), Class::Own);
        let good = "[[classify]]\nmatch='file'\nprefix='/a'\nclass='own'\n";
        for (text, advice) in [
            ("match='file'\nprefix='/a'\nclass='mine'", "rule 2: class = \"mine\" is none of"),
            ("match='path'\nprefix='/a'\nclass='own'", "none of function, file, library"),
            ("match='file'\nclass='own'", "either prefix or regex"),
            ("match='file'\nprefix='a'\nregex='b'\nclass='own'", "either prefix or regex"),
            ("match='file'\nregex='('\nclass='own'", "is no expression"),
            ("match='file'\nprefix=''\nclass='own'", "every frame"),
            ("match='file'\nprefx='a'\nclass='own'", "unknown field"),
        ] {
            let error =
                format!("{:#}", read_all(&format!("{good}[[classify]]\n{text}")).unwrap_err());
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
