//! Generates the message types from `proto/` with a pure Rust compiler, so that no `protoc` is
//! needed on the machine that builds; and, for messages that also travel as JSON, how serde writes
//! them in protobuf's JSON form.

use std::{error::Error, path::Path};

const PROTO_ROOT: &str = "../../proto";
const PROTO_FILES: [&str; 3] = [
    "opentelemetry/proto/collector/profiles/v1development/profiles_service.proto",
    "google/pprof/profile.proto",
    "pyroscope/pyroscope.proto",
];
/// Packages whose messages also travel as JSON.
const JSON_PACKAGES: [&str; 2] = ["pyroscope", "perftools.profiles"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let descriptors = protox::compile(PROTO_FILES, [Path::new(PROTO_ROOT)])?;
    let mut config = prost_build::Config::new();
    config.disable_comments(["."]).include_file("packages.rs");
    for file in &descriptors.file {
        let package = file.package.as_deref().unwrap_or_default();
        if !JSON_PACKAGES.contains(&package) {
            continue;
        }
        for message in &file.message_type {
            let path = format!(".{package}.{}", message.name.as_deref().unwrap_or_default());
            config.message_attribute(
                &path,
                "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]",
            );
            for field in &message.field {
                let name = field.name.as_deref().unwrap_or_default();
                let is_optional = field.proto3_optional == Some(true);
                let is_repeated = field.label == Some(LABEL_REPEATED);
                let kind = (field.r#type.unwrap_or_default(), is_repeated, is_optional);
                let form = json_form(kind, field.type_name.as_deref().unwrap_or_default());
                let (json, alias) = (json_name(name), alias(name));
                let attribute = format!("#[serde(rename = \"{json}\"{alias}{form})]");
                config.field_attribute(format!("{path}.{name}"), attribute);
            }
        }
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

const LABEL_REPEATED: i32 = 3;
const TYPE_INT64: i32 = 3;
const TYPE_UINT64: i32 = 4;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;
const TYPE_ENUM: i32 = 14;

/// What serde is told of a field: 64-bit numbers are texts, bytes are base64, enumerations names.
fn json_form((kind, is_repeated, is_optional): (i32, bool, bool), type_name: &str) -> String {
    match kind {
        TYPE_INT64 | TYPE_UINT64 if is_repeated => ", with = \"crate::json::int64s\"".to_owned(),
        TYPE_INT64 | TYPE_UINT64 if is_optional => {
            ", with = \"crate::json::int64_or_none\"".to_owned()
        }
        TYPE_INT64 | TYPE_UINT64 => ", with = \"crate::json::int64\"".to_owned(),
        TYPE_BYTES => ", with = \"crate::json::base64\"".to_owned(),
        TYPE_ENUM => {
            let name = type_name.rsplit('.').next().unwrap_or_default();
            format!(", deserialize_with = \"crate::json::{}\"", snake_case(name))
        }
        TYPE_MESSAGE if !is_repeated => ", skip_serializing_if = \"Option::is_none\"".to_owned(),
        _ => String::new(),
    }
}

/// Protobuf's JSON name: without underscores, the letter after each in upper case.
fn json_name(name: &str) -> String {
    let mut parts = name.split('_');
    let mut json = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        json.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        json.extend(letters);
    }
    json
}

/// The name in the source is understood, too.
fn alias(name: &str) -> String {
    if json_name(name) == name { String::new() } else { format!(", alias = \"{name}\"") }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
