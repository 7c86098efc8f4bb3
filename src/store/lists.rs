//! Filters and pages: lists are newest first, and a page begins after the last id of the one before.

use super::row::Value;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items, newest first.
    pub items: Vec<T>,
    /// The id after which the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts what was fetched, one more than `limit` where there is more, to a page.
    pub(super) fn cut(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }
}

/// The conditions of a query whose filters are optional.
#[derive(Default)]
pub(super) struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// One more that must hold; `?` stands for the value. Without a value there is no condition.
    pub(super) fn and<T: Into<Value>>(mut self, condition: &str, value: Option<T>) -> Self {
        if let Some(value) = value {
            self.values.push(value.into());
            let number = format!("${}", self.values.len());
            self.text.push_str(if self.text.is_empty() { "WHERE " } else { " AND " });
            self.text.push_str(&condition.replace('?', &number));
        }
        self
    }

    /// The query with its conditions, newest first by `id`, one row more than `limit`.
    pub(super) fn query(mut self, select: &str, id: &str, limit: usize) -> (String, Vec<Value>) {
        let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.values.push(Value::from(rows));
        let sql = format!("{select} {} ORDER BY {id} DESC LIMIT ${}", self.text, self.values.len());
        (sql, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_given_filters_are_asked_for() {
        let (sql, values) = Conditions::default()
            .and("a = ?", Some("x"))
            .and("b = ?", None::<&str>)
            .and("id < ?", Some(3_i64))
            .query("SELECT * FROM t", "id", 50);
        assert_eq!(sql, "SELECT * FROM t WHERE a = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
        assert_eq!(values.len(), 3);
    }
}
