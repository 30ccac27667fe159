//! Fields of credential files, reduced to what may be known of them while they are read.
//!
//! A secret becomes "there is one" before anything else can hold it. A field of another type than expected
//! counts as missing: these files are written by many versions of many programs, and an entry that is odd in
//! one place still says something in the others.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::system::files::ParseFault;
use crate::system::time::Timestamp;

/// The longest token that is looked into for its expiry.
const LONGEST_TOKEN: usize = 64 * 1024;

/// What a field may be made of; what is not made of the given type is missing.
pub(super) trait FromField: Default {
    fn from_text(_: &str) -> Self {
        Self::default()
    }

    fn from_number(_: f64) -> Self {
        Self::default()
    }

    fn from_flag(_: bool) -> Self {
        Self::default()
    }

    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// A field of whatever type, read as a `T`.
#[derive(Debug, Clone, Default)]
pub(super) struct Field<T>(pub(super) T);

impl<'de, T: FromField> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyType(PhantomData)).map(Field)
    }
}

struct AnyType<T>(PhantomData<T>);

impl<'de, T: FromField> Visitor<'de> for AnyType<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(text.trim()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Ok(T::from_number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Ok(T::from_number(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Ok(T::from_number(number as f64))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<T, E> {
        Ok(T::from_flag(flag))
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::from_list(list)
    }
}

/// An object; anything else counts as none.
#[derive(Debug, Clone)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Object(None)
    }
}

impl<T: DeserializeOwned> FromField for Object<T> {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|object| Object(Some(object)))
    }
}

/// A whole file that has to be an object.
pub(super) fn document<T: DeserializeOwned>(content: &[u8]) -> Result<T, ParseFault> {
    let Field(Object(document)) = serde_json::from_slice(content)?;
    document.ok_or(ParseFault::SOMEWHERE)
}

/// Something that nobody may see: whether there is one, and until when it is good where it says so itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Secret {
    pub(super) is_present: bool,
    pub(super) expiry: Option<Timestamp>,
}

impl Secret {
    /// This one where it is there, else `other`.
    pub(super) fn or(self, other: Secret) -> Secret {
        if self.is_present { self } else { other }
    }
}

impl FromField for Secret {
    fn from_text(text: &str) -> Self {
        Secret { is_present: !text.is_empty(), expiry: expiry_claim(text) }
    }
}

/// The `exp` claim, where the token is a JSON Web Token. Its signature is not looked at.
fn expiry_claim(token: &str) -> Option<Timestamp> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Claims {
        exp: Field<Moment>,
    }

    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    if payload.len() > LONGEST_TOKEN {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    document::<Claims>(&payload).ok()?.exp.0.0
}

/// A time in seconds or as text. Hermes and Google mean UTC where the text names no offset.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moment(pub(super) Option<Timestamp>);

impl FromField for Moment {
    fn from_text(text: &str) -> Self {
        Moment(Timestamp::from_text(&format!("{text}Z")).or_else(|| Timestamp::from_text(text)))
    }

    fn from_number(seconds: f64) -> Self {
        Moment(Timestamp::from_seconds(seconds))
    }
}

/// A time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Milliseconds(pub(super) Option<Timestamp>);

impl FromField for Milliseconds {
    fn from_text(text: &str) -> Self {
        text.parse().map(Self::from_number).unwrap_or_default()
    }

    fn from_number(milliseconds: f64) -> Self {
        Milliseconds(Timestamp::from_seconds(milliseconds / 1_000.0))
    }
}

/// A length of time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seconds(pub(super) Option<f64>);

impl FromField for Seconds {
    fn from_number(seconds: f64) -> Self {
        Seconds(Some(seconds))
    }
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Flag(pub(super) bool);

impl FromField for Flag {
    fn from_flag(flag: bool) -> Self {
        Flag(flag)
    }
}

/// How many words there are, in a list or with spaces between them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct WordCount(pub(super) Option<u64>);

impl FromField for WordCount {
    fn from_text(text: &str) -> Self {
        WordCount(Some(text.split_whitespace().count() as u64))
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut count = 0;
        while let Some(Field(Secret { is_present, .. })) = list.next_element()? {
            count += u64::from(is_present);
        }
        Ok(WordCount(Some(count)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A JSON Web Token whose payload is `claims`.
    pub(in super::super) fn token_with(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn read<T: FromField>(json: &str) -> T {
        serde_json::from_str::<Field<T>>(json).unwrap().0
    }

    fn seconds(moment: Option<Timestamp>) -> Option<f64> {
        moment.map(Timestamp::seconds)
    }

    const ODD: [&str; 7] = ["null", "true", "[]", "{}", "[1, {\"a\": \"b\"}]", "{\"a\": [\"b\"]}", "\"\""];

    #[test]
    fn of_a_secret_only_its_being_there_is_known() {
        assert!(read::<Secret>("\"hunter2\"").is_present);
        assert!(!format!("{:?}", read::<Secret>("\"hunter2\"")).contains("hunter2"));
        for missing in ODD.into_iter().chain(["7", "\"  \""]) {
            assert_eq!(read::<Secret>(missing), Secret::default(), "{missing}");
        }
    }

    #[test]
    fn a_token_that_names_its_expiry_is_believed() {
        let expiry = |claims: &str| seconds(Secret::from_text(&token_with(claims)).expiry);
        assert_eq!(expiry(r#"{"exp": 1795165255, "sub": "somebody"}"#), Some(1_795_165_255.0));
        assert_eq!(expiry(r#"{"exp": 1795165255.5}"#), Some(1_795_165_255.5));
        for claims in ["{}", "{\"exp\": null}", "{\"exp\": 0}", "[]", "", "{\"exp\": 17", "7"] {
            assert_eq!(expiry(claims), None, "{claims}");
        }
        for token in ["a.b", "a.b.c", "a.!!.c", "..", "a.e30.b.c", "FAKE-codex-access"] {
            assert_eq!(Secret::from_text(token), Secret { is_present: true, expiry: None }, "{token}");
        }
        let padded = format!("e30.{}.c2ln", base64::engine::general_purpose::URL_SAFE.encode(r#"{"exp": 1795165255}"#));
        assert_eq!(seconds(Secret::from_text(&padded).expiry), Some(1_795_165_255.0));
    }

    #[test]
    fn a_time_without_an_offset_is_utc() {
        for text in ["2026-11-20T09:00:55", "2026-11-20T09:00:55Z", "2026-11-20T09:00:55+00:00", "1795165255"] {
            assert_eq!(seconds(read::<Moment>(&format!("\"{text}\"")).0), Some(1_795_165_255.0), "{text}");
        }
        assert_eq!(seconds(read::<Moment>("\"2026-11-20T14:30:55+05:30\"").0), Some(1_795_165_255.0));
        assert_eq!(seconds(read::<Moment>("1795165255.5").0), Some(1_795_165_255.5));
        for missing in ODD.into_iter().chain(["0", "-1", "\"soon\"", "99999999999999999999"]) {
            assert_eq!(read::<Moment>(missing), Moment(None), "{missing}");
        }
    }

    #[test]
    fn milliseconds_words_and_flags_are_read_leniently() {
        assert_eq!(seconds(read::<Milliseconds>("1795165255500").0), Some(1_795_165_255.5));
        assert_eq!(seconds(read::<Milliseconds>("\"1795165255500\"").0), Some(1_795_165_255.5));
        assert_eq!(read::<WordCount>("[\"a\", \"b\", \"\", 7]"), WordCount(Some(2)));
        assert_eq!(read::<WordCount>("\" a  b c \""), WordCount(Some(3)));
        assert_eq!(read::<WordCount>("null"), WordCount(None));
        assert_eq!(read::<Flag>("true"), Flag(true));
        for missing in ["null", "\"true\"", "1", "{}"] {
            assert_eq!(
                (read::<Flag>(missing), read::<Milliseconds>("0")),
                (Flag(false), Milliseconds(None)),
                "{missing}"
            );
        }
    }

    #[test]
    fn a_document_is_an_object() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        struct Sample {
            flag: Field<Flag>,
        }
        assert_eq!(document::<Sample>(br#"{"flag": true, "else": ["\ud800"]}"#).unwrap().flag.0, Flag(true));
        for content in ["[]", "[true]", "null", "\"text\"", "7", "", "{\"flag\": tr", "\u{feff}{}"] {
            assert!(document::<Sample>(content.as_bytes()).is_err(), "{content}");
        }
    }
}
