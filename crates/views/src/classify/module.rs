//! The library, module and package that a frame belongs to, from its name and paths.

use super::{Facts, Language, base_name};

/// Module (library, crate, distribution) and package (namespace, class).
pub(super) fn of<'a>(language: Language, facts: &Facts<'a>) -> (&'a str, &'a str) {
    match language {
        Language::Go => go(facts),
        Language::Java => java(facts.name),
        Language::Python => (python(facts.file), dotted_before_last(facts.name)),
        Language::Node => (node(path_of_node(facts)), dotted_before_last(facts.name)),
        Language::Ruby => (ruby(facts.file), before(facts.name, '#')),
        Language::Php => (php(facts.file), colons_before_last(facts.name)),
        Language::Dotnet => dotnet(facts),
        Language::Rust => (crate_of(facts.name), colons_before_last(facts.name)),
        Language::Kernel => ("kernel", ""),
        Language::Native | Language::Unknown | Language::Perl | Language::Beam => {
            (base_name(facts.mapping), colons_before_last(facts.name))
        }
    }
}

/// What follows `mark` in `path`, up to the next slash; of a scope (`@a/b`) both parts.
fn part_after<'a>(path: &'a str, mark: &str) -> Option<&'a str> {
    let rest = &path[path.rfind(mark)? + mark.len()..];
    let scoped = rest.starts_with('@');
    let mut slashes = rest.match_indices(['/', '\\']).map(|(at, _)| at);
    let end = if scoped { slashes.nth(1) } else { slashes.next() };
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The import path of a Go name: up to the first dot after the last slash. Type arguments may hold
/// slashes of their own, so nothing after a bracket counts.
pub(super) fn go_import(name: &str) -> &str {
    let end = name.find(['[', '(', '{']).unwrap_or(name.len());
    let head = &name[..end];
    let slash = head.rfind('/').map_or(0, |at| at + 1);
    head[slash..].find('.').map_or("", |dot| &head[..slash + dot])
}

fn go<'a>(facts: &Facts<'a>) -> (&'a str, &'a str) {
    let import = go_import(facts.name);
    let first_dotted = import.split('/').next().is_some_and(|first| first.contains('.'));
    if !first_dotted {
        return (import.split('/').next().unwrap_or(""), import);
    }
    // Hosts of code have owner and repository; elsewhere the host and one part name a module.
    let long = ["github.com/", "gitlab.com/", "bitbucket.org/", "golang.org/x/", "gopkg.in/"];
    let parts = if long.iter().any(|host| import.starts_with(host)) { 3 } else { 2 };
    let end = import.match_indices('/').nth(parts - 1).map_or(import.len(), |(at, _)| at);
    (&import[..end], import)
}

/// Java's class with its package: `void a.b.C.m(int)`, `La/b/C;::m`, `a.b.C::m`, `a/b/C.m`.
fn java(name: &str) -> (&str, &str) {
    let head = name.split('(').next().unwrap_or(name);
    let head = head.rsplit(' ').next().unwrap_or(head);
    // What follows a lambda's class is its number and address.
    let lambda = head.split_once("$$Lambda").map(|(class, _)| class);
    let class = if let Some(class) = lambda {
        class
    } else if let Some((class, _)) = head.split_once("::") {
        class.strip_suffix(';').map_or(class, |it| it.strip_prefix('L').unwrap_or(it))
    } else {
        head.rfind('.').map_or("", |dot| &head[..dot])
    };
    let package = class.rfind(['.', '/']).map_or("", |at| &class[..at]);
    (package, class)
}

fn python(file: &str) -> &str {
    let found = ["/site-packages/", "/dist-packages/"].iter().find_map(|it| part_after(file, it));
    let module = found.unwrap_or_else(|| base_name(file));
    module.strip_suffix(".py").unwrap_or(module)
}

/// The file of a JavaScript frame; some clients write it into the name: `path:function:line`.
pub(super) fn path_of_node<'a>(facts: &Facts<'a>) -> &'a str {
    if !facts.file.is_empty() {
        return facts.file;
    }
    // The form of perf's maps: `Function:^name path:line:column`.
    if let Some((_, path)) = facts.name.split_once(' ') {
        return path.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':');
    }
    let mut parts = facts.name.rsplitn(3, ':');
    let (last, _) = (parts.next(), parts.next());
    let is_line = last.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()));
    parts.next().filter(|_| is_line).unwrap_or("")
}

fn node(path: &str) -> &str {
    if let Some(name) = path.strip_prefix("node:") {
        return name;
    }
    part_after(path, "node_modules/").unwrap_or_else(|| base_name(path))
}

fn ruby(file: &str) -> &str {
    let gem = part_after(file, "/gems/").unwrap_or("");
    let version =
        gem.rfind('-').filter(|at| gem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    if gem.is_empty() { base_name(file) } else { &gem[..version.unwrap_or(gem.len())] }
}

/// `owner/name` of a package that Composer installed.
fn php(file: &str) -> &str {
    let Some(at) = file.find("/vendor/") else { return base_name(file) };
    let rest = &file[at + "/vendor/".len()..];
    let end = rest.match_indices('/').nth(1).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

fn dotnet<'a>(facts: &Facts<'a>) -> (&'a str, &'a str) {
    let (assembly, name) = facts.name.split_once('!').unwrap_or(("", facts.name));
    let mapping = base_name(facts.mapping);
    let mapping = mapping.strip_suffix(".dll").unwrap_or(mapping);
    (if assembly.is_empty() { mapping } else { assembly }, dotted_before_last(name))
}

/// The crate of a Rust name: `<alloc::vec::Vec<T> as Trait>::m` is of `alloc`.
fn crate_of(name: &str) -> &str {
    let name = name.trim_start_matches(['<', '&', '*', '(', '[']);
    let name = ["mut ", "const ", "dyn "].iter().fold(name, |it, word| it.trim_start_matches(word));
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    if name[end..].starts_with("::") { &name[..end] } else { "" }
}

fn before(name: &str, mark: char) -> &str {
    name.split_once(mark).map_or("", |(head, _)| head)
}

fn dotted_before_last(name: &str) -> &str {
    let head = name.split('(').next().unwrap_or(name);
    head.rfind('.').map_or("", |dot| &head[..dot])
}

/// What stands before the last `::` outside of brackets.
fn colons_before_last(name: &str) -> &str {
    let (mut depth, mut found) = (0_i32, 0);
    let bytes = name.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth -= 1,
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => found = at,
            _ => {}
        }
    }
    &name[..found]
}
