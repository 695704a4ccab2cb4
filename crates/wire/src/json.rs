//! Protobuf's JSON form where it differs from serde's: 64-bit numbers are texts (numbers are
//! understood), bytes are base64, enumerations are names or numbers.
//! <https://protobuf.dev/programming-guides/json/>.

use crate::pyroscope as message;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A whole number however it is written.
struct Whole<T>(T);

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for WholeVisitor<T> {
    type Value = Whole<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a text of one")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole<T>, E> {
        whole(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole<T>, E> {
        whole(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole<T>, E> {
        if number.fract() != 0.0 {
            return Err(E::custom(format!("{number} is no whole number")));
        }
        whole(number as i128)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Whole<T>, E> {
        let number = text.trim().parse();
        whole(number.map_err(|_| E::custom(format!("{text:?} is no whole number")))?)
    }
}

fn whole<T: TryFrom<i128>, E: Error>(number: i128) -> Result<Whole<T>, E> {
    T::try_from(number).map(Whole).map_err(|_| E::custom(format!("{number} is out of range")))
}

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WholeVisitor(PhantomData))
    }
}

/// A 64-bit number.
pub(crate) mod int64 {
    use super::{Deserialize, Deserializer, Serializer, Whole};
    use std::fmt::Display;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        Whole::deserialize(from).map(|number| number.0)
    }
}

/// 64-bit numbers.
pub(crate) mod int64s {
    use super::{Deserialize, Deserializer, Serializer, Whole};
    use serde::ser::SerializeSeq;
    use std::fmt::Display;

    struct Text<'a, T>(&'a T);

    impl<T: Display> serde::Serialize for Text<'_, T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(self.0)
        }
    }

    pub(crate) fn serialize<T: Display, S: Serializer>(
        values: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(values.len()))?;
        for value in values {
            list.serialize_element(&Text(value))?;
        }
        list.end()
    }

    pub(crate) fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        let numbers = Vec::<Whole<T>>::deserialize(from)?;
        Ok(numbers.into_iter().map(|number| number.0).collect())
    }
}

/// A 64-bit number that may be missing.
pub(crate) mod int64_or_none {
    use super::{Deserialize, Deserializer, Serializer, Whole};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        Ok(Option::<Whole<i64>>::deserialize(from)?.map(|number| number.0))
    }
}

/// Bytes.
pub(crate) mod base64 {
    use super::{Deserialize, Deserializer, Error, Serializer};
    use base64::Engine;
    use base64::alphabet;
    use base64::engine::DecodePaddingMode;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
    use std::borrow::Cow;

    const READER: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    pub(crate) fn serialize<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        // The alphabet for addresses is understood, too.
        let text = if text.contains(['-', '_']) {
            Cow::Owned(text.replace('-', "+").replace('_', "/"))
        } else {
            text
        };
        READER.decode(text.as_bytes()).map_err(|error| D::Error::custom(format!("base64: {error}")))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NameOrNumber {
    Number(i32),
    Name(String),
}

macro_rules! enumeration {
    ($function:ident, $of:ty) => {
        pub(crate) fn $function<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
            match NameOrNumber::deserialize(from)? {
                NameOrNumber::Number(number) => Ok(number),
                NameOrNumber::Name(name) => <$of>::from_str_name(&name)
                    .map(|value| value as i32)
                    .ok_or_else(|| D::Error::custom(format!("no value is called {name:?}"))),
            }
        }
    };
}

enumeration!(profile_format, message::ProfileFormat);
enumeration!(time_series_aggregation_type, message::TimeSeriesAggregationType);
enumeration!(exemplar_type, message::ExemplarType);
enumeration!(heatmap_query_type, message::HeatmapQueryType);
