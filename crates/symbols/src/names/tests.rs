//! Names from real files, against addr2line's answers, and from damaged ones.

use super::*;
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/symbols").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names_of(bytes: &[u8]) -> Names {
    read(&bytes, &|| false).expect("names")
}

fn place(address: u64) -> Place {
    Place { address, ..Place::default() }
}

fn shown(found: &[Named]) -> Vec<&str> {
    found.iter().map(|named| &*named.name).collect()
}

/// Address and functions, innermost first, as addr2line says.
fn truth() -> Vec<(u64, Vec<String>)> {
    let text = String::from_utf8(fixture("inlined.addresses.txt")).expect("text");
    let row = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let address = words.next().expect("an address");
        let address = address.trim_start_matches("0x").to_owned();
        (u64::from_str_radix(&address, 16).expect("hexadecimal"), words.collect())
    };
    text.lines().map(row).collect()
}

const BUILD_ID: &str = "5eedec1154a73df1c5341b3aa8a8b30c0e22ec66";

#[test]
fn debug_information_names_every_address_as_addr2line_does() {
    let names = names_of(&fixture("inlined.debug"));
    assert_eq!(names.build_ids, [BUILD_ID]);
    assert_eq!((names.sources, names.notes), (vec!["dwarf", "symbols"], vec![]));
    let mut inlined = 0;
    for (address, wanted) in truth() {
        let found = names.table.find(place(address));
        // Between functions addr2line names the one before.
        if !found.is_empty() {
            assert_eq!(shown(&found), wanted, "{address:#x}");
        }
        inlined += usize::from(found.len() > 1);
        let is_own =
            wanted.last().is_some_and(|name| name != "_start" && !name.contains("tm_clones"));
        if is_own && found.len() == 1 {
            let is_ours = &*found[0].file == "/src/inlined.c" || found[0].file.is_empty();
            assert!(is_ours, "{:?}", found[0]);
        }
    }
    assert!(inlined > 100, "{inlined}");
    let hidden = names.table.find(place(0x1200));
    assert_eq!(shown(&hidden).last(), Some(&"hidden_caller"), "{hidden:?}");
}

#[test]
fn addresses_of_processes_files_and_offsets_lead_to_the_same_names() {
    let table = names_of(&fixture("inlined.debug")).table;
    let stated = place(0x1200);
    // As a kernel maps the segment of code, and as some tools state whole files.
    let mapped = Place { start: 0x5555_0000_1000, offset: 0x1000, ..place(0x5555_0000_1200) };
    let whole = Place { start: 0x5555_0000_0000, ..place(0x5555_0000_1200) };
    let stated_mapping = Place { start: 0x1000, offset: 0x1000, ..place(0x1200) };
    assert!(!table.find(stated).is_empty());
    for place in [mapped, whole, stated_mapping] {
        assert_eq!(table.find(place), table.find(stated), "{place:x?}");
    }
    for place in [place(0), place(u64::MAX), Place { start: 9, offset: u64::MAX, ..place(3) }] {
        assert_eq!(table.find(place), []);
    }
}

#[test]
fn what_was_split_off_knows_where_code_lay_in_the_file() {
    let (debug, program) = (fixture("inlined.debug"), fixture("inlined.stripped"));
    let (debug, program) = (debug.as_slice(), program.as_slice());
    let debug = Elf::open(&debug).expect("an ELF file");
    let program = Elf::open(&program).expect("an ELF file");
    assert_eq!(debug.code, program.code);
    assert_eq!(program.code[0].address, 0x1000);
    let ids = program.ids().expect("ids");
    assert_eq!(ids[0], BUILD_ID);
    assert_eq!((ids.len(), ids[1].len()), (2, 32), "and the hash of the file");
}

#[test]
fn a_stripped_program_has_no_names_and_says_what_to_do() {
    let error = read(&&*fixture("inlined.stripped"), &|| false).expect_err("none");
    assert!(error.to_string().contains("before it was stripped"), "{error}");
    let error = read(&&b"#!/bin/sh\n"[..], &|| false).expect_err("none");
    assert!(error.to_string().contains("not an ELF file"), "{error}");
    let error = read(&&fixture("inlined.debug")[..40], &|| false).expect_err("cut");
    assert!(error.to_string().contains("ends within its header"), "{error}");
    let error = read(&&fixture("inlined.debug")[..4000], &|| false).expect_err("cut");
    assert!(error.to_string().contains("beyond its end"), "{error}");
}

#[test]
fn work_that_takes_too_long_is_given_up() {
    let names = read(&&*fixture("inlined.debug"), &|| true).expect("the symbol table");
    assert_eq!(names.sources, ["symbols"]);
    assert!(names.notes[0].contains("too long"), "{:?}", names.notes);
    assert_eq!(shown(&names.table.find(place(0x1200))), ["hidden_caller.constprop.0"]);
}

#[test]
fn rust_programs_have_names_with_their_modules() {
    let names = read(
        &FileSource::new(File::open("/proc/self/exe").expect("opens")).expect("a file"),
        &|| false,
    )
    .expect("names");
    let wanted = names.table.bytes();
    assert!(names.table.functions() > 1000 && wanted < limits::TABLE_BYTES_MAX);
    let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
    let base = maps.lines().next().and_then(|it| it.split_once('-')).expect("a mapping").0;
    let base = u64::from_str_radix(base, 16).expect("hexadecimal");
    let here = rust_programs_have_names_with_their_modules as *const () as u64;
    let found = names.table.find(Place { start: base, ..place(here) });
    let last = found.last().expect("known");
    let wanted = "symbols::names::tests::rust_programs_have_names_with_their_modules";
    assert!(last.name.starts_with(wanted), "{last:?}");
}

#[test]
fn a_table_reads_back_and_a_damaged_one_is_refused() {
    let table = names_of(&fixture("inlined.debug")).table;
    let bytes = table.encode().expect("encodes");
    assert_eq!(NameTable::decode(&bytes).as_ref(), Ok(&table));
    for end in 0..bytes.len() {
        assert!(NameTable::decode(&bytes[..end]).is_err(), "{end}");
    }
    let mut rng = stdx::Rng::seeded(3);
    for _ in 0..2000 {
        let mut bytes = bytes.clone();
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
        if let Ok(table) = NameTable::decode(&bytes) {
            fuzz_find(&table);
        }
    }
}

fn fuzz_find(table: &NameTable) {
    for address in [0, 0x1100, 0x1200, u64::MAX] {
        assert!(table.find(place(address)).len() <= limits::INLINES_MAX + 1);
    }
}

#[test]
fn damaged_files_neither_panic_nor_grow() {
    for file in ["inlined.debug", "inlined.stripped"] {
        let whole = fixture(file);
        let mut rng = stdx::Rng::seeded(7);
        for round in 0..3000 {
            let mut bytes = whole.clone();
            for _ in 0..=round % 4 {
                let at = rng.below(bytes.len() as u64) as usize;
                // Lengths and counts are where it hurts: the headers more often than the rest.
                let at = if round % 2 == 0 { at % 64 } else { at };
                bytes[at] = rng.below(256) as u8;
            }
            crate::fuzz::names(&bytes);
        }
    }
}

#[test]
fn what_was_found_by_fuzzing_stays_fixed() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let target = std::fs::read_to_string(fuzz.join("fuzz_targets/names.rs")).expect("a target");
    assert!(target.contains("symbols::fuzz::names(bytes)"), "{target}");
    let folder = fuzz.join("corpus/names");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the corpus") {
        crate::fuzz::names(&std::fs::read(file.expect("an entry").path()).expect("readable"));
        count += 1;
    }
    assert!(count > 2);
}
