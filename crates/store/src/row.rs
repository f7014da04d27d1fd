//! **Rows to values**: every word in a column is one the program knows, or the row is broken.

use proof::time::Timestamp;
use registry::ports::Stores;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::error::{broken, failed};

/// Reading columns by name, each with the one type it has.
pub(crate) trait Columns {
    /// TEXT NOT NULL.
    fn text(&self, column: &str) -> Stores<String>;
    /// TEXT.
    fn text_or_null(&self, column: &str) -> Stores<Option<String>>;
    /// BIGINT NOT NULL.
    fn number(&self, column: &str) -> Stores<i64>;
    /// BIGINT.
    fn number_or_null(&self, column: &str) -> Stores<Option<i64>>;
    /// BIGINT NOT NULL, a time in Unix milliseconds.
    fn time(&self, column: &str) -> Stores<Timestamp>;
    /// BIGINT, a time in Unix milliseconds.
    fn time_or_null(&self, column: &str) -> Stores<Option<Timestamp>>;
    /// BYTEA NOT NULL.
    fn bytes(&self, column: &str) -> Stores<Vec<u8>>;
    /// TEXT NOT NULL, one of a closed set of words.
    fn word<T>(&self, column: &str, read: impl FnOnce(&str) -> Option<T>) -> Stores<T>;
    /// TEXT NOT NULL, a JSON document.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Stores<T>;
}

impl Columns for AnyRow {
    fn text(&self, column: &str) -> Stores<String> {
        self.try_get(column).map_err(failed)
    }
    fn text_or_null(&self, column: &str) -> Stores<Option<String>> {
        self.try_get(column).map_err(failed)
    }
    fn number(&self, column: &str) -> Stores<i64> {
        self.try_get(column).map_err(failed)
    }
    fn number_or_null(&self, column: &str) -> Stores<Option<i64>> {
        self.try_get(column).map_err(failed)
    }
    fn time(&self, column: &str) -> Stores<Timestamp> {
        self.number(column).map(Timestamp::from_millis)
    }
    fn time_or_null(&self, column: &str) -> Stores<Option<Timestamp>> {
        let millis: Option<i64> = self.try_get(column).map_err(failed)?;
        Ok(millis.map(Timestamp::from_millis))
    }
    fn bytes(&self, column: &str) -> Stores<Vec<u8>> {
        self.try_get(column).map_err(failed)
    }
    fn word<T>(&self, column: &str, read: impl FnOnce(&str) -> Option<T>) -> Stores<T> {
        let text = self.text(column)?;
        read(&text)
            .ok_or_else(|| broken(format!("{column} = {text:?} is no word this program knows")))
    }
    fn json<T: DeserializeOwned>(&self, column: &str) -> Stores<T> {
        let text = self.text(column)?;
        // The text itself stays out of the message: it may be long, and logs are not its place.
        serde_json::from_str(&text)
            .map_err(|e| broken(format!("{column} is not the JSON it must be: {e}")))
    }
}

/// JSON for a column. Our own types always serialise.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Stores<String> {
    serde_json::to_string(value).map_err(|e| broken(format!("a value has no JSON form: {e}")))
}

/// A time for a BIGINT column.
pub(crate) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// `($from, …), (…)`: placeholders for `rows` rows of `columns` values each.
pub(crate) fn placeholders(from: usize, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            if column > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(from + row * columns + column).to_string());
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn placeholders_count_on_from_row_to_row() {
        assert_eq!(placeholders(2, 2, 3), "($2, $3, $4), ($5, $6, $7)");
        assert_eq!(placeholders(1, 1, 1), "($1)");
    }
}
