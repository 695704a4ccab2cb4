//! Real names of real clients, and what they are.

use super::*;
use proptest::prelude::*;

fn facts<'a>(name: &'a str, file: &'a str, mapping: &'a str) -> Facts<'a> {
    Facts { name, file, mapping, ..Facts::default() }
}

/// The committed table: class, language, module, then function, file and mapping.
const NAMES: &str = include_str!("names.txt");

#[test]
fn real_names_are_what_their_people_say() {
    let mut wrong = Vec::new();
    let lines = NAMES.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let parts: Vec<&str> = line.split('\t').collect();
        let [class, language, module, name, file, mapping, frame_type] = parts[..] else {
            panic!("seven parts: {line}");
        };
        let frame_type = FrameType::from_name(frame_type);
        let found = classify(&Facts { frame_type, ..facts(name, file, mapping) });
        let found = (found.class.name(), format!("{:?}", found.language), found.module);
        if found != (class, language.to_owned(), module) {
            wrong.push(format!("{line}\n  found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_the_rules_is_the_table() {
    let page = include_str!("../../../../docs/classify.md");
    assert!(page.contains(&table()), "docs/classify.md: put this table in:\n{}", table());
}

#[test]
fn every_rule_decides_about_something_and_class_names_are_read_back() {
    for class in Class::ALL {
        assert_eq!(Class::from_name(class.name()), Some(class));
        assert_eq!(Class::ALL[class as usize], class);
    }
    for (at, rule) in RULES.iter().enumerate() {
        let shadowed = RULES[..at].iter().any(|before| {
            before.when.is_empty()
                && (before.languages.is_empty()
                    || !rule.languages.is_empty()
                        && rule.languages.iter().all(|it| before.languages.contains(it)))
        });
        assert!(!shadowed, "rule {}: {} is never reached", at + 1, rule.note);
    }
}

#[test]
fn packages_and_classes_are_found() {
    let package = |name, frame_type| {
        classify(&Facts { frame_type, ..facts(name, "", "") }).package.to_owned()
    };
    let jvm = FrameType::Jvm;
    assert_eq!(package("void a.b.Work.locked(java.lang.String)", jvm), "a.b.Work");
    assert_eq!(package("La/b/Work;::locked", jvm), "a/b/Work");
    assert_eq!(package("a.b.Work::locked", jvm), "a.b.Work");
    assert_eq!(package("net/http.(*conn).serve", FrameType::Go), "net/http");
    assert_eq!(package("a.Set[go.shape.string].Has", FrameType::Go), "a");
    assert_eq!(package("ns::Type<a::b>::run(c::d)", FrameType::Native), "ns::Type<a::b>");
    assert_eq!(package("App!App.Web.Home.Index()", FrameType::Dotnet), "App.Web.Home");
}

#[test]
fn rules_of_the_user_come_first_and_mistakes_are_named() {
    let rules = vec![
        Override::regex(Part::Function, "^com\\.acme\\.(shop|pay)\\.", Class::Own).unwrap(),
        Override::prefix(Part::Function, "com.acme.", Class::Dependency).unwrap(),
        Override::prefix(Part::Library, "libshop", Class::Own).unwrap(),
    ];
    let rules = Overrides::new(rules).unwrap();
    let class = |function, library| rules.class_of(function, "", library, Class::Unknown);
    assert_eq!(class("com.acme.shop.Cart.add", ""), Class::Own);
    assert_eq!(class("com.acme.base.Json.read", ""), Class::Dependency);
    assert_eq!(class("f", "libshop.so"), Class::Own);
    assert_eq!(class("f", "libother.so"), Class::Unknown);
    let error = |made: Result<Override, String>| made.unwrap_err();
    assert!(error(Override::regex(Part::File, "(", Class::Own)).contains("no expression"));
    assert!(error(Override::prefix(Part::File, "", Class::Own)).contains("every frame"));
    assert!(error(Override::regex(Part::File, "(a{1000}){1000}", Class::Own)).contains("size"));
    let one = Override::prefix(Part::File, "a", Class::Own).unwrap();
    assert!(Overrides::new(vec![one; crate::limits::RULES_MAX + 1]).is_err());
}

proptest! {
    #[test]
    fn anything_can_be_a_frame(
        texts in prop::array::uniform4("(\\PC|[<>/@:.!\\\\(-]|::|node_modules/|/gems/){0,24}"),
        frame_type in 0_u8..13,
        runtime in "(go|jvm|nodejs)?",
    ) {
        let [name, system_name, file, mapping] = &texts;
        let frame_type = FrameType::from_number(frame_type);
        let facts = Facts { name, system_name, file, mapping, frame_type, runtime: &runtime };
        let kind = classify(&facts);
        prop_assert_eq!(kind, classify(&facts));
    }
}

#[test]
fn a_long_name_takes_no_time() {
    for text in ["<", "::", "(", "/", "node_modules/", "a.", "é", "日"] {
        let long = text.repeat(1 << 20);
        for frame_type in 0..13 {
            let frame_type = FrameType::from_number(frame_type);
            let facts = Facts { frame_type, ..facts(&long, &long, &long) };
            assert!(classify(&facts).module.len() <= TEXT_BYTES_MAX);
        }
    }
}
