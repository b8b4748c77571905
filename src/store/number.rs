//! Decimals in the database: `NUMERIC` in PostgreSQL, text in SQLite. Both keep every digit.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue, data_types::PgNumeric},
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{self, SqlType, Text},
    sqlite::Sqlite,
};
use rust_decimal::Decimal;

use crate::domain::decimal;

/// What a digit of PostgreSQL counts up to: four of ours.
const BASE: u128 = 10_000;

/// The decimal's type in the database.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(postgres_type(oid = 1700, array_oid = 1231))]
#[diesel(sqlite_type(name = "Text"))]
pub(super) struct Numeric;

/// A decimal, as it is stored: without zeros at the end of its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Numeric)]
pub(super) struct Number(pub(super) Decimal);

/// Why a number in the database is not one of ours.
#[derive(Debug, thiserror::Error)]
#[error("a number in the database needs more than 96 bits, or is none")]
struct Unheld;

impl ToSql<Numeric, Pg> for Number {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<sql_types::Numeric, Pg>::to_sql(&to_digits(self.0), &mut out.reborrow())
    }
}

impl FromSql<Numeric, Pg> for Number {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let digits = <PgNumeric as FromSql<sql_types::Numeric, Pg>>::from_sql(bytes)?;
        Ok(Self(of_digits(&digits).ok_or(Unheld)?))
    }
}

impl ToSql<Numeric, Sqlite> for Number {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(decimal::text(self.0));
        Ok(IsNull::No)
    }
}

impl FromSql<Numeric, Sqlite> for Number {
    fn from_sql(bytes: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(bytes)?;
        // Also the few of 29 digits that sums may have.
        Ok(Self(Decimal::from_str_exact(&text)?))
    }
}

/// Writes a decimal in PostgreSQL's digits: groups of four, of which `weight` stand before the point, and one more.
fn to_digits(value: Decimal) -> PgNumeric {
    let value = value.normalize();
    let scale = value.scale();
    let padding = (4 - scale % 4) % 4;
    // Below 2^96 times a thousand.
    let mut rest = value.mantissa().unsigned_abs() * 10_u128.pow(padding);
    let mut digits = Vec::with_capacity(8);
    while rest > 0 {
        digits.push(i16::try_from(rest % BASE).unwrap_or_default());
        rest /= BASE;
    }
    let before = i64::try_from(digits.len()).unwrap_or_default() - i64::from((scale + padding) / 4);
    digits.reverse();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let weight = if digits.is_empty() { 0 } else { i16::try_from(before - 1).unwrap_or_default() };
    let scale = u16::try_from(scale).unwrap_or_default();
    if value.is_sign_negative() && !value.is_zero() {
        PgNumeric::Negative { weight, scale, digits }
    } else {
        PgNumeric::Positive { weight, scale, digits }
    }
}

/// Reads PostgreSQL's digits, if a decimal can hold them all.
fn of_digits(numeric: &PgNumeric) -> Option<Decimal> {
    let (sign, weight, digits) = match numeric {
        PgNumeric::Positive { weight, digits, .. } => (1, *weight, digits),
        PgNumeric::Negative { weight, digits, .. } => (-1, *weight, digits),
        PgNumeric::NaN => return None,
    };
    let mut mantissa = 0_i128;
    for digit in digits {
        mantissa = mantissa.checked_mul(10_000)?.checked_add(i128::from(*digit))?;
    }
    let mut scale = 4 * (i64::try_from(digits.len()).ok()? - i64::from(weight) - 1);
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if scale < 0 {
        mantissa = mantissa.checked_mul(10_i128.checked_pow(u32::try_from(-scale).ok()?)?)?;
        scale = 0;
    }
    Decimal::try_from_i128_with_scale(sign * mantissa, u32::try_from(scale).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_grouped_as_postgresql_wants_them() {
        for (text, weight, scale, digits) in [
            ("0", 0, 0, vec![]),
            ("1", 0, 0, vec![1]),
            ("10000", 1, 0, vec![1]),
            ("123456.78", 1, 2, vec![12, 3456, 7800]),
            ("0.000000000001", -3, 12, vec![1]),
            ("0.0000000000000000000000000001", -7, 28, vec![1]),
            ("9999999999999999999999999999", 6, 0, vec![9999; 7]),
            ("1.0001", 0, 4, vec![1, 1]),
        ] {
            let digits = PgNumeric::Positive { weight, scale, digits };
            let value = decimal::parse(text).unwrap();
            assert_eq!(to_digits(value), digits, "{text}");
            assert_eq!(of_digits(&digits), Some(value), "{text}");
        }
    }

    #[test]
    fn what_no_decimal_holds_is_refused() {
        for numeric in [
            PgNumeric::NaN,
            PgNumeric::Positive { weight: 8, scale: 0, digits: vec![1] },
            PgNumeric::Positive { weight: 9_999, scale: 0, digits: vec![1] },
            PgNumeric::Positive { weight: -8, scale: 32, digits: vec![1] },
            PgNumeric::Positive { weight: 20, scale: 0, digits: vec![9_999; 21] },
        ] {
            assert_eq!(of_digits(&numeric), None, "{numeric:?}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(mantissa in -9_999_999_999_999_999_999_999_999_999_i128..=9_999_999_999_999_999_999_999_999_999, scale in 0u32..=28) {
            let value = Decimal::from_i128_with_scale(mantissa, scale);
            prop_assert_eq!(of_digits(&to_digits(value)), Some(value));
        }
    }
}
