//! The reader agrees with prost on sound messages and stops, saying why, on damaged ones.

use prost::Message;

use super::*;
use crate::pprof::{Profile, Sample, ValueType};

fn profile() -> Profile {
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        sample: vec![
            Sample { location_id: vec![1, 300, u64::MAX], value: vec![-1, 5], label: vec![] },
            Sample { location_id: vec![7], value: vec![0], label: vec![] },
        ],
        string_table: vec![String::new(), "cpu".into(), "nanoseconds".into()],
        period: -3,
        ..Profile::default()
    }
}

#[test]
fn reads_what_prost_wrote() {
    let bytes = profile().encode_to_vec();
    let mut fields = fields(&bytes);
    let numbers: Vec<u32> = fields.by_ref().map(|field| field.number).collect();
    assert_eq!(numbers, [1, 2, 2, 6, 6, 6, 12]);
    assert_eq!(fields.damage(), None);

    let sample = super::fields(&bytes).find(|field| field.number == 2).expect("a sample");
    let values: Vec<(u32, Vec<u64>)> = super::fields(sample.value.bytes().expect("a message"))
        .map(|field| (field.number, field.value.varints().collect()))
        .collect();
    assert_eq!(values, [(1, vec![1, 300, u64::MAX]), (2, vec![u64::MAX, 5])]);
}

#[test]
fn unpacked_numbers_read_like_packed_ones() {
    let bytes = [0x08, 0x96, 0x01, 0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x0d, 2, 0, 0, 0];
    let values: Vec<u64> = fields(&bytes).flat_map(|field| field.value.varints()).collect();
    assert_eq!(values, [150, 1, 2]);
    let packed = Value::Len(&[3, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    let mut numbers = packed.fixed64s();
    assert_eq!(numbers.by_ref().collect::<Vec<_>>(), [3]);
    assert_eq!(numbers.damage(), Some(Damage { offset_bytes: 8, kind: DamageKind::Truncated }));
}

#[test]
fn every_cut_gives_a_prefix_of_the_fields() {
    let bytes = profile().encode_to_vec();
    let whole: Vec<Field<'_>> = fields(&bytes).collect();
    for cut in 0..bytes.len() {
        let mut fields = fields(&bytes[..cut]);
        let read: Vec<Field<'_>> = fields.by_ref().collect();
        assert_eq!(read, whole[..read.len()], "cut at {cut}");
        assert!(read.len() < whole.len());
    }
}

#[test]
fn damage_is_named_and_placed() {
    let cases: [(&[u8], usize, DamageKind); 9] = [
        (&[0x08, 0x01, 0x0b], 2, DamageKind::WireType(3)),
        (&[0x0b, 0x08, 0x01], 0, DamageKind::WireType(3)),
        (&[0x00, 0x01], 0, DamageKind::FieldNumber),
        (&[0x08, 0xff], 0, DamageKind::Truncated),
        (&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], 0, DamageKind::Truncated),
        (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], 0, DamageKind::LongVarint),
        (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0x80], 0, DamageKind::LongVarint),
        (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255], 0, DamageKind::Truncated),
        (&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 9], 0, DamageKind::Truncated),
    ];
    for (bytes, offset_bytes, kind) in cases {
        let mut fields = fields(bytes);
        fields.by_ref().for_each(drop);
        assert_eq!(fields.damage(), Some(Damage { offset_bytes, kind }), "{bytes:?}");
        assert_eq!(fields.next(), None, "nothing follows damage");
    }
}

#[test]
fn a_beginning_gives_the_field_that_is_cut() {
    let bytes = [0x08, 1, 0x12, 5, 7, 8];
    let read: Vec<Field<'_>> = fields_of_beginning(&bytes).collect();
    assert_eq!(read[1], Field { number: 2, value: Value::Len(&[7, 8]) });
    assert_eq!(fields(&bytes).count(), 1);
}

/// The bytes of a varint that is `groups` groups of seven bits long, however small the number.
fn long(number: u64, groups: usize) -> Vec<u8> {
    let group = |at: usize| (number >> (7 * at)) as u8 & 0x7f;
    let more = |at: usize| if at + 1 < groups { 0x80 } else { 0 };
    (0..groups).map(|at| group(at) | more(at)).collect()
}

#[test]
fn numbers_of_all_lengths_read_alike_whatever_follows() {
    for bits in 0..=64_u32 {
        let number = 0xa5c3_96e1_7b2d_48f1_u64.checked_shr(64 - bits).unwrap_or(0);
        let least = bits.div_ceil(7).max(1) as usize;
        let lengths = least..=9.max(least);
        for (groups, follow) in lengths.flat_map(|long| [0, 1, 9].map(|follow| (long, follow))) {
            let mut bytes = long(number, groups);
            bytes.extend(std::iter::repeat_n(0xff, follow));
            let mut all = Value::Len(&bytes).varints();
            assert_eq!(all.next(), Some(number), "{bits} bits in {groups} bytes, then {follow}");
            assert_eq!((all.next(), all.damage().is_some()), (None, follow > 0));
        }
    }
}
