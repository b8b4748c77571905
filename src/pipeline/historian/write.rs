//! One batch into the store.

use std::slice;

use tracing::warn;

use super::batch::Batch;
use crate::store::{Store, StoreError};

/// What was written of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) candles: u64,
    pub(super) prices: u64,
    /// Rows that the store does not take, whatever is done.
    pub(super) refused: u64,
}

/// Writes a batch. Rows that the store refuses for what they are do not keep it from taking the others.
pub(super) async fn write(store: &Store, batch: &Batch) -> Result<Written, StoreError> {
    let (candles, not_candles) = each(&batch.candles, "candle", |rows| store.keep_candles(rows)).await?;
    let (prices, not_prices) = each(&batch.prices, "price", |rows| store.keep_prices(rows)).await?;
    Ok(Written { candles, prices, refused: not_candles + not_prices })
}

/// Writes rows together, or each by itself if one of them is refused. Counts those that are new, and those that are refused.
async fn each<'r, T, W>(
    rows: &'r [T],
    kind: &str,
    write: impl Fn(&'r [T]) -> W,
) -> Result<(u64, u64), StoreError>
where
    W: Future<Output = Result<u64, StoreError>>,
{
    if rows.is_empty() {
        return Ok((0, 0));
    }
    match write(rows).await {
        Err(StoreError::Refused { what }) => warn!(what, "the store refuses a {kind}"),
        outcome => return Ok((outcome?, 0)),
    }
    let (mut written, mut refused) = (0, 0);
    for row in rows {
        match write(slice::from_ref(row)).await {
            Ok(new) => written += new,
            Err(StoreError::Refused { .. }) => refused += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((written, refused))
}
