//! Amounts: what so much of one asset is worth in another.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::{bar::Bar, error::ServiceError, prices::Prices};
use crate::{
    domain::{
        cross,
        decimal::{self, DecimalError},
        pair::{Asset, Pair},
    },
    pipeline::board::Update,
};

impl Prices {
    /// Converts an amount at the current price, if that meets the bar; gives the price that was used, too.
    pub fn convert(
        &self,
        amount: &str,
        from: &str,
        to: &str,
        bar: &Bar,
    ) -> Result<(Decimal, Arc<Update>), ServiceError> {
        let units = decimal::parse(amount).map_err(|error| ServiceError::field("amount", error))?;
        let asset =
            |field: &str, text: &str| text.parse::<Asset>().map_err(|e| ServiceError::field(field, e));
        let (from, to) = (asset("from", from)?, asset("to", to)?);
        if from == to {
            return Err(ServiceError::field("to", format!("is {to}, the asset to convert from")));
        }
        let update = self.find(Pair::new(from, to))?;
        bar.check(&update.price, self.clock().now())?;
        let price = update.price.value.map(|value| value.price).unwrap_or_default();
        let what = || format!("{amount} {from} in {to}");
        match cross::convert(units, price) {
            Ok(converted) => Ok((converted, update)),
            Err(DecimalError::BelowPrecision) => Err(ServiceError::BelowPrecision { what: what() }),
            Err(_) => Err(ServiceError::TooLarge { what: what() }),
        }
    }
}
