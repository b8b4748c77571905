//! Messages as canonical proto3 JSON: the text that REST gives for the same answer.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::failure::Failure;
use crate::client::DESCRIPTORS;

/// How the JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// All on one line.
    Line,
    /// Indented, for a person.
    Indented,
}

/// A serializer of one kind of message.
pub(super) struct Json {
    pool: DescriptorPool,
    message: &'static str,
    layout: Layout,
}

impl Json {
    /// Makes a serializer of the messages with this full name.
    pub(super) fn new(message: &'static str, layout: Layout) -> Result<Self, Failure> {
        let pool = DescriptorPool::decode(DESCRIPTORS)
            .map_err(|error| Failure::Json { message, cause: error.to_string() })?;
        Ok(Self { pool, message, layout })
    }

    /// Writes a message, and ends the line.
    pub(super) fn text(&self, message: &impl Message) -> Result<String, Failure> {
        self.serialize(message).map_err(|cause| Failure::Json { message: self.message, cause })
    }

    fn serialize(&self, message: &impl Message) -> Result<String, String> {
        let descriptor = self.pool.get_message_by_name(self.message).ok_or("no such message")?;
        let message = DynamicMessage::decode(descriptor, &*message.encode_to_vec())
            .map_err(|error| error.to_string())?;
        let options = SerializeOptions::new().skip_default_fields(false);
        let mut text = Vec::new();
        // Not by way of `serde_json::Value`, which would sort the fields by name.
        match self.layout {
            Layout::Line => {
                message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
            }
            Layout::Indented => {
                message.serialize_with_options(&mut serde_json::Serializer::pretty(&mut text), &options)
            }
        }
        .map_err(|error| error.to_string())?;
        text.push(b'\n');
        String::from_utf8(text).map_err(|error| error.to_string())
    }
}

impl Layout {
    /// Chooses the layout for a reader.
    pub(super) const fn for_reader(is_terminal: bool) -> Self {
        if is_terminal { Self::Indented } else { Self::Line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1 as api;
    use tonic_types::{ErrorDetails, StatusExt};

    #[test]
    fn values_are_canonical_and_zeros_present() {
        let response = api::StreamPricesResponse {
            kind: api::StreamPricesKind::Update.into(),
            prices: vec![api::Price {
                pair: "BTC-USD".to_owned(),
                price: Some("64000.5".to_owned()),
                status: api::PriceStatus::Live.into(),
                sequence: 18_446_744_073_709_551_615,
                observe_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 120_000_000 }),
                ..api::Price::default()
            }],
            ..api::StreamPricesResponse::default()
        };
        let json = Json::new("cryptoprice.v1.StreamPricesResponse", Layout::Indented).unwrap();
        insta::assert_snapshot!(json.text(&response).unwrap(), @r#"
        {
          "kind": "STREAM_PRICES_KIND_UPDATE",
          "prices": [
            {
              "pair": "BTC-USD",
              "price": "64000.5",
              "status": "PRICE_STATUS_LIVE",
              "statusReason": "PRICE_STATUS_REASON_UNSPECIFIED",
              "sourceCount": 0,
              "observeTime": "2023-11-14T22:13:20.120Z",
              "epoch": "0",
              "sequence": "18446744073709551615",
              "route": [],
              "origin": "ORIGIN_UNSPECIFIED"
            }
          ],
          "skipped": "0"
        }
        "#);
    }

    #[test]
    fn details_of_an_error_are_named() {
        let details =
            ErrorDetails::with_error_info("STALE", "cryptoprice", [("pair".into(), "BTC-USD".into())]);
        let status = tonic::Status::with_error_details(tonic::Code::Unavailable, "too old", details);
        let response = api::BatchGetPricesResponse {
            results: vec![api::PriceResult {
                pair: "BTC-USD".to_owned(),
                result: Some(api::price_result::Result::Error(
                    prost::Message::decode(status.details()).unwrap(),
                )),
                time: None,
            }],
        };
        let json = Json::new("cryptoprice.v1.BatchGetPricesResponse", Layout::Line).unwrap();
        insta::assert_snapshot!(json.text(&response).unwrap(), @r#"{"results":[{"pair":"BTC-USD","error":{"code":14,"message":"too old","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"STALE","domain":"cryptoprice","metadata":{"pair":"BTC-USD"}}]}}]}"#);
    }
}
