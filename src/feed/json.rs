//! JSON of known shape, read from front to back: what is wanted is borrowed from the text, the rest is skipped.
//!
//! A deserializer of serde for what venues send, in place of the general one, which costs more than twice as much. It
//! knows less: strings are taken as they are written, so one with an escape is an error where it is wanted (a name with one is another
//! name), and of what is skipped only quotes and brackets are looked at.
//!
//! A [`Message`] reads an object whose fields tell what one of them, the body, is about; [`Tagged`] one of which a field tells
//! what the others are; [`Items`] reads an array whose items are not alike. All do it in one pass where the body comes last and
//! the tag first, as they nearly always do. [`Raw`] is a part that is read later, [`Scalar`] the inside of a string or a number,
//! as it is written.

#![expect(clippy::inline_always, reason = "a step is a few instructions, and a call costs as much")]

mod deserializer;
mod items;
mod message;
mod reader;
mod scan;
mod tagged;

use std::{fmt, marker::PhantomData};

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use self::reader::Reader;
pub(super) use self::{items::Items, message::Message, tagged::Tagged};
use crate::domain::decimal::digits::Short;

/// The names by which the types below ask for what they are.
const RAW: &str = "feed::json::Raw";
const SCALAR: &str = "feed::json::Scalar";
const PLAIN: &str = "feed::json::Plain";
const REST: &str = "feed::json::Rest";

/// Any value, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw<'a>(&'a str);

/// The inside of a string, as it is written; or a number, `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalar<'a>(pub(super) &'a str);

/// A [`Scalar`], which has been read already if it is a plain decimal of at most 18 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain<'a> {
    Decimal(Decimal),
    Other(Scalar<'a>),
}

/// An array that nearly always has one item, which then needs no memory of its own.
pub(super) type Few<T> = SmallVec<[T; 1]>;

/// An array of some levels of a book.
pub(super) type Levels<T> = SmallVec<[T; 4]>;

/// Why a text is not understood, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Error(Box<str>);

/// Reads a text of one value.
pub(super) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

impl<'a> Raw<'a> {
    /// Gets the text.
    pub(super) fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(RAW, Borrowed).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SCALAR, Borrowed).map(Self::within)
    }
}

impl<'a> Scalar<'a> {
    /// Takes the quotes off that another deserializer leaves on; other JSON stays as it is.
    pub(super) fn within(text: &'a str) -> Self {
        let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Self(inside.unwrap_or(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(PLAIN, ReadOrBorrowed)
    }
}

/// Takes what has been read, or is borrowed.
struct ReadOrBorrowed;

impl<'de> Visitor<'de> for ReadOrBorrowed {
    type Value = Plain<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    #[inline]
    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Self::Value, E> {
        let short = Short::unpack(value).ok_or_else(|| E::custom("expected a number of ours"))?;
        Ok(Plain::Decimal(short.decimal()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Plain::Other(Scalar(text)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Borrowed.visit_newtype_struct(deserializer).map(Scalar::within).map(Plain::Other)
    }
}

/// The first item of an array, if there is one, such as the best level of a side: the others are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Best<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Best<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(First(PhantomData)).map(Self)
    }
}

/// Takes the first item.
struct First<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let first = items.next_element()?;
        while items.next_element::<Rest>()?.is_some() {}
        Ok(first)
    }
}

/// All the items of an array that are left, the next of them with those after it; one by one where they are read by
/// another deserializer.
struct Rest;

impl<'de> Deserialize<'de> for Rest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(REST, Self)
    }
}

impl<'de> Visitor<'de> for Rest {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what is left of an array")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| self)
    }
}

/// Takes what is borrowed.
struct Borrowed;

impl<'de> Visitor<'de> for Borrowed {
    type Value = &'de str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of the text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text)
    }

    /// Asks another deserializer, which does not know our names, for the same.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        <&RawValue>::deserialize(deserializer).map(RawValue::get)
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row<'a> {
        name: &'a str,
        #[serde(borrow)]
        price: Scalar<'a>,
        count: Option<u32>,
        levels: Best<(i64, IgnoredAny)>,
    }

    fn kind<T>(read: &Result<T, Error>) -> &'static str {
        if read.is_ok() { "read" } else { "refused" }
    }

    #[test]
    fn what_is_wanted_is_borrowed_and_the_rest_is_skipped() {
        let text = r#" {"other": {"a": ["}", "\"", -1.5e3, null, true]}, "name":"é", "count":null,
            "price" : 1.50, "levels":[[2,"b"],["no",1]] } "#;
        let row: Row<'_> = from_str(text).unwrap();
        let expected =
            Row { name: "é", price: Scalar("1.50"), count: None, levels: Best(Some((2, IgnoredAny))) };
        assert_eq!(row, expected);
    }

    #[test]
    fn what_is_not_of_the_shape_is_refused() {
        for (text, expected) in [
            (r#"{"name":"a","price":"1","levels":[]}"#, "read"),
            (r#"{"name":"a\n","price":"1","levels":[]}"#, "refused"),
            (r#"{"name":1,"price":"1","levels":[]}"#, "refused"),
            (r#"{"name":"a","price":{},"levels":[]}"#, "refused"),
            (r#"{"name":"a","price":"1"}"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[],"count":-1}"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[],"count":1.5}"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[],}"#, "refused"),
            (r#"{"name":"a" "price":"1","levels":[]}"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[[1,2],]}"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[]} x"#, "refused"),
            (r#"{"name":"a","price":"1","levels":[],"x":["}"#, "refused"),
        ] {
            assert_eq!(kind(&from_str::<Row<'_>>(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_body_may_come_anywhere() {
        for text in [
            r#"{"channel":"c","time":7,"body":[1,2],"late":"l"}"#,
            r#"{"body":[1,2],"time":7,"channel":"c","late":"l"}"#,
            r#"{"channel":"c","body":[1,2],"late":"l","x":{"channel":0},"time":7}"#,
            r#"{"time":"7","late":"l","channel":"c","body":[1,2]}"#,
        ] {
            let mut message = Message::open(text, 1, ["channel", "time", "late", "none"], "body").unwrap();
            assert_eq!(message.given(0), Ok("c"), "{text}");
            assert_eq!(message.body::<[u8; 2]>(), Ok([1, 2]), "{text}");
            assert_eq!(message.head, [Some("c"), Some("7"), Some("l"), None], "{text}");
            assert!(message.body::<IgnoredAny>().is_err() && message.given(3).is_err());
        }
        for text in
            [r#"{"channel":"c","body":1,"body":2,"late":3}"#, r#"{"body":1,"body":2,"channel":"c","late":3}"#]
        {
            let mut message = Message::open(text, 1, ["channel", "late"], "body").unwrap();
            assert_eq!(message.body::<u8>(), Ok(1), "the first is the one: {text}");
            assert_eq!((message.head, message.has_body()), ([Some("c"), Some("3")], false));
        }
        for text in [r#"{"channel":"c","body":1,"body":"#, r#"{"channel":"c","body":1,"body":2} x"#] {
            let mut message = Message::open(text, 1, ["channel"], "body").unwrap();
            assert!(message.body::<u8>().is_err(), "{text}");
        }
    }

    #[test]
    fn objects_inside_one_another_are_read_in_one_pass() {
        for text in [
            r#"{"id":1,"arg":{"kind":"k","x":2},"outer":{"name":"n","body":{"a":1},"y":[]},"z":"z"}"#,
            r#"{"outer":{"body":{"a":1},"name":"n"},"arg":{"kind":"k"},"id":1}"#,
        ] {
            let outer = Message::open(text, 2, ["id", "arg.kind"], "outer").unwrap();
            assert_eq!(outer.head, [Some("1"), Some("k")], "{text}");
            let mut inner = outer.nested(1, ["name"], "body").unwrap();
            assert_eq!(inner.head, [Some("n")]);
            assert_eq!(inner.body::<Raw<'_>>().map(Raw::get), Ok(r#"{"a":1}"#), "{text}");
        }
    }

    #[test]
    fn items_are_read_one_by_one() {
        let mut items = Items::open(r#"[7, "te", [1, null], "x"]"#).unwrap();
        assert_eq!(items.next::<u64>(), Ok(Some(7)));
        assert_eq!(items.next_word(), Ok(Some("te")));
        assert_eq!(items.next_word(), Ok(None));
        items.enter().unwrap();
        assert_eq!(items.next::<i64>(), Ok(Some(1)));
        assert_eq!(items.end(), Ok(()));
        assert!(Items::open("[1] ]").unwrap().end().is_err());
        assert_eq!(Items::open("[]").unwrap().has_more(), Ok(false));
    }

    #[test]
    fn a_tag_tells_what_the_other_fields_are() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Others<'a> {
            a: &'a str,
            b: u8,
        }
        for (text, tag) in [
            (r#"{"type":"t","a":"x","b":7}"#, Some("t")),
            (r#"{"a":"x","kind":"t","c":{"type":"no"},"b":7}"#, Some("t")),
            (r#" { "a" : "x" , "b" : 7 , "type" : 1 } "#, Some("1")),
            (r#"{"a":"x","b":7}"#, None),
        ] {
            let tagged = Tagged::open(text, &["type", "kind"]).unwrap();
            assert_eq!(tagged.tag, tag, "{text}");
            assert_eq!(tagged.read(), Ok(Others { a: "x", b: 7 }), "{text}");
        }
        for text in
            ["[]", r#"{"type":"t","a":"x","b":7"#, r#"{"type":"t","a":"x","b":7} x"#, r#"{"type":"t"}"#]
        {
            let read = Tagged::open(text, &["type"]).and_then(Tagged::read::<Others<'_>>);
            assert!(read.is_err(), "{text}");
        }
    }

    prop_compose! {
        fn values()(text in prop::collection::vec(r#"[a-z"\\{}\[\],:0-9é ]{0,20}"#, 0..6)) -> Value {
            serde_json::json!({ "list": text, "object": { "of": text.concat(), "n": -1.5e-3 }, "wanted": [true, 12] })
        }
    }

    prop_compose! {
        /// A row with other fields between, before and after its own, and something long at times.
        fn rows()(
            name in "[a-z,{}\\[\\]:é]{0,70}",
            price in prop_oneof!["-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?", "0\\.0{0,9}[0-9]{1,9}"],
            quoted in any::<bool>(),
            count in any::<Option<u32>>(),
            levels in prop::collection::vec((any::<i64>(), "[\\[\"\\\\é]{0,9}"), 0..9),
            others in prop::collection::vec((values(), "[ -~é]{0,90}"), 5),
        ) -> Vec<(String, String)> {
            let price = if quoted { format!("\"{price}\"") } else { price };
            let own = [
                ("name", Value::from(name).to_string()),
                ("price", price),
                ("count", Value::from(count).to_string()),
                ("levels", serde_json::json!(levels).to_string()),
            ];
            let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
            let others = others.into_iter().map(|(value, text)| [("x".to_owned() + &text, value.to_string()), ("y".to_owned(), Value::from(text).to_string())]);
            let mut fields: Vec<_> = others.flatten().collect();
            for (place, field) in own.enumerate() {
                fields.insert(3 * place, field);
            }
            fields
        }
    }

    proptest! {
        #[test]
        fn another_deserializer_reads_the_same(fields in rows(), space in "[ \n\t]{0,3}", swap in 0usize..14) {
            let mut fields = fields;
            fields.rotate_left(swap);
            let written = fields.iter().map(|(name, value)| format!("{}{space}:{value}", Value::from(name.as_str())));
            let text = format!("{{{}{space}}}", written.collect::<Vec<_>>().join(&format!("{space},")));
            let expected: Row<'_> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(from_str::<Row<'_>>(&text).unwrap(), expected);
        }

        #[test]
        fn whatever_is_skipped_what_is_wanted_is_found(value in values()) {
            #[derive(Deserialize)]
            struct Wanted {
                wanted: (bool, u8),
            }
            let text = value.to_string();
            prop_assert_eq!(from_str::<Wanted>(&text).unwrap().wanted, (true, 12));
            prop_assert_eq!(from_str::<Raw<'_>>(&text).unwrap().get(), text.as_str());
            for (end, _) in text.char_indices() {
                prop_assert!(from_str::<Wanted>(text.get(..end).unwrap()).is_err());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (from_str::<Row<'_>>(&text), from_str::<Raw<'_>>(&text), Tagged::open(&text, &["a"]).and_then(Tagged::read::<IgnoredAny>));
            if let Ok(mut items) = Items::open(&text) {
                let _ = items.end();
            }
        }
    }
}
