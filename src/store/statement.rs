//! Statements for either database: the text is ours, and so plain to read; what is bound to it is typed.

use std::{borrow::Cow, marker::PhantomData};

use diesel::{
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Array, BigInt, Integer, Nullable, Text},
    sqlite::Sqlite,
};

use super::{
    moment::{Moment, Timestamp},
    number::{Number, Numeric},
};

/// A statement whose rows are of the SQL type `S`. Each `?` of the text stands for the next bound value.
///
/// It is prepared once for a connection: its text must be one of few.
#[derive(Debug)]
pub(super) struct Statement<S = ()> {
    text: Cow<'static, str>,
    binds: Vec<Bind>,
    rows: PhantomData<fn() -> S>,
}

/// A bound value.
#[derive(Debug, Clone)]
pub(super) enum Bind {
    Text(Cow<'static, str>),
    OptionalText(Option<&'static str>),
    Integer(i32),
    BigInt(i64),
    Time(Moment),
    OptionalTime(Option<Moment>),
    Number(Number),
    OptionalNumber(Option<Number>),
    /// A list of texts, in PostgreSQL alone.
    Texts(Vec<String>),
    /// A list of times, in PostgreSQL alone.
    Times(Vec<Moment>),
}

impl<S> Statement<S> {
    /// Makes a statement of its text and of what is bound to it, in order.
    pub(super) fn new(text: impl Into<Cow<'static, str>>, binds: Vec<Bind>) -> Self {
        Self { text: text.into(), binds, rows: PhantomData }
    }

    /// Walks over the text, and over what is bound to it by what the database calls for.
    fn walk<'b, DB>(
        &'b self,
        mut out: AstPass<'_, 'b, DB>,
        push: impl Fn(&mut AstPass<'_, 'b, DB>, &'b Bind) -> QueryResult<()>,
    ) -> QueryResult<()>
    where
        DB: diesel::backend::Backend,
    {
        let mut parts = self.text.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        let mut binds = self.binds.iter();
        for part in parts {
            let bind = binds.next().ok_or_else(|| unbindable("a value for each `?`"))?;
            push(&mut out, bind)?;
            out.push_sql(part);
        }
        Ok(())
    }
}

impl Statement {
    /// Makes statements that insert rows, and leave those that are there as they are. They are few and of few sizes, so
    /// that few need to be prepared; of 18 columns, SQLite takes more than 100 rows at once.
    pub(super) fn insert(table: &str, rows: Vec<Vec<Bind>>) -> Vec<Self> {
        let mut statements = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(columns) = rows.peek().map(Vec::len) {
            let size = [100, 10].into_iter().find(|size| rows.len() >= *size).unwrap_or(1);
            let binds = rows.by_ref().take(size).flatten().collect();
            let row = format!("({})", vec!["?"; columns].join(", "));
            let text =
                format!("INSERT INTO {table} VALUES {} ON CONFLICT DO NOTHING", vec![row; size].join(", "));
            statements.push(Self::new(text, binds));
        }
        statements
    }
}

impl<S> QueryId for Statement<S> {
    type QueryId = ();
    // Known by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S> Query for Statement<S> {
    type SqlType = S;
}

impl<S, C> diesel::RunQueryDsl<C> for Statement<S> {}

/// Pushes what both databases understand.
macro_rules! push_scalar {
    ($out:expr, $bind:expr, $other:pat => $else:expr) => {
        match $bind {
            Bind::Text(value) => $out.push_bind_param::<Text, _>(value.as_ref()),
            Bind::OptionalText(value) => $out.push_bind_param::<Nullable<Text>, _>(value),
            Bind::Integer(value) => $out.push_bind_param::<Integer, _>(value),
            Bind::BigInt(value) => $out.push_bind_param::<BigInt, _>(value),
            Bind::Time(value) => $out.push_bind_param::<Timestamp, _>(value),
            Bind::OptionalTime(value) => $out.push_bind_param::<Nullable<Timestamp>, _>(value),
            Bind::Number(value) => $out.push_bind_param::<Numeric, _>(value),
            Bind::OptionalNumber(value) => $out.push_bind_param::<Nullable<Numeric>, _>(value),
            $other => $else,
        }
    };
}

impl<S> QueryFragment<Pg> for Statement<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.walk(out, |out, bind| match bind {
            Bind::Texts(values) => out.push_bind_param::<Array<Text>, _>(values),
            Bind::Times(values) => out.push_bind_param::<Array<Timestamp>, _>(values),
            scalar => push_scalar!(out, scalar, _ => Err(unbindable("a scalar"))),
        })
    }
}

impl<S> QueryFragment<Sqlite> for Statement<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.walk(out, |out, bind| push_scalar!(out, bind, _ => Err(unbindable("no list in SQLite"))))
    }
}

fn unbindable(expected: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(format!("expected {expected}").into())
}

impl From<&'static str> for Bind {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<chrono::DateTime<chrono::Utc>> for Bind {
    fn from(time: chrono::DateTime<chrono::Utc>) -> Self {
        Self::Time(Moment(time))
    }
}

impl From<rust_decimal::Decimal> for Bind {
    fn from(value: rust_decimal::Decimal) -> Self {
        Self::Number(Number(value))
    }
}

impl From<Option<rust_decimal::Decimal>> for Bind {
    fn from(value: Option<rust_decimal::Decimal>) -> Self {
        Self::OptionalNumber(value.map(Number))
    }
}

impl From<i32> for Bind {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<i64> for Bind {
    fn from(value: i64) -> Self {
        Self::BigInt(value)
    }
}
