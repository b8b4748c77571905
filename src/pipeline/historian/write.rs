//! One batch into the store.

use std::slice;

use chrono::{DateTime, Utc};
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
pub(super) async fn write(store: &Store, batch: &Batch, now: DateTime<Utc>) -> Result<Written, StoreError> {
    let mut written = Written::default();
    if !batch.candles.is_empty() {
        match store.write_candles(&batch.candles, now).await {
            Err(StoreError::Refused { what }) => {
                warn!(what, "the store refuses a candle");
                for candle in &batch.candles {
                    count(
                        store.write_candles(slice::from_ref(candle), now).await,
                        &mut written.candles,
                        &mut written.refused,
                    )?;
                }
            }
            outcome => written.candles += outcome?,
        }
    }
    if !batch.prices.is_empty() {
        match store.write_prices(&batch.prices, now).await {
            Err(StoreError::Refused { what }) => {
                warn!(what, "the store refuses a price");
                for point in &batch.prices {
                    count(
                        store.write_prices(slice::from_ref(point), now).await,
                        &mut written.prices,
                        &mut written.refused,
                    )?;
                }
            }
            outcome => written.prices += outcome?,
        }
    }
    Ok(written)
}

fn count(outcome: Result<u64, StoreError>, written: &mut u64, refused: &mut u64) -> Result<(), StoreError> {
    match outcome {
        Ok(rows) => *written += rows,
        Err(StoreError::Refused { .. }) => *refused += 1,
        Err(error) => return Err(error),
    }
    Ok(())
}
