//! A line of a recording: the one definition of the format, by which it is read and written.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer, ser};
use serde_json::value::RawValue;

use super::{OwnedFrame, Record, RecordKind, lines::Fault};
use crate::{
    domain::pair::Pair,
    feed::number::{Text, seconds},
};

/// The version of the format that is understood and written.
const FORMAT: u32 = 2;

/// A line as it is written. Which fields there are depends on `t`.
#[derive(Serialize, Deserialize)]
pub(super) struct Line<'a> {
    t: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    recorded: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    ts: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Header,
    Connect,
    Asked,
    Send,
    Recv,
    Http,
}

impl<'a> Line<'a> {
    /// Makes the first line. The time is given as [`text`] writes it.
    pub(super) fn header(exchange: &'a str, started: &'a str) -> Self {
        Self {
            format: Some(FORMAT),
            exchange: Some(exchange.into()),
            recorded: Some(Text(started)),
            ..Self::empty(Kind::Header)
        }
    }

    /// Makes the line of a record. Its time is given as [`text`] writes it.
    pub(super) fn of(record: &'a Record, time: &'a str) -> Self {
        let line = match &record.kind {
            RecordKind::Connect(address) => Self { addr: Some(address.into()), ..Self::empty(Kind::Connect) },
            RecordKind::Asked(pairs) => {
                let written = pairs.iter().map(|(symbol, pair)| (symbol.into(), pair.to_string().into()));
                Self { pairs: Some(written.collect()), ..Self::empty(Kind::Asked) }
            }
            RecordKind::Sent(text) => Self { data: Some(text.into()), ..Self::empty(Kind::Send) },
            RecordKind::Frame(OwnedFrame::Text(text)) => {
                Self { data: Some(text.into()), ..Self::empty(Kind::Recv) }
            }
            RecordKind::Frame(OwnedFrame::Binary(bytes)) => {
                Self { b64: Some(STANDARD.encode(bytes).into()), ..Self::empty(Kind::Recv) }
            }
            RecordKind::Http { url, body } => {
                Self { url: Some(url.into()), data: Some(body.into()), ..Self::empty(Kind::Http) }
            }
        };
        Self { conn: Some((&record.connection).into()), ts: Some(Text(time)), ..line }
    }

    fn empty(t: Kind) -> Self {
        Self {
            t,
            format: None,
            exchange: None,
            recorded: None,
            conn: None,
            ts: None,
            addr: None,
            pairs: None,
            url: None,
            data: None,
            b64: None,
        }
    }

    /// Tells whether it is a header, good or bad.
    pub(super) fn is_header(&self) -> bool {
        self.t == Kind::Header
    }

    /// Reads the exchange and the start of the recording.
    pub(super) fn into_header(self) -> Result<(String, DateTime<Utc>), Fault> {
        let format = self.format.ok_or_else(|| Fault::absent("format"))?;
        if format != FORMAT {
            return Err(Fault::Malformed(format!("format {format}, expected format {FORMAT}")));
        }
        let started = time("recorded", self.recorded)?;
        Ok((owned("exchange", self.exchange)?, started))
    }

    /// Reads a record.
    pub(super) fn into_record(self) -> Result<Record, Fault> {
        let kind = match self.t {
            Kind::Header => return Err(Fault::Malformed("a second header".to_owned())),
            Kind::Connect => RecordKind::Connect(owned("addr", self.addr)?),
            Kind::Asked => RecordKind::Asked(pairs(self.pairs.ok_or_else(|| Fault::absent("pairs"))?)?),
            Kind::Send => RecordKind::Sent(owned("data", self.data)?),
            Kind::Recv => RecordKind::Frame(match self.b64 {
                Some(text) => OwnedFrame::Binary(
                    STANDARD
                        .decode(text.as_bytes())
                        .map_err(|error| Fault::Malformed(format!("bad base64: {error}")))?,
                ),
                None => OwnedFrame::Text(owned("data", self.data)?),
            }),
            Kind::Http => RecordKind::Http { url: owned("url", self.url)?, body: owned("data", self.data)? },
        };
        Ok(Record { time: time("ts", self.ts)?, connection: owned("conn", self.conn)?, kind })
    }
}

/// Writes a time as the format has it: Unix seconds, here to the nanosecond, so that nothing is lost.
pub(super) fn text(time: DateTime<Utc>) -> String {
    format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos())
}

fn pairs(written: BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> Result<Vec<(String, Pair)>, Fault> {
    let read = |(symbol, pair): (Cow<'_, str>, Cow<'_, str>)| match pair.parse() {
        Ok(pair) => Ok((symbol.into_owned(), pair)),
        Err(error) => Err(Fault::Malformed(format!("bad pair `{pair}`: {error}"))),
    };
    written.into_iter().map(read).collect()
}

fn owned(field: &str, text: Option<Cow<'_, str>>) -> Result<String, Fault> {
    text.map(Cow::into_owned).ok_or_else(|| Fault::absent(field))
}

fn time(field: &str, text: Option<Text<'_>>) -> Result<DateTime<Utc>, Fault> {
    let Text(text) = text.ok_or_else(|| Fault::absent(field))?;
    seconds(text).ok_or_else(|| Fault::Malformed(format!("`{field}` is not a time: {text}")))
}

/// Writes a time as a number, digit by digit: no float holds nanoseconds.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn as_number<S: Serializer>(time: &Option<Text<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = time.as_ref().map(|Text(text)| serde_json::from_str::<&RawValue>(text));
    number.transpose().map_err(ser::Error::custom)?.serialize(serializer)
}
