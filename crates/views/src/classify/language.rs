//! In which language a frame is written.

use super::{Facts, base_name};
use profile::FrameType;

/// What a frame is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// Nothing says.
    #[default]
    Unknown,
    /// C, C++ or anything else that is machine code.
    Native,
    /// The kernel's code.
    Kernel,
    /// Rust.
    Rust,
    /// Go.
    Go,
    /// Java and what else runs on its virtual machine.
    Java,
    /// Python.
    Python,
    /// JavaScript and TypeScript on V8.
    Node,
    /// .NET.
    Dotnet,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
    /// Perl.
    Perl,
    /// Erlang and Elixir.
    Beam,
}

/// Endings of source files.
const ENDINGS: &[(&str, Language)] = &[
    (".go", Language::Go),
    (".s", Language::Go),
    (".py", Language::Python),
    (".pyx", Language::Python),
    (".java", Language::Java),
    (".kt", Language::Java),
    (".scala", Language::Java),
    (".js", Language::Node),
    (".mjs", Language::Node),
    (".cjs", Language::Node),
    (".ts", Language::Node),
    (".tsx", Language::Node),
    (".rs", Language::Rust),
    (".rb", Language::Ruby),
    (".php", Language::Php),
    (".twig", Language::Php),
    (".cs", Language::Dotnet),
    (".fs", Language::Dotnet),
    (".pl", Language::Perl),
    (".pm", Language::Perl),
    (".ex", Language::Beam),
    (".erl", Language::Beam),
    (".c", Language::Native),
    (".cc", Language::Native),
    (".cpp", Language::Native),
    (".h", Language::Native),
    (".hpp", Language::Native),
    (".S", Language::Native),
];

/// Words of clients for their runtime.
const RUNTIMES: &[(&str, Language)] = &[
    ("go", Language::Go),
    ("jvm", Language::Java),
    ("java", Language::Java),
    ("cpython", Language::Python),
    ("python", Language::Python),
    ("nodejs", Language::Node),
    ("node", Language::Node),
    ("v8js", Language::Node),
    ("dotnet", Language::Dotnet),
    ("ruby", Language::Ruby),
    ("php", Language::Php),
    ("rust", Language::Rust),
    ("native", Language::Native),
];

pub(super) fn of(facts: &Facts<'_>) -> Language {
    match facts.frame_type {
        FrameType::Kernel => return Language::Kernel,
        FrameType::Go => return Language::Go,
        FrameType::Jvm => return Language::Java,
        FrameType::Cpython => return Language::Python,
        FrameType::V8js => return Language::Node,
        FrameType::Dotnet => return Language::Dotnet,
        FrameType::Ruby => return Language::Ruby,
        FrameType::Php => return Language::Php,
        FrameType::Perl => return Language::Perl,
        FrameType::Beam => return Language::Beam,
        FrameType::Rust => return Language::Rust,
        FrameType::Unknown | FrameType::Native => {}
    }
    if is_kernel(facts.mapping) {
        return Language::Kernel;
    }
    let by_texts = by_file(facts.file).or_else(|| by_name(facts));
    if let Some(found) = by_texts {
        return found;
    }
    if !facts.mapping.is_empty() && is_library(facts.mapping) {
        return Language::Native;
    }
    let said = RUNTIMES.iter().find(|(word, _)| *word == facts.runtime).map(|(_, found)| *found);
    let native = facts.frame_type == FrameType::Native || !facts.mapping.is_empty();
    said.unwrap_or(if native { Language::Native } else { Language::Unknown })
}

fn is_kernel(mapping: &str) -> bool {
    mapping.starts_with("[kernel")
        || matches!(base_name(mapping), "vmlinux" | "vmlinuz")
        || mapping.strip_suffix(".ko").is_some()
}

/// Whether a mapping is a shared library by its name: `libm.so.6`, `foo.dylib`.
pub(super) fn is_library(mapping: &str) -> bool {
    let name = base_name(mapping);
    name.contains(".so.") || [".so", ".dylib"].iter().any(|ending| name.ends_with(ending))
}

fn by_file(file: &str) -> Option<Language> {
    if file.starts_with("<frozen ") || matches!(file, "<string>" | "<stdin>") {
        return Some(Language::Python);
    }
    if file.starts_with("node:") || file.starts_with("internal/") {
        return Some(Language::Node);
    }
    if file.starts_with("<internal:") || file == "<cfunc>" {
        return Some(Language::Ruby);
    }
    let dot = file.rfind('.')?;
    ENDINGS.iter().find(|(ending, _)| *ending == &file[dot..]).map(|(_, found)| *found)
}

fn by_name(facts: &Facts<'_>) -> Option<Language> {
    let Facts { name, system_name, mapping, .. } = *facts;
    // A mark of collectors that mix kernel and user frames.
    if name.ends_with("_[k]") {
        return Some(Language::Kernel);
    }
    if name.contains('\\') && name.contains("::") || name.starts_with("<?php") {
        return Some(Language::Php);
    }
    let v8 = ["V8::", "Function:", "LazyCompile:", "Builtin:", "BytecodeHandler:", "RegExp:"];
    if v8.iter().any(|it| name.starts_with(it)) || name.contains(".js:") || name.contains("node:") {
        return Some(Language::Node);
    }
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if name
        .split_once('|')
        .is_some_and(|(extension, function)| is_word(extension) && is_word(function))
    {
        return Some(Language::Php);
    }
    if name.contains(".py:") {
        return Some(Language::Python);
    }
    if name.split_once('!').is_some_and(|(assembly, rest)| is_word(assembly) && rest.contains('.'))
    {
        return Some(Language::Dotnet);
    }
    // A mangled name of Rust ends with a hash: `17h0123456789abcdefE`.
    let hash = system_name.len().checked_sub(20).and_then(|at| system_name.get(at..));
    if hash.is_some_and(|end| end.starts_with("17h")) || system_name.starts_with("_R") {
        return Some(Language::Rust);
    }
    let first = name.trim_start_matches(['<', '&', '*']).split("::").next().unwrap_or("");
    if name.contains("::") && matches!(first, "core" | "alloc" | "tokio" | "hyper" | "hashbrown") {
        return Some(Language::Rust);
    }
    if name.starts_with('L') && name.contains(";::") {
        return Some(Language::Java);
    }
    let java = ["java.", "java/", "javax.", "javax/", "jdk.", "jdk/", "sun.", "sun/"];
    if java.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(Language::Java);
    }
    // An import path, or the runtime of a program whose frames say nothing else.
    let head = name.split('(').next().unwrap_or(name);
    let is_import = head.find('/').is_some_and(|slash| {
        head[..slash].contains('.') && !head.contains(' ') && !head.starts_with('/')
    });
    let goes = name.starts_with("runtime.") || name.starts_with("main.") || name.contains(".(*");
    let import = super::module::go_import(name);
    let is_standard = import.contains('/') && super::rules::is_go_standard(import);
    (is_import || is_standard || goes || mapping.is_empty() && name.starts_with("go:"))
        .then_some(Language::Go)
}
