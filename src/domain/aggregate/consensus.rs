//! The readings that count, made one value.

use rust_decimal::Decimal;

use super::{BASIS_POINT, DEVIATIONS_PER_MAD, Reading, weights::Weights};
use crate::domain::{decimal::DecimalError, exact::Exact, price::Value};

/// Decimal places of a dispersion in basis points.
const DISPERSION_PLACES: u32 = 4;

/// Makes one value of the readings: their weighted medians. `None` of no readings.
///
/// Bid and ask are there if every reading is a mid. As each bid is below its mid and each ask above, and the
/// weights are the same, so are their medians: bid ≤ price ≤ ask.
pub(super) fn value(readings: &[&Reading], weights: &Weights) -> Result<Option<Value>, DecimalError> {
    let Some(price) = weights.median(readings.iter().map(|reading| Exact::of(reading.price))) else {
        return Ok(None);
    };
    let price = price.rounded()?;
    let (Some(observe_time), Some(receive_time)) = (
        weights.lower_median(readings.iter().map(|reading| reading.observe_time)),
        weights.lower_median(readings.iter().map(|reading| reading.receive_time)),
    ) else {
        return Ok(None);
    };
    let side = |of: fn(&Reading) -> Option<Decimal>| {
        let values = readings.iter().map(|reading| of(reading).map(Exact::of));
        let values: Vec<_> = values.collect::<Option<_>>()?;
        weights.median(values)?.rounded().ok()
    };
    Ok(Some(Value {
        price,
        bid: side(|reading| reading.bid),
        ask: side(|reading| reading.ask),
        dispersion_bps: dispersion(readings, weights, price)?,
        observe_time,
        receive_time,
    }))
}

/// Gets 1.4826 × weighted median of |x − price| ÷ price, in basis points to four places.
fn dispersion(readings: &[&Reading], weights: &Weights, price: Decimal) -> Result<Decimal, DecimalError> {
    let center = Exact::of(price);
    let distances = readings.iter().map(|reading| Exact::of(reading.price).distance(&center));
    let Some(deviation) = weights.median(distances) else {
        return Ok(Decimal::ZERO);
    };
    let per_price = deviation.times(DEVIATIONS_PER_MAD).divided_by(price)?;
    per_price.divided_by(BASIS_POINT)?.to_places(DISPERSION_PLACES)
}
