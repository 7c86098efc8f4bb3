//! Lists, newest first, at a cost that does not grow with the table.
//!
//! A list is merged from walks, each along one index from its newest row on: one walk for each source and
//! status, say. What no index knows is looked for among the newest [`WINDOW`] rows of them; the page is
//! then a partial one, and its cursor leads on from where the search ended.

use super::Result;
use super::row::{Row, Value, values};
use super::tx::Tx;

/// So many rows are looked at for one page where no index knows the filter.
pub(super) const WINDOW: usize = 1000;
/// So many times the page is looked at before the whole window is: what is left out by the rest is often next to nothing,
/// and each row that is looked at has to be made whole.
const GLANCE: usize = 2;
/// So many walks go into one statement: SQLite takes 500 parts of a compound query.
const WALKS: usize = 100;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items, newest first.
    pub items: Vec<T>,
    /// The id after which the next page begins; `None` at the end. There may be one where the page is not
    /// full: so far has been looked.
    pub next: Option<String>,
}

/// A condition, with the value that stands for its `?`.
pub(super) type Condition = (String, Option<Value>);

/// A condition on a value.
pub(super) fn is(condition: &str, value: impl Into<Value>) -> Condition {
    (condition.to_owned(), Some(value.into()))
}

/// A condition that needs no value.
pub(super) fn holds(condition: &str) -> Condition {
    (condition.to_owned(), None)
}

/// That a column is one of these.
pub(super) fn among<'a>(column: &str, names: impl IntoIterator<Item = &'a String>, values: &mut Vec<Value>) -> String {
    let mut places = Vec::new();
    for name in names {
        values.push(name.as_str().into());
        places.push(format!("${}", values.len()));
    }
    if places.is_empty() { "FALSE".to_owned() } else { format!("{column} IN ({})", places.join(", ")) }
}

/// A list to be read.
pub(super) struct Listing {
    table: &'static str,
    id: &'static str,
    /// The columns that are walked over, and what makes whole rows of them, in which `{}` stands for those.
    columns: &'static str,
    whole: &'static str,
    walks: Vec<Vec<Condition>>,
    bounds: Vec<Condition>,
    rest: Vec<Condition>,
}

impl Listing {
    /// A list of this table's rows, in the order of this column. Where several walks are merged, and nothing else was
    /// said, they are walked over by that column alone, which is to be unique then: only the rows of the page are read.
    pub(super) fn of(table: &'static str, id: &'static str) -> Self {
        Self { table, id, columns: "*", whole: "{}", walks: Vec::new(), bounds: Vec::new(), rest: Vec::new() }
    }

    /// Walks over these columns only, and makes the rows whole afterwards.
    pub(super) fn whole(self, columns: &'static str, whole: &'static str) -> Self {
        Self { columns, whole, ..self }
    }

    /// One more walk: the rows for which these hold, which stand together in an index.
    pub(super) fn walk(&mut self, conditions: Vec<Condition>) {
        self.walks.push(conditions);
    }

    /// Bounds of every walk: from one id on, and before another.
    pub(super) fn between(mut self, from: Option<String>, before: impl IntoIterator<Item = String>) -> Self {
        let id = self.id;
        self.bounds.extend(from.map(|from| is(&format!("{id} >= ?"), from)));
        self.bounds.extend(before.into_iter().map(|before| is(&format!("{id} < ?"), before)));
        self
    }

    /// What must hold as well, and no index knows.
    pub(super) fn rest(&mut self, condition: Condition) {
        self.rest.push(condition);
    }

    /// Reads a page.
    pub(super) async fn page<T>(
        self,
        tx: &mut Tx,
        limit: usize,
        read: impl Fn(&Row) -> Result<T>,
        id: impl Fn(&T) -> String,
    ) -> Result<Page<T>> {
        let mut items = Vec::new();
        let mut searched: Option<String> = None;
        for walks in self.walks.chunks(WALKS) {
            let rows = self.found(tx, walks, limit + 1).await?;
            let found = rows.len();
            items.extend(rows.iter().map(|row| Ok((row.text(self.id)?, read(row)?))).collect::<Result<Vec<_>>>()?);
            if !self.rest.is_empty() && found <= limit {
                searched = searched.max(self.searched(tx, walks).await?);
            }
        }
        items.sort_by(|(a, _), (b, _)| b.cmp(a));
        // What lies beyond the end of a search is found by the next page.
        items.retain(|(id, _)| searched.as_ref().is_none_or(|end| id >= end));
        let mut items: Vec<T> = items.into_iter().map(|(_, item)| item).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { searched };
        Ok(Page { items, next })
    }

    async fn found(&self, tx: &mut Tx, walks: &[Vec<Condition>], rows: usize) -> Result<Vec<Row>> {
        if !self.rest.is_empty() && rows * GLANCE < WINDOW {
            let (sql, values) = self.query(walks, rows, rows * GLANCE, tx.is_shared());
            let found = tx.fetch(sql, values).await?;
            if found.len() == rows {
                return Ok(found);
            }
        }
        let (sql, values) = self.query(walks, rows, WINDOW, tx.is_shared());
        tx.fetch(sql, values).await
    }

    /// Where the search ended for want of room; `None` where all was seen.
    async fn searched(&self, tx: &mut Tx, walks: &[Vec<Condition>]) -> Result<Option<String>> {
        let mut values = Vec::new();
        let walked = self.walked(walks, WINDOW, self.id, tx.is_shared(), &mut values);
        let sql = format!("SELECT count(*) AS many, min({}) AS last FROM ({walked}) AS seen", self.id);
        let Some(row) = tx.fetch_one(sql, values).await? else { return Ok(None) };
        let full = usize::try_from(row.int("many")?).is_ok_and(|many| many >= WINDOW);
        Ok(row.optional_text("last")?.filter(|_| full))
    }

    /// What reads up to so many rows; where the rest is looked for, among a window of so many.
    fn query(&self, walks: &[Vec<Condition>], rows: usize, window: usize, is_postgres: bool) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let window = if self.rest.is_empty() { rows } else { window };
        let (table, id) = (self.table, self.id);
        let by_id = format!("SELECT {table}.* FROM {{}} AS found CROSS JOIN {table} WHERE {table}.{id} = found.{id}");
        let (columns, whole) = match self.columns {
            "*" if walks.len() > 1 => (id, by_id.as_str()),
            columns => (columns, self.whole),
        };
        let mut sql = self.walked(walks, window, columns, is_postgres, &mut values);
        if whole != "{}" {
            sql = whole.replace("{}", &format!("({sql})"));
        }
        if !self.rest.is_empty() {
            let rest = conditions(self.rest.iter(), &mut values);
            sql = format!("SELECT * FROM ({sql}) AS seen {rest} ORDER BY {} DESC LIMIT {rows}", self.id);
        }
        (sql, values)
    }

    /// What walks over so many rows. The number is written out: PostgreSQL takes a tenth of all for one that it is not
    /// told, and another index. Where it is small, what the other walks find beyond it costs less than planning each.
    fn walked(
        &self,
        walks: &[Vec<Condition>],
        rows: usize,
        columns: &str,
        is_postgres: bool,
        values: &mut Vec<Value>,
    ) -> String {
        let (table, id) = (self.table, self.id);
        let order = format!("ORDER BY {id} DESC LIMIT {rows}");
        if is_postgres && rows < WINDOW && walks.len() > 1 && are_alike(walks) {
            let (begins, walk) = one_for_all(walks, values);
            let bounds = conditions(walk.iter().chain(&self.bounds), values);
            let walk = format!("SELECT {columns} FROM {table} {bounds} {order}");
            return format!("SELECT walk.* FROM {begins} CROSS JOIN LATERAL ({walk}) AS walk {order}");
        }
        let mut one = |walk: &Vec<Condition>| {
            let conditions = conditions(walk.iter().chain(&self.bounds), values);
            format!("SELECT {columns} FROM {table} {conditions}")
        };
        let parts = walks.iter().map(&mut one);
        if is_postgres && walks.len() > 1 {
            // Else it reads all of a walk for which it expects little, and sorts that. SQLite merges them as it walks, but
            // where they have limits of their own, it reads each up to that.
            let limited = |(at, part)| format!("SELECT * FROM ({part} {order}) AS walk_{at}");
            let parts: Vec<String> = parts.enumerate().map(limited).collect();
            return format!("SELECT * FROM ({}) AS walked {order}", parts.join(" UNION ALL "));
        }
        format!("{} {order}", parts.collect::<Vec<_>>().join(" UNION ALL "))
    }
}

/// Whether walks differ in their values, and in nothing else.
fn are_alike(walks: &[Vec<Condition>]) -> bool {
    let texts =
        |walk: &[Condition]| walk.iter().map(|(text, value)| (text.clone(), value.is_some())).collect::<Vec<_>>();
    walks[0].iter().any(|(_, value)| value.is_some()) && walks.iter().all(|walk| texts(walk) == texts(&walks[0]))
}

/// Walks that are alike as one, and the table of the values that it takes in turn: PostgreSQL plans it once, where it
/// would plan each of many by itself, which takes longer than walking (`PERFORMANCE.md`).
fn one_for_all(walks: &[Vec<Condition>], values: &mut Vec<Value>) -> (String, Vec<Condition>) {
    let mut row = |walk: &Vec<Condition>| {
        let places: Vec<String> = walk
            .iter()
            .filter_map(|(_, value)| value.clone())
            .map(|value| {
                values.push(value);
                format!("${}", values.len())
            })
            .collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = walks.iter().map(&mut row).collect();
    let (mut columns, mut one) = (Vec::new(), Vec::new());
    for (text, value) in &walks[0] {
        match value {
            None => one.push(holds(text)),
            Some(_) => {
                let column = format!("value_{}", columns.len());
                one.push(holds(&text.replace('?', &format!("begins.{column}"))));
                columns.push(column);
            }
        }
    }
    (format!("(VALUES {}) AS begins ({})", rows.join(", "), columns.join(", ")), one)
}

fn conditions<'a>(all: impl Iterator<Item = &'a Condition>, values: &mut Vec<Value>) -> String {
    let mut text = String::new();
    for (condition, value) in all {
        text.push_str(if text.is_empty() { "WHERE " } else { " AND " });
        match value {
            None => text.push_str(condition),
            Some(value) => {
                values.push(value.clone());
                text.push_str(&condition.replace('?', &format!("${}", values.len())));
            }
        }
    }
    text
}

impl Tx {
    /// The different values of a column, in order, found by one step along its index for each.
    pub(super) async fn distinct(&mut self, table: &str, column: &str, only: &str) -> Result<Vec<String>> {
        let sql = format!(
            "WITH RECURSIVE names (name) AS (
                 SELECT (SELECT {column} FROM {table} WHERE {only} ORDER BY {column} LIMIT 1)
                 UNION ALL
                 SELECT (SELECT {column} FROM {table} WHERE {only} AND {column} > name ORDER BY {column} LIMIT 1)
                 FROM names WHERE name IS NOT NULL
             )
             SELECT name FROM names WHERE name IS NOT NULL"
        );
        self.fetch(sql, values![]).await?.iter().map(|row| row.text("name")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_walk_is_a_plain_query_and_many_are_merged() {
        let mut listing = Listing::of("t", "id").between(None, Some("x".to_owned()));
        listing.walk(vec![is("a = ?", "b")]);
        let (sql, values) = listing.query(&listing.walks, 51, WINDOW, false);
        assert_eq!(sql, "SELECT * FROM t WHERE a = $1 AND id < $2 ORDER BY id DESC LIMIT 51");
        assert_eq!(values.len(), 2);
        listing.walk(vec![holds("c = 'd'")]);
        let (sql, _) = listing.query(&listing.walks, 51, WINDOW, false);
        assert_eq!(
            sql,
            "SELECT t.* FROM (\
             SELECT id FROM t WHERE a = $1 AND id < $2 UNION ALL SELECT id FROM t WHERE c = 'd' AND id < $3 \
             ORDER BY id DESC LIMIT 51) AS found CROSS JOIN t WHERE t.id = found.id"
        );
        let (sql, _) = listing.query(&listing.walks, 51, WINDOW, true);
        assert_eq!(
            sql,
            "SELECT t.* FROM (\
             SELECT * FROM (SELECT * FROM (SELECT id FROM t WHERE a = $1 AND id < $2 ORDER BY id DESC LIMIT 51) AS walk_0 \
             UNION ALL SELECT * FROM (SELECT id FROM t WHERE c = 'd' AND id < $3 ORDER BY id DESC LIMIT 51) AS walk_1) \
             AS walked ORDER BY id DESC LIMIT 51) AS found CROSS JOIN t WHERE t.id = found.id"
        );
    }

    #[test]
    fn walks_that_are_alike_are_one_on_postgres() {
        let mut listing = Listing::of("t", "id").between(None, Some("x".to_owned()));
        for source in ["m", "n"] {
            listing.walk(vec![is("a = ?", source), holds("c = 'd'")]);
        }
        let (sql, values) = listing.query(&listing.walks, 51, WINDOW, true);
        assert_eq!(
            sql,
            "SELECT t.* FROM (\
             SELECT walk.* FROM (VALUES ($1), ($2)) AS begins (value_0) CROSS JOIN LATERAL (\
             SELECT id FROM t WHERE a = begins.value_0 AND c = 'd' AND id < $3 ORDER BY id DESC LIMIT 51) AS walk \
             ORDER BY id DESC LIMIT 51) AS found CROSS JOIN t WHERE t.id = found.id"
        );
        assert_eq!(values.len(), 3);
        listing.walk(vec![holds("e = 'f'")]);
        assert!(listing.query(&listing.walks, 51, WINDOW, true).0.contains("UNION ALL"), "these are not");
    }

    #[test]
    fn what_no_index_knows_is_looked_for_in_a_window() {
        let mut listing = Listing::of("t", "id");
        listing.walk(Vec::new());
        listing.rest(is("m = ?", "x"));
        let (sql, _) = listing.query(&listing.walks, 51, WINDOW, true);
        assert_eq!(
            sql,
            "SELECT * FROM (SELECT * FROM t  ORDER BY id DESC LIMIT 1000) AS seen WHERE m = $1 ORDER BY id DESC LIMIT 51"
        );
    }
}
