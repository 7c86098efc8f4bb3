//! The two schemas are one, forbid what must not be, and are opened with settings that lose nothing.

use std::os::unix::fs::PermissionsExt;

use callboard::store::{On, SQLITE_VERSION_MIN, SqliteTx, lock_sqlite};
use rusqlite::types::Value;
use sqlx::{AssertSqlSafe, Row};

use crate::app::{Database, Db, START, both};

const SQLITE_TABLES: &str = "FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '_sqlx%'";

/// Both databases' answers to what is asked of each in its own words.
async fn asked(sqlite: &str, postgres: &str) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let (first, second) = (Database::fresh(Db::Sqlite), Database::fresh(Db::Postgres));
    first.store().await.close().await;
    second.store().await.close().await;
    let (mut first, mut second) = (first.texts(sqlite).await, second.texts(postgres).await);
    first.sort();
    second.sort();
    assert!(!first.is_empty());
    (first, second)
}

#[tokio::test]
async fn the_tables_have_the_same_columns() {
    // The types map as the store binds them; a primary key is never null.
    let (sqlite, postgres) = asked(
        &format!(
            "SELECT m.name, printf('%02d', c.cid + 1), c.name,
                 CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'BLOB' THEN 'bytea' ELSE lower(c.type) END,
                 CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE 'YES' END {SQLITE_TABLES}"
        ),
        "SELECT table_name::text, lpad(ordinal_position::text, 2, '0'), column_name::text, data_type::text,
             is_nullable::text
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'",
    )
    .await;
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn the_tables_have_the_same_keys() {
    // Primary or unique makes no difference: SQLite counts by the primary key and PostgreSQL need not.
    let (mut sqlite, postgres) = asked(
        "SELECT m.name, (SELECT group_concat(name) FROM
             (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk))
         FROM sqlite_master m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '_sqlx%'
         UNION ALL
         SELECT m.name, (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
         FROM sqlite_master m, pragma_index_list(m.name) i
         WHERE m.type = 'table' AND m.name NOT LIKE '_sqlx%' AND i.origin = 'u'",
        "SELECT t.relname::text, (SELECT string_agg(a.attname::text, ',' ORDER BY k.n)
             FROM unnest(c.conkey) WITH ORDINALITY k (att, n), pg_attribute a
             WHERE a.attrelid = t.oid AND a.attnum = k.att)
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
         JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = 'public'
         WHERE c.contype IN ('p', 'u') AND t.relname NOT LIKE '\\_sqlx%'",
    )
    .await;
    // On SQLite this is where the rows are; PostgreSQL finds events by (xact, seq), which is an index.
    sqlite.retain(|key| key != &["events", "seq"]);
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn the_tables_have_the_same_indexes() {
    let (sqlite, postgres) = asked(
        "SELECT m.name, i.name,
             (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)),
             CASE WHEN i.\"unique\" THEN 'unique' ELSE '' END, CASE WHEN i.partial THEN 'partial' ELSE '' END
         FROM sqlite_master m, pragma_index_list(m.name) i
         WHERE m.type = 'table' AND m.name NOT LIKE '_sqlx%' AND i.origin = 'c'",
        "SELECT t.relname::text, x.relname::text,
             (SELECT string_agg(a.attname::text, ',' ORDER BY k.n)
              FROM unnest(i.indkey) WITH ORDINALITY k (att, n), pg_attribute a
              WHERE a.attrelid = t.oid AND a.attnum = k.att),
             CASE WHEN i.indisunique THEN 'unique' ELSE '' END,
             CASE WHEN i.indpred IS NOT NULL THEN 'partial' ELSE '' END
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
         JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = 'public'
         WHERE t.relname NOT LIKE '\\_sqlx%'
             AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = x.oid AND c.contype IN ('p', 'u'))",
    )
    .await;
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn the_tables_have_as_many_checks() {
    let (sqlite, postgres) = asked(
        "SELECT name, printf('%d', (length(sql) - length(replace(sql, 'CHECK (', ''))) / 7) FROM sqlite_master
         WHERE type = 'table' AND sql LIKE '%CHECK (%'",
        "SELECT t.relname::text, count(*)::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
         JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = 'public' WHERE c.contype = 'c' GROUP BY 1",
    )
    .await;
    assert_eq!(sqlite, postgres);
}

/// Rows that may be, and that the impossible ones are near to.
const POSSIBLE: &[&str] = &[
    "INSERT INTO events (id, type, step, source, task_id, at, body) VALUES ('e1', 'task.completed', 'terminal', 's', 't', 1, '{}')",
    "INSERT INTO events (id, type, step, source, task_id, at, body) VALUES ('e2', 'task.processing', 'processing', 's', 't', 1, '{}')",
    "INSERT INTO deliveries (id, event_id, destination, replay_id, status, due_at, lease, failures, attempts, created_at) VALUES ('d1', 'e1', 'a', '', 'pending', 1, 0, 0, 0, 1)",
    "INSERT INTO attempts (id, delivery_id, number, started_at, duration_ms, outcome, response) VALUES ('a1', 'd1', 1, 1, 0, 'failed', BYTES)",
    "INSERT INTO tasks (key, source, task_id, provider, status, outputs, observed_via, confirmed, metadata, metadata_origin, first_seen_at, updated_at, terminal_event) VALUES ('k1', 's', 't', 'p', 'completed', '[]', 'callback', 1, '{}', 0, 1, 1, 'e1')",
    "INSERT INTO destination_states (name, failures) VALUES ('a', 0)",
    "INSERT INTO keys (id, hash, name, role, team, created_at) VALUES ('k1', 'h1', 'n', 'read', 'ops', 1)",
];

const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "a second end",
        "INSERT INTO events (id, type, step, source, task_id, at, body) VALUES ('e9', 'task.failed', 'terminal', 's', 't', 1, '{}')",
    ),
    (
        "a second beginning",
        "INSERT INTO events (id, type, step, source, task_id, at, body) VALUES ('e9', 'task.processing', 'processing', 's', 't', 1, '{}')",
    ),
    (
        "a task's event without a task",
        "INSERT INTO events (id, type, step, source, at, body) VALUES ('e9', 'task.failed', 'terminal', 's', 1, '{}')",
    ),
    (
        "an unknown step",
        "INSERT INTO events (id, type, step, source, task_id, at, body) VALUES ('e9', 'task.failed', 'end', 's', 'u', 1, '{}')",
    ),
    ("pending and never due", "UPDATE deliveries SET due_at = NULL"),
    ("held and due", "UPDATE deliveries SET status = 'held'"),
    ("held and in somebody's hand", "UPDATE deliveries SET status = 'held', due_at = NULL, lease_until = 5"),
    ("delivered at no time", "UPDATE deliveries SET status = 'delivered', due_at = NULL"),
    ("pending and finished", "UPDATE deliveries SET finished_at = 5"),
    ("an unknown status", "UPDATE deliveries SET status = 'lost', due_at = NULL"),
    ("a time that is none", "UPDATE deliveries SET due_at = 'soon'"),
    (
        "told twice",
        "INSERT INTO deliveries (id, event_id, destination, replay_id, status, due_at, lease, failures, attempts, created_at) VALUES ('d9', 'e1', 'a', '', 'pending', 1, 0, 0, 0, 1)",
    ),
    (
        "an attempt counted twice",
        "INSERT INTO attempts (id, delivery_id, number, started_at, duration_ms, outcome, response) VALUES ('a9', 'd1', 1, 1, 0, 'failed', BYTES)",
    ),
    ("an attempt before the first", "UPDATE attempts SET number = 0"),
    ("an end without an end", "UPDATE tasks SET status = 'processing'"),
    ("a contradiction of nothing", "UPDATE tasks SET terminal_event = NULL, conflict_event = 'e2'"),
    ("more than all of it", "UPDATE tasks SET progress = 101"),
    (
        "one task twice",
        "INSERT INTO tasks (key, source, task_id, provider, status, outputs, observed_via, confirmed, metadata, metadata_origin, first_seen_at, updated_at) VALUES ('k9', 's', 't', 'p', 'pending', '[]', 'callback', 0, '{}', 0, 1, 1)",
    ),
    ("disabled for no reason", "UPDATE destination_states SET disabled_at = 5"),
    ("failing since never", "UPDATE destination_states SET failures = 1"),
    ("an administrator of one team", "UPDATE keys SET role = 'admin'"),
    ("a key of nobody", "UPDATE keys SET team = NULL"),
    ("a role that is none", "UPDATE keys SET role = 'root'"),
];

both! {
    async fn what_must_not_be_cannot_be(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        store.close().await;
        let bytes = if db == Db::Sqlite { "x''" } else { "''" };
        for sql in POSSIBLE {
            database.execute(&sql.replace("BYTES", bytes)).await;
        }
        for (about, sql) in IMPOSSIBLE {
            let refused = database.try_execute(&sql.replace("BYTES", bytes)).await;
            assert!(matches!(refused, Err(sqlx::Error::Database(_))), "{about}: {refused:?}");
        }
    }

    async fn it_is_opened_with_settings_that_lose_nothing(db: Db) {
        let database = Database::fresh(db);
        let store = database.store().await;
        let mut tx = store.write().await.unwrap();
        let expected: &[(&str, &str)] = match db {
            Db::Sqlite => &[
                ("PRAGMA journal_mode", "wal"),
                ("PRAGMA synchronous", "1"),
                ("PRAGMA foreign_keys", "1"),
                ("PRAGMA busy_timeout", "5000"),
                ("PRAGMA auto_vacuum", "2"),
            ],
            Db::Postgres => &[
                ("SHOW synchronous_commit", "on"),
                ("SHOW lock_timeout", "1s"),
                ("SHOW statement_timeout", "4s"),
                ("SHOW idle_in_transaction_session_timeout", "5s"),
                ("SHOW transaction_isolation", "read committed"),
                ("SHOW application_name", "callboard"),
            ],
        };
        for (question, answer) in expected {
            let given = match tx.on() {
                On::Sqlite(SqliteTx::Read(_)) => panic!("it is the one that writes"),
                On::Sqlite(SqliteTx::Write(tx)) => {
                    let question = *question;
                    let value = tx.run(move |connection| connection.query_row(question, [], |row| row.get(0)));
                    match value.await.unwrap() {
                        Value::Text(text) => text,
                        Value::Integer(number) => number.to_string(),
                        other => panic!("{other:?}"),
                    }
                }
                On::Postgres(tx) => {
                    let row = sqlx::query(AssertSqlSafe(*question)).fetch_one(tx.begun().await.unwrap()).await;
                    row.unwrap().get(0)
                }
            };
            assert_eq!((*question, given.as_str()), (*question, *answer));
        }
    }
}

#[tokio::test]
async fn the_file_is_private_current_and_served_by_one() {
    let database = Database::fresh(Db::Sqlite);
    let store = database.store().await;
    assert_eq!(std::fs::metadata(database.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let version = &database.texts("SELECT sqlite_version()").await[0][0];
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!((parts[0], parts[1], parts[2]) >= SQLITE_VERSION_MIN, "{version}");

    let mut reader = store.read().await.unwrap();
    assert!(reader.insert_team(&crate::store::team("no"), START).await.is_err(), "a reader writes");
    drop(reader);

    let lock = lock_sqlite(&database.file()).unwrap();
    let refused = lock_sqlite(&database.file()).unwrap_err().to_string();
    assert!(refused.contains("callboard.db.lock") && refused.contains("another"), "{refused}");
    drop(lock);
    lock_sqlite(&database.file()).unwrap();
}
