//! The table of rules: whose code a frame is. The first rule that fits decides.

use super::lists::{
    C_FUNCTIONS, C_LIBRARIES, C_NAMES, C_SOURCES, DOTNET_LIBRARIES, DOTNET_RUNTIME, GO_STANDARD,
    JAVA_LIBRARIES, JAVA_RUNTIME, MACHINES, PYTHON_FOLDERS, RUST_STANDARD, SYSTEM_FOLDERS,
};
use super::{Class, Facts, Language, base_name, module};
use std::fmt::Write as _;

/// A line of the table.
#[derive(Debug)]
pub struct Rule {
    /// Languages it is for; none means every language.
    pub languages: &'static [Language],
    /// What must hold, all of it.
    pub when: &'static [When],
    /// What follows.
    pub class: Class,
    /// What it is about.
    pub note: &'static str,
}

/// A condition on one text of a frame.
#[derive(Debug)]
pub enum When {
    /// The function's name.
    Name(Test),
    /// The source file.
    File(Test),
    /// The path of the binary.
    Mapping(Test),
    /// The file name of the binary.
    Binary(Test),
    /// The library or module (for Java the package).
    Module(Test),
    /// The module is named like the binary: it is the program itself.
    ModuleIsBinary,
}

/// How a text is looked at.
#[derive(Debug)]
pub enum Test {
    /// It is not known.
    Missing,
    /// It is known.
    Known,
    /// It is one of these.
    Is(&'static [&'static str]),
    /// It begins with one of these.
    Starts(&'static [&'static str]),
    /// It contains one of these.
    Has(&'static [&'static str]),
}

use Class::{Dependency, Own, Runtime};
use Language::{Beam, Dotnet, Go, Java, Native, Node, Perl, Php, Python, Ruby, Rust};
use Test::{Has, Is, Known, Missing, Starts};
use When::{Binary, File, Mapping, Module, ModuleIsBinary, Name};

const fn rule(
    languages: &'static [Language],
    when: &'static [When],
    class: Class,
    note: &'static str,
) -> Rule {
    Rule { languages, when, class, note }
}

/// Machine code, and whatever carries nothing that says more.
const MACHINE: &[Language] = &[Native, Rust, Language::Unknown];

/// All rules, in order.
pub const RULES: &[Rule] = &[
    rule(&[Language::Kernel], &[], Class::Kernel, "the kernel"),
    // Binaries, whatever runs in them.
    rule(&[], &[Binary(Starts(C_LIBRARIES))], Runtime, "the C and C++ libraries, loader, vdso"),
    rule(MACHINE, &[Binary(Starts(MACHINES))], Runtime, "interpreters and virtual machines"),
    rule(MACHINE, &[Mapping(Starts(SYSTEM_FOLDERS))], Dependency, "libraries of the system"),
    rule(MACHINE, &[Binary(Has(&[".so", ".dylib", ".node"]))], Dependency, "shared libraries"),
    // Go.
    rule(&[Go], &[Name(Starts(&["main.", "command-line-arguments."]))], Own, "package main"),
    rule(&[Go], &[Module(Is(GO_STANDARD))], Runtime, "the standard library"),
    rule(&[Go], &[Module(Missing)], Runtime, "assembly and generated code without a package"),
    rule(&[Go], &[File(Has(&["/pkg/mod/", "/vendor/", "@v"]))], Dependency, "module cache, vendor"),
    rule(&[Go], &[File(Starts(&["/"]))], Own, "another folder of sources"),
    rule(&[Go], &[Module(Has(&["."]))], Dependency, "an import path with a host, folder unknown"),
    rule(&[Go], &[], Own, "an import path without a host"),
    // Java.
    rule(&[Java], &[Module(Starts(JAVA_RUNTIME))], Runtime, "the platform and its languages"),
    rule(&[Java], &[Module(Starts(JAVA_LIBRARIES))], Dependency, "packages of known libraries"),
    rule(&[Java], &[Name(Has(&[".", "::"]))], Own, "any other class"),
    rule(&[Java], &[], Runtime, "stubs and the interpreter of the virtual machine"),
    // Python.
    rule(
        &[Python],
        &[File(Has(&["/site-packages/", "/dist-packages/"]))],
        Dependency,
        "installed distributions",
    ),
    rule(&[Python], &[File(Starts(&["<frozen "]))], Runtime, "modules frozen into the interpreter"),
    rule(&[Python], &[File(Has(PYTHON_FOLDERS))], Runtime, "the standard library"),
    rule(&[Python], &[File(Known)], Own, "any other file"),
    rule(&[Python], &[Binary(Known)], Runtime, "the interpreter"),
    // Node.
    rule(&[Node], &[File(Starts(&["node:", "internal/"]))], Runtime, "built-in modules"),
    rule(&[Node], &[File(Has(&["node_modules/"]))], Dependency, "installed packages"),
    rule(&[Node], &[File(Starts(&["wasm:"]))], Own, "WebAssembly"),
    rule(&[Node], &[File(Known)], Own, "any other file"),
    rule(&[Node], &[], Runtime, "built-in functions of V8, which have no file"),
    // .NET, Ruby, PHP, Perl, Erlang.
    rule(&[Dotnet], &[Module(Starts(DOTNET_RUNTIME))], Runtime, "the platform"),
    rule(&[Dotnet], &[Module(Starts(DOTNET_LIBRARIES))], Dependency, "known libraries"),
    rule(&[Dotnet], &[Module(Known)], Own, "any other assembly"),
    rule(&[Ruby], &[File(Has(&["/gems/"]))], Dependency, "installed gems"),
    rule(
        &[Ruby],
        &[File(Has(&["/lib/ruby/", "<internal:", "<cfunc>"]))],
        Runtime,
        "the standard library",
    ),
    rule(&[Php], &[File(Has(&["/vendor/", "phar://"]))], Dependency, "packages of Composer"),
    rule(&[Perl], &[File(Has(&["/perl5/", "/share/perl/", "/lib/perl"]))], Runtime, "libraries"),
    rule(&[Beam], &[File(Has(&["/deps/"]))], Dependency, "dependencies"),
    rule(&[Ruby, Php, Perl, Beam], &[File(Known)], Own, "any other file"),
    rule(&[Php], &[Name(Starts(&["<?php"]))], Own, "the script itself"),
    rule(&[Ruby, Php, Perl, Beam], &[], Runtime, "built-in functions, which have no file"),
    // Rust.
    rule(&[Rust], &[Module(Is(RUST_STANDARD))], Runtime, "the standard library"),
    rule(&[Rust], &[File(Has(&["/rustc/", "/rustlib/src/"]))], Runtime, "sources of the compiler"),
    rule(
        &[Rust],
        &[File(Has(&["/.cargo/", "/cargo/registry/", "/vendor/"]))],
        Dependency,
        "crates of the registry",
    ),
    // Machine code.
    rule(
        MACHINE,
        &[File(Has(&["/target/release/build/", "/target/debug/build/"]))],
        Dependency,
        "C code that a crate builds",
    ),
    rule(MACHINE, &[File(Starts(C_SOURCES))], Runtime, "sources of the C library"),
    rule(MACHINE, &[File(Has(&["/include/c++/", "/libgcc/"]))], Runtime, "headers of C++"),
    rule(MACHINE, &[File(Starts(&["/usr/include/", "/usr/src/"]))], Dependency, "system headers"),
    rule(MACHINE, &[Name(Starts(C_NAMES))], Runtime, "names of the C and C++ libraries"),
    rule(MACHINE, &[Name(Is(C_FUNCTIONS))], Runtime, "functions that start programs and threads"),
    rule(&[Rust], &[ModuleIsBinary], Own, "the crate of the program"),
    rule(MACHINE, &[File(Known)], Own, "any other file"),
    rule(&[Rust], &[Module(Known)], Dependency, "other crates, file unknown"),
    rule(MACHINE, &[Mapping(Known)], Own, "the program itself"),
];

/// Whether an import path is of Go's standard library.
pub(super) fn is_go_standard(import: &str) -> bool {
    import.split('/').next().is_some_and(|first| GO_STANDARD.contains(&first))
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Missing => text.is_empty(),
            Self::Known => !text.is_empty(),
            Self::Is(any) => any.contains(&text),
            Self::Starts(any) => any.iter().any(|it| text.starts_with(it)),
            Self::Has(any) => any.iter().any(|it| text.contains(it)),
        }
    }
}

/// The class of a frame whose language and module are known.
pub(super) fn class_of(language: Language, facts: &Facts<'_>, module: &str) -> Class {
    if facts.name.is_empty() && facts.file.is_empty() && facts.mapping.is_empty() {
        return Class::Unknown;
    }
    // Java writes packages with dots or slashes; a list names them with a dot at the end.
    let dotted;
    let module = if language == Java && !module.is_empty() {
        dotted = format!("{}.", module.replace('/', "."));
        &dotted
    } else {
        module
    };
    let file = if language == Node { module::path_of_node(facts) } else { facts.file };
    let fits = |rule: &&Rule| {
        (rule.languages.is_empty() || rule.languages.contains(&language))
            && rule.when.iter().all(|when| match when {
                Name(test) => test.holds(facts.name),
                File(test) => test.holds(file),
                Mapping(test) => test.holds(facts.mapping),
                Binary(test) => test.holds(base_name(facts.mapping)),
                Module(test) => test.holds(module),
                ModuleIsBinary => is_named_like(module, facts.mapping),
            })
    };
    RULES.iter().find(fits).map_or(Class::Unknown, |rule| rule.class)
}

/// Crates write `_` where their binaries have `-`.
fn is_named_like(module: &str, mapping: &str) -> bool {
    let name = base_name(mapping).bytes().map(|byte| if byte == b'-' { b'_' } else { byte });
    !module.is_empty() && module.bytes().eq(name)
}

/// The table as Markdown, a row a rule.
pub fn table() -> String {
    let mut text = String::from("| # | language | when | then | what |\n|--:|---|---|---|---|\n");
    for (at, rule) in RULES.iter().enumerate() {
        let languages: Vec<String> = rule.languages.iter().map(|it| format!("{it:?}")).collect();
        let languages = if languages.is_empty() { "any".to_owned() } else { languages.join(", ") };
        let when: Vec<String> = rule.when.iter().map(words).collect();
        let when = if when.is_empty() { "always".to_owned() } else { when.join(" and ") };
        let (at, class, note) = (at + 1, rule.class.name(), rule.note);
        let _ = writeln!(text, "| {at} | {languages} | {when} | {class} | {note} |");
    }
    text
}

fn words(when: &When) -> String {
    let (part, test) = match when {
        Name(test) => ("function", test),
        File(test) => ("file", test),
        Mapping(test) => ("path of the binary", test),
        Binary(test) => ("name of the binary", test),
        Module(test) => ("module", test),
        ModuleIsBinary => return "the module is named like the binary".to_owned(),
    };
    let list = |any: &[&str]| -> String {
        let quoted: Vec<String> = any.iter().map(|it| format!("`{it}`")).collect();
        quoted.join(" ")
    };
    match test {
        Missing => format!("{part} unknown"),
        Known => format!("{part} known"),
        Is(any) => format!("{part} is one of {}", list(any)),
        Starts(any) => format!("{part} begins with {}", list(any)),
        Has(any) => format!("{part} contains {}", list(any)),
    }
}
